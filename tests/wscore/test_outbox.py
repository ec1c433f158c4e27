"""What waits to be written: its order, its marks, its end; wsproto reads what is written."""

from __future__ import annotations

import itertools
import math
import random
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from wsproto.extensions import Extension
from wsproto.frame_protocol import FrameDecoder, FrameProtocol, Opcode, RsvBits

from wscore._close import CloseFrame, encode_close
from wscore._config import Config, Deflate, Overflow
from wscore._deflate import Deflater
from wscore._errors import SendBufferFull
from wscore._outbox import CHUNK, CLOSE_LEFT, MAX_CHUNK, Outbox, Prepared
from wscore._pings import Ping
from wscore._stats import Stats

KIB = 1024
MIB = 1024 * KIB

CLOSE = encode_close(CloseFrame(1000, "bye"))
NOISE = random.Random(6455).randbytes(300_000)
DEFLATE = Deflate(threshold=64)

Event = tuple[Opcode, str | bytes]
"""A message or a control frame."""


# What a peer reads


class _Rsv1(Extension):
    """Lets RSV1 pass, and says whether the frame at hand has it."""

    name = "rsv1"

    def __init__(self) -> None:
        self.seen = False

    def offer(self) -> bool:
        return True

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> RsvBits:
        self.seen = rsv.rsv1
        return RsvBits(True, False, False)


@dataclass
class Read:
    """What a peer makes of bytes.

    :ivar events: whole messages and control frames.
    :ivar frames: opcode, FIN, RSV1 and length of each whole frame.
    :ivar half: there is a beginning of a frame behind those.
    :ivar unfinished: there is a message of which the last frame is missing.
    """

    events: list[Event] = field(default_factory=list)
    frames: list[tuple[Opcode, bool, bool, int]] = field(default_factory=list)
    half: bool = False
    unfinished: bool = False

    @property
    def messages(self) -> list[str | bytes]:
        return [data for opcode, data in self.events if not opcode.iscontrol()]


def read(data: bytes, *, masked: bool = False) -> Read:
    """Frames by wsproto, compression by zlib; what breaks RFC 6455 section 5 raises."""
    rsv1 = _Rsv1()
    decoder = FrameDecoder(client=not masked, extensions=[rsv1])
    decoder.receive_bytes(data)
    inflater = zlib.decompressobj(-15)
    found = Read()
    message, kind, compressed = b"", Opcode.CONTINUATION, False
    while (frame := decoder.process_buffer()) is not None:
        assert isinstance(frame.payload, bytes)
        opcode, payload, fin = frame.opcode, frame.payload, frame.message_finished
        if not frame.frame_finished:
            found.half = True
            break
        found.frames.append((opcode, fin, rsv1.seen, len(payload)))
        if opcode.iscontrol():
            assert not rsv1.seen
            found.events.append((opcode, payload))
            continue
        assert (opcode is Opcode.CONTINUATION) == found.unfinished
        if not found.unfinished:
            message, kind, compressed = b"", opcode, rsv1.seen
        message += payload
        found.unfinished = not fin
        if fin:
            if compressed:
                message = inflater.decompress(message + b"\x00\x00\xff\xff")
            found.events.append((kind, message.decode() if kind is Opcode.TEXT else message))
    found.half = found.half or decoder.header is not None or len(decoder.buffer) > 0
    return found


# What is under test


def keys() -> Callable[[int], bytes]:
    """Entropy that never repeats itself."""
    numbers = itertools.count(0x01020304, 0x01010101)
    return lambda size: (next(numbers) % 256**size).to_bytes(size, "big")


def new(config: Config | None = None, *, masked: bool = False, deflate: bool = False) -> Outbox:
    outbox = Outbox(config or Config(entropy=keys()), Stats(), masked=masked)
    if deflate:
        outbox.use_deflate(Deflater(15, False, DEFLATE), 15, DEFLATE.threshold)
    return outbox


def put(outbox: Outbox, *messages: str | bytes | Prepared) -> None:
    for message in messages:
        assert outbox.put(message, None, None)


def ping(payload: bytes = b"ping") -> Ping:
    return Ping(payload, 0.0, keepalive=False)


def show(outbox: Outbox) -> bytes:
    return b"".join(outbox.show())


def send(outbox: Outbox, size: float = math.inf) -> bytes:
    """Let at most so many bytes leave; returns them."""
    data = b""
    while (shown := show(outbox)) and len(data) < size:
        piece = shown[: int(min(len(shown), size - len(data)))]
        outbox.left(len(piece))
        data += piece
    return data


def marks(outbox: Outbox, size: int) -> list[Ping | str]:
    outbox.show()
    return outbox.left(size)


