"""The only place for a wait that ends within the call that wakes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Final

__all__ = ["Arrival"]


class Arrival:
    """What one task at a time awaits, as often as it likes: something that the transport brings.

    Tasks take it for a future. But the callbacks of a future run in the next turn of the loop,
    which first asks the system about every socket once more; here the task can go on at once.
    """

    __slots__ = (
        *("_asyncio_future_blocking", "_callback", "_cancelled", "_context", "_loop"),
        "_message",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._asyncio_future_blocking = False
        self._callback: Callable[[Arrival], object] | None = None
        self._context: Context | None = None
        # Whether the wait was cancelled, and what was said of that.
        self._cancelled = False
        self._message: object = None

    @property
    def awaited(self) -> bool:
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
            if asyncio.current_task(self._loop) is None:
                context.run(callback, self)
            else:
                self._loop.call_soon(callback, self, context=context)

    # -- what a task does with a future

    def __await__(self) -> Generator[Arrival, None, None]:
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the tasks that wait."""
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Arrival], object], *, context: Context | None = None
    ) -> None:
        """A task waits."""
        self._callback = callback
        self._context = context

    def result(self) -> None:
        """Nothing, or why the wait was cancelled."""
        if self._cancelled:
            self._cancelled = False
            message, self._message = self._message, None
            # Not kept: its traceback holds all that waited.
            raise asyncio.CancelledError() if message is None else asyncio.CancelledError(message)

    def cancel(self, msg: object = None) -> bool:
        """The task is cancelled, in the next turn of the loop; False if it goes on anyway."""
        if self._callback is None:
            return False
        self._cancelled, self._message = True, msg
        self.wake()
        return True
