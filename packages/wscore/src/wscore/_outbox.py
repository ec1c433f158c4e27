"""The only place for what waits to be written: its order, its marks, and what happens over them.

Control frames overtake data between frames. What was shown to the transport is frozen: it leaves
as it is, in order, or the connection ends; so there is never half a frame. Data is compressed and
masked only when it is shown, so what is dropped or replaced before never touches the compression
context.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Final, TypeAlias

from ._config import Config, Deflate, Overflow
from ._deflate import Deflater
from ._errors import SendBufferFull
from ._frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MAX_HEADER,
    PING,
    PONG,
    RSV1,
    TEXT,
    encode,
    encode_messages,
    header,
    mask,
)
from ._lazy import EMPTY, put
from ._pings import MAX_PAYLOAD, Ping
from ._stats import Stats

__all__ = ["Prepared"]

CHUNK = 65 * 1024
"""Bytes shown to the transport at a time, at first: what it holds can be overtaken by nothing, and
its progress is only seen in whole chunks (64 KiB, the default high mark of asyncio's transports,
and so much more that a message of as many bytes goes out at once)."""

MAX_CHUNK = 8 * CHUNK
"""Bytes shown at a time to a transport that takes them at once: each chunk is twice as large as
the last then, since a system call costs as much as to copy some 100 KiB (measured; beyond half a
MiB the memory for what is masked costs more than that)."""

_MAX_CONTROL = 2 + 4 + MAX_PAYLOAD
"""Bytes of the longest control frame; kept free in a chunk, that one always fits."""

_NOTHING: Final = ()

CLOSE_LEFT: Final = "close"
"""The mark behind our Close frame."""


class Prepared:
    """A message that is encoded once, for many connections (RFC 6455 does not mask a server's).

    Pass it to ``send`` of any number of connections, from any thread. A client has to mask its
    own copy. With ``compression`` it is also deflated once, without context, and goes out that
    way wherever the peer's window is large enough; that connection's compressor then starts its
    next message afresh.

    :param message: str for text, bytes-like for binary.
    :param compression: None, or the :class:`~wscore.Deflate` to compress with: its level,
        memory level and ``server_max_window_bits``.
    :raises TypeError: the message is neither.
    """

    __slots__ = ("_compressed", "_frames", "compression", "opcode", "payload")

    def __init__(
        self, message: str | bytes | bytearray | memoryview, *, compression: Deflate | None = None
    ) -> None:
        self.opcode, self.payload = to_payload(message)
        self.compression = compression
        self._compressed: bytes | None = None
        self._frames: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self.payload)

    def compressed(self) -> bytes:
        """The payload deflated without context."""
        if self._compressed is None:
            assert self.compression is not None
            bits = self.compression.server_max_window_bits
            self._compressed = Deflater(bits, True, self.compression).compress(self.payload)
        return self._compressed

    def frame(self, head: int, payload: bytes) -> bytes:
        """The unmasked frame with this header."""
        frame = self._frames.get(head)
        if frame is None:
            frame = self._frames[head] = encode(head, payload, None)
        return frame


_Plain: TypeAlias = tuple[int, bytes]
"""A message that waits whole, with nothing to be said about it: its opcode and its payload."""


class _Whole:
    """A message that waits whole; ``after`` is the one in parts that it has to wait for."""

    __slots__ = ("after", "compress", "key", "opcode", "payload", "prepared")

    def __init__(
        self,
        opcode: int,
        payload: bytes,
        compress: bool | None,
        key: Hashable | None,
        prepared: Prepared | None,
        after: _InParts | None,
    ) -> None:
        self.after = after
        self.opcode = opcode
        self.payload = payload
        self.compress = compress
        self.key = key
        self.prepared = prepared


class _InParts:
    """A message that is sent as its parts come."""

    __slots__ = ("began", "compressed", "final", "opcode", "parts")

    def __init__(self, opcode: int, *, compressed: bool) -> None:
        self.opcode = opcode
        self.compressed = compressed
        self.parts: deque[bytes] = deque()
        self.began = False
        self.final = False


class Outbox:
    """What waits to be written on one connection.

    :ivar waiting: whether :meth:`show` may have bytes.
    :ivar can_send: False from the high mark down to the low one.
    :ivar can_send_part: the same, without what waits behind the message that is sent in parts.
    """

    __slots__ = (
        *("_config", "_stats", "_masked", "_entropy", "_deflater", "_threshold", "_peer_bits"),
        *(
            "_high",
            "_low",
            "can_send",
            "can_send_part",
            "_pings",
            "_ping_size",
            "_pongs",
            "_pong_size",
            "_lane",
            "_lane_size",
        ),
        *("_keyed", "_open", "_behind", "_frame", "_frame_at", "_key", "_frame_ends"),
        *("_shown", "_shown_size", "_sent", "_marks", "_close", "_lost", "_plain"),
        *("waiting", "_run", "_run_size", "_run_empty", "_headroom", "_alone", "_chunk"),
    )

    def __init__(self, config: Config, stats: Stats, *, masked: bool) -> None:
        self._config = config
        self._stats = stats
        self._masked = masked
        self._entropy = config.entropy
        self._deflater: Deflater | None = None
        self._threshold = 0
        self._peer_bits = 0
        self._high, self._low = config.send_marks
        # Whether a message that waits is no more than its opcode and its payload.
        self._plain = config.overflow is Overflow.WAIT
        self.waiting = False
        self.can_send = self.can_send_part = True
        # Encoded and ready.
        self._pings: deque[tuple[bytes, Ping]] = EMPTY
        self._ping_size = 0
        self._pongs: deque[bytes] = EMPTY
        self._pong_size = 0
        # Messages not yet begun, except that one in parts stays until its last frame.
        self._lane: deque[_Plain | _Whole | _InParts] = EMPTY
        # The plain ones behind everything in there, most often all there are; how many of them
        # are empty, which counts for a byte; and how many more bytes of such messages stay below
        # the mark, if something waits that they can be put behind.
        self._run: list[_Plain] = []
        self._run_size = 0
        self._run_empty = 0
        self._headroom: int | float = 0
        self._lane_size = 0
        self._keyed: dict[Hashable, _Whole] | None = None
        self._open: _InParts | None = None
        # Bytes of the messages behind the one that is open.
        self._behind = 0
        # What is shown in pieces, a frame or the handshake: its payload, how much of that was
        # shown, its mask, and whether it ends a message.
        self._frame: memoryview | None = None
        self._frame_at = 0
        self._key: bytes | None = None
        self._frame_ends = False
        # What is shown and has not left, and what happens when it has.
        self._shown: tuple[bytes | memoryview, ...] = ()
        self._shown_size = 0
        self._sent = 0
        self._marks: list[tuple[int, Ping | str | list[_Plain] | None]] = []
        self._chunk = CHUNK
        # Bytes of the message whose frame was last asked for, to be written at once.
        self._alone = 0
        self._close: bytes | None = None
        self._lost = 0

    def use_deflate(self, deflater: Deflater, bits: int, threshold: int) -> None:
        """Compression was negotiated: ``bits`` is the window that the peer has for us."""
        self._deflater = deflater
        self._plain = False
        self._headroom = 0
        self._threshold = threshold
        self._peer_bits = bits

    # -- what is to be written

    def put_raw(self, data: bytes) -> None:
        """Bytes of the opening handshake, in pieces like a frame; nothing goes before them."""
        self._frame, self._frame_at = memoryview(data), 0
        self._key, self._frame_ends = None, False
        self._note_level()

    def put_ping(self, ping: Ping) -> None:
        """A ping; the time that it left will be asked for."""
        data = encode(FIN | PING, ping.payload, self._new_key())
        self._pings = put(self._pings, (data, ping))
        self._ping_size += len(data)
        self._stats.pings_sent += 1
        self._note_level()

    def put_pong(self, payload: bytes) -> None:
        """A pong; above the limit the newest replaces the last (RFC 6455 section 5.5.3)."""
        frame = encode(FIN | PONG, payload, self._new_key())
        if self._pongs and self._pong_size + len(frame) > self._config.max_pong_buffer:
            self._pong_size -= len(self._pongs.pop())
            self._stats.pongs_coalesced += 1
        self._pongs = put(self._pongs, frame)
        self._pong_size += len(frame)
        self._note_level()

    def put(
        self,
        message: str | bytes | bytearray | memoryview | Prepared,
        compress: bool | None,
        key: Hashable | None,
    ) -> bool:
        """A whole message. False if it was dropped; SendBufferFull as ``overflow`` says."""
        if key is None and self.put_plain(message):
            return True
        prepared: Prepared | None = None
        if isinstance(message, Prepared):
            prepared, opcode, payload = message, message.opcode, message.payload
        else:
            opcode, payload = to_payload(message)
        if key is not None and self._replace(key, opcode, payload, compress, prepared):
            return True
        if not self._make_room(_weight(payload)):
            return False
        whole = _Whole(opcode, payload, compress, key, prepared, self._open)
        self._end_run()
        self._lane = put(self._lane, whole)
        if key is not None:
            self._keyed = self._keyed or {}
            self._keyed[key] = whole
        self._resize(whole, _weight(payload))
        self._note_level()
        return True

    def put_plain(self, message: object) -> bool:
        """A message of which there is nothing to be said; False if there is, or it is none."""
        if not self._plain or self._open is not None:
            return False
        plain = _as_plain(message)
        if plain is None:
            return False
        self._run.append(plain)
        size = len(plain[1])
        if not size:
            self._run_empty += 1
            size = 1
        self._run_size += size
        self._headroom -= size
        if self._headroom <= 0 or not self.waiting:
            self._note_level()
        return True

    def put_behind(self, message: object) -> bool:
        """The same, if also something else waits already and the mark is not reached by it."""
        plain = _as_plain(message)
        if plain is None or not 0 < (size := len(plain[1])) < self._headroom:
            return False
        self._headroom -= size
        self._run_size += size
        self._run.append(plain)
        return True

    def frame_alone(self, message: object) -> bytes | None:
        """The frame of a plain message that may go out at once, as nothing else waits; or None.

        Nothing has changed: :meth:`sent_alone` says that it goes out.
        """
        if not self._plain or self.waiting or self._open is not None:
            return None
        if isinstance(message, Prepared) and not self._masked:
            self._alone = size = len(message.payload)
            fits = size <= CHUNK - _MAX_CONTROL
            return message.frame(FIN | message.opcode, message.payload) if fits else None
        plain = _as_plain(message)
        if plain is None:
            return None
        opcode, payload = plain
        self._alone = size = len(payload)
        if size > CHUNK - _MAX_CONTROL:
            return None
        return encode(FIN | opcode, payload, self._entropy(4) if self._masked else None)

    def sent_alone(self, frame: bytes, size: int) -> bool:
        """The message of the last frame was sent, and so many bytes of it have left; whether that
        was all. The rest is shown.
        """
        stats, payload, whole = self._stats, self._alone, len(frame)
        stats.messages_sent += 1
        stats.message_bytes_sent += payload
        stats.payload_bytes_sent += payload
        stats.frames_sent += 1
        if size == whole:
            stats.bytes_sent += size
            self._sent += size
            if size > stats.send_buffer_high_water:
                stats.send_buffer_high_water = size
            return True
        self._shown, self._shown_size = (frame,), whole
        self._marks.append((self._sent + whole, None))
        self._note_level()
        self.left(size)
        return False

    def _end_run(self) -> None:
        """Something that is not plain comes behind it."""
        self._lane = deque([*self._lane, *self._run]) if self._run else self._lane
        self._lane_size += self._run_size
        self._forget_run()

    def _forget_run(self) -> None:
        self._run = []
        self._run_size = self._run_empty = 0

    def put_part(self, data: str | bytes | bytearray | memoryview, *, final: bool) -> None:
        """A part of a message; the first says its type, the last is ``final``."""
        opcode, payload = to_payload(data)
        entry = self._open
        if entry is None:
            entry = _InParts(opcode, compressed=self._deflater is not None)
            self._end_run()
            self._lane = put(self._lane, entry)
            self._open = entry
            self._behind = 0
        elif entry.opcode != opcode:
            kinds = {TEXT: "text", BINARY: "binary"}
            raise TypeError(
                f"a part of type {type(data).__name__} in a {kinds[entry.opcode]} message: all "
                "parts of a message are str, or all are bytes-like"
            )
        entry.parts.append(payload)
        self._lane_size += _weight(payload)
        if final:
            entry.final = True
            self._open = None
        self._note_level()

    def finish(self, close: bytes) -> None:
        """Our Close frame goes behind everything accepted; nothing follows it."""
        self._close = close
        self.waiting = True

    def fail(self, close: bytes) -> None:
        """Drop what is not begun; our Close frame goes behind the frame that is."""
        self._drop_lane()
        self._close = close
        self.waiting = True

    def drop(self) -> None:
        """The transport is lost: so is everything here. What was lost is still counted."""
        self._lost = self.unsent
        self._lane = self._pings = self._pongs = EMPTY
        self._forget_run()
        self._marks.clear()
        self._shown, self._shown_size = (), 0
        self._lane_size = self._ping_size = self._pong_size = 0
        self._frame = self._close = self._open = None
        self._keyed = None

    # -- overflow

    def _replace(
        self,
        key: Hashable,
        opcode: int,
        payload: bytes,
        compress: bool | None,
        prepared: Prepared | None,
    ) -> bool:
        if self._config.overflow is not Overflow.REPLACE:
            raise ValueError('a key is for connections with overflow="replace"')
        queued = self._keyed.get(key) if self._keyed is not None else None
        if queued is None:
            return False
        growth = _weight(payload) - _weight(queued.payload)
        if growth > 0 and self.buffered - _weight(queued.payload) >= self._high:
            raise SendBufferFull(self.buffered, self._high)
        self._resize(queued, growth)
        queued.opcode, queued.payload = opcode, payload
        queued.compress, queued.prepared = compress, prepared
        self._stats.messages_replaced += 1
        self._note_level()
        return True

    def _make_room(self, size: int) -> bool:
        """Apply ``overflow``: whether the new message may go in."""
        overflow = self._config.overflow
        if overflow is Overflow.WAIT:
            return True
        if overflow is Overflow.DROP_OLDEST:
            while self.buffered + size > self._high and self._drop_oldest():
                pass
            return True
        if self.buffered < self._high and self.can_send:
            return True
        if overflow is Overflow.DROP_NEWEST:
            self._stats.messages_dropped += 1
            return False
        raise SendBufferFull(self.buffered, self._high)

    def _drop_oldest(self) -> bool:
        for i, entry in enumerate(self._lane):
            if isinstance(entry, _Whole):
                del self._lane[i]
                self._resize(entry, -_weight(entry.payload))
                self._stats.messages_dropped += 1
                self._lost += 1
                return True
        return False

    def _drop_lane(self) -> None:
        self._lost += len(self._lane) + len(self._run)
        self._lane = EMPTY
        self._forget_run()
        self._keyed = None
        self._lane_size = 0
        self._open = None

    def _resize(self, entry: _Whole, size: int) -> None:
        self._lane_size += size
        if self._open is not None and entry.after is self._open:
            self._behind += size

    # -- levels

    @property
    def buffered(self) -> int:
        """Bytes accepted that have not left."""
        waiting = self._lane_size + self._run_size + self._ping_size + self._pong_size
        frame = 0 if self._frame is None else len(self._frame) - self._frame_at
        return waiting + frame + self._shown_size

    @property
    def unsent(self) -> int:
        """Messages accepted that did not leave whole."""
        shown = sum(self._count_unsent(end, mark) for end, mark in self._marks)
        begun = self._frame is not None and self._frame_ends
        return self._lost + len(self._lane) + len(self._run) + shown + begun

    def _count_unsent(self, end: int, mark: Ping | str | list[_Plain] | None) -> int:
        """Messages of a mark that have not left."""
        if not isinstance(mark, list):
            return mark is None
        for count, (_, payload) in enumerate(reversed(mark)):
            if end <= self._sent:
                return count
            end -= len(encode(FIN, payload, bytes(4) if self._masked else None))
        return len(mark)

    @property
    def want_write(self) -> bool:
        """Whether :meth:`show` has bytes."""
        if self._shown or self._frame is not None or self._pings or self._pongs:
            return True
        if self._lane:
            front = self._lane[0]
            if not isinstance(front, _InParts) or front.parts:
                return True
            return self._close is not None
        return bool(self._run) or self._close is not None

    def _note_level(self) -> None:
        self.waiting = True
        buffered = self.buffered
        if buffered > self._stats.send_buffer_high_water:
            self._stats.send_buffer_high_water = buffered
        if buffered >= self._high:
            if self.can_send:
                self.can_send = False
                self._stats.send_pauses += 1
        elif buffered <= self._low:
            self.can_send = True
        self._headroom = 0
        if self._open is None:
            self.can_send_part = self.can_send
            if self.can_send and self._plain:
                self._headroom = self._high - buffered
            return
        # The part that comes next goes in front of these: they must not hold it up.
        buffered -= self._behind
        if buffered >= self._high:
            self.can_send_part = False
        elif buffered <= self._low:
            self.can_send_part = True

    @property
    def lost(self) -> int:
        """Messages accepted and dropped since."""
        return self._lost

    # -- what is written

    def show(self) -> Sequence[bytes | memoryview]:
        """The next bytes, the same until :meth:`left` takes them off the front."""
        if not self._shown and self.waiting:
            self._fill()
            # Headers and masks take room, too: the next message looks anew.
            self._headroom = 0
        return self._shown

    def left(self, size: int) -> list[Ping | str]:
        """The first ``size`` of the shown bytes have left; returns whose last byte was there."""
        if not 0 <= size <= self._shown_size:
            raise ValueError(
                f"{size} bytes cannot have been sent: data_to_send() showed {self._shown_size}"
            )
        if size < self._shown_size:
            self._chunk = CHUNK
        elif size * 2 > self._chunk:
            self._chunk = min(size * 2, MAX_CHUNK)
        self._stats.bytes_sent += size
        self._shown_size -= size
        self._sent += size
        self._shown = (memoryview(self._shown[0])[size:],) if self._shown_size else _NOTHING
        gone: list[Ping | str] = []
        count = 0
        for end, mark in self._marks:
            if end > self._sent:
                break
            count += 1
            if isinstance(mark, (Ping, str)):
                gone.append(mark)
        del self._marks[:count]
        self._note_level()
        if not self._shown_size and not self.want_write:
            self.waiting = False
            self._headroom = 0
        return gone

    def _fill(self) -> None:
        """Encode until a chunk is full or nothing is left."""
        if self._run and self._only_plain_waits:
            self._fill_plain()
            return
        pieces: list[bytes | memoryview] = []
        end = self._sent
        limit = end + self._chunk - _MAX_CONTROL
        # Less than four bytes of room would bring the mask out of step.
        while (room := limit - end) >= 4:
            if self._frame is not None:
                pieces.append(piece := self._next_piece(room))
                end += len(piece)
                if self._frame is None and self._frame_ends:
                    self._marks.append((end, None))
            elif self._pings:
                data, ping = self._pings.popleft()
                self._ping_size -= len(data)
                pieces.append(data)
                end += len(data)
                self._marks.append((end, ping))
                self._stats.frames_sent += 1
            elif self._pongs:
                data = self._pongs.popleft()
                self._pong_size -= len(data)
                pieces.append(data)
                end += len(data)
                self._stats.frames_sent += 1
            elif self._lane:
                begun = self._begin(self._lane[0], room)
                if begun is None:
                    if self._lane:
                        break
                    continue
                pieces.append(begun)
                end += len(begun)
                if self._frame is None and self._frame_ends:
                    self._marks.append((end, None))
            elif self._run:
                data, run = self._begin_run(room)
                pieces.append(data)
                end += len(data)
                if self._frame is None:
                    self._marks.append((end, run))
            elif self._close is not None:
                data = encode(FIN | CLOSE, self._close, self._new_key())
                self._close = None
                pieces.append(data)
                end += len(data)
                self._marks.append((end, CLOSE_LEFT))
                self._stats.frames_sent += 1
            else:
                break
        if not (self._pings or self._pongs or self._lane):
            self._pings = self._pongs = self._lane = EMPTY
        self._shown = (b"".join(pieces),) if len(pieces) > 1 else tuple(pieces)
        self._shown_size = end - self._sent

    @property
    def _only_plain_waits(self) -> bool:
        before = self._pings or self._pongs or self._lane
        return self._frame is None and not before and self._close is None

    def _fill_plain(self) -> None:
        """The common case: a run of messages, or one, and nothing around them."""
        if len(self._run) > 1:
            # What was put in behind the first did not look at the high water mark.
            self._note_level()
        data, run = self._begin_run(self._chunk - _MAX_CONTROL)
        self._shown = (data,)
        self._shown_size = size = len(data)
        if self._frame is None:
            self._marks.append((self._sent + size, run))

    def _begin_run(self, room: int) -> tuple[bytes, list[_Plain] | None]:
        """Frames of the run, as many as there is room for, and whose; or a piece of its first."""
        run = self._run
        count = len(run)
        if count > 1 and self._run_size + count * MAX_HEADER > room:
            count = self._count_fitting(room)
        if count == 1:
            return self._begin_plain(run.pop(0), room), None
        if count == len(run):
            total = self._run_size - self._run_empty
            self._forget_run()
        else:
            self._run, run = run[count:], run[:count]
            total = sum(len(payload) for _, payload in run)
            empty = sum(not payload for _, payload in run)
            self._run_size -= total + empty
            self._run_empty -= empty
        stats = self._stats
        stats.messages_sent += count
        stats.message_bytes_sent += total
        stats.payload_bytes_sent += total
        stats.frames_sent += count
        keys = self._entropy(4 * count) if self._masked else None
        return encode_messages(run, keys), run

    def _count_fitting(self, room: int) -> int:
        """How many messages of the run there is room for; at least one."""
        small = 6 if self._masked else 2
        for count, (_, payload) in enumerate(self._run):
            size = len(payload)
            room -= size + (small if size < 126 else MAX_HEADER)
            if room < 0:
                return max(1, count)
        return len(self._run)

    def _begin_plain(self, message: _Plain, room: int) -> bytes:
        opcode, payload = message
        if payload:
            self._run_size -= len(payload)
        else:
            self._run_size -= 1
            self._run_empty -= 1
        stats = self._stats
        stats.messages_sent += 1
        stats.message_bytes_sent += len(payload)
        self._frame_ends = True
        return self._begin_frame(FIN | opcode, payload, room)

    def _begin(self, entry: _Plain | _Whole | _InParts, room: int) -> bytes | None:
        """The first bytes of the next data frame; None if its message has no part ready."""
        if isinstance(entry, _InParts):
            return self._begin_part(entry, room)
        del self._lane[0]
        if isinstance(entry, tuple):
            self._lane_size -= _weight(entry[1])
            self._run_size += _weight(entry[1])
            self._run_empty += not entry[1]
            return self._begin_plain(entry, room)
        stats = self._stats
        stats.messages_sent += 1
        payload = entry.payload
        self._lane_size -= _weight(payload)
        stats.message_bytes_sent += len(payload)
        if entry.key is not None and self._keyed is not None:
            del self._keyed[entry.key]
        self._frame_ends = True
        head = FIN | entry.opcode
        if self._deflater is not None:
            compressed = self._compress(entry, self._deflater)
            if compressed is not None:
                head |= RSV1
                payload = compressed
        prepared = entry.prepared
        if prepared is not None and not self._masked and len(payload) <= room:
            stats.payload_bytes_sent += len(payload)
            stats.frames_sent += 1
            return prepared.frame(head, payload)
        return self._begin_frame(head, payload, room)

    def _compress(self, entry: _Whole, deflater: Deflater) -> bytes | None:
        """The payload compressed, or None if it goes out as it is."""
        size = len(entry.payload)
        if entry.prepared is None:
            wanted = self._wants(entry.compress, size, self._threshold)
            return deflater.compress(entry.payload) if wanted else None
        deflate = entry.prepared.compression
        if (
            deflate is None
            or deflate.server_max_window_bits > self._peer_bits
            or not self._wants(entry.compress, size, deflate.threshold)
        ):
            return None
        # The peer's window will hold what our compressor has not seen.
        deflater.reset()
        return entry.prepared.compressed()

    @staticmethod
    def _wants(compress: bool | None, size: int, threshold: int) -> bool:
        return size >= threshold if compress is None else compress

    def _begin_part(self, entry: _InParts, room: int) -> bytes | None:
        if not entry.parts:
            if self._close is not None:
                # It will never end: the Close frame goes between its fragments.
                self._drop_lane()
            return None
        payload = entry.parts.popleft()
        self._lane_size -= _weight(payload)
        stats = self._stats
        stats.message_bytes_sent += len(payload)
        last = entry.final and not entry.parts
        head = CONTINUATION if entry.began else entry.opcode
        if entry.compressed:
            assert self._deflater is not None
            head |= 0 if entry.began else RSV1
            payload = self._deflater.compress_part(payload, final=last)
        entry.began = True
        if last:
            head |= FIN
            stats.messages_sent += 1
            del self._lane[0]
        self._frame_ends = last
        return self._begin_frame(head, payload, room)

    def _begin_frame(self, head: int, payload: bytes, room: int) -> bytes:
        """The frame, or its header and so much of the payload as there is room for."""
        self._stats.payload_bytes_sent += len(payload)
        self._stats.frames_sent += 1
        key = self._new_key()
        if len(payload) <= room:
            return encode(head, payload, key)
        self._frame = memoryview(payload)
        # A multiple of four keeps the mask in step.
        self._frame_at = first = room & ~3
        self._key = key
        start = header(head, len(payload), self._masked)
        if key is None:
            return start + self._frame[:first]
        return b"%b%b%b" % (start, key, mask(self._frame[:first], key))

    def _next_piece(self, room: int) -> bytes | memoryview:
        frame, at = self._frame, self._frame_at
        assert frame is not None
        if len(frame) - at <= room:
            piece = frame[at:]
            self._frame = None
        else:
            self._frame_at = at + (room & ~3)
            piece = frame[at : self._frame_at]
        return piece if self._key is None else mask(piece, self._key)

    def _new_key(self) -> bytes | None:
        return self._entropy(4) if self._masked else None


def to_payload(message: str | bytes | bytearray | memoryview) -> tuple[int, bytes]:
    """Opcode and payload of a message; what can be changed is copied."""
    if isinstance(message, bytes):
        return BINARY, message
    if isinstance(message, str):
        return TEXT, message.encode()
    if isinstance(message, (bytearray, memoryview)):
        return BINARY, bytes(message)
    raise TypeError(
        f"a message is str, or bytes, bytearray or memoryview, not {type(message).__name__}"
    )


def _as_plain(message: object) -> _Plain | None:
    """A message that goes out as it is, if there is nothing more to be said about it."""
    if type(message) is bytes:
        return BINARY, message
    if type(message) is str:
        return TEXT, message.encode()
    return None


def _weight(payload: bytes) -> int:
    """Bytes that a message or part counts for while it waits.

    An empty one is not free: a peer that makes us answer with them must not take all memory.
    """
    return len(payload) or 1