def peak_of(action: Callable[[], object]) -> int:
    """Bytes of memory that an action takes at its peak."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


both_roles = pytest.mark.parametrize("masked", [False, True], ids=["server", "client"])


# The order in which things leave


@both_roles
def test_messages_leave_in_their_order_and_kind(masked: bool) -> None:
    outbox = new(masked=masked)
    put(outbox, "a€", b"b", "", b"")
    outbox.put(bytearray(b"c"), None, None)
    outbox.put(memoryview(b"-d-")[1:2], None, None)
    assert read(send(outbox), masked=masked).messages == ["a€", b"b", "", b"", b"c", b"d"]
    assert not outbox.want_write
    assert outbox.show() == ()


def test_what_the_caller_can_change_is_copied() -> None:
    outbox = new()
    data = bytearray(b"before")
    outbox.put(data, None, None)
    data[:] = b"after!"
    assert read(send(outbox)).messages == [b"before"]


@pytest.mark.parametrize("message", [1, None, ["a"], object()])
def test_what_is_no_message_is_refused(message: Any) -> None:
    outbox = new()
    with pytest.raises(TypeError, match=f"not {type(message).__name__}"):
        outbox.put(message, None, None)
    with pytest.raises(TypeError, match=f"not {type(message).__name__}"):
        outbox.put_part(message, final=True)
    with pytest.raises(ValueError, match="surrogates not allowed"):
        outbox.put("\ud800", None, None)
    assert not outbox.want_write


@both_roles
def test_the_handshake_goes_first_then_pings_pongs_data_and_close(masked: bool) -> None:
    outbox = new(masked=masked)
    outbox.put_raw(b"GET")
    put(outbox, "data")
    outbox.put_pong(b"pong")
    outbox.put_ping(ping())
    outbox.finish(CLOSE)
    data = send(outbox)
    assert data.startswith(b"GET")
    assert read(data[3:], masked=masked).events == [
        (Opcode.PING, b"ping"),
        (Opcode.PONG, b"pong"),
        (Opcode.TEXT, "data"),
        (Opcode.CLOSE, CLOSE),
    ]


def test_control_frames_go_behind_the_frame_that_is_begun_and_ahead_of_the_next() -> None:
    outbox = new()
    put(outbox, NOISE, "next")
    data = send(outbox, 10)
    outbox.put_pong(b"")
    outbox.put_ping(ping())
    data += send(outbox)
    assert [opcode for opcode, _ in read(data).events] == [
        Opcode.BINARY,
        Opcode.PING,
        Opcode.PONG,
        Opcode.TEXT,
    ]


def test_what_is_shown_is_overtaken_by_nothing() -> None:
    outbox = new()
    put(outbox, "data")
    outbox.show()
    outbox.put_ping(ping())
    assert [opcode for opcode, _ in read(send(outbox)).events] == [Opcode.TEXT, Opcode.PING]


# What is shown


def every_kind(masked: bool) -> Outbox:
    """Two messages, one in two parts, one large, control frames between them, and a Close."""
    outbox = new(masked=masked)
    outbox.put_ping(ping())
    put(outbox, "first")
    outbox.put_part("on", final=False)
    outbox.put_part("e", final=True)
    put(outbox, NOISE[:200])
    outbox.finish(CLOSE)
    return outbox


@both_roles
def test_what_is_shown_stays_until_it_has_left_whatever_is_put(masked: bool) -> None:
    outbox = new(masked=masked)
    put(outbox, "first")
    shown = show(outbox)
    put(outbox, "second")
    outbox.put_ping(ping())
    assert show(outbox) == shown
    outbox.left(0)
    assert show(outbox) == shown
    outbox.left(3)
    assert show(outbox) == shown[3:]
    outbox.fail(CLOSE)
    assert show(outbox) == shown[3:]


def test_what_was_shown_before_does_not_change_in_the_callers_hands() -> None:
    outbox = new()
    put(outbox, "first")
    shown = outbox.show()
    copy = b"".join(shown)
    outbox.left(3)
    assert b"".join(shown) == copy


@both_roles
def test_bytes_may_leave_one_at_a_time(masked: bool) -> None:
    whole = send(every_kind(masked))
    outbox = every_kind(masked)
    for i in range(len(whole)):
        assert whole[i:].startswith(show(outbox))
        outbox.left(1)
    assert outbox.show() == ()
    assert outbox.buffered == 0


@pytest.mark.parametrize("size", [-1, 8])
def test_no_more_than_was_shown_can_have_left(size: int) -> None:
    outbox = new()
    put(outbox, "12345")
    shown = show(outbox)
    with pytest.raises(ValueError, match=rf"{size} bytes cannot .* showed 7"):
        outbox.left(size)
    assert show(outbox) == shown
    outbox.left(7)
    with pytest.raises(ValueError, match="showed 0"):
        outbox.left(1)


def fill_with_large(outbox: Outbox) -> None:
    put(outbox, NOISE, NOISE)


def fill_with_small(outbox: Outbox) -> None:
    put(outbox, *["x" * 61] * 3000)


def fill_up_to_the_brim(outbox: Outbox) -> None:
    """The longest control frames where there is least room for them."""
    put(outbox, NOISE[: CHUNK - 200])
    outbox.show()
    for i in range(600):
        outbox.put_ping(ping(bytes((i // 256, i % 256)) * 62 + b"x"))
        outbox.put_pong(bytes(125))
    put(outbox, NOISE)


def fill_with_handshake(outbox: Outbox) -> None:
    outbox.put_raw(NOISE)
    put(outbox, "x")


@both_roles
@pytest.mark.parametrize(
    "fill", [fill_with_large, fill_with_small, fill_up_to_the_brim, fill_with_handshake]
)
def test_no_more_than_a_chunk_is_shown_at_a_time(
    fill: Callable[[Outbox], None], masked: bool
) -> None:
    """ARCHITECTURE, "Progress is bytes": transports are fed 64 KiB at a time, or little more."""
    outbox = new(Config(max_pong_buffer=math.inf), masked=masked)
    fill(outbox)
    sizes = []
    while shown := show(outbox):
        sizes.append(len(shown))
        # The transport does not take it at once.
        outbox.left(len(shown) // 2)
        outbox.left(len(shown) - len(shown) // 2)
    assert max(sizes) <= CHUNK
    # And it is used: all but the last are nearly full, but for the one shown early.
    assert all(size > 64 * KIB for size in sizes[1:-1])


def test_a_long_handshake_leaves_whole_and_first() -> None:
    outbox = new()
    outbox.put_raw(NOISE)
    put(outbox, "x")
    outbox.put_ping(ping())
    data = send(outbox)
    assert data[: len(NOISE)] == NOISE
    assert read(data[len(NOISE) :]).events == [(Opcode.PING, b"ping"), (Opcode.TEXT, "x")]


@both_roles
def test_what_the_transport_takes_at_once_is_followed_by_twice_as_much(masked: bool) -> None:
    """A system call costs as much as to copy some 100 KiB."""
    outbox = new(masked=masked)
    put(outbox, bytes(4 * MIB))
    sizes = []
    for _ in range(6):
        sizes.append(len(show(outbox)))
        outbox.left(sizes[-1])
    sizes_in_chunks = [round(size / CHUNK, 1) for size in sizes]
    assert sizes_in_chunks == [1, 2, 4, 8, 8, 8]
    assert max(sizes) <= MAX_CHUNK
    size = len(show(outbox))
    outbox.left(1)
    outbox.left(size - 1)
    assert len(show(outbox)) > CHUNK
    outbox.left(len(show(outbox)) - 10)
    outbox.left(10)
    assert len(show(outbox)) <= CHUNK


@both_roles
@pytest.mark.parametrize("shift", range(-24, 24))
def test_messages_of_about_a_chunk_arrive_unharmed(shift: int, masked: bool) -> None:
    """Where a frame is cut, the mask stays in step (RFC 6455 section 5.3)."""
    outbox = new(masked=masked)
    messages = [NOISE[: CHUNK - 128 + shift], NOISE[: CHUNK + shift], NOISE[: 2 * CHUNK + shift]]
    put(outbox, "x" * abs(shift), *messages)
    assert read(send(outbox), masked=masked).messages == ["x" * abs(shift), *messages]


@pytest.mark.parametrize(("masked", "most"), [(False, 160 * KIB), (True, 2 * MIB)])
def test_a_large_message_is_never_copied_as_a_whole(masked: bool, most: int) -> None:
    """What a server sends is not even copied in part; a client masks chunk by chunk."""
    outbox = new(masked=masked)
    message = bytes(8 * MIB)
    put(outbox, b"first")

    def drain() -> None:
        put(outbox, message)
        while shown := outbox.show():
            outbox.left(sum(map(len, shown)))

    assert peak_of(drain) < most


# Masks (RFC 6455 section 5.3)


def test_each_frame_of_a_client_has_its_own_mask_from_the_entropy_given() -> None:
    outbox = new(Config(entropy=keys()), masked=True)
    fresh = keys()
    expected = [fresh(4) for _ in range(5)]
    outbox.put_ping(ping())
    outbox.put_pong(b"")
    put(outbox, "x", NOISE)
    outbox.finish(CLOSE)
    data = send(outbox)
    found = [data[2:6]]
    at = 6 + 4
    found.append(data[at + 2 : at + 6])
    at += 6
    found.append(data[at + 2 : at + 6])
    at += 6 + 1
    found.append(data[at + 10 : at + 14])
    at += 14 + len(NOISE)
    found.append(data[at + 2 : at + 6])
    assert found == expected


def test_a_server_masks_nothing_and_asks_for_no_entropy() -> None:
    def forbidden(size: int) -> bytes:
        raise AssertionError

    outbox = new(Config(entropy=forbidden))
    outbox.put_ping(ping())
    put(outbox, "x")
    outbox.finish(CLOSE)
    assert read(send(outbox), masked=False).messages == ["x"]


# When something has left


def test_a_ping_has_left_with_its_last_byte() -> None:
    outbox = new()
    put(outbox, "x")
    outbox.show()
    first, second = ping(b"1"), ping(b"22")
    outbox.put_ping(first)
    outbox.put_ping(second)
    assert marks(outbox, 3) == []
    assert marks(outbox, 2) == []
    assert marks(outbox, 1) == [first]
    assert marks(outbox, 3) == []
    assert marks(outbox, 1) == [second]


def test_several_can_leave_at_once_in_their_order() -> None:
    outbox = new()
    pings = [ping(b"1"), ping(b"2")]
    for each in pings:
        outbox.put_ping(each)
    outbox.finish(CLOSE)
    assert marks(outbox, 3 + 3 + 7) == [*pings, CLOSE_LEFT]


def test_the_close_frame_has_left_with_its_last_byte() -> None:
    outbox = new()
    put(outbox, "x")
    outbox.finish(CLOSE)
    assert marks(outbox, 3 + 6) == []
    assert marks(outbox, 1) == [CLOSE_LEFT]


# The levels


def test_sending_pauses_at_the_high_mark_and_goes_on_at_the_low_one() -> None:
    outbox = new(Config(max_send_buffer=(100, 40)))
    put(outbox, bytes(99))
    assert outbox.can_send
    put(outbox, b"1")
    assert not outbox.can_send
    outbox.show()
    # 2 + 99 and 2 + 1 bytes with their headers: 40 are left after 64.
    outbox.left(63)
    assert not outbox.can_send
    outbox.left(1)
    assert outbox.can_send
    put(outbox, bytes(59))
    assert outbox.can_send
    put(outbox, b"1")
    assert not outbox.can_send


def test_the_default_marks_are_64_and_16_kib() -> None:
    outbox = new()
    put(outbox, bytes(64 * KIB - 1))
    assert outbox.can_send
    outbox = new()
    put(outbox, bytes(64 * KIB))
    assert not outbox.can_send
    # Ten bytes are its header.
    send(outbox, 10 + 48 * KIB - 1)
    assert not outbox.can_send
    send(outbox, 1)
    assert outbox.can_send


@pytest.mark.parametrize("kind", ["ping", "pong", "handshake", "part"])
def test_everything_that_waits_counts_at_once(kind: str) -> None:
    outbox = new(Config(max_send_buffer=100))
    if kind == "ping":
        outbox.put_ping(ping(bytes(98)))
    elif kind == "pong":
        outbox.put_pong(bytes(98))
    elif kind == "handshake":
        outbox.put_raw(bytes(100))
    else:
        outbox.put_part(bytes(100), final=False)
    assert outbox.buffered == 100
    assert not outbox.can_send
    send(outbox)
    assert outbox.can_send


@pytest.mark.parametrize("in_parts", [False, True], ids=["whole", "in parts"])
def test_empty_messages_are_not_free(in_parts: bool) -> None:
    """Else a peer that sends empty messages to an echo server, and reads nothing, fills memory."""
    outbox = new(Config(max_send_buffer=1000))
    for sent in range(1000):
        assert outbox.can_send, sent
        if in_parts:
            outbox.put_part(b"", final=False)
        else:
            put(outbox, b"")
    assert not outbox.can_send
    send(outbox)
    assert outbox.buffered == 0


def test_what_compresses_well_makes_room_when_it_leaves() -> None:
    outbox = new(Config(max_send_buffer=(1000, 100)), deflate=True)
    put(outbox, bytes(1000))
    assert not outbox.can_send
    send(outbox)
    assert (outbox.can_send, outbox.buffered) == (True, 0)


# Overflow


def full(overflow: Overflow) -> Outbox:
    """Begun: "0", which is shown; waiting: "1", "2" and "3"; at the mark of 40 bytes."""
    outbox = new(Config(overflow=overflow, max_send_buffer=(40, 10)))
    put(outbox, "0".ljust(8))
    outbox.show()
    put(outbox, *(str(i).ljust(10) for i in (1, 2, 3)))
    assert outbox.buffered == 40
    assert not outbox.can_send
    return outbox


def sent_by(outbox: Outbox) -> list[str]:
    return [str(message).rstrip() for message in read(send(outbox)).messages]


def test_wait_accepts_above_the_mark_since_the_caller_waits_before() -> None:
    outbox = full(Overflow.WAIT)
    put(outbox, "4")
    assert sent_by(outbox) == ["0", "1", "2", "3", "4"]
    assert outbox.unsent == 0


@pytest.mark.parametrize("overflow", [Overflow.RAISE, Overflow.CLOSE, Overflow.REPLACE])
def test_raise_and_its_kin_refuse_and_say_by_how_much(overflow: Overflow) -> None:
    outbox = full(overflow)
    with pytest.raises(SendBufferFull) as caught:
        outbox.put("4", None, None)
    assert (caught.value.buffered, caught.value.limit) == (40, 40)
    assert sent_by(outbox) == ["0", "1", "2", "3"]
    assert outbox.unsent == 0


def test_drop_newest_says_so_and_counts() -> None:
    stats = Stats()
    outbox = Outbox(Config(overflow="drop_newest", max_send_buffer=10), stats, masked=False)
    put(outbox, "1".ljust(10))
    assert not outbox.put("2", None, None)
    assert stats.messages_dropped == 1
    assert sent_by(outbox) == ["1"]
    # It was never accepted.
    assert outbox.unsent == 0


@pytest.mark.parametrize("overflow", [Overflow.RAISE, Overflow.DROP_NEWEST])
def test_who_does_not_wait_is_refused_until_the_low_mark(overflow: Overflow) -> None:
    """As wait would have it: from the high mark down to the low one."""
    outbox = full(overflow)
    send(outbox, 29)
    assert outbox.buffered > 10
    if overflow is Overflow.RAISE:
        with pytest.raises(SendBufferFull):
            outbox.put("4", None, None)
    else:
        assert not outbox.put("4", None, None)
    send(outbox)
    assert outbox.put("4", None, None)


@pytest.mark.parametrize(
    ("size", "left"),
    [(1, ["0", "2", "3", "4"]), (10, ["0", "2", "3", "4"]), (11, ["0", "3", "4"])],
)
def test_drop_oldest_drops_only_so_many_that_the_new_one_fits(size: int, left: list[str]) -> None:
    outbox = full(Overflow.DROP_OLDEST)
    put(outbox, "4".ljust(size))
    assert outbox.buffered <= 40
    assert sent_by(outbox) == left
    assert outbox.unsent == 5 - len(left)


def test_drop_oldest_drops_nothing_that_is_begun_and_accepts_what_never_fits() -> None:
    stats = Stats()
    outbox = Outbox(Config(overflow="drop_oldest", max_send_buffer=40), stats, masked=False)
    outbox.put_part("begun ", final=False)
    put(outbox, "1", "2")
    send(outbox, 3)
    put(outbox, "3".ljust(50))
    assert stats.messages_dropped == 2
    outbox.put_part("and ended", final=True)
    put(outbox, "4")
    # A message in parts is not whole: it is never dropped, begun or not.
    outbox.put_part("not begun", final=True)
    put(outbox, "5".ljust(50))
    assert outbox.unsent > 2
    assert [data for data in sent_by_all(outbox) if "begun" in data] == [
        "begun and ended",
        "not begun",
    ]


def sent_by_all(outbox: Outbox) -> list[str]:
    """Like :func:`sent_by`, for an outbox of which the first 3 bytes have left."""
    return [str(message) for message in read(b"\x01\x06b" + send(outbox)).messages]


def test_what_is_dropped_makes_sending_possible_again() -> None:
    outbox = new(Config(overflow="drop_oldest", max_send_buffer=(40, 10)))
    put(outbox, bytes(40))
    assert not outbox.can_send
    put(outbox, b"12345")
    assert outbox.can_send


def test_replace_takes_the_place_of_the_queued_message_with_the_same_key() -> None:
    stats = Stats()
    outbox = Outbox(Config(overflow="replace"), stats, masked=False)
    for message, key in (("a", "A"), ("b", "B"), ("c", "C"), ("b2", "B"), (b"a2", "A")):
        assert outbox.put(message, None, key)
    assert outbox.buffered == 5
    assert read(send(outbox)).messages == [b"a2", "b2", "c"]
    assert stats.messages_replaced == 2
    assert outbox.unsent == 0


def test_replace_never_touches_what_is_begun() -> None:
    outbox = new(Config(overflow="replace"))
    outbox.put("old", None, "key")
    data = send(outbox, 1)
    outbox.put("new", None, "key")
    assert read(data + send(outbox)).messages == ["old", "new"]


def test_replace_goes_above_the_mark_and_back_below() -> None:
    outbox = new(Config(overflow="replace", max_send_buffer=(40, 10)))
    outbox.put(bytes(40), None, "key")
    assert not outbox.can_send
    outbox.put(bytes(50), None, "key")
    with pytest.raises(SendBufferFull):
        outbox.put(b"another", None, "another")
    assert (outbox.buffered, outbox.can_send) == (50, False)
    outbox.put(b"1", None, "key")
    assert (outbox.buffered, outbox.can_send) == (1, True)
    outbox.put(b"another", None, "another")
    assert read(send(outbox)).messages == [b"1", b"another"]


def test_what_is_replaced_grows_a_full_buffer_by_no_more_than_one_message() -> None:
    outbox = new(Config(overflow="replace", max_send_buffer=(40, 10)))
    for key in range(39):
        outbox.put(b"x", None, key)
    outbox.put(bytes(100), None, "large")
    for key in range(39):
        with pytest.raises(SendBufferFull):
            outbox.put(bytes(100), None, key)
        assert outbox.put(b"y", None, key)
    assert outbox.put(bytes(120), None, "large")
    assert outbox.buffered == 39 + 120
    assert read(send(outbox)).messages == [b"y"] * 39 + [bytes(120)]


def test_what_is_replaced_takes_everything_of_the_new_message() -> None:
    outbox = new(Config(overflow="replace"), deflate=True)
    outbox.put(bytes(100), True, "key")
    outbox.put("text " * 100, False, "key")
    outbox.put("text " * 100, True, "other")
    outbox.put(Prepared(bytes(500)), True, "other")
    found = read(send(outbox))
    assert found.messages == ["text " * 100, bytes(500)]
    # A prepared message without compression cannot be compressed.
    assert [rsv1 for _, _, rsv1, _ in found.frames] == [False, False]


@pytest.mark.parametrize("overflow", [each for each in Overflow if each is not Overflow.REPLACE])
def test_a_key_is_refused_where_nothing_is_replaced(overflow: Overflow) -> None:
    outbox = new(Config(overflow=overflow))
    with pytest.raises(ValueError, match='overflow="replace"'):
        outbox.put("a", None, "key")
    assert not outbox.want_write


@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.REPLACE])
def test_what_never_leaves_never_touches_the_compression_context(overflow: Overflow) -> None:
    """Otherwise the peer could not inflate what follows (RFC 7692 section 7.2.3.2)."""
    outbox = new(Config(overflow=overflow, max_send_buffer=2000), deflate=True)
    data = b""
    messages = [f"message {i} about the same " * 20 for i in range(50)]
    for i, message in enumerate(messages):
        outbox.put(message, None, "key" if overflow is Overflow.REPLACE else None)
        if i % 7 == 0:
            data += send(outbox)
    found = read(data + send(outbox)).messages
    assert found[-1] == messages[-1]
    assert len(found) + outbox.unsent < len(messages) + 1
    assert [message for message in messages if message in found] == found


# Pongs (RFC 6455 section 5.5.3)


@both_roles
def test_every_ping_gets_its_pong_below_four_kib_then_the_newest_replaces_the_last(
    masked: bool,
) -> None:
    stats = Stats()
    outbox = Outbox(Config(), stats, masked=masked)
    size = 64 - (6 if masked else 2)
    payloads = [bytes((i,)) * size for i in range(70)]
    for payload in payloads[:64]:
        outbox.put_pong(payload)
    assert outbox.buffered == 4 * KIB
    assert stats.pongs_coalesced == 0
    for payload in payloads[64:]:
        outbox.put_pong(payload)
    assert outbox.buffered == 4 * KIB
    assert stats.pongs_coalesced == 6
    pongs = [data for _, data in read(send(outbox), masked=masked).events]
    assert pongs == [*payloads[:63], payloads[69]]


def test_a_pong_is_kept_however_small_the_limit() -> None:
    outbox = new(Config(max_pong_buffer=0))
    outbox.put_pong(b"1")
    outbox.put_pong(b"2")
    assert read(send(outbox)).events == [(Opcode.PONG, b"2")]


def test_pongs_that_are_shown_count_no_more_for_the_limit() -> None:
    outbox = new(Config(max_pong_buffer=3))
    outbox.put_pong(b"1")
    outbox.show()
    outbox.put_pong(b"2")
    assert read(send(outbox)).events == [(Opcode.PONG, b"1"), (Opcode.PONG, b"2")]


# Messages in parts


@both_roles
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "compressed"])
def test_parts_make_up_one_message_and_each_is_a_frame(masked: bool, deflate: bool) -> None:
    """RFC 6455 section 5.4; RSV1 on the first frame only (RFC 7692 section 6)."""
    outbox = new(masked=masked, deflate=deflate)
    for part in ("one ", "two ", ""):
        outbox.put_part(part, final=False)
    outbox.put_part("three", final=True)
    outbox.put_part(b"bytes", final=True)
    put(outbox, "whole")
    found = read(send(outbox), masked=masked)
    assert found.messages == ["one two three", b"bytes", "whole"]
    assert [(opcode, fin, rsv1) for opcode, fin, rsv1, _ in found.frames] == [
        (Opcode.TEXT, False, deflate),
        (Opcode.CONTINUATION, False, False),
        (Opcode.CONTINUATION, False, False),
        (Opcode.CONTINUATION, True, False),
        (Opcode.BINARY, True, deflate),
        (Opcode.TEXT, True, False),
    ]


def test_the_parts_of_a_message_are_all_text_or_all_bytes() -> None:
    outbox = new()
    outbox.put_part("text", final=False)
    with pytest.raises(TypeError, match="type bytes in a text message"):
        outbox.put_part(b"bytes", final=True)
    outbox.put_part("text", final=True)
    outbox.put_part(b"bytes", final=False)
    with pytest.raises(TypeError, match="type str in a binary message"):
        outbox.put_part("text", final=True)
    outbox.put_part(b"bytes", final=True)
    assert read(send(outbox)).messages == ["texttext", b"bytesbytes"]


def test_other_messages_wait_for_the_last_part_and_control_frames_do_not() -> None:
    outbox = new()
    outbox.put_part("a", final=False)
    put(outbox, "other")
    data = send(outbox)
    assert read(data).unfinished
    # Nothing can be written, though something waits.
    assert not outbox.want_write
    assert outbox.buffered == 5
    outbox.put_ping(ping())
    assert outbox.want_write
    data += send(outbox)
    outbox.put_part("b", final=True)
    data += send(outbox)
    assert read(data).events == [
        (Opcode.PING, b"ping"),
        (Opcode.TEXT, "ab"),
        (Opcode.TEXT, "other"),
    ]


def test_a_message_in_parts_waits_for_the_messages_before_it() -> None:
    outbox = new()
    put(outbox, "before")
    outbox.put_part("a", final=False)
    outbox.put_part("b", final=True)
    outbox.put_part("c", final=True)
    assert read(send(outbox)).messages == ["before", "ab", "c"]


def test_messages_behind_one_in_parts_do_not_hold_up_its_next_part() -> None:
    """Else it would wait for room, and they for its end."""
    outbox = new(Config(max_send_buffer=(100, 10)))
    outbox.put_part(bytes(50), final=False)
    put(outbox, bytes(1000))
    assert outbox.can_send_part
    outbox.put_part(bytes(50), final=False)
    assert not outbox.can_send_part
    send(outbox)
    assert outbox.buffered == 1000
    assert outbox.can_send_part
    outbox.put_part(b"", final=True)
    # Now it is their turn, and they count.
    assert not outbox.can_send_part
    send(outbox)
    assert outbox.can_send_part


def test_messages_behind_one_in_parts_hold_up_other_messages() -> None:
    """Else there would be no end to what waits for the end of a message that takes long."""
    outbox = new(Config(max_send_buffer=(100, 10)))
    outbox.put_part(b"1", final=False)
    put(outbox, bytes(99))
    assert (outbox.can_send, outbox.can_send_part) == (False, True)
    outbox.put_part(b"", final=True)
    send(outbox)
    assert outbox.can_send


def test_messages_before_one_in_parts_count_for_its_level() -> None:
    outbox = new(Config(max_send_buffer=(100, 10)))
    put(outbox, bytes(99))
    outbox.put_part(b"1", final=False)
    assert not outbox.can_send


def test_what_is_replaced_behind_a_message_in_parts_stays_behind_it() -> None:
    outbox = new(Config(max_send_buffer=(100, 10), overflow="replace"))
    outbox.put_part(b"", final=False)
    outbox.put(bytes(10), None, "key")
    outbox.put(bytes(1000), None, "key")
    assert outbox.can_send_part
    send(outbox)
    assert outbox.buffered == 1000


def test_what_is_replaced_before_a_message_in_parts_counts_for_its_level() -> None:
    outbox = new(Config(max_send_buffer=(100, 10), overflow="replace"))
    outbox.put(b"1", None, "key")
    outbox.put_part(b"", final=False)
    outbox.put(bytes(1000), None, "key")
    assert not outbox.can_send


@pytest.mark.parametrize("overflow", [Overflow.RAISE, Overflow.DROP_NEWEST])
def test_who_does_not_wait_is_bounded_behind_a_message_in_parts_too(overflow: Overflow) -> None:
    stats = Stats()
    outbox = Outbox(Config(max_send_buffer=100, overflow=overflow), stats, masked=False)
    outbox.put_part(b"", final=False)
    put(outbox, bytes(99))
    # For the next part there is room, for other messages there is none.
    assert outbox.can_send_part
    if overflow is Overflow.RAISE:
        with pytest.raises(SendBufferFull):
            outbox.put(b"1", None, None)
    else:
        assert not outbox.put(b"1", None, None)
    assert outbox.buffered == 100


def test_messages_behind_an_earlier_message_in_parts_count_for_the_level_of_the_next() -> None:
    outbox = new(Config(max_send_buffer=(100, 10)))
    outbox.put_part(b"a", final=False)
    put(outbox, bytes(1000))
    outbox.put_part(b"b", final=True)
    outbox.put_part(b"c", final=False)
    assert not outbox.can_send


# The end: never half a frame, and every message accounted for


@both_roles
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("end", ["finish", "fail", "drop"])
def test_wherever_the_end_comes_there_is_no_half_frame_and_no_message_unaccounted(
    end: str, deflate: bool, masked: bool
) -> None:
    def start() -> Outbox:
        outbox = new(masked=masked, deflate=deflate)
        outbox.put_ping(ping())
        put(outbox, "first", NOISE[:70], "a" * 70)
        outbox.put_part("second", final=False)
        outbox.put_part("", final=True)
        put(outbox, "third")
        return outbox

    for size in range(len(send(start())) + 1):
        outbox = start()
        data = send(outbox, size)
        if end == "drop":
            outbox.drop()
        else:
            getattr(outbox, end)(CLOSE)
            data += send(outbox)
        found = read(data, masked=masked)
        assert len(found.messages) + outbox.unsent == 5
        assert outbox.buffered == 0
        assert not outbox.want_write
        if end == "finish":
            assert outbox.lost == outbox.unsent == 0
        if end != "drop":
            assert not found.half
            assert found.events[-1] == (Opcode.CLOSE, CLOSE)


@both_roles
@pytest.mark.parametrize("size", [0, 1, 13, 14, 70_000, 200_000, 300_009, 300_010])
@pytest.mark.parametrize("end", ["finish", "fail"])
def test_a_large_message_that_is_begun_leaves_whole(end: str, size: int, masked: bool) -> None:
    outbox = new(masked=masked)
    put(outbox, NOISE, "next")
    data = send(outbox, size)
    # Once shown, it is begun; and what follows it in the chunk is shown with it.
    outbox.show()
    getattr(outbox, end)(CLOSE)
    found = read(data + send(outbox), masked=masked)
    assert not found.half
    assert found.messages[0] == NOISE
    assert found.events[-1] == (Opcode.CLOSE, CLOSE)
    assert len(found.messages) + outbox.unsent == 2


def test_a_message_counts_as_unsent_until_its_last_byte_has_left() -> None:
    outbox = new()
    put(outbox, NOISE)
    assert outbox.unsent == 1
    send(outbox, 100_000)
    assert outbox.unsent == 1
    send(outbox, len(NOISE) + 10 - 100_001)
    assert outbox.unsent == 1
    send(outbox, 1)
    assert outbox.unsent == 0


def test_a_message_in_parts_counts_as_unsent_once_until_its_last_byte_has_left() -> None:
    outbox = new()
    for final in (False, True):
        outbox.put_part(NOISE, final=final)
        assert outbox.unsent == 1
    send(outbox, 2 * (len(NOISE) + 10) - 1)
    assert outbox.unsent == 1
    send(outbox, 1)
    assert outbox.unsent == 0


@both_roles
def test_a_close_frame_goes_between_the_parts_of_a_message_that_cannot_end(masked: bool) -> None:
    """RFC 6455 section 5.4: control frames may; other messages may not, so they are unsent."""
    outbox = new(masked=masked)
    put(outbox, "before")
    outbox.put_part("a", final=False)
    put(outbox, "behind", "behind too")
    outbox.finish(CLOSE)
    assert outbox.want_write
    found = read(send(outbox), masked=masked)
    assert found.events == [(Opcode.TEXT, "before"), (Opcode.CLOSE, CLOSE)]
    assert found.unfinished
    assert outbox.unsent == outbox.lost == 3
    assert outbox.buffered == 0


def test_parts_already_put_leave_before_the_close_frame() -> None:
    outbox = new()
    outbox.put_part("a", final=False)
    outbox.put_part("b", final=False)
    outbox.finish(CLOSE)
    assert len(read(send(outbox)).frames) == 3
    assert outbox.unsent == 1


def test_failing_drops_a_message_in_parts_of_which_a_frame_is_begun() -> None:
    outbox = new()
    outbox.put_part(NOISE, final=False)
    outbox.put_part(b"more", final=False)
    data = send(outbox, 100)
    outbox.fail(CLOSE)
    found = read(data + send(outbox))
    assert [(opcode, size) for opcode, _, _, size in found.frames] == [
        (Opcode.BINARY, len(NOISE)),
        (Opcode.CLOSE, len(CLOSE)),
    ]
    assert outbox.unsent == 1


def test_failing_keeps_pings_and_pongs() -> None:
    outbox = new()
    put(outbox, "x")
    outbox.put_ping(ping())
    outbox.put_pong(b"pong")
    outbox.fail(CLOSE)
    assert [opcode for opcode, _ in read(send(outbox)).events] == [
        Opcode.PING,
        Opcode.PONG,
        Opcode.CLOSE,
    ]


def test_what_is_dropped_is_never_shown() -> None:
    outbox = new(Config(overflow="replace"))
    outbox.put_raw(b"GET")
    outbox.put("keyed", None, "key")
    outbox.put_part(NOISE, final=False)
    outbox.put_pong(b"")
    outbox.show()
    outbox.put_ping(ping())
    outbox.finish(CLOSE)
    outbox.drop()
    assert outbox.show() == ()
    assert not outbox.want_write
    assert outbox.buffered == 0
    assert outbox.lost == outbox.unsent == 2
    outbox.drop()
    assert outbox.lost == 2


# Compression (RFC 7692)


@pytest.mark.parametrize(
    ("message", "compress", "expected"),
    [
        (bytes(63), None, False),
        (bytes(64), None, True),
        ("€" * 22, None, True),
        (bytes(63), True, True),
        (b"", True, True),
        (bytes(64), False, False),
    ],
)
def test_a_message_is_compressed_from_the_threshold_on_unless_told(
    message: str | bytes, compress: bool | None, expected: bool
) -> None:
    outbox = new(deflate=True)
    outbox.put(message, compress, None)
    found = read(send(outbox))
    assert found.messages == [message]
    assert [rsv1 for _, _, rsv1, _ in found.frames] == [expected]


def test_nothing_is_compressed_unless_that_was_agreed_on() -> None:
    outbox = new()
    outbox.put(bytes(1000), True, None)
    put(outbox, Prepared(bytes(1000), compression=Deflate()))
    outbox.put_part(bytes(1000), final=True)
    assert [rsv1 for _, _, rsv1, _ in read(send(outbox)).frames] == [False] * 3


# Prepared messages


def test_a_prepared_message_is_encoded_once_for_all_servers() -> None:
    prepared = Prepared("x" * 1000)
    frames = []
    for _ in range(3):
        outbox = new()
        put(outbox, prepared)
        frames.append(outbox.show()[0])
    assert read(bytes(frames[0])).messages == ["x" * 1000]
    assert frames[0] is frames[1] is frames[2]
    assert len(prepared) == 1000


def test_a_prepared_message_is_compressed_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = []
    compress = Deflater.compress

    def counted(self: Deflater, data: bytes) -> bytes:
        compressed.append(len(data))
        return compress(self, data)

    monkeypatch.setattr(Deflater, "compress", counted)
    prepared = Prepared(NOISE[:1000] * 200, compression=Deflate())
    for masked in (False, True, False):
        outbox = new(masked=masked, deflate=True)
        put(outbox, prepared)
        found = read(send(outbox), masked=masked)
        assert found.messages == [NOISE[:1000] * 200]
        assert found.frames[0][2]
    assert compressed == [200_000]


def test_each_client_masks_its_own_copy_of_a_prepared_message() -> None:
    prepared = Prepared(b"x" * 1000)
    entropy = keys()
    sent = []
    for _ in range(2):
        outbox = new(Config(entropy=entropy), masked=True)
        put(outbox, prepared)
        sent.append(send(outbox))
    assert [read(data, masked=True).messages for data in sent] == [[b"x" * 1000]] * 2
    assert sent[0] != sent[1]


@pytest.mark.parametrize("kind", [str, bytes, bytearray, memoryview])
def test_anything_that_is_a_message_can_be_prepared(kind: type) -> None:
    message = "x" if kind is str else kind(b"x")
    outbox = new()
    put(outbox, Prepared(message))
    assert read(send(outbox)).messages == ["x" if kind is str else b"x"]


def test_what_is_no_message_cannot_be_prepared() -> None:
    with pytest.raises(TypeError, match="not int"):
        Prepared(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bits", "window", "fits"), [(12, 15, True), (12, 12, True), (13, 12, False), (15, 9, False)]
)
def test_a_prepared_message_goes_compressed_only_where_its_window_fits(
    bits: int, window: int, fits: bool
) -> None:
    """RFC 7692 section 7.1.2.1: the peer keeps no more than it agreed to."""
    outbox = Outbox(Config(), Stats(), masked=False)
    outbox.use_deflate(Deflater(window, False, DEFLATE), window, DEFLATE.threshold)
    put(outbox, Prepared(b"x" * 5000, compression=Deflate(server_max_window_bits=bits)))
    found = read(send(outbox))
    assert found.messages == [b"x" * 5000]
    assert found.frames[0][2] == fits


@pytest.mark.parametrize(
    ("compress", "size", "expected"),
    [(None, 99, False), (None, 100, True), (True, 99, True), (False, 100, False)],
)
def test_a_prepared_message_has_its_own_threshold(
    compress: bool | None, size: int, expected: bool
) -> None:
    outbox = new(deflate=True)
    outbox.put(Prepared(bytes(size), compression=Deflate(threshold=100)), compress, None)
    found = read(send(outbox))
    assert found.messages == [bytes(size)]
    assert found.frames[0][2] == expected


def test_after_a_compressed_prepared_message_the_compressor_starts_afresh() -> None:
    """The peer's window holds the prepared message, and our compressor knows nothing of it."""
    outbox = new(deflate=True)
    lines = [f"a line that comes again and again, number {i} " * 5 for i in range(4)]
    prepared = Prepared("something else altogether " * 20, compression=DEFLATE)
    data = b""
    for line in lines:
        put(outbox, line)
        data += send(outbox)
        put(outbox, prepared)
        data += send(outbox)
    put(outbox, *lines)
    found = read(data + send(outbox))
    assert all(rsv1 for _, _, rsv1, _ in found.frames)
    assert found.messages == [
        *itertools.chain(*((line, "something else altogether " * 20) for line in lines)),
        *lines,
    ]


