"""The only place for sending one message to many connections."""

from __future__ import annotations

from collections.abc import Iterable

from wscore import Prepared, SendableMessage

from ._websocket import WebSocket

__all__ = ["broadcast"]


def broadcast(connections: Iterable[WebSocket], message: SendableMessage) -> list[WebSocket]:
    """Send a message to many connections, encoded once; wait for none of them.

    What a slow connection misses is yours to make up for: close it, or send it the state of
    things later.

    :param connections: such as :attr:`Server.connections`.
    :param message: str is sent as text, bytes-like as binary; a :class:`~wscore.Prepared` one
        can also be compressed once.
    :returns: those that did not take it: not open, with a full send buffer, or with an
        ``overflow`` that dropped it.
    :raises TypeError, ValueError: not a message; nothing was sent.
    """
    prepared = message if isinstance(message, Prepared) else Prepared(message)
    return [websocket for websocket in [*connections] if not websocket._offer(prepared)]
