"""The only place that decides whose turn it is to receive."""

from __future__ import annotations

from typing import Final

from ._connection import Connection
from ._errors import ConcurrencyError

__all__ = ["Receiving"]


class Receiving:
    """Lets one task or thread at a time receive, as a context manager around its wait.

    Whoever receives in parts holds it only while it waits: between two parts another may take
    over, and the rest of the message is discarded.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self._taken = False
        self._parts: object | None = None

    def __enter__(self) -> None:
        """Begin to receive.

        :raises ConcurrencyError: somebody else is receiving.
        """
        if self._taken:
            raise ConcurrencyError("somebody else is receiving on this connection")
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False

    def enter_parts(self, *, now: float) -> object:
        """Begin to receive a message in parts; the value stands for this reception."""
        self.leave_parts(now=now)
        self._parts = parts = object()
        return parts

    def check_parts(self, parts: object) -> None:
        """Whoever receives these parts still does.

        :raises ConcurrencyError: another recv took over.
        """
        if self._parts is not parts:
            raise ConcurrencyError("another recv took over: this message was left")

    def leave_parts(self, parts: object | None = None, *, now: float) -> None:
        """Whoever received in parts has left, or is left behind; harmless if nobody did.

        :param parts: leave only this reception.
        """
        if self._parts is not None and parts in (None, self._parts):
            self._parts = None
            self._connection.discard_rest(now=now)
