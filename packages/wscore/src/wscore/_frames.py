"""The only place for frames: bytes to frames and back (RFC 6455 section 5).

The hot path. :class:`Decoder` is a batch decoder: one call gives as many frames as the queue may
take; the rest stays as bytes and an offset, and is never scanned twice. Messages that are plain,
which most are, go by an inner loop that may be compiled; what is not is decoded here, in either
form. :class:`Skimmer` reads on when nothing but the peer's Close frame matters any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ._close import Cause, CloseFrame, Failure, decode_close
from ._form import LANDS, Landing, decode_messages, encode, encode_messages, hop, mask
from ._lazy import EMPTY
from ._pure import header

__all__ = ["encode", "encode_messages", "header", "mask"]

FIN = 0x80
RSV1 = 0x40
OPCODE = 0x0F

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

MAX_HEADER = 14
"""Bytes of the longest frame header: 2, an 8-byte length, a 4-byte mask key."""

LARGE = 16 * 1024
"""Bytes of payload from which on it lands (measured: below, one more read costs as much)."""

NOT_UTF8 = Failure(Cause.INVALID_DATA, "a text message that is not UTF-8")

Plain: TypeAlias = tuple[Sequence[tuple[str | bytes, int]], int]
"""Messages with their sizes, and the sum of these."""

_NONE: Plain = (), 0

Frame: TypeAlias = tuple[int, bytes, int]
"""What the decoder gives: the header's first byte, a piece of payload, bytes of it yet to come.

