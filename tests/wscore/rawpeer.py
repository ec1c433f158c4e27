"""The only place for the other side of a connection played by hand, frame by frame.

For what :class:`wscore.testing.Pair` cannot do: break the rules, and see every frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TypeAlias

from wscore import CloseReason, Config, Connection, ConnectionClosed, Message, Role, State

# The first byte of a frame's header (RFC 6455 section 5.2).
FIN = 0x80
RSV1 = 0x40
CONTINUATION = 0x00
TEXT = 0x01
BINARY = 0x02
CLOSE = FIN | 0x08
PING = FIN | 0x09
PONG = FIN | 0x0A
RESERVED = FIN | 0x03
"""A frame with an opcode that means nothing: the plainest violation."""

MASK = b"\x01\x02\x03\x04"

REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
"""A good request, with the key of RFC 6455 section 1.3."""

Frame: TypeAlias = tuple[int, bytes]
"""The first byte of a frame and its payload."""


def frame(head: int, payload: bytes = b"", *, masked: bool, announced: int | None = None) -> bytes:
    """A frame; ``announced`` is a length for its header that differs from the payload's."""
    size = len(payload) if announced is None else announced
    bit = 0x80 if masked else 0
    if size < 126:
        start = bytes((head, bit | size))
    elif size < 0x10000:
        start = bytes((head, bit | 126)) + size.to_bytes(2, "big")
    else:
        start = bytes((head, bit | 127)) + size.to_bytes(8, "big")
    return start + MASK + xor(payload, MASK) if masked else start + payload


def xor(payload: bytes, key: bytes) -> bytes:
    keys = key * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(keys[: len(payload)], "big")
    return number.to_bytes(len(payload), "big")


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a Close frame (section 5.5.1)."""
    return code.to_bytes(2, "big") + reason.encode()


def reason_of(connection: Connection) -> CloseReason:
    """Why it is ending or ended, which it must be."""
    reason = connection.close_reason
    assert reason is not None
    return reason


class RawPeer:
    """The other side of :attr:`connection`, and the clock.

    :ivar connection: the one under test.
    :ivar now: the time, in seconds.
    """

    def __init__(self, connection: Connection, *, now: float = 0.0) -> None:
        self.connection = connection
        self.now = now
        self._unread = b""

    @classmethod
    def opened(
        cls, config: Config | None = None, role: Role = Role.SERVER, *, extensions: str = ""
    ) -> Self:
        """The peer of a connection of this role whose handshake is done."""
        return cls(Connection.upgraded(role, config, extensions=extensions, now=0.0))

    # -- what it sends

    def frame(self, head: int, payload: bytes = b"", *, announced: int | None = None) -> bytes:
        """A frame, masked if this is the client (RFC 6455 section 5.1)."""
        masked = self.connection.role is Role.SERVER
        return frame(head, payload, masked=masked, announced=announced)

    def send(self, head: int, payload: bytes = b"", *, announced: int | None = None) -> None:
        """Send one frame."""
        self.send_raw(self.frame(head, payload, announced=announced))

    def send_raw(self, data: bytes) -> None:
        """Send bytes."""
        self.connection.receive_data(data, now=self.now)

    def end(self) -> None:
        """End this side of the transport."""
        self.connection.receive_data(b"", now=self.now)

    # -- what it reads

    def read_raw(self, limit: float = math.inf) -> bytes:
        """Take what the connection writes, at most ``limit`` bytes of it."""
        data = b""
        while len(data) < limit and (buffers := self.connection.data_to_send()):
            piece = b"".join(buffers)
            piece = piece[: int(min(len(piece), limit - len(data)))]
            self.connection.data_sent(len(piece), now=self.now)
            data += piece
        return data

    def read(self, limit: float = math.inf) -> list[Frame]:
        """The frames that are complete with what the connection writes now."""
        self._unread += self.read_raw(limit)
        frames = []
        while (found := self._next_frame()) is not None:
            frames.append(found)
        return frames

    @property
    def half_a_frame(self) -> bool:
        """Whether the beginning of a frame was read and its end was not."""
        return bool(self._unread)

    def _next_frame(self) -> Frame | None:
        data = self._unread
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        key = data[at : at + 4] if data[1] & 0x80 else b"\0\0\0\0"
        at += 4 if data[1] & 0x80 else 0
        if len(data) < at + size:
            return None
        self._unread = data[at + size :]
        return data[0], xor(data[at : at + size], key)

    # -- the clock

    def wait(self, seconds: float) -> None:
        """Let time pass; the connection handles each deadline when it comes."""
        end = self.now + seconds
        while self.connection.deadline <= end:
            self._handle_deadline()
        self.now = end

    def time_of(self, happened: Callable[[], bool]) -> float:
        """Go from deadline to deadline until it has happened: when; ``inf`` if it never does."""
        while not happened():
            if self.connection.deadline == math.inf:
                return math.inf
            self._handle_deadline()
        return self.now

    def _handle_deadline(self) -> None:
        self.now = max(self.now, self.connection.deadline)
        self.connection.handle_timeout(now=self.now)

    # -- what tests ask for most

    def take_all(self) -> list[Message]:
        """Every message that the connection gives now, and nothing about how it goes on."""
        messages: list[Message] = []
        with suppress(ConnectionClosed):
            while (message := self.connection.take_message(now=self.now)) is not None:
                messages.append(message)
        return messages

    def is_open(self) -> bool:
        return self.connection.state is State.OPEN

    def is_over(self) -> bool:
        """The connection is failed, closing or closed."""
        return self.connection.state in (State.CLOSING, State.CLOSED)

    def is_closed(self) -> bool:
        return self.connection.state is State.CLOSED
