"""The only place where a connection of the core meets anyio.

Policy is in :mod:`wscore`, and so is what every runtime has alike; here is only what is anyio's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import AsyncResource
from anyio.lowlevel import RunVar, cancel_shielded_checkpoint, checkpoint, checkpoint_if_cancelled

from wscore import CallerDriven, Connection, Watch

from ._stream import Wire, carrier_of

__all__ = ["WebSocket", "what_failed"]


def what_failed(error: Exception) -> BaseException:
    """The error of TLS or of the system says more than anyio's around it."""
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup) and len({type(each) for each in cause.exceptions}) == 1:
        # Of every address the same.
        cause = cause.exceptions[0]
    wrapped = isinstance(error, anyio.BrokenResourceError) or isinstance(cause, OSError)
    return cause if cause is not None and wrapped else error


class WebSocket(CallerDriven, AsyncResource):
    """A WebSocket connection on anyio; :func:`connect` and :func:`serve` make them.

    Every method belongs to the thread of the connection's event loop. Any number of tasks may
    send; one at a time may receive. Cancelling a method never corrupts the stream: a cancelled
    send either did not start or completes. Every method that waits is a checkpoint.
    """

    _watch_of_run = RunVar[Watch]("ws_anyio.watch")
    _event = staticmethod(anyio.Event)
    _lock = staticmethod(anyio.Lock)
    _cancel_scope = staticmethod(anyio.CancelScope)
    _task_group = staticmethod(anyio.create_task_group)
    _checkpoint = staticmethod(checkpoint)
    _checkpoint_if_cancelled = staticmethod(checkpoint_if_cancelled)
    _cancel_shielded_checkpoint = staticmethod(cancel_shielded_checkpoint)
    _what_failed = staticmethod(what_failed)

    def __init__(self, connection: Connection) -> None:
        """Not public: use :func:`connect` or :func:`serve`."""
        super().__init__(connection, _clock())

    async def _carry(self, wire: Wire) -> None:
        """The life of the connection, as a task: it raises nothing.

        It ends with the connection and not before, so that whoever is cancelled can still close.
        """
        carrier = carrier_of(wire, self._connection, self._now)
        with anyio.CancelScope(shield=True):
            try:
                await self._run(carrier)
            finally:
                await self._drop(carrier)

    async def _carry_until_cancelled(self, wire: Wire) -> None:
        """The same in a task group that is not ours: cancelled, the connection ends."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._carry, wire)
            try:
                await self._over.wait()
            finally:
                await self._leave()

    async def _leave(self) -> None:
        """Abort the connection, after a few turns in which what need not wait is written."""
        for _ in range(_TURNS_TO_WRITE):
            if self._over.is_set():
                break
            await cancel_shielded_checkpoint()
        await super()._leave()


_TURNS_TO_WRITE: Final = 5
"""Turns of the loop that the writer needs for what the stream takes at once: to wake up, to write,
and to say so, and some for whoever is cancelled together with others and has yet to close."""


def _clock() -> Callable[[], float]:
    """The loop's clock: the system's own, if it is that one, not the way to it by anyio."""
    same = abs(anyio.current_time() - time.monotonic()) < 1
    return time.monotonic if same else anyio.current_time
