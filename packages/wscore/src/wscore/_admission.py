"""The only place that decides whom a server lets in, and how it says farewell."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, NamedTuple

from ._close import CloseCode, check_close_code
from ._http import Response

__all__ = ["Admission", "Farewell"]


class Farewell(NamedTuple):
    """How a connection is closed whose handler has returned."""

    code: int
    reason: str


class Admission:
    """Who may be served: so many at a time, and nobody any more once the server is to close.

    One thread at a time, as for a connection.

    :param max_connections: how many may be let in at a time, in handshake and open; None for any
        number.
    :raises ValueError, TypeError: it is not positive, or no int.
    :ivar draining: whether the server is to close.
    :ivar farewell: how a connection is closed whose handler has returned.
    """

    def __init__(self, max_connections: int | None = None) -> None:
        if max_connections is not None:
            if not isinstance(max_connections, int) or isinstance(max_connections, bool):
                kind = type(max_connections).__name__
                raise TypeError(f"max_connections must be an int or None, not {kind}")
            if max_connections < 1:
                raise ValueError(f"max_connections must be at least 1, not {max_connections}")
        self._max: Final = max_connections
        self._inside: Final[set[Hashable]] = set()
        self.draining = False
        self.farewell = Farewell(CloseCode.NORMAL_CLOSURE, "")

    def admit(self, who: Hashable) -> Response | None:
        """Let one in that has sent its request: None; or 503, which refuses it.

        Whoever was let in has to :meth:`leave`.
        """
        if self.draining:
            return Response(503, body="the server is shutting down\n")
        if self._max is not None and len(self._inside) >= self._max:
            return Response(503, body="the server has as many connections as it may have\n")
        self._inside.add(who)
        return None

    def leave(self, who: Hashable) -> None:
        """This one is gone; harmless if it was never let in."""
        self._inside.discard(who)

    def drain(self, code: int, reason: str, seconds: float = 0) -> None:
        """Let nobody in any more; who is in leaves with this code and reason.

        :param seconds: how long who is in may stay; only checked.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text; the
            seconds are negative or no number.
        """
        check_close_code(code)
        if not isinstance(reason, str):
            raise TypeError(f"a close reason must be a str, not {type(reason).__name__}")
        if not seconds >= 0:
            raise ValueError(f"drain must be 0 seconds or more, not {seconds}")
        self.draining = True
        self.farewell = Farewell(code, reason)
