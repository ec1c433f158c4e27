"""The only place for sending one message to many connections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from ._outbox import Prepared
from ._sending import SendableMessage

__all__ = ["broadcast"]


class Offered(Protocol):
    """A WebSocket of any adapter."""

    def _offer(self, message: Prepared) -> bool:
        """Send a message if nobody has to wait for that."""
        ...


W = TypeVar("W", bound=Offered)


def broadcast(connections: Iterable[W], message: SendableMessage) -> list[W]:
    """Send a message to many connections, encoded once; wait for none of them.

    What a slow connection misses is yours to make up for: close it, or send it the state of
    things later. Call it where the verbs of these connections may be called.

    :param connections: such as those of a server.
    :param message: str is sent as text, bytes-like as binary; a :class:`~wscore.Prepared` one
        can also be compressed once.
    :returns: those that did not take it: not open, with a full send buffer, or with an
        ``overflow`` that dropped it.
    :raises TypeError, ValueError: not a message; nothing was sent.
    """
    prepared = message if isinstance(message, Prepared) else Prepared(message)
    return [websocket for websocket in [*connections] if not websocket._offer(prepared)]
