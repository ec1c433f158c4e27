"""The only place where a connection of the core meets trio.

Policy is in :mod:`wscore`, and so is what every runtime has alike; here is only what is trio's.
"""

from __future__ import annotations

import trio

from wscore import CallerDriven, Connection

from ._runtime import OnTrio
from ._stream import carrier_of

__all__ = ["WebSocket"]


class WebSocket(OnTrio, CallerDriven, trio.abc.AsyncResource):
    """A WebSocket connection on trio; :func:`connect` and :func:`serve` make them.

    Every method belongs to the thread of the connection's event loop. Any number of tasks may
    send; one at a time may receive. Cancelling a method never corrupts the stream: a cancelled
    send either did not start or completes. Every method that waits is a checkpoint.
    """

    def __init__(self, connection: Connection) -> None:
        """Not public: use :func:`connect` or :func:`serve`."""
        # The run's own, without the way to it that trio.current_time() takes each time.
        super().__init__(connection, trio.lowlevel.current_clock().current_time)

    async def _carry(self, stream: trio.abc.Stream) -> None:
        """The life of the connection on a stream, as a task: it raises nothing but Cancelled."""
        carrier = carrier_of(stream, self._connection, self._now)
        try:
            await self._run(carrier)
        finally:
            # Harmless unless the nursery that carries the connection was cancelled.
            await self._leave()
            await self._drop(carrier)

    # Whoever's the nursery is, the connection ends with it.
    _carry_until_cancelled = _carry
