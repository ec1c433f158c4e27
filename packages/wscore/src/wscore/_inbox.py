"""The only place for received messages: reassembly, limits, the queue and its marks.

One ordered inbox whose last item is the end. Messages are begun only while the queue is below its
high marks; what is not begun stays with the decoder as raw bytes, looked through for control
frames as far as the look-ahead goes.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from ._close import Cause, CloseFrame, Failure, decode_close
from ._config import Config
from ._deflate import CorruptData, Inflater
from ._frames import (
    BINARY,
    CLOSE,
    FIN,
    LARGE,
    NOT_UTF8,
    OPCODE,
    RSV1,
    TEXT,
    Decoder,
    Frame,
    Skimmer,
)
from ._lazy import EMPTY, put
from ._stats import Stats

__all__ = ["Message", "Part"]

Message: TypeAlias = str | bytes
"""A text message or a binary message."""


class Part(NamedTuple):
    """A part of a message that is received as it arrives.

    :ivar data: str for text, cut between characters; bytes otherwise.
    :ivar final: whether the message ends with this part.
    """

    data: Message
    final: bool


class Inbox:
    """What was received and not taken.

    :ivar queue: whole messages, each with its size; a deque of fragments with ``keep_fragments``.
    :ivar end: why nothing more comes behind what is here: a violation or an end of stream.
    :ivar full: the queue has reached a high mark, and not been taken down to the low ones since.
    :ivar begun: messages that began in more than one piece.
    """

    __slots__ = (
        *("_config", "_decoder", "_decoding", "_inflater", "_skimmer", "_stats", "end"),
        *("queue", "_size", "full", "_high", "_low", "_high_bytes", "_low_bytes"),
        *("_opcode", "_compressed", "_data", "_checked", "_total", "_ends", "begun"),
        *(
            "_streaming",
            "_dropping",
            "_dropped",
            "_over",
            "_lost",
            "answering",
            "lands",
            "_keeps_fragments",
            "_read_size",
            "_large",
        ),
    )

    def __init__(
        self, config: Config, stats: Stats, *, masked: bool, inflater: Inflater | None
    ) -> None:
        self._config = config
        self._stats = stats
        self._inflater = inflater
        self._decoder = Decoder(
            masked=masked,
            compressed=inflater is not None,
            max_message_size=config.max_message_size,
            max_fragment_size=config.max_fragment_size,
            max_fragments=config.max_fragments,
            in_order=config.control_look_ahead == 0,
        )
        self._decoding = True
        # For what comes when nothing but the peer's Close frame matters.
        self._skimmer: Skimmer | None = None
        self.end: Failure | None = None
        self.queue: deque[tuple[Any, int]] = EMPTY
        self._size = 0
        self.full = False
        self._high, self._low = config.queue_marks
        self._high_bytes, self._low_bytes = config.queue_byte_marks
        self._keeps_fragments = config.keep_fragments
        self._read_size = config.read_size
        # The last message was one of several reads, and the next may be.
        self._large = False
        # The message that is arriving: its opcode (0 = none), what there is of it, how much of
        # that is known to be whole characters, and its size with the parts already taken.
        self._opcode = 0
        self._compressed = False
        self._data = bytearray()
        self._checked = 0
        self._total = 0
        # With keep_fragments, where in it the fragments end that are here and not taken.
        self._ends: deque[int] = EMPTY
        self.begun = 0
        # The front message is being taken in parts; the rest of it is not wanted.
        self._streaming = False
        self._dropping = False
        # The connection is past its end: what is broken now only counts as unread. What was not
        # taken is not wanted.
        self._over = False
        self._dropped = False
        self._lost = 0
        # The application has taken a message, and has not asked for another since.
        self.answering = False
        # The payload that is arriving may be read to where it stays.
        self.lands = False

    # -- what comes in

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        """Take bytes in. True if that was all; else :meth:`advance` decodes what is kept."""
        if self._skimmer is not None:
            self._skimmer.feed(data)
            return False
        if self._opcode or self.full:
            self._decoder.feed(data)
            return False
        # What is plain, wholly there and taken at once is never kept as raw bytes.
        room = self._high_bytes - self._size
        plain, at = self._decoder.feed_plain(data, self._high - len(self.queue), room)
        if at:
            self._receive_plain(*plain)
            if at == len(data):
                return True
            self._large = False
            data = memoryview(data)[at:]
        self._decoder.feed(data)
        return False

    def receive_buffer(self) -> memoryview | None:
        """Where the next bytes may be read into, if anywhere."""
        # What is not copied again is read in half the time: twice as much of it is as fair.
        return self._decoder.receive_buffer(2 * self._read_size)

    def received(self, size: int) -> None:
        """``size`` bytes were read into it; :meth:`advance` decodes them."""
        self._decoder.received(size)

    def advance(self) -> list[Frame]:
        """Decode what the queue may take; return the control frames that came along.

        In place of a rest, which they never have, each says how many messages came before it.
        """
        controls: list[Frame] = []
        decoder = self._decoder
        while self._decoding and decoder.failure is None:
            if not self._opcode and not self.full:
                room = self._high_bytes - self._size
                plain = decoder.decode_plain(self._high - len(self.queue), room)
                if plain[0]:
                    self._large = False
                    self._receive_plain(*plain)
            if self._paced:
                frames = decoder.look_ahead()
            elif self.full:
                frames = decoder.decode(0, 0)
            else:
                # The message that is arriving has its place in the queue already.
                begun = len(self.queue) + (self._opcode != 0)
                frames = decoder.decode(self._high - begun, self._high_bytes - self._size)
            if not frames:
                break
            self._stats.frames_received += len(frames)
            for i, frame in enumerate(frames):
                if frame[0] & 0x08:
                    controls.append((frame[0], frame[1], self._stats.messages_received))
                elif (failure := self._receive(frame)) is not None:
                    self._fail(failure)
                    self._skim(frames[i + 1 :])
                    break
            self._note_fullness()
            if decoder.exhausted:
                break
        if self._decoding and decoder.failure is not None:
            self._fail(decoder.failure)
        self.lands = decoder.lands
        return controls

    def _fail(self, failure: Failure) -> None:
        if not self._over:
            # What the stream holds comes before its end, even if that was seen first.
            self.end = failure
        self._stop_decoding()

    def _skim(self, behind: list[Frame]) -> None:
        """What was decoded along with a violation fares like what comes after it."""
        assert self._skimmer is not None
        for head, payload, _ in behind:
            if head & OPCODE in (TEXT, BINARY):
                self._lost += 1
            elif head & OPCODE == CLOSE and isinstance(close := decode_close(payload), CloseFrame):
                self._skimmer.close = close

    def _stop_decoding(self) -> None:
        if not self._decoding:
            return
        self._decoding = False
        self._lost += int(self._opcode != 0 and not self._dropping)
        self._forget_arriving()
        if not self.queue:
            # What was taken in parts never ends.
            self._streaming = self._dropping = False
        leftover, rest = self._decoder.leftover()
        if self._skimmer is None:
            self._skimmer = Skimmer(rest)
            self._skimmer.feed(leftover)
        else:
            lost = Skimmer(rest)
            lost.feed(leftover)
            self._lost += lost.begun

    def finish(self) -> None:
        """Take no more messages in. What was received can still be taken."""
        self._over = True
        if self._skimmer is None:
            tail, rest = self._decoder.hand_over()
            self._skimmer = Skimmer(rest)
            self._skimmer.feed(tail)

    def drop(self, *, keep_queue: bool) -> None:
        """The application wants nothing of what comes, nor, unless kept, of what is here."""
        self._over = True
        self._stop_decoding()
        if not keep_queue:
            self._dropped = True
            self._lost += len(self.queue)
            self.queue = EMPTY
            self._size = 0
            self._streaming = False

    # -- messages

    def _receive_plain(self, messages: Sequence[tuple[Message, int]], size: int) -> None:
        """Messages in one frame each, uncompressed, wholly here: the common case."""
        if self.queue is EMPTY:
            self.queue = deque(messages)
        else:
            self.queue.extend(messages)
        self._size += size
        count = len(messages)
        stats = self._stats
        stats.frames_received += count
        stats.messages_received += count
        stats.message_bytes_received += size
        stats.payload_bytes_received += size
        self._note_fullness()

    def _receive(self, frame: Frame) -> Failure | None:
        head, payload, rest = frame
        stats = self._stats
        stats.payload_bytes_received += len(payload)
        opcode = head & OPCODE
        if rest:
            stats.frames_received -= 1
        if opcode:
            self.begun += 1
            self._opcode = opcode
            self._compressed = bool(head & RSV1)
            self._total = 0
        final = head & FIN and not rest
        gathered = self._total or self._data or self._ends
        if final and not (self._compressed or gathered or self._dropping):
            # The frame that ends it has all of it: nothing needs to be copied.
            return self._complete(payload)
        failure = self._gather(payload)
        if self._keeps_fragments and not rest and not self._dropping:
            self._ends = put(self._ends, self._total)
        if failure is None and final:
            failure = self._complete_gathered()
        return failure

    def _gather(self, payload: bytes) -> Failure | None:
        """Fold a piece of the arriving message into its buffer."""
        data = self._data
        before = len(data)
        if self._compressed:
            assert self._inflater is not None
            room = self._config.max_message_size - self._total
            try:
                if not self._inflater.feed(payload, data, room):
                    # What comes first in the message is what it fails for, however it is cut.
                    return self._check_text(final=False) or self._too_big()
            except CorruptData as error:
                return Failure(Cause.INVALID_DATA, str(error))
        else:
            data += payload
        self._total += len(data) - before
        return self._check_text(final=False)

    def _complete(self, payload: bytes) -> Failure | None:
        message: Message = payload
        if self._opcode == TEXT:
            try:
                message = str(payload, "utf-8")
            except UnicodeDecodeError:
                return NOT_UTF8
        self._forget_arriving()
        self._put(message, len(payload))
        # What was read to where it stays: the pure form copies all of it anyway.
        self._large = self.lands and len(payload) > self._read_size
        return None

    def _complete_gathered(self) -> Failure | None:
        data = self._data
        if self._compressed:
            assert self._inflater is not None
            try:
                self._inflater.finish()
            except CorruptData as error:
                return Failure(Cause.INVALID_DATA, str(error))
        if (failure := self._check_text(final=True)) is not None:
            return failure
        self._large = False
        text = self._opcode == TEXT
        dropping = self._dropping
        size, total = len(data), self._total
        message: Message | deque[Message]
        if len(self._ends) > 1:
            message = deque(self._next_part() for _ in range(len(self._ends)))
        else:
            message = data.decode() if text else bytes(data)
        self._forget_arriving()
        if dropping:
            self._dropping = self._streaming = False
        else:
            self._put(message, size, total)
        return None

    def _check_text(self, *, final: bool) -> Failure | None:
        """UTF-8 is judged as it arrives, not when the message ends (section 8.1)."""
        data = self._data
        if self._opcode == TEXT:
            try:
                _, used = codecs.utf_8_decode(bytes(data[self._checked :]), "strict", final)
            except UnicodeDecodeError:
                return NOT_UTF8
            self._checked += used
        if self._dropping:
            del data[: self._takeable]
            self._checked = 0
        return None

    def _too_big(self) -> Failure:
        limit = self._config.max_message_size
        return Failure(Cause.TOO_BIG, f"a message that inflates over the limit of {limit} bytes")

    def _put(self, message: Message | deque[Message], size: int, total: int | None = None) -> None:
        self.queue = put(self.queue, (message, size))
        self._size += size
        self._stats.messages_received += 1
        self._stats.message_bytes_received += size if total is None else total

    def _forget_arriving(self) -> None:
        # A new buffer gives the memory of a large message back at once.
        self._data = bytearray()
        self._ends = EMPTY
        self._opcode = 0
        self._checked = 0

    def _note_fullness(self) -> None:
        messages, size, stats = len(self.queue), self._size, self._stats
        if messages > stats.queue_high_water:
            stats.queue_high_water = messages
        if size > stats.queue_bytes_high_water:
            stats.queue_bytes_high_water = size
        if not self.full and (messages >= self._high or size >= self._high_bytes):
            self.full = True
            stats.read_pauses += 1

    # -- what is taken

    def take(self) -> Message | None:
        """The first message, or None."""
        if not self.queue:
            return None
        message, size = self.queue.popleft()
        self._size -= size
        self.answering = True
        if self.full and len(self.queue) <= self._low and self._size <= self._low_bytes:
            self.full = False
        return _joined(message) if isinstance(message, deque) else message

    def take_ready(self) -> Message | None:
        """The first message, unless taking it lets decoding go on, or it is taken in parts."""
        queue = self.queue
        if not queue:
            self.answering = False
            return None
        if self._streaming or self._keeps_fragments:
            return None
        if (
            self.full
            and len(queue) <= self._low + 1
            and self._size - queue[0][1] <= self._low_bytes
        ):
            return None
        message: Message
        message, size = queue.popleft()
        self._size -= size
        self.answering = True
        return message

    def put_back(self, message: Message) -> None:
        """The message that was taken last is the first one again, or lost with those behind it."""
        self.answering = False
        if self._dropped:
            self._lost += 1
            return
        size = len(message) if isinstance(message, bytes) else len(message.encode())
        self.queue = deque([(message, size), *self.queue])
        self._size += size
        self._note_fullness()

    def take_part(self) -> Part | None:
        """What there is of the first message, or None."""
        if self.queue:
            return self._take_part_of_whole()
        if not self.part_ready:
            return None
        if self._decoder.landed:
            # Parts are taken as they come: no whole is put together.
            _, payload, _ = self._decoder.give_up_landing()
            self._stats.payload_bytes_received += len(payload)
            self._gather(payload)
            if not self._takeable:
                return None
        self._streaming = True
        return Part(self._next_part(), final=False)

    def _take_part_of_whole(self) -> Part:
        fragments, size = self.queue[0]
        if isinstance(fragments, deque) and len(fragments) > 1:
            part = fragments.popleft()
            taken = len(part.encode() if isinstance(part, str) else part)
            self.queue[0] = fragments, size - taken
            self._size -= taken
            self._streaming = True
            return Part(part, final=False)
        message = self.take()
        assert message is not None
        self._streaming = False
        return Part(message, final=True)

    def _next_part(self) -> Message:
        """Take from the arriving message what can be taken, or its next fragment."""
        data, size = self._data, self._takeable
        text = self._opcode == TEXT
        if self._ends:
            size = min(size, self._ends.popleft() - self._total + len(data))
            while text and size < len(data) and data[size] & 0xC0 == 0x80:
                # A character goes with the fragment that ends it.
                size -= 1
        part = bytes(data[:size])
        del data[:size]
        self._checked = max(0, self._checked - size)
        return part.decode() if text else part

    def discard_rest(self) -> None:
        """The rest of the message that is being taken in parts is not wanted."""
        if not self._streaming:
            return
        if self.queue:
            self.take()
            self._streaming = False
        else:
            self._dropping = True
            self._ends = EMPTY
            self._check_text(final=False)

    # -- outputs

    @property
    def taken(self) -> int:
        """Messages that were taken, or dropped."""
        return self._stats.messages_received - len(self.queue)

    @property
    def part_ready(self) -> bool:
        """Whether :meth:`take_part` has a part of the arriving message."""
        if self._keeps_fragments and not self._paced:
            return bool(self._ends)
        return not self._dropping and (self._takeable > 0 or self._decoder.landed > 0)

    @property
    def streaming(self) -> bool:
        """Whether the first message is being taken in parts, and more of it is wanted."""
        return self._streaming and not self._dropping

    @property
    def waiting(self) -> bool:
        """Whether anything stands before the end: messages in the queue or not yet begun."""
        return bool(self.queue) or self.blocked

    @property
    def blocked(self) -> bool:
        """Whether decoding rests until something is taken."""
        return self._decoding and (self.full or self._paced)

    @property
    def _paced(self) -> bool:
        """Whether who takes a message in parts, and so sets its pace, is behind."""
        return self.streaming and self._takeable >= self._high_bytes

    @property
    def _takeable(self) -> int:
        """Bytes of the arriving message that can be taken: of text, whole characters."""
        return self._checked if self._opcode == TEXT else len(self._data)

    @property
    def landed(self) -> int:
        """Bytes of payload that are not counted as received yet."""
        return self._decoder.landed

    @property
    def in_message(self) -> bool:
        """Whether the peer has a message to complete."""
        return self._opcode != 0 and not self.blocked

    @property
    def close(self) -> CloseFrame | None:
        """The Close frame that skimming found."""
        return None if self._skimmer is None else self._skimmer.close

    @property
    def want_read(self) -> int:
        """How many bytes the next read may bring, so that raw bytes never exceed one read."""
        held = self._decoder.held
        if not held and not self.full and not self._streaming:
            # What a read brings along with the head of a large message has to be copied.
            return min(LARGE, self._read_size) if self._large else self._read_size
        if (self.full or self._streaming) and self.blocked:
            if held >= self._config.control_look_ahead:
                return 0
        return max(0, self._read_size - held)

    @property
    def lost(self) -> int:
        """Messages that were begun and that nobody will get."""
        if self._skimmer is None:
            return self._lost
        incomplete = self._opcode != 0 and not self.blocked and not self._dropping
        return self._lost + self._skimmer.begun + incomplete


def _joined(fragments: deque[Message]) -> Message:
    empty: Any = fragments[0][:0]
    return cast("Message", empty.join(fragments))
