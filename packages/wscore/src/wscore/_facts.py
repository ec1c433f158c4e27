"""The only place for what every adapter's WebSocket tells of its connection."""

from __future__ import annotations

from typing import Any, Final

from ._close import CloseReason
from ._connection import Connection, State
from ._http import Request, Response
from ._pings import Latency
from ._stats import Stats

__all__ = ["Facts"]


class Facts:
    """What a connection is and how it is doing: the base of every adapter's WebSocket.

    Reading any of it changes nothing and is allowed in any thread.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        # An address is what the socket says: its form depends on the family.
        self._addresses: tuple[Any, Any] = (None, None)

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._connection.state

    @property
    def close_reason(self) -> CloseReason | None:
        """Why the connection is ending or ended; None while it is not."""
        return self._connection.close_reason

    @property
    def subprotocol(self) -> str | None:
        """The negotiated subprotocol."""
        return self._connection.subprotocol

    @property
    def request(self) -> Request | None:
        """The request that opened the connection."""
        return self._connection.request

    @property
    def response(self) -> Response | None:
        """The response that opened the connection."""
        return self._connection.response

    @property
    def latency(self) -> Latency | None:
        """Round-trip time of the last ping, and smoothed, in seconds; None before the first."""
        return self._connection.latency

    @property
    def stats(self) -> Stats:
        """Counters of what passed."""
        return self._connection.stats

    @property
    def local_address(self) -> Any:
        """This side's address, as the socket gives it; None if there is none."""
        return self._addresses[0]

    @property
    def remote_address(self) -> Any:
        """The other side's address, as the socket gives it; None if there is none."""
        return self._addresses[1]

    def __repr__(self) -> str:
        connection = self._connection
        role, state = connection.role.value, connection.state.value
        return f"<WebSocket {role} {state}, peer {self.remote_address}>"