A data frame may come in several pieces, as its bytes arrive: the first carries the frame's own
opcode, the others read like continuation frames; the last has nothing yet to come.
"""

# What the first byte of a header is (section 5.2).
_BAD, _BEGIN, _CONTINUE, _CONTROL = range(4)


def _kind(head: int, *, rsv1: bool) -> int:
    opcode = head & OPCODE
    if opcode in (TEXT, BINARY):
        # RSV1 marks the first frame of a compressed message (RFC 7692 section 6).
        return _BEGIN if not head & (0x70 & ~(RSV1 if rsv1 else 0)) else _BAD
    if head & 0x70:
        return _BAD
    if opcode == CONTINUATION:
        return _CONTINUE
    return _CONTROL if opcode in (CLOSE, PING, PONG) and head & FIN else _BAD


_KINDS = bytes(_kind(head, rsv1=False) for head in range(256))
_KINDS_RSV1 = bytes(_kind(head, rsv1=True) for head in range(256))


def rotate(key: bytes, offset: int) -> bytes:
    """The key as it stands ``offset`` bytes into the payload."""
    offset &= 3
    return key[offset:] + key[:offset]


# --------------------------------------------------------------------------------- decode


class Decoder:
    """Frames out of bytes, in order, judged by section 5 and by the limits given.

    :param masked: whether the peer's frames must be masked: it is a client (section 5.1).
    :param compressed: whether RSV1 is in use.
    :param max_message_size: bytes of a message; of a compressed one, whoever inflates it judges.
    :param max_fragment_size: bytes of a frame.
    :param max_fragments: frames of a message.
    :param in_order: whether nothing behind a message that may not begin is looked at.
    :ivar failure: the rule that was broken; nothing more comes then.
    """

    __slots__ = (
        *("_masked", "_kinds", "_max_message", "_max_fragment", "_max_fragments", "_in_order"),
        "failure",
        *("_buffer", "_at", "_rest", "_head", "_key", "_fragments", "_size", "_compressed"),
        *("_looking", "_ahead", "_tail", "_skip", "_stuck", "_found", "_ended"),
        *("_plain_limit", "_landing"),
    )

    def __init__(
        self,
        *,
        masked: bool,
        compressed: bool,
        max_message_size: int | float,
        max_fragment_size: int | float,
        max_fragments: int | float,
        in_order: bool = False,
    ) -> None:
        self._masked = masked
        self._kinds = _KINDS_RSV1 if compressed else _KINDS
        self._max_message = max_message_size
        self._max_fragment = max_fragment_size
        self._max_fragments = max_fragments
        self._plain_limit = min(max_message_size, max_fragment_size)
        self._in_order = in_order
        self.failure: Failure | None = None
        # Raw bytes, and how far they are decoded.
        self._buffer = b""
        self._at = 0
        # The data frame whose payload is arriving: bytes yet to come, FIN, and its mask.
        self._rest = 0
        self._head = 0
        self._key = b""
        self._landing: Landing | None = None
        # The message that is arriving: its frames (0 = no message), bytes, and RSV1.
        self._fragments = 0
        self._size = 0
        self._compressed = False
        # Looking ahead (see look_ahead), until all that was looked through is decoded: the
        # buffer is hopped over; data frames behind the buffer, an incomplete header or control
        # frame behind those.
        self._looking = False
        self._ahead: bytes | bytearray = b""
        self._tail = b""
        self._skip = 0
        self._stuck = False
        self._found: list[Frame] = EMPTY
        self._ended = False

    @property
    def held(self) -> int:
        """Raw bytes that are not decoded."""
        held = len(self._buffer) - self._at
        return held + len(self._ahead) + len(self._tail) if self._looking else held

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing to decode until more is fed. Looking ahead ends by decoding."""
        return not self._looking and self._at == len(self._buffer)

    def feed_plain(
        self, data: bytes | bytearray | memoryview, messages: int | float, room: int | float
    ) -> tuple[Plain, int]:
        """Decode plain messages from what comes next, without keeping it.

        Returns them, and where they end: the rest is for :meth:`feed`. The budget is that of
        :meth:`decode`.
        """
        if self._buffer or self._rest or self._fragments or self._looking or self._ended:
            return _NONE, 0
        found, at, size = decode_messages(data, 0, self._masked, messages, room, self._plain_limit)
        return (found, size), at

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes in; they are copied where they are kept."""
        if self._ended or self.failure is not None:
            return
        if self._looking:
            self._hop(data)
        else:
            self._buffer = self._buffer[self._at :] + data
            self._at = 0

    def hand_over(self) -> tuple[bytes, int]:
        """Take nothing in any more, and go on decoding what is held.

        Returns what a :class:`Skimmer` of what comes next has to know: bytes of an incomplete
        header or control frame, and how many bytes of a data frame's payload are yet to come.
        """
        self._look_through()
        self._ended = True
        tail, self._tail = self._tail, b""
        return tail, self._skip

    def leftover(self) -> tuple[bytes, int]:
        """Give up decoding: what is not decoded, and how much of it belongs to a begun frame."""
        data = self._buffer[self._at :] + self._ahead + self._tail
        self._end()
        return data, self._rest

    def decode_plain(self, messages: int | float, room: int | float) -> Plain:
        """The next messages, as long as they are plain: what :meth:`decode` would give, faster.

        Ends where it would, and in front of any frame that is no plain message. None may be
        arriving.
        """
        if self._looking and not self._buffer:
            self._go_on()
        buffer, at = self._buffer, self._at
        if self._rest or self._fragments or len(buffer) - at < 2:
            return _NONE
        found, at, size = decode_messages(
            buffer, at, self._masked, messages, room, self._plain_limit
        )
        if at * 2 > len(buffer):
            buffer, at = buffer[at:], 0
        self._buffer, self._at = buffer, at
        return found, size

    def receive_buffer(self, size: int) -> memoryview | None:
        """Where up to ``size`` of the next bytes may be read into, while a payload lands.

        Valid until anything else is called but :meth:`received`.
        """
        landing = self._landing
        if landing is None or not self._rest or self.held or self._looking or self._ended:
            return None
        return memoryview(landing)[:size]

    def received(self, size: int) -> None:
        """``size`` bytes were read into it."""
        assert self._landing is not None
        self._landing.received(size)
        self._rest -= size

    @property
    def lands(self) -> bool:
        """Whether the payload of an arriving message lands."""
        return self._landing is not None

    @property
    def landed(self) -> int:
        """Bytes of the arriving message that have landed, and are in no frame yet."""
        return 0 if self._landing is None else self._landing.landed

    def give_up_landing(self) -> Frame:
        """What has landed, as a piece; so comes what follows."""
        assert self._landing is not None
        payload, self._key = self._landing.take()
        self._landing = None
        return (CONTINUATION, payload, self._rest)

    def decode(self, messages: int | float, room: int | float) -> list[Frame]:
        """The next frames; call it again until it gives none.

        Ends in front of a message that may not begin yet, behind each compressed message (whoever
        inflates it knows its size), at a Close frame, where bytes are missing, and between what
        was looked through at different times. Messages that may not begin are looked through for
        control frames, as by :meth:`look_ahead`.

        :param messages: how many messages may begin.
        :param room: bytes of queue that are left: no message begins once they are used up.
        """
        if self._looking and not self._buffer:
            self._go_on()
        frames = self._take_found()
        buffer = self._buffer
        at = self._at
        end = len(buffer)
        kinds = self._kinds
        masked = self._masked
        in_order = self._in_order
        blocked = False

        while True:
            if self._landing is not None:
                if at < end:
                    used = self._landing.feed(memoryview(buffer)[at:])
                    self._rest -= used
                    at += used
                if self._landing.bad:
                    self.failure = NOT_UTF8
                    break
                if self._rest:
                    break
                frames.append((FIN, self._landing.take()[0], 0))
                self._landing = None
                room -= self._end_message()[1]
                continue
            if self._rest:
                if at == end:
                    break
                frame, at = self._piece(buffer, at, end)
                frames.append(frame)
                if frame[2] == 0 and frame[0] & FIN:
                    compressed, size = self._end_message()
                    if compressed:
                        break
                    room -= size
                continue

            # The header (section 5.2).
            if end - at < 2:
                break
            if in_order and not self._fragments and (messages <= 0 or room <= 0):
                break
            head = buffer[at]
            length = buffer[at + 1]
            kind = kinds[head]
            if kind == _BEGIN:
                if self._fragments:
                    self._fail("a new message begins before the last one ended")
                    break
                if messages <= 0 or room <= 0:
                    blocked = True
                    break
            elif kind == _CONTINUE:
                if not self._fragments:
                    self._fail("a continuation frame without a message to continue")
                    break
            elif kind == _BAD:
                self._fail(_describe_bad(head))
                break
            payload_at = at + 2
            if masked:
                if length < 0x80:
                    self._fail("a frame from the client is not masked")
                    break
                length &= 0x7F
                payload_at += 4
            elif length >= 0x80:
                self._fail("a frame from the server is masked")
                break
            if length > 125:
                if kind == _CONTROL:
                    self._fail("a control frame of more than 125 bytes")
                    break
                width = 2 if length == 126 else 8
                if end - at < 2 + width:
                    break
                length = int.from_bytes(buffer[at + 2 : at + 2 + width], "big")
                payload_at += width
                if not _is_minimal(length, width):
                    self._fail("a frame whose length is not encoded as section 5.2 asks")
                    break

            # The payload.
            done = payload_at + length
            if kind == _CONTROL:
                if done > end:
                    break
                payload = buffer[payload_at:done]
                if masked:
                    payload = mask(payload, buffer[payload_at - 4 : payload_at])
                if head & OPCODE == CLOSE:
                    close = decode_close(payload)
                    if isinstance(close, Failure):
                        self.failure = close
                        break
                    frames.append((head, payload, 0))
                    self._end()
                    return frames
                at = done
                frames.append((head, payload, 0))
                continue
            if not self._admit(head, length):
                break
            if payload_at > end:
                break
            if kind == _BEGIN:
                messages -= 1
                self._size = length
                self._compressed = bool(head & RSV1)
            else:
                self._size += length
            self._fragments += 1
            if done <= end:
                payload = buffer[payload_at:done]
                if masked:
                    payload = mask(payload, buffer[payload_at - 4 : payload_at])
                at = done
                frames.append((head, payload, 0))
                if head & FIN:
                    compressed, size = self._end_message()
                    if compressed:
                        break
                    room -= size
                continue
            # The first piece of a frame whose payload is still arriving. It may be empty: the
            # message has begun, which is what the message timer goes by.
            self._head = head & FIN
            if LANDS and length >= LARGE and head in (FIN | TEXT, FIN | BINARY):
                key = buffer[payload_at - 4 : payload_at] if masked else None
                self._landing = Landing(length, key, head == FIN | TEXT)
                self._rest = length
                at = payload_at
                frames.append((head, b"", length))
                continue
            payload = buffer[payload_at:end]
            self._rest = done - end
            if masked:
                key = buffer[payload_at - 4 : payload_at]
                payload = mask(payload, key)
                self._key = rotate(key, len(payload))
            at = end
            frames.append((head, payload, self._rest))

        if at * 2 > end:
            # What is decoded is let go before it outweighs what is not: all that is ever copied
            # here is less than what was decoded, and an idle connection keeps nothing.
            buffer, at = buffer[at:], 0
        self._buffer, self._at = buffer, at
        if blocked:
            frames += self.look_ahead()
        return frames

    def look_ahead(self) -> list[Frame]:
        """Decode no further for now, but find the control frames in what is held.

        Headers of data frames are hopped, control frames cut out; data is judged only when it is
        decoded, and so is a header that cannot be trusted: nothing behind it is looked at. Until
        all of this is decoded the same happens to everything fed. ``in_order``, there are none.
        """
        if not self._in_order:
            self._look_through()
        return self._take_found()

    # -- inside decode

    def _piece(self, buffer: bytes, at: int, end: int) -> tuple[Frame, int]:
        """The next piece of the frame whose payload is arriving, and where it ends."""
        done = min(at + self._rest, end)
        payload = buffer[at:done]
        if self._masked:
            payload = mask(payload, self._key)
            self._key = rotate(self._key, len(payload))
        self._rest -= done - at
        return (self._head, payload, self._rest), done

    def _admit(self, head: int, length: int) -> bool:
        """Judge a data frame by the limits, from its header alone."""
        if length > self._max_fragment:
            self._fail_too_big(f"a frame of {length} bytes; the limit is {self._max_fragment}")
        elif self._fragments >= self._max_fragments:
            self._fail_too_big(f"a message of more than {self._max_fragments} frames")
        elif self._fragments:
            size = self._size + length
            if size > self._max_message and not self._compressed:
                self._fail_too_big(f"a message over the limit of {self._max_message} bytes")
        elif length > self._max_message and not head & RSV1:
            self._fail_too_big(f"a message of {length} bytes; the limit is {self._max_message}")
        return self.failure is None

    def _end_message(self) -> tuple[bool, int]:
        self._fragments = 0
        return self._compressed, self._size

    def _fail(self, text: str) -> None:
        self.failure = Failure(Cause.PROTOCOL_ERROR, text)

    def _fail_too_big(self, text: str) -> None:
        self.failure = Failure(Cause.TOO_BIG, text)

    def _end(self) -> None:
        """Nothing more is decoded: what follows a Close frame is nothing (section 5.5.1)."""
        self._ended = True
        self._buffer, self._at, self._tail = b"", 0, b""
        self._ahead = b""
        self._landing = None

    # -- inside look_ahead

    def _take_found(self) -> list[Frame]:
        found, self._found = self._found, EMPTY
        return found or []

    def _look_through(self) -> None:
        if not self._looking:
            self._looking = True
            self._skip = self._rest
            unseen = self._buffer[self._at :]
            self._buffer, self._at = b"", 0
            self._ahead = bytearray()
            self._hop(unseen)

    def _go_on(self) -> None:
        """The buffer is decoded: go on with what was hopped behind it, or last with the tail."""
        self._buffer = bytes(self._ahead)
        self._ahead = bytearray()
        if not self._buffer:
            self._looking = False
            self._ahead = b""
            self._buffer, self._tail = self._tail, b""

    def _hop(self, data: bytes | bytearray | memoryview) -> None:
        """Hop from header to header behind what was hopped before."""
        ahead = self._ahead
        assert isinstance(ahead, bytearray)
        if self._stuck:
            ahead += data
            return
        data = self._tail + bytes(data)
        at, end = min(self._skip, len(data)), len(data)
        self._skip -= at
        ahead += data[:at]
        while at < end:
            hopped, self._skip = hop(data, at, self._masked)
            ahead += data[at:hopped]
            at = hopped
            header = _read_header(data, at, end)
            if header is None:
                break
            head, masked, payload_at, length = header
            kind = self._kinds[head]
            if kind == _BAD or masked != self._masked or (kind == _CONTROL and length > 125):
                self._stuck = True
                break
            done = payload_at + length
            if kind != _CONTROL:
                ahead += data[at:done]
                self._skip = max(0, done - end)
                at = min(done, end)
                continue
            if done > end:
                break
            payload = data[payload_at:done]
            if masked:
                payload = mask(payload, data[payload_at - 4 : payload_at])
            closes = head & OPCODE == CLOSE
            if closes and isinstance(decode_close(payload), Failure):
                self._stuck = True
                break
            self._found = self._found or []
            self._found.append((head, payload, 0))
            self._ended = closes
            # What follows a Close frame is nothing (section 5.5.1).
            at = end if closes else done
        if self._stuck:
            ahead += data[at:]
            self._tail = b""
        else:
            self._tail = data[at:]


class Skimmer:
    """Looks for the peer's Close frame, and counts the messages that nobody will get.

    For a connection that this side has closed or failed: what the peer sends until it notices is
    not judged any more (section 7.1.2), so every header is taken at its word.

    :ivar begun: messages that began.
    :ivar close: the peer's Close frame, once it has come.
    """

    __slots__ = ("_rest", "_tail", "begun", "close")

    def __init__(self, rest: int) -> None:
        self._rest = rest
        self._tail = b""
        self.begun = 0
        self.close: CloseFrame | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Skim bytes; nothing of them is kept but an incomplete header or Close frame."""
        if self.close is not None:
            return
        at = min(self._rest, len(data))
        self._rest -= at
        if at == len(data):
            return
        buffer = self._tail + bytes(data[at:])
        at, end = 0, len(buffer)
        while at < end:
            header = _read_header(buffer, at, end)
            if header is None:
                break
            head, masked, payload_at, length = header
            done = payload_at + length
            if head == FIN | CLOSE and length <= 125:
                if done > end:
                    break
                payload = buffer[payload_at:done]
                if masked:
                    payload = mask(payload, buffer[payload_at - 4 : payload_at])
                close = decode_close(payload)
                if isinstance(close, CloseFrame):
                    self.close = close
                    return
            elif head & OPCODE in (TEXT, BINARY):
                self.begun += 1
            self._rest = max(0, done - end)
            at = min(done, end)
        self._tail = buffer[at:]


def _read_header(data: bytes, at: int, end: int) -> tuple[int, bool, int, int] | None:
    """First byte, masked, where the payload begins, its length; None if bytes are missing."""
    if end - at < 2:
        return None
    length = data[at + 1]
    masked = length >= 0x80
    length &= 0x7F
    payload_at = at + (6 if masked else 2)
    if length > 125:
        width = 2 if length == 126 else 8
        payload_at += width
        length = int.from_bytes(data[at + 2 : at + 2 + width], "big")
    return (data[at], masked, payload_at, length) if payload_at <= end else None


def _is_minimal(length: int, width: int) -> bool:
    return 126 <= length if width == 2 else 0x10000 <= length < 1 << 63


def _describe_bad(head: int) -> str:
    opcode = head & OPCODE
    if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        return f"a frame with the reserved opcode {opcode:#x}"
    if head & 0x70:
        return "a frame with a reserved bit that no extension gave a meaning"
    return "a fragmented control frame"
