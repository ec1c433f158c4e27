"""The only place that decides whose turn it is to receive."""

from __future__ import annotations

from typing import Final

from ._connection import Connection
from ._errors import ConcurrencyError, ConnectionClosed
from ._inbox import Part

__all__ = ["PartReceiver", "Receiving"]


class Receiving:
    """Lets one task or thread at a time receive, as a context manager around its wait.

    Whoever receives in parts holds it only while it waits: between two parts another may take
    over, and the rest of the message is discarded.

    :ivar free: whether nobody receives, in parts or else.
    """

    __slots__ = ("_connection", "_parts", "_taken", "free")

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self._taken = False
        self._parts: object | None = None
        self.free = True

    @property
    def in_parts(self) -> bool:
        """Whether somebody receives in parts."""
        return self._parts is not None

    def __enter__(self) -> None:
        """Begin to receive.

        :raises ConcurrencyError: somebody else is receiving.
        """
        if self._taken:
            raise ConcurrencyError("somebody else is receiving on this connection")
        self._taken = True
        self.free = False

    def __exit__(self, *_: object) -> None:
        self._taken = False
        self.free = not self.in_parts

    def leave_parts(self, parts: object | None = None, *, now: float) -> None:
        """Whoever receives in parts has left, or is left behind; harmless if nobody does.

        :param parts: leave only this reception.
        """
        if self._parts is not None and parts in (None, self._parts):
            self._parts = None
            self.free = not self._taken
            self._connection.discard_rest(now=now)


class PartReceiver:
    """Receives one message in parts.

    :ivar ended: whether there is nothing more to receive: the message ended, or was left.
    """

    def __init__(self, receiving: Receiving) -> None:
        self._receiving: Final = receiving
        self._begun = False
        self.ended = False

    def take(self, *, now: float) -> Part | None:
        """What has arrived of it, or None if nothing has yet.

        :raises ConnectionClosed: there will never be more.
        :raises ConcurrencyError: another recv took over.
        """
        receiving = self._receiving
        if not self._begun:
            self._begun = True
            receiving.leave_parts(now=now)
            receiving._parts = self
            receiving.free = False
        if receiving._parts is not self:
            raise ConcurrencyError("another recv took over: this message was left")
        try:
            part = receiving._connection.take_part(now=now)
        except ConnectionClosed:
            self.leave(now=now)
            raise
        if part is not None and part.final:
            self.leave(now=now)
        return part

    def leave(self, *, now: float) -> None:
        """Discard the rest of the message, if it has not ended; harmless again."""
        self.ended = True
        self._receiving.leave_parts(self, now=now)
