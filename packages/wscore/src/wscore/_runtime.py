"""The only place that says what a runtime brings to what is driven on it: connections, servers.

That is a runtime with async and await, and with tasks that end where they began (structured
concurrency). Names and meanings are trio's, which anyio shares.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, TypeVarTuple

from ._watch import RunVariable

__all__ = ["CancelScope", "Event", "Lock", "Nudge", "Runtime", "TaskGroup"]

Ts = TypeVarTuple("Ts")


class Event(Protocol):
    """Happens once; whoever waits for it goes on then."""

    def set(self) -> object: ...

    def is_set(self) -> bool: ...

    async def wait(self) -> object: ...


class Lock(Protocol):
    """One at a time, first come, first served."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> object: ...


class CancelScope(Protocol):
    """What is cancelled together, on request or at a deadline."""

    @property
    def cancel_called(self) -> bool: ...

    @property
    def cancelled_caught(self) -> bool: ...

    def cancel(self) -> object: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool: ...


class TaskGroup(Protocol):
    """Tasks that end before its block does: a nursery."""

    @property
    def cancel_scope(self) -> CancelScope: ...

    def start_soon(
        self, task: Callable[[*Ts], Coroutine[Any, Any, None]], /, *args: *Ts
    ) -> object: ...


class Runtime(Protocol):
    """What :class:`CallerDriven`, :class:`Connecting`, :class:`Accepting` and
    :class:`StructuredServer` need of a runtime, and of its streams.

    It is for a subclass to bind, as static methods. They are members of the class, not of an
    object beside it, since most are called for each message: ``_checkpoint =
    staticmethod(trio.lowlevel.checkpoint)``.
    """

    _watch_of_run: ClassVar[RunVariable]
    """A ``RunVar`` without a default, made for this and nothing else."""
    _stream_errors: ClassVar[tuple[type[Exception], ...]]
    """What a stream raises that breaks, or is closed: OSError, and what is the runtime's own."""

    _group_name: ClassVar[str]
    """The name of the parameter that is a task group of the caller's."""

    @staticmethod
    def _current_time() -> float:
        """The runtime's clock, in seconds."""
        ...

    @staticmethod
    def _current_task() -> object:
        """What is equal for the same task only, as long as it runs."""
        ...

    @staticmethod
    def _event() -> Event:
        """A new one."""
        ...

    @staticmethod
    def _lock() -> Lock:
        """A new one."""
        ...

    @staticmethod
    def _cancel_scope(*, deadline: float = math.inf, shield: bool = False) -> CancelScope:
        """One that is cancelled when the clock says so, and, shielded, not with what is around."""
        ...

    @staticmethod
    def _task_group() -> AbstractAsyncContextManager[TaskGroup, Any]:
        """A new one."""
        ...

    @staticmethod
    def _checkpoint() -> Awaitable[object]:
        """Let others run; raise if the caller is cancelled."""
        ...

    @staticmethod
    def _checkpoint_if_cancelled() -> Awaitable[object]:
        """Raise if the caller is cancelled; nothing else."""
        ...

    @staticmethod
    def _cancel_shielded_checkpoint() -> Awaitable[object]:
        """Let others run; nothing else."""
        ...

    @staticmethod
    def _cancelled_error() -> type[BaseException]:
        """What is raised in whoever is cancelled, and may be met by whoever waits for them."""
        ...

    @staticmethod
    def _accept_tls(stream: Any, context: Any, /) -> Awaitable[Any]:
        """Be the server in the handshake of TLS on a stream; the stream over it.

        :raises Exception: as :attr:`_stream_errors` says.
        """
        ...

    @staticmethod
    def _abort_stream(stream: Any, /) -> Awaitable[object]:
        """Close it at once."""
        ...

    @staticmethod
    def _what_failed(error: Exception, /) -> BaseException:
        """Of what a stream raises, what says most: the system's error, not the runtime's."""
        ...


class Nudge:
    """Wakes the one task that waits, or the next that does.

    :param event: makes a new event.
    """

    __slots__ = ("_event", "_make", "_nudged")

    def __init__(self, event: Callable[[], Event]) -> None:
        self._make = event
        self._event: Event | None = None
        self._nudged = False

    @property
    def is_awaited(self) -> bool:
        """Whether one waits."""
        return self._event is not None

    def nudge(self) -> None:
        """Wake it."""
        self._nudged = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Wait until somebody nudges, or go on at once if somebody has."""
        if not self._nudged:
            self._event = self._make()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._nudged = False
