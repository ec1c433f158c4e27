"""The only place where a connection of the core meets trio.

Policy is in :mod:`wscore`, and so is what every runtime has alike; here is only what is trio's.
"""

from __future__ import annotations

import trio
from trio.lowlevel import RunVar, cancel_shielded_checkpoint, checkpoint, checkpoint_if_cancelled

from wscore import CallerDriven, Connection, Watch

from ._stream import carrier_of

__all__ = ["WebSocket", "what_failed"]


def what_failed(error: Exception) -> BaseException:
    """The error of TLS or of the system says more than trio's around it."""
    return error if isinstance(error, OSError) else error.__cause__ or error


class WebSocket(CallerDriven, trio.abc.AsyncResource):
    """A WebSocket connection on trio; :func:`connect` and :func:`serve` make them.

    Every method belongs to the thread of the connection's event loop. Any number of tasks may
    send; one at a time may receive. Cancelling a method never corrupts the stream: a cancelled
    send either did not start or completes. Every method that waits is a checkpoint.
    """

    _watch_of_run = RunVar[Watch]("ws_trio.watch")
    _event = staticmethod(trio.Event)
    _lock = staticmethod(trio.Lock)
    _cancel_scope = staticmethod(trio.CancelScope)
    _task_group = staticmethod(trio.open_nursery)
    _checkpoint = staticmethod(checkpoint)
    _checkpoint_if_cancelled = staticmethod(checkpoint_if_cancelled)
    _cancel_shielded_checkpoint = staticmethod(cancel_shielded_checkpoint)
    _what_failed = staticmethod(what_failed)

    def __init__(self, connection: Connection) -> None:
        """Not public: use :func:`connect` or :func:`serve`."""
        super().__init__(connection, trio.current_time)

    async def _carry(self, stream: trio.abc.Stream) -> None:
        """The life of the connection on a stream, as a task: it raises nothing but Cancelled."""
        carrier = carrier_of(stream, self._connection)
        try:
            await self._run(carrier)
        finally:
            # Harmless unless the nursery that carries the connection was cancelled.
            await self._leave()
            await self._drop(carrier)
