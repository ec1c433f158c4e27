"""The only place for a wait that ends within the call that wakes it, on loops like asyncio's."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar, Final, Protocol, Self

__all__ = ["Arrival"]


class Context(Protocol):
    """What a callback runs in: a ``contextvars.Context``."""

    def run(self, callback: Callable[[Any], object], argument: Any, /) -> object: ...


class Tasks(Protocol):
    """What is asyncio's: for a subclass to bind."""

    __slots__ = ()

    _cancelled_error: ClassVar[type[BaseException]]
    """What a task that is cancelled raises: ``asyncio.CancelledError``."""

    @staticmethod
    def _current_task(loop: Any, /) -> object | None:
        """The task of a loop that is running: ``asyncio.current_task``."""
        ...


class Arrival(Tasks):
    """What one task at a time awaits, as often as it likes: something that the transport brings.

    Tasks of asyncio take it for a future. But the callbacks of a future run in the next turn of
    the loop, which first asks the system about every socket once more; here the task can go on at
    once. It belongs to the thread of the loop. Cancelling the task ends the wait.

    A subclass brings ``asyncio.current_task`` and ``asyncio.CancelledError``.

    :param loop: that of the tasks that wait; what it is, is theirs to say.
    """

    __slots__ = (
        *("_asyncio_future_blocking", "_callback", "_cancelled", "_context", "_loop"),
        "_message",
    )

    def __init__(self, loop: Any) -> None:
        self._loop: Final = loop
        self._asyncio_future_blocking = False
        self._callback: Callable[[Self], object] | None = None
        self._context: Context | None = None
        # Whether the wait was cancelled, and what was said of that.
        self._cancelled = False
        self._message: object = None

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits."""
        return self._callback is not None

    def wake(self) -> None:
        """The task goes on in the next turn of the loop; harmless if none waits."""
        callback, context = self._callback, self._context
        if callback is not None:
            self._callback = self._context = None
            self._loop.call_soon(callback, self, context=context)

    def wake_here(self) -> None:
        """The task goes on now, until it waits again; harmless if none waits.

        Only within a callback of the loop: a task does not run within another one.
        """
        callback, context = self._callback, self._context
        if callback is not None and context is not None:
            self._callback = self._context = None
            if self._current_task(self._loop) is None:
                context.run(callback, self)
            else:
                self._loop.call_soon(callback, self, context=context)

    # -- what a task does with a future

    def __await__(self) -> Generator[Self, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> Any:
        """The loop of the tasks that wait."""
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Self], object], *, context: Context | None = None
    ) -> None:
        """A task waits."""
        self._callback = callback
        self._context = context

    def done(self) -> bool:
        """Whether none waits any more; who looks at tasks from outside asks that."""
        return self._callback is None

    def result(self) -> None:
        """Nothing, or why the wait was cancelled."""
        if self._cancelled:
            self._cancelled = False
            message, self._message = self._message, None
            # Not kept: its traceback holds all that waited.
            error = self._cancelled_error
            raise error() if message is None else error(message)

    def cancel(self, msg: object = None) -> bool:
        """The task is cancelled, in the next turn of the loop; False if it goes on anyway."""
        if self._callback is None:
            return False
        self._cancelled, self._message = True, msg
        self.wake()
        return True
