"""The only place that decides whose turn it is to receive, and what a message in parts is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from ._connection import Connection
from ._errors import ConcurrencyError, ConnectionClosed
from ._inbox import Message, Part

__all__ = ["PartReceiver", "ReceivedParts", "Receiving"]


class Receiving:
    """Lets one task or thread at a time receive, as a context manager around its wait.

    Whoever receives in parts holds it only while it waits: between two parts another may take
    over, and the rest of the message is discarded.

    :ivar parts: who receives in parts, if somebody does.
    :ivar free: whether nobody receives, in parts or else.
    """

    __slots__ = ("_connection", "_taken", "free", "parts")

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self._taken = False
        self.parts: object | None = None
        self.free = True

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
        self.free = self.parts is None

    def leave_parts(self, parts: object | None = None, *, now: float) -> None:
        """Whoever receives in parts has left, or is left behind; harmless if nobody does.

        :param parts: leave only this reception.
        """
        if self.parts is not None and parts in (None, self.parts):
            self.parts = None
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
            receiving.parts = self
            receiving.free = False
        if receiving.parts is not self:
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


class ReceivedParts(AsyncIterator[Message]):
    """The parts of one message, for adapters that wait for them.

    It is no generator, since cancelling that would end it.

    :param now: the clock, in seconds.
    :param settle: called after each take.
    :param checkpoint: lets others run, as every call does on the runtime.
    :param until_can_receive: waits for :attr:`~wscore.Connection.can_receive_part`, which is not
        so yet.
    """

    def __init__(
        self,
        receiving: Receiving,
        *,
        now: Callable[[], float],
        settle: Callable[[], object],
        checkpoint: Callable[[], Awaitable[object]],
        until_can_receive: Callable[[], Awaitable[object]],
    ) -> None:
        self._receiving: Final = receiving
        self._receiver: Final = PartReceiver(receiving)
        self._now: Final = now
        self._settle: Final = settle
        self._checkpoint: Final = checkpoint
        self._until_can_receive: Final = until_can_receive

    async def __anext__(self) -> Message:
        receiver = self._receiver
        with self._receiving:
            await self._checkpoint()
            while not receiver.ended:
                try:
                    part = receiver.take(now=self._now())
                finally:
                    self._settle()
                if part is not None:
                    return part.data
                await self._until_can_receive()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Discard the rest of the message, at once instead of with the next that is received."""
        self._receiver.leave(now=self._now())
        self._settle()
        await self._checkpoint()
