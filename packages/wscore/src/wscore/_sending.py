"""The only place for what can be sent: a message as a whole, or the parts of one as they come; and
for whose turn it is to send what has to wait.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
)
from contextlib import aclosing
from typing import Final, TypeAlias, TypeGuard, cast

from ._close import Cause
from ._connection import Connection
from ._outbox import Prepared
from ._runtime import Lock

__all__ = [
    "PartSender",
    "Parts",
    "SendTurn",
    "SendableMessage",
    "as_parts",
    "each_part",
    "is_whole",
    "send_parts",
]

SendableMessage: TypeAlias = str | bytes | bytearray | memoryview | Prepared
"""What can be sent whole: str as text, bytes-like as binary, or either encoded in advance."""

Parts: TypeAlias = Iterable[str] | Iterable[bytes] | AsyncIterable[str] | AsyncIterable[bytes]
"""What can be sent as its parts come, from a source that may be asynchronous where the adapter
is: all str, or all bytes-like."""


def is_whole(message: object) -> TypeGuard[SendableMessage]:
    """Whether a message can be sent whole; any thread."""
    return isinstance(message, (str, bytes, bytearray, memoryview, Prepared))


def as_parts(source: object, *, compress: bool | None, key: Hashable | None) -> Parts:
    """What is not whole must be parts to come; any thread.

    :raises TypeError: it is no message at all, or ``compress`` or ``key`` is given, which are for
        messages that are sent whole.
    """
    if isinstance(source, dict) or not isinstance(source, (Iterable, AsyncIterable)):
        raise TypeError(
            "a message is str, bytes-like, Prepared, or an iterable of str or bytes-like, "
            f"not {type(source).__name__}"
        )
    if compress is not None or key is not None:
        raise TypeError("compress and key are for messages that are sent whole")
    return cast("Parts", source)


async def each_part(parts: Parts) -> AsyncGenerator[str | bytes, None]:
    """The parts of either kind of source, for adapters that wait for the next one."""
    if isinstance(parts, AsyncIterable):
        async for part in parts:
            yield part
    else:
        for part in parts:
            yield part


class PartSender:
    """Sends as one message what comes, one part behind: the last one has to say that it is.

    Wait for :attr:`~wscore.Connection.can_send_part` before each call.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection: Final = connection
        self._last: str | bytes | bytearray | memoryview | None = None
        self._begun = False

    def add(self, part: str | bytes | bytearray | memoryview, *, now: float) -> None:
        """Send the part before this one, and hold this one back.

        :raises ConnectionClosed: the connection is closing or closed.
        :raises TypeError, ValueError: the part before is none, or not of the type of the others.
        """
        if self._last is not None:
            self._connection.send_part(self._last, final=False, now=now)
            self._begun = True
        self._last = part

    def end(self, *, now: float) -> None:
        """Send the last part; no parts are no message. Raises as :meth:`add` does."""
        if self._last is not None:
            self._connection.send_part(self._last, final=True, now=now)

    def interrupt(self, *, now: float) -> None:
        """There will be no end: a message that was begun fails the connection, with 1011."""
        if self._begun:
            self._connection.fail(Cause.SEND_INTERRUPTED, now=now)


class SendTurn:
    """The turn to send, as an asynchronous context manager: first come, first served.

    :param make_lock: makes a lock of the runtime, which most connections never need.
    :ivar wanted: how many have it or wait for it. Where a lock is free for a moment between one
        and the next, as asyncio's is, who comes then must not overtake.
    """

    __slots__ = ("_lock", "_make_lock", "wanted")

    def __init__(self, make_lock: Callable[[], Lock]) -> None:
        self._make_lock: Final = make_lock
        self._lock: Lock | None = None
        self.wanted = 0

    async def __aenter__(self) -> None:
        """Wait for it. Cancelled, it goes to the next."""
        if self._lock is None:
            self._lock = self._make_lock()
        self.wanted += 1
        try:
            await self._lock.__aenter__()
        except BaseException:
            self.wanted -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        assert self._lock is not None
        try:
            await self._lock.__aexit__(None, None, None)
        finally:
            self.wanted -= 1


async def send_parts(
    connection: Connection,
    parts: Parts,
    *,
    now: Callable[[], float],
    settle: Callable[[], object],
    until_can_send: Callable[[], Awaitable[object]],
) -> None:
    """Send as one message what comes from either kind of source, for adapters that wait for it.

    Whoever calls it has the turn to send. Cancelled, or if the source raises, after a part has
    begun the message, it fails the connection with 1011.

    :param now: the clock, in seconds.
    :param settle: called after each command.
    :param until_can_send: waits for :attr:`~wscore.Connection.can_send_part`, or for the end.
    :raises ConnectionClosed: the connection is closing or closed.
    :raises TypeError, ValueError: a part is none, or not of the type of the others.
    """
    sender = PartSender(connection)
    async with aclosing(each_part(parts)) as source:
        try:
            async for part in source:
                await until_can_send()
                sender.add(part, now=now())
                settle()
            await until_can_send()
            sender.end(now=now())
        except BaseException:
            sender.interrupt(now=now())
            raise
        finally:
            settle()
