"""The only place where a connection of the core meets anyio.

Policy is in :mod:`wscore`, and so is what every runtime has alike; here is only what is anyio's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import AsyncResource
from anyio.lowlevel import cancel_shielded_checkpoint, current_token

from wscore import CallerDriven, Connection

from ._runtime import OnAnyio
from ._stream import Wire, carrier_of

__all__ = ["WebSocket"]


class WebSocket(OnAnyio, CallerDriven, AsyncResource):
    """A WebSocket connection on anyio; :func:`connect` and :func:`serve` make them.

    Every method belongs to the thread of the connection's event loop. Any number of tasks may
    send; one at a time may receive. Cancelling a method never corrupts the stream: a cancelled
    send either did not start or completes. Every method that waits is a checkpoint.
    """

    def __init__(self, connection: Connection) -> None:
        """Not public: use :func:`connect` or :func:`serve`."""
        super().__init__(connection, _clock())
        # The backend's own, without the way to it that anyio looks for in each call.
        self._checkpoint_if_cancelled = current_token().backend_class.checkpoint_if_cancelled

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