def test_a_prepared_message_that_goes_plain_leaves_the_compressor_alone() -> None:
    outbox = new(deflate=True)
    line = random.Random(1).randbytes(500)
    put(outbox, line, Prepared(line), line)
    found = read(send(outbox))
    assert found.messages == [line] * 3
    # The third refers to the first.
    assert found.frames[2][3] < 30


# Everything at once


class AnythingGoes(RuleBasedStateMachine):
    """What is written decodes to exactly what was accepted and not dropped, in order.

    The model is the list of what was accepted. What failing and drop_oldest drop depends on what
    is begun, which nobody outside can see: what is not dropped arrives in order, and the counts
    add up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.masked = False
        self.overflow = Overflow.WAIT
        self.stats = Stats()
        self.outbox = Outbox(Config(), self.stats, masked=False)
        self.started = False
        self.ended = ""
        self.data = b""
        self.accepted: list[str | bytes] = []
        self.parts: list[str] = []
        self.in_parts = False
        self.place = 0
        self.keyed: dict[str, int] = {}
        self.numbers = itertools.count()
        self.pings: list[Ping] = []
        self.gone: list[Ping | str] = []
        self.pongs: list[bytes] = []

    @precondition(lambda self: not self.started)
    @rule(
        masked=st.booleans(),
        deflate=st.booleans(),
        overflow=st.sampled_from(
            [Overflow.WAIT, Overflow.DROP_NEWEST, Overflow.DROP_OLDEST, Overflow.REPLACE]
        ),
    )
    def start(self, masked: bool, deflate: bool, overflow: Overflow) -> None:
        self.started, self.masked, self.overflow = True, masked, overflow
        config = Config(overflow=overflow, max_send_buffer=(300, 100), entropy=keys())
        self.outbox = Outbox(config, self.stats, masked=masked)
        if deflate:
            self.outbox.use_deflate(Deflater(15, False, DEFLATE), 15, DEFLATE.threshold)

    def unlike_others(self) -> str:
        """The beginning of a message."""
        return f"{next(self.numbers)}:"

    running = precondition(lambda self: self.started and not self.ended)

    @running
    @rule(size=st.sampled_from([0, 1, 5, 63, 64, 130, 400, 70_000]), prepared=st.booleans())
    def put(self, size: int, prepared: bool) -> None:
        message = self.unlike_others().encode() + NOISE[:size]
        sent = Prepared(message, compression=Deflate(threshold=10)) if prepared else message
        try:
            accepted = self.outbox.put(sent, None, None)
        except SendBufferFull:
            assert self.overflow is Overflow.REPLACE
            accepted = False
        if accepted:
            self.accepted.append(message)

    @precondition(
        lambda self: self.started and not self.ended and self.overflow is Overflow.REPLACE
    )
    @rule(key=st.sampled_from("ab"), size=st.integers(0, 200))
    def put_keyed(self, key: str, size: int) -> None:
        before = self.stats.messages_replaced
        message = self.unlike_others() + "x" * size
        try:
            assert self.outbox.put(message, None, key)
        except SendBufferFull:
            return
        if self.stats.messages_replaced > before:
            self.accepted[self.keyed[key]] = message
        else:
            self.keyed[key] = len(self.accepted)
            self.accepted.append(message)

    @running
    @rule(size=st.integers(0, 300), final=st.booleans())
    def put_part(self, size: int, final: bool) -> None:
        if not self.in_parts:
            self.in_parts = True
            self.place = len(self.accepted)
            self.accepted.append("")
            self.parts = [self.unlike_others()]
            self.outbox.put_part(self.parts[0], final=False)
        self.parts.append("p" * size)
        self.outbox.put_part(self.parts[-1], final=final)
        self.accepted[self.place] = "".join(self.parts)
        self.in_parts = not final

    @running
    @rule(size=st.integers(0, 124))
    def ping(self, size: int) -> None:
        self.pings.append(ping(bytes((len(self.pings) % 256,)) * (size + 1)))
        self.outbox.put_ping(self.pings[-1])

    @running
    @rule(size=st.integers(0, 125))
    def pong(self, size: int) -> None:
        self.pongs.append(bytes(size))
        self.outbox.put_pong(self.pongs[-1])

    @precondition(lambda self: self.started)
    @rule(share=st.floats(0, 1))
    def leave(self, share: float) -> None:
        want_write = self.outbox.want_write
        shown = show(self.outbox)
        assert bool(shown) == want_write
        assert len(shown) <= MAX_CHUNK
        size = int(len(shown) * share)
        self.gone += self.outbox.left(size)
        self.data += shown[:size]

    @running
    @rule(end=st.sampled_from(["finish", "fail", "drop"]))
    def end(self, end: str) -> None:
        self.ended = end
        if end == "drop":
            self.outbox.drop()
        else:
            getattr(self.outbox, end)(CLOSE)

    @invariant()
    def levels_hold(self) -> None:
        assert self.outbox.buffered >= 0
        if self.outbox.buffered == 0:
            assert self.outbox.can_send or self.ended

    def teardown(self) -> None:
        if self.in_parts and not self.ended:
            self.outbox.put_part("", final=True)
            self.in_parts = False
        while shown := show(self.outbox):
            self.gone += self.outbox.left(len(shown))
            self.data += shown
        found = read(self.data, masked=self.masked)
        arrived = found.messages
        accepted = [message for message in self.accepted if message in arrived]
        assert arrived == accepted
        assert len(arrived) + self.outbox.unsent == len(self.accepted)
        if self.ended in ("", "finish") and self.overflow is not Overflow.DROP_OLDEST:
            cut = self.place if self.in_parts else len(self.accepted)
            assert arrived == self.accepted[:cut]
        assert self.outbox.buffered == 0
        pongs = [data for opcode, data in found.events if opcode is Opcode.PONG]
        if self.ended != "drop":
            assert not found.half
            assert len(pongs) == len(self.pongs) - self.stats.pongs_coalesced
            assert self.gone == [*self.pings, *([CLOSE_LEFT] if self.ended else [])]
            closes = [data for opcode, data in found.events if opcode is Opcode.CLOSE]
            assert closes == ([CLOSE] if self.ended else [])
            assert self.stats.frames_sent == len(found.frames)
        assert self.stats.bytes_sent == len(self.data)


TestAnythingGoes = AnythingGoes.TestCase
