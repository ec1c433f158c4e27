"""Received messages: their order, the bounds of the queue, UTF-8, parts, and what is lost."""

from __future__ import annotations

import codecs
import itertools
import math
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore._close import Cause, CloseFrame, Failure, encode_close
from wscore._config import Config, Deflate
from wscore._deflate import Deflater, Inflater
from wscore._frames import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RSV1, TEXT, Frame, encode
from wscore._inbox import Inbox, Message, Part
from wscore._stats import Stats

KIB = 1024
MIB = 1024 * KIB

RESERVED = FIN | 0x3
"""A frame with an opcode that means nothing: the plainest violation (RFC 6455 section 5.2)."""

EOF = Failure(Cause.EOF, "the stream ended")


def new(config: Config | None = None, *, inflater: Inflater | None = None) -> Inbox:
    """The inbox of a client, whose peer does not mask."""
    return Inbox(config or Config(), Stats(), masked=False, inflater=inflater)


def inflating(config: Config | None = None) -> Inbox:
    return new(config, inflater=Inflater(15, no_context_takeover=False))


def frame(head: int, payload: bytes | str = b"") -> bytes:
    return encode(head, payload.encode() if isinstance(payload, str) else payload, None)


def text(payload: str = "") -> bytes:
    return frame(FIN | TEXT, payload)


def binary(size: int) -> bytes:
    return frame(FIN | BINARY, bytes(size))


def close(code: int = 1000) -> bytes:
    return frame(FIN | CLOSE, encode_close(CloseFrame(code, "")))


def receive(inbox: Inbox, *pieces: bytes) -> list[Frame]:
    """Let each piece come by itself; returns the control frames."""
    controls = []
    for piece in pieces:
        inbox.feed(piece)
        controls += inbox.advance()
    return controls


def take_all(inbox: Inbox) -> list[Message]:
    messages = []
    while (message := inbox.take()) is not None:
        messages.append(message)
        inbox.advance()
    return messages


def take_parts(inbox: Inbox) -> list[Part]:
    parts = []
    while (part := inbox.take_part()) is not None:
        parts.append(part)
        inbox.advance()
    return parts


def cause(inbox: Inbox) -> Cause | None:
    return None if inbox.end is None else inbox.end.cause


def bytes_of(data: bytes) -> Iterable[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


def grown(action: Callable[[], object]) -> tuple[int, int]:
    """Bytes of memory that an action leaves behind, and that it took at its peak."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = action()
        after, peak = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return after - before, peak - before


# Messages


def test_messages_are_taken_in_their_order() -> None:
    inbox = new()
    assert not inbox.queue
    receive(inbox, text("a") + frame(FIN | BINARY, b"b") + text("") + frame(FIN | BINARY))
    assert inbox.queue
    assert take_all(inbox) == ["a", b"b", "", b""]
    assert inbox.take() is None


def test_a_message_in_fragments_is_one_message() -> None:
    """RFC 6455 section 5.4."""
    inbox = new()
    receive(inbox, frame(TEXT, "a") + frame(CONTINUATION, "b") + frame(FIN, "c"))
    receive(inbox, frame(BINARY, b"d"), frame(CONTINUATION), frame(FIN, b"e"))
    assert take_all(inbox) == ["abc", b"de"]


def test_control_frames_between_fragments_are_handed_out_and_do_not_disturb() -> None:
    """RFC 6455 section 5.4."""
    inbox = new()
    controls = receive(
        inbox,
        frame(TEXT, "a") + frame(FIN | PING, "1") + frame(CONTINUATION, "b"),
        frame(FIN | PONG, "2") + frame(FIN, "c"),
    )
    assert controls == [(FIN | PING, b"1", 0), (FIN | PONG, b"2", 0)]
    assert take_all(inbox) == ["abc"]


STREAM = (
    text("straße")
    + frame(FIN | PING, "1")
    + frame(TEXT, "€".encode()[:2])
    + frame(CONTINUATION)
    + frame(FIN | PONG, "2")
    + frame(FIN, "€".encode()[2:] + b"\xf0\x9f\x98\x80")
    + frame(FIN | BINARY, bytes(range(200)))
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_slicing_gives_the_same_messages(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    inbox = new()
    controls = receive(inbox, *(STREAM[i:j] for i, j in itertools.pairwise(at)))
    assert [payload for _, payload, _ in controls] == [b"1", b"2"]
    assert take_all(inbox) == ["straße", "€😀", bytes(range(200))]
    assert (inbox.end, inbox.lost) == (None, 0)


def test_it_is_known_whether_the_peer_has_a_message_to_complete() -> None:
    """What message_timeout goes by."""
    inbox = new()
    assert not inbox.in_message
    receive(inbox, frame(FIN | BINARY, b"abc")[:-1])
    assert inbox.in_message
    receive(inbox, b"c")
    assert not inbox.in_message
    receive(inbox, frame(TEXT))
    assert inbox.in_message
    assert inbox.begun == 2


# The bounds of the queue


def test_a_message_is_begun_only_below_the_high_mark() -> None:
    inbox = new(Config(max_queue=(3, 3)))
    receive(inbox, b"".join(text(str(i)) for i in range(10)))
    assert inbox.full
    assert inbox.blocked
    # One taken, one begun.
    for i in range(10):
        assert inbox.take() == str(i)
        inbox.advance()
        assert inbox.full == (i < 7)
    assert inbox.take() is None


@pytest.mark.parametrize("high", [1, 2, 3])
def test_the_message_that_is_arriving_has_its_place_in_the_queue(high: int) -> None:
    inbox = new(Config(max_queue=(high, 0)))
    receive(inbox, frame(TEXT, "a"), frame(FIN, "b") + text() * 5)
    for _ in range(high):
        assert inbox.take() is not None
    assert inbox.take() is None


def test_a_message_that_is_discarded_takes_no_place_in_the_queue() -> None:
    inbox = new(Config(max_queue=(1, 0)))
    receive(inbox, frame(TEXT, "a"))
    inbox.take_part()
    inbox.discard_rest()
    receive(inbox, frame(FIN, "b") + text("c") + text("d"))
    assert (inbox.take(), inbox.take()) == ("c", None)


def test_a_full_queue_is_filled_again_only_from_its_low_mark() -> None:
    inbox = new(Config(max_queue=(4, 1)))
    receive(inbox, b"".join(text(str(i)) for i in range(10)))
    took = []
    for _ in range(10):
        full = inbox.full
        inbox.take()
        took.append((full, inbox.full))
        inbox.advance()
    still, again = (True, True), (True, False)
    assert took == [*[still, still, again] * 2, *[still, still, again], (False, False)]


def test_the_low_mark_is_a_quarter_of_the_high_one() -> None:
    inbox = new()
    receive(inbox, text() * 20)
    while inbox.full:
        inbox.take()
    assert len(take_all(inbox)) == 4 + (20 - 16)


def test_bytes_are_bounded_like_messages() -> None:
    inbox = new(Config(max_queue_bytes=100))
    receive(inbox, binary(99))
    assert not inbox.full
    receive(inbox, binary(1))
    assert inbox.full
    inbox.take()
    # 1 byte is left, not more than the low mark of 25.
    assert not inbox.full
    receive(inbox, binary(24), binary(50), binary(50), binary(7))
    took = [inbox.full]
    while (message := inbox.take()) is not None:
        took.append(inbox.full)
        assert isinstance(message, bytes)
    # Queued: 1, 24, 50, 50; taken down to 100, 50, then 0.
    assert took == [True, True, True, True, False]


def test_what_is_queued_leaves_the_less_room_for_what_comes() -> None:
    inbox = new(Config(max_queue_bytes=100))
    receive(inbox, binary(60), binary(50) * 2)
    sizes = []
    while (message := inbox.take()) is not None:
        sizes.append(len(message))
    assert sizes == [60, 50]


def test_text_counts_by_its_bytes() -> None:
    """Not by its characters: "€" has three bytes of UTF-8."""
    inbox = new(Config(max_queue_bytes=9))
    receive(inbox, text("€€"))
    assert not inbox.full
    receive(inbox, frame(TEXT, "€".encode()[:1]), frame(FIN, "€".encode()[1:]))
    assert inbox.full


def test_a_message_larger_than_what_is_left_still_gets_in() -> None:
    config = Config(max_queue_bytes=100, max_message_size=1000)
    inbox = new(config)
    receive(inbox, binary(99) + binary(1000) + binary(1))
    assert [len(message) for message in take_all(inbox)] == [99, 1000, 1]


@pytest.mark.parametrize("compressed", [False, True])
@given(
    sizes=st.lists(st.one_of(st.integers(0, 9), st.integers(0, 300)), max_size=30),
    step=st.integers(1, 4000),
)
def test_the_queue_never_holds_its_bound_and_a_message_more(
    compressed: bool, sizes: list[int], step: int
) -> None:
    """ARCHITECTURE, "receive queue": less than max_queue_bytes + max_message_size."""
    config = Config(max_queue=5, max_queue_bytes=200, max_message_size=300)
    stats = Stats()
    inbox = Inbox(config, stats, masked=False, inflater=Inflater(15, no_context_takeover=False))
    deflater = Deflater(15, False, Deflate())
    if compressed:
        data = b"".join(frame(FIN | RSV1 | BINARY, deflater.compress(bytes(n))) for n in sizes)
    else:
        data = b"".join(binary(size) for size in sizes)
    taken = []
    for at in range(0, len(data), step):
        receive(inbox, data[at : at + step])
        if (message := inbox.take()) is not None:
            taken.append(message)
            inbox.advance()
    taken += take_all(inbox)
    assert taken == [bytes(size) for size in sizes]
    assert stats.queue_high_water <= 5
    assert stats.queue_bytes_high_water < 200 + 300


def test_infinite_marks_are_never_reached() -> None:
    inbox = new(Config(max_queue=math.inf, max_queue_bytes=math.inf))
    receive(inbox, binary(KIB) * 2000)
    assert not inbox.full
    assert len(take_all(inbox)) == 2000


# Reading on behind a full queue


def test_behind_a_full_queue_control_frames_are_found_and_data_is_not_begun() -> None:
    inbox = new(Config(max_queue=1))
    controls = receive(inbox, text("a") + text("b") + frame(FIN | PING, "1"))
    controls += receive(inbox, frame(FIN | PING, "2"))
    assert [payload for _, payload, _ in controls] == [b"1", b"2"]
    assert take_all(inbox) == ["a", "b"]


def test_reading_rests_once_the_look_ahead_is_full() -> None:
    inbox = new(Config(max_queue=1, control_look_ahead=100, read_size=1024))
    receive(inbox, text("a"))
    assert inbox.want_read == 1024
    receive(inbox, binary(97))
    assert inbox.want_read == 1024 - 99
    receive(inbox, binary(0)[:1])
    assert inbox.want_read == 0
    inbox.take()
    inbox.advance()
    # The binary message fits; the one behind it has not come whole.
    assert inbox.want_read == 1024 - 1


def test_raw_bytes_are_never_more_than_one_read_and_never_negative() -> None:
    inbox = new(Config(max_queue=1, control_look_ahead=math.inf, read_size=1024))
    receive(inbox, text("a"), binary(1000))
    assert inbox.want_read == 1024 - 1004
    receive(inbox, binary(16))
    assert inbox.want_read == 2
    # More than was asked for is held all the same.
    receive(inbox, binary(500))
    assert inbox.want_read == 0
    assert [len(message) for message in take_all(inbox)] == [1, 1000, 16, 500]


@pytest.mark.parametrize("cut", [1, 2, 7, 1000])
def test_without_looking_ahead_nothing_behind_a_full_queue_counts(cut: int) -> None:
    """However it was sliced, and whatever one read brought along."""
    inbox = new(Config(max_queue=1, control_look_ahead=0))
    data = text("a") + frame(FIN | PING, "1") + frame(TEXT, "b") + frame(FIN | PING, "2")
    data += frame(FIN | CONTINUATION, "c") + frame(FIN | PING, "3")
    controls = receive(inbox, *(data[i : i + cut] for i in range(0, len(data), cut)))
    assert (controls, inbox.want_read) == ([], 0)
    assert inbox.take() == "a"
    # A message that has begun has its place; what is between its frames is in order.
    assert [payload for _, payload, _ in inbox.advance()] == [b"1", b"2"]
    assert inbox.want_read == 0
    assert inbox.take() == "bc"
    assert [payload for _, payload, _ in inbox.advance()] == [b"3"]
    assert inbox.want_read > 0


# UTF-8 (RFC 6455 section 8.1, RFC 3629)

CHARACTERS = ["\0", "\x7f", "\x80", "߿", "ࠀ", "퟿", "\ue000", "\uffff", "𐀀", "\U0010ffff", "\ufeff"]
"""Where the numbers of bytes change, the gap of the surrogates, and a byte order mark."""

NOT_UTF8 = {
    "a continuation byte alone": "80",
    "two of them": "bf bf",
    "the first of two bytes before another character": "c3 28",
    "the first of three bytes twice": "e2 e2",
    "an overlong slash in two bytes": "c0 af",
    "an overlong DEL": "c1 bf",
    "an overlong slash in three bytes": "e0 80 af",
    "an overlong U+07FF": "e0 9f bf",
    "an overlong slash in four bytes": "f0 80 80 af",
    "an overlong U+FFFF": "f0 8f bf bf",
    "the first surrogate": "ed a0 80",
    "the last surrogate": "ed bf bf",
    "a pair of surrogates": "ed a0 80 ed b0 80",
    "above U+10FFFF": "f4 90 80 80",
    "the first byte of five": "f8 88 80 80 80",
    "the first byte of six": "fc 84 80 80 80 80",
    "the byte FE": "fe",
    "the byte FF": "ff",
}


def splits(payload: bytes) -> list[list[bytes]]:
    """A text message whole, in two fragments cut anywhere, and a byte at a time."""
    whole = frame(FIN | TEXT, payload)
    cuts = range(len(payload) + 1)
    in_two = [[frame(TEXT, payload[:at]), frame(FIN, payload[at:])] for at in cuts]
    return [[whole], *in_two, list(bytes_of(whole))]


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_every_character_arrives_however_it_is_cut(character: str) -> None:
    for stream in splits(f"a{character}b{character}".encode()):
        inbox = new()
        receive(inbox, *stream)
        assert take_all(inbox) == [f"a{character}b{character}"]


@pytest.mark.parametrize("sequence", NOT_UTF8.values(), ids=NOT_UTF8)
def test_what_is_not_utf_8_is_refused_however_it_is_cut(sequence: str) -> None:
    """RFC 3629 section 3 and 4."""
    for stream in splits(b"a" + bytes.fromhex(sequence) + b"b"):
        inbox = new()
        receive(inbox, *stream)
        assert cause(inbox) is Cause.INVALID_DATA
        assert take_all(inbox) == []
        assert inbox.lost == 1


@pytest.mark.parametrize("character", [c for c in CHARACTERS if ord(c) > 127], ids=ascii)
def test_a_message_that_ends_inside_a_character_is_refused(character: str) -> None:
    for stream in splits(character.encode()[:-1]):
        inbox = new()
        receive(inbox, *stream)
        assert cause(inbox) is Cause.INVALID_DATA


@pytest.mark.parametrize("sequence", NOT_UTF8.values(), ids=NOT_UTF8)
def test_text_is_refused_at_the_byte_that_makes_it_wrong(sequence: str) -> None:
    """Autobahn 6.4: fail fast, in the middle of a frame; a surrogate once its bytes are whole."""
    payload = bytes.fromhex(sequence) + b"....."
    wrong = next(n for n in range(len(payload)) if not begins_text(payload[:n]))
    if sequence.startswith("ed"):
        assert wrong == 2
        wrong = 3
    data = frame(TEXT, payload)
    inbox = new()
    at_header = len(data) - len(payload)
    receive(inbox, *bytes_of(data[: at_header + wrong - 1]))
    assert inbox.end is None
    receive(inbox, data[at_header + wrong - 1 :][:1])
    assert cause(inbox) is Cause.INVALID_DATA


def begins_text(data: bytes) -> bool:
    """Whether more bytes could make it text, as Python's own decoder sees it."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


@given(st.binary(max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_any_bytes_are_text_exactly_if_they_decode(payload: bytes, i: int, j: int) -> None:
    first, second = sorted((i, j))
    inbox = new()
    receive(
        inbox,
        frame(TEXT, payload[:first])
        + frame(CONTINUATION, payload[first:second])
        + frame(FIN, payload[second:]),
    )
    try:
        expected = [payload.decode()]
    except UnicodeDecodeError:
        assert cause(inbox) is Cause.INVALID_DATA
    else:
        assert take_all(inbox) == expected


def test_binary_messages_need_not_be_text() -> None:
    inbox = new()
    receive(inbox, frame(BINARY, b"\xff"), frame(FIN, b"\xfe"))
    assert take_all(inbox) == [b"\xff\xfe"]


# Fragments


def test_fragments_leave_no_object_behind() -> None:
    """SECURITY 14: 100,000 empty fragments, in reads of the usual size."""
    inbox = new()
    receive(inbox, frame(TEXT, "a"))
    read = frame(CONTINUATION) * 10_000

    def flood() -> None:
        for _ in range(10):
            receive(inbox, read)

    left, peak = grown(flood)
    # The interpreter keeps a stock of 2,000 tuples; 100,000 objects would be 5 MiB.
    assert left < 256 * KIB
    # One read's frames at a time.
    assert peak < 2 * MIB
    receive(inbox, frame(FIN, "b"))
    assert take_all(inbox) == ["ab"]


def test_small_fragments_take_no_more_memory_than_the_message() -> None:
    inbox = new()
    receive(inbox, frame(BINARY))
    read = frame(CONTINUATION, b"12345678") * 1000

    def flood() -> None:
        for _ in range(20):
            receive(inbox, read)

    left, _ = grown(flood)
    # Among it the interpreter's stock of tuples.
    assert left < 2 * 8 * 20_000 + 128 * KIB


def test_the_memory_of_a_large_message_is_given_back_once_it_is_taken() -> None:
    inbox = new()

    def pass_one() -> None:
        receive(inbox, frame(BINARY, bytes(MIB // 2)), frame(FIN, bytes(MIB // 2)))
        inbox.take()

    left, _ = grown(pass_one)
    assert left < 8 * KIB


def test_many_fragments_of_text_are_judged_in_linear_time() -> None:
    """Each byte is looked at once: 1 MiB of text in 64-byte fragments, and not 8 GiB."""
    inbox = new()
    read = frame(CONTINUATION, "€uro" * 10) * 1000
    receive(inbox, frame(TEXT), *[read] * 17)
    receive(inbox, frame(FIN))
    assert take_all(inbox) == ["€uro" * 170_000]


# Limits and violations


def test_a_message_of_exactly_the_limit_is_accepted() -> None:
    inbox = new(Config(max_message_size=6))
    receive(inbox, text("€€"), frame(TEXT, "€"), frame(FIN, "€"))
    assert take_all(inbox) == ["€€", "€€"]
    assert inbox.end is None


@pytest.mark.parametrize(
    "stream",
    [
        frame(FIN | BINARY, bytes(7)),
        frame(FIN | BINARY, bytes(7))[:2],
        frame(BINARY, bytes(6)) + frame(CONTINUATION, b"1"),
        text("€€!"),
    ],
    ids=["whole", "its header alone", "by its fragments", "in bytes, not characters"],
)
def test_a_message_over_the_limit_is_refused(stream: bytes) -> None:
    inbox = new(Config(max_message_size=6))
    receive(inbox, stream)
    assert cause(inbox) is Cause.TOO_BIG
    assert take_all(inbox) == []
    assert inbox.lost == 1


VIOLATIONS = {
    "reserved opcode": (frame(RESERVED), Cause.PROTOCOL_ERROR),
    "RSV1 without compression": (frame(FIN | RSV1 | TEXT), Cause.PROTOCOL_ERROR),
    "continuation of nothing": (frame(FIN | CONTINUATION), Cause.PROTOCOL_ERROR),
    "message inside a message": (frame(TEXT) + text(), Cause.PROTOCOL_ERROR),
    "not UTF-8": (frame(FIN | TEXT, b"\xff"), Cause.INVALID_DATA),
    "fragments not UTF-8": (frame(TEXT, b"\xff"), Cause.INVALID_DATA),
    "too big": (binary(MIB + 1)[:10], Cause.TOO_BIG),
}


@pytest.mark.parametrize(("violation", "expected"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_comes_behind_the_messages_before_it(
    violation: bytes, expected: Cause
) -> None:
    inbox = new()
    controls = receive(inbox, text("a") + text("b") + violation + frame(FIN | PING) + text("c"))
    # Nothing behind it is processed.
    assert controls == []
    assert cause(inbox) is expected
    assert inbox.waiting
    assert take_all(inbox) == ["a", "b"]
    assert not inbox.waiting


@pytest.mark.parametrize(("violation", "expected"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_behind_a_full_queue_is_found_when_it_is_its_turn(
    violation: bytes, expected: Cause
) -> None:
    inbox = new(Config(max_queue=(1, 0)))
    receive(inbox, text("a") + text("b") + violation)
    assert inbox.end is None
    assert take_all(inbox) == ["a", "b"]
    assert cause(inbox) is expected


@pytest.mark.parametrize(("violation", "expected"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_comes_before_an_end_of_stream_that_was_seen_earlier(
    violation: bytes, expected: Cause
) -> None:
    """The order of the stream counts, not how much of it the queue happened to take."""
    inbox = new(Config(max_queue=(1, 0)))
    receive(inbox, text("a") + text("b") + violation)
    inbox.end = EOF
    assert take_all(inbox) == ["a", "b"]
    assert cause(inbox) is expected


def test_the_first_violation_is_the_end() -> None:
    inbox = new()
    receive(inbox, frame(FIN | TEXT, b"\xff") + frame(RESERVED))
    first = inbox.end
    receive(inbox, frame(RESERVED))
    assert inbox.end is first


def test_an_invalid_close_frame_is_an_end_like_any_other() -> None:
    inbox = new()
    assert receive(inbox, text("a") + frame(TEXT, "b") + close(1006)) == []
    assert inbox.end == Failure(Cause.PROTOCOL_ERROR, "Close frame with code 1006")
    assert take_all(inbox) == ["a"]
    assert inbox.lost == 1


# The peer's Close frame after the end


@pytest.mark.parametrize("together", [False, True], ids=["separately", "in one read"])
@pytest.mark.parametrize(
    "violation",
    [frame(RESERVED), frame(FIN | TEXT, b"\xff"), frame(TEXT, b"\xff"), binary(101), close(0)],
    ids=["reserved opcode", "not UTF-8", "a fragment not UTF-8", "too big", "invalid Close"],
)
def test_the_peers_close_frame_is_found_behind_a_violation(
    violation: bytes, together: bool
) -> None:
    """Else a failed connection waits for it until close_timeout."""
    inbox = new(Config(max_message_size=100))
    pieces = [violation, text("x"), close(1001)]
    receive(inbox, *([b"".join(pieces)] if together else pieces))
    assert inbox.end is not None
    assert inbox.close == CloseFrame(1001, "")


@pytest.mark.parametrize("together", [False, True], ids=["separately", "in one read"])
def test_an_invalid_close_frame_behind_a_violation_is_none(together: bool) -> None:
    inbox = new()
    pieces = [frame(FIN | TEXT, b"\xff"), close(1006)]
    receive(inbox, *([b"".join(pieces)] if together else pieces))
    assert inbox.end is not None
    assert inbox.close is None


@pytest.mark.parametrize("cut", range(len(text("abc") + close())))
def test_the_peers_close_frame_is_found_after_the_last_message_is_taken_in(cut: int) -> None:
    inbox = new()
    data = text("abc") + close()
    receive(inbox, data[:cut])
    assert inbox.close is None
    inbox.finish()
    receive(inbox, data[cut:])
    assert inbox.close == CloseFrame(1000, "")
    # Begun before: taken, or unread since it never ended; begun after: unread.
    assert len(take_all(inbox)) + inbox.lost == 1


# What is lost

LATER = text("x") + frame(BINARY, b"y") + frame(FIN, b"z")
"""Two messages."""


@pytest.mark.parametrize("together", [False, True], ids=["separately", "in one read"])
@pytest.mark.parametrize(
    ("violation", "begun"),
    [
        (frame(RESERVED), 0),
        (frame(FIN | CONTINUATION), 0),
        (frame(FIN | TEXT, b"\xff"), 1),
        (frame(TEXT, b"a") + frame(FIN, b"\xff"), 1),
        (frame(TEXT) + frame(FIN | TEXT), 2),
        (frame(FIN | BINARY, bytes(101)), 1),
        (frame(BINARY, bytes(100)) + frame(FIN, b"1"), 1),
    ],
)
def test_after_a_violation_every_message_that_began_is_lost(
    violation: bytes, begun: int, together: bool
) -> None:
    inbox = new(Config(max_message_size=100))
    pieces = [text("a"), violation, LATER]
    receive(inbox, *([b"".join(pieces)] if together else pieces))
    assert inbox.end is not None
    assert inbox.lost == begun + 2
    assert take_all(inbox) == ["a"]
    assert inbox.lost == begun + 2


def test_a_drop_loses_what_is_queued_arriving_and_to_come() -> None:
    inbox = new(Config(max_queue=2))
    receive(inbox, text() * 2 + text() * 3 + frame(FIN | BINARY, b"123")[:-1])
    inbox.drop(keep_queue=False)
    assert inbox.lost == 2 + 3 + 1
    receive(inbox, b"3" + LATER + close())
    assert inbox.lost == 6 + 2
    assert inbox.close == CloseFrame(1000, "")
    assert take_all(inbox) == []
    assert not inbox.waiting


def test_a_drop_can_keep_what_is_queued() -> None:
    inbox = new(Config(max_queue=2))
    receive(inbox, text("a") + text("b") + text("c") + frame(TEXT, "d"))
    inbox.drop(keep_queue=True)
    assert inbox.lost == 2
    receive(inbox, frame(FIN, "d") + LATER)
    assert take_all(inbox) == ["a", "b"]
    assert inbox.lost == 2 + 2


def test_a_message_that_is_arriving_is_lost_with_a_drop() -> None:
    inbox = new()
    receive(inbox, frame(TEXT, "a"))
    inbox.drop(keep_queue=True)
    receive(inbox, frame(FIN, "b") + LATER)
    assert inbox.lost == 1 + 2


def test_what_came_before_the_end_can_be_taken_be_it_queued_or_not_yet_begun() -> None:
    inbox = new(Config(max_queue=2))
    receive(inbox, text("a") + text("b") + text("c") + text("d") + frame(TEXT, "e"))
    inbox.finish()
    receive(inbox, frame(FIN, "e") + LATER)
    assert take_all(inbox) == ["a", "b", "c", "d"]
    # The one that ended too late, and the two after it.
    assert inbox.lost == 1 + 2
    assert inbox.end is None


@pytest.mark.parametrize(
    ("violation", "begun"),
    [(frame(RESERVED), 0), (frame(FIN | TEXT, b"\xff"), 1), (frame(FIN | BINARY, bytes(101)), 1)],
)
def test_a_violation_found_after_the_end_only_counts(violation: bytes, begun: int) -> None:
    inbox = new(Config(max_queue=(1, 0), max_message_size=100))
    receive(inbox, text("a") + text("b") + violation + LATER)
    inbox.finish()
    receive(inbox, LATER)
    assert take_all(inbox) == ["a", "b"]
    assert inbox.end is None
    assert inbox.lost == begun + 2 + 2


@pytest.mark.parametrize(
    ("violation", "begun"),
    [(frame(RESERVED), 0), (frame(FIN | TEXT, b"\xff"), 1), (frame(FIN | BINARY, bytes(101)), 1)],
)
def test_a_violation_behind_an_end_of_stream_counts_what_it_loses(
    violation: bytes, begun: int
) -> None:
    inbox = new(Config(max_queue=(1, 0), max_message_size=100))
    receive(inbox, text("a") + violation + LATER)
    inbox.end = EOF
    inbox.finish()
    assert take_all(inbox) == ["a"]
    assert inbox.end is EOF
    assert inbox.lost == begun + 2


def test_a_drop_after_the_end_loses_what_is_queued_and_what_is_not_begun() -> None:
    inbox = new(Config(max_queue=1))
    receive(inbox, text() + LATER)
    inbox.finish()
    receive(inbox, LATER)
    inbox.drop(keep_queue=False)
    assert inbox.lost == 1 + 2 + 2
    inbox.drop(keep_queue=False)
    inbox.finish()
    assert inbox.lost == 5


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    cut=st.integers(0, 300),
    taken=st.integers(0, 6),
    end=st.sampled_from(["drop", "keep", "finish", "violation"]),
)
def test_every_message_that_began_is_taken_or_counted_as_lost(
    sizes: list[int], cut: int, taken: int, end: str
) -> None:
    """Nothing is lost silently, wherever the end comes."""
    inbox = new(Config(max_queue=3, max_queue_bytes=60))
    frames = [frame(FIN | BINARY, bytes(size)) for size in sizes]
    data = b"".join(frames)
    receive(inbox, data[:cut])
    got = 0
    for _ in range(taken):
        got += inbox.take() is not None
        inbox.advance()
    if end == "finish":
        inbox.finish()
    elif end != "violation":
        inbox.drop(keep_queue=end == "keep")
    receive(inbox, data[cut:])
    if end == "violation":
        receive(inbox, frame(RESERVED))
    got += len(take_all(inbox))
    assert got + inbox.lost == len(sizes)


# Parts


def test_parts_come_as_they_arrive_and_the_last_is_final() -> None:
    inbox = new()
    assert inbox.take_part() is None
    receive(inbox, frame(BINARY, b"abc")[:-1])
    assert inbox.part_ready
    assert inbox.take_part() == Part(b"ab", final=False)
    assert inbox.streaming
    assert inbox.take_part() is None
    receive(inbox, b"c" + frame(CONTINUATION, b"d"))
    assert inbox.take_part() == Part(b"cd", final=False)
    receive(inbox, frame(FIN, b"e") + text("next"))
    assert inbox.take_part() == Part(b"e", final=True)
    assert not inbox.streaming
    assert inbox.take() == "next"


def test_a_message_that_is_there_already_is_one_final_part() -> None:
    inbox = new()
    receive(inbox, text("a") + text("b"))
    assert inbox.take_part() == Part("a", final=True)
    assert inbox.take() == "b"
    assert not inbox.part_ready


def test_the_last_part_may_be_empty() -> None:
    inbox = new()
    receive(inbox, frame(TEXT, "a"))
    inbox.take_part()
    receive(inbox, frame(FIN))
    assert inbox.take_part() == Part("", final=True)


def test_text_is_cut_between_characters() -> None:
    """A part is whole characters, however the bytes come."""
    inbox = new()
    payload = "aß€😀" * 3
    parts = []
    for byte in bytes_of(frame(TEXT, payload) + frame(FIN)):
        receive(inbox, byte)
        parts += take_parts(inbox)
    assert [part.data for part in parts] == [*payload, ""]
    assert [part.final for part in parts] == [False] * 12 + [True]


@given(st.text(max_size=30), st.integers(1, 7), st.booleans())
def test_the_parts_of_a_message_make_up_the_message(data: str, size: int, binary: bool) -> None:
    payload = data.encode()
    inbox = new(Config(max_queue_bytes=4))
    stream = frame(BINARY if binary else TEXT, payload[:9]) + frame(FIN, payload[9:])
    parts: list[Part] = []
    for at in range(0, len(stream), size):
        receive(inbox, stream[at : at + size])
        parts += take_parts(inbox)
    whole = b"".join(p.data.encode() if isinstance(p.data, str) else p.data for p in parts)
    assert whole == payload
    assert all(isinstance(part.data, bytes if binary else str) for part in parts)
    assert [part.final for part in parts] == [False] * (len(parts) - 1) + [True]


def test_fragments_are_kept_apart_if_asked_for() -> None:
    inbox = new(Config(keep_fragments=True))
    receive(inbox, frame(TEXT, "ab")[:-1])
    assert not inbox.part_ready
    assert inbox.take_part() is None
    receive(inbox, b"b" + frame(CONTINUATION) + frame(CONTINUATION, "c")[:-1])
    assert [part.data for part in take_parts(inbox)] == ["ab", ""]
    receive(inbox, b"c" + frame(CONTINUATION, "d") + frame(FIN) + text("next"))
    assert [part.data for part in take_parts(inbox)] == ["c", "d", "", "next"]


def test_fragments_that_were_kept_apart_make_up_the_message() -> None:
    inbox = new(Config(keep_fragments=True))
    for head, whole in ((TEXT, "ab"), (BINARY, b"ab")):
        receive(inbox, frame(head, "a") + frame(FIN, "b"))
        assert inbox.take() == whole


def test_the_rest_of_a_message_in_fragments_may_be_discarded() -> None:
    inbox = new(Config(keep_fragments=True))
    message = frame(TEXT, "a") + frame(CONTINUATION, "b") + frame(FIN, "c")
    receive(inbox, message)
    assert inbox.take_part() == Part("a", final=False)
    assert inbox.streaming
    inbox.discard_rest()
    receive(inbox, message[:-3])
    assert inbox.take_part() == Part("a", final=False)
    inbox.discard_rest()
    assert not inbox.part_ready
    receive(inbox, message[-3:] + text("next"))
    assert inbox.take_part() == Part("next", final=True)
    assert inbox.lost == 0


def test_fragments_that_are_taken_make_room() -> None:
    inbox = new(Config(keep_fragments=True, max_queue_bytes=4))
    receive(inbox, frame(TEXT, "é") + frame(FIN, "é") + text("next"))
    assert inbox.full
    assert inbox.take_part() == Part("é", final=False)
    assert inbox.take_part() == Part("é", final=True)
    assert not inbox.full
    inbox.advance()
    assert take_all(inbox) == ["next"]


def test_a_fragment_that_is_too_large_for_the_pace_comes_as_it_arrives() -> None:
    inbox = new(Config(keep_fragments=True, max_queue_bytes=4))
    receive(inbox, frame(BINARY, b"a") + frame(FIN, b"bcdefgh")[:-2])
    assert inbox.take_part() == Part(b"a", final=False)
    assert inbox.take_part() == Part(b"bcdef", final=False)
    receive(inbox, b"gh")
    assert inbox.take_part() == Part(b"gh", final=True)


@given(st.data(), st.booleans(), st.booleans())
def test_the_parts_are_the_fragments(data: st.DataObject, binary: bool, compressed: bool) -> None:
    payload = data.draw(st.text(max_size=12)).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(payload)), max_size=5)))
    fragments = [payload[i:j] for i, j in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    deflater = Deflater(15, False, Deflate())
    head = (BINARY if binary else TEXT) | (RSV1 if compressed else 0)
    stream = b""
    for i, fragment in enumerate(fragments):
        last = i == len(fragments) - 1
        sent = deflater.compress_part(fragment, final=last) if compressed else fragment
        stream += frame((head if i == 0 else 0) | (FIN if last else 0), sent)
    config = Config(keep_fragments=True, max_queue_bytes=math.inf)
    inbox = inflating(config) if compressed else new(config)
    size = data.draw(st.integers(1, len(stream)))
    parts: list[Part] = []
    for at in range(0, len(stream), size):
        receive(inbox, stream[at : at + size])
        if data.draw(st.booleans()):
            parts += take_parts(inbox)
    parts += take_parts(inbox)
    decoder = codecs.getincrementaldecoder("utf-8")()
    expected = fragments if binary else [decoder.decode(fragment) for fragment in fragments]
    assert [part.data for part in parts] == expected
    assert [part.final for part in parts] == [False] * (len(parts) - 1) + [True]


def test_who_takes_slowly_sets_the_pace() -> None:
    inbox = new(Config(max_queue_bytes=100, max_message_size=math.inf))
    receive(inbox, frame(BINARY, bytes(99)))
    inbox.take_part()
    receive(inbox, frame(CONTINUATION, bytes(99)))
    assert not inbox.blocked
    receive(inbox, frame(CONTINUATION, b"1"))
    assert inbox.blocked
    # Still looked through for control frames; not decoded.
    assert receive(inbox, frame(FIN, b"2") + frame(FIN | PING)) == [(FIN | PING, b"", 0)]
    assert not inbox.in_message
    assert inbox.take_part() == Part(bytes(99) + b"1", final=False)
    inbox.advance()
    assert inbox.take_part() == Part(b"2", final=True)


def test_a_stream_without_end_takes_bounded_memory() -> None:
    """max_message_size=inf: what is held is the queue's bytes and what was read at once."""
    config = Config(max_message_size=math.inf, max_queue_bytes=64 * KIB, max_fragments=math.inf)
    inbox = new(config)
    receive(inbox, frame(BINARY, b"1"))
    inbox.take_part()
    read = frame(CONTINUATION, bytes(64 * KIB))
    fed = 0

    def stream() -> None:
        nonlocal fed
        for _ in range(500):
            while inbox.want_read:
                receive(inbox, read)
                fed += 64 * KIB
            inbox.take_part()
            inbox.advance()

    _, peak = grown(stream)
    assert inbox.end is None
    assert fed > 30 * MIB
    assert peak < 2 * MIB


def test_a_pace_finer_than_a_character_does_not_stop_the_stream() -> None:
    """Bytes of an incomplete character cannot be taken, so they must not be waited for."""
    inbox = new(Config(max_queue_bytes=1))
    parts = []
    for byte in bytes_of(frame(TEXT, "€") + frame(CONTINUATION, "😀") + frame(FIN, "x")):
        receive(inbox, byte)
        parts += take_parts(inbox)
    assert "".join(str(part.data) for part in parts) == "€😀x"


def test_the_limit_counts_the_parts_already_taken() -> None:
    inbox = new(Config(max_message_size=10))
    receive(inbox, frame(BINARY, bytes(8)))
    inbox.take_part()
    receive(inbox, frame(CONTINUATION, bytes(2)))
    inbox.take_part()
    receive(inbox, frame(CONTINUATION, b"1"))
    assert cause(inbox) is Cause.TOO_BIG
    assert inbox.lost == 1


def test_the_limit_counts_the_parts_already_taken_of_a_compressed_message() -> None:
    inbox = inflating(Config(max_message_size=10))
    deflater = Deflater(15, False, Deflate())
    receive(inbox, frame(RSV1 | BINARY, deflater.compress_part(bytes(8), final=False)))
    assert inbox.take_part() == Part(bytes(8), final=False)
    receive(inbox, frame(CONTINUATION, deflater.compress_part(bytes(2), final=False)))
    assert inbox.take_part() == Part(bytes(2), final=False)
    receive(inbox, frame(CONTINUATION, deflater.compress_part(b"1", final=False)))
    assert cause(inbox) is Cause.TOO_BIG


@pytest.mark.parametrize("violation", [frame(RESERVED), frame(CONTINUATION, b"\xff")])
def test_a_message_that_breaks_off_is_not_taken_in_parts_any_more(violation: bytes) -> None:
    """Else nobody could ask for the next message and learn that there is none."""
    inbox = new()
    receive(inbox, frame(TEXT, "a"))
    inbox.take_part()
    receive(inbox, violation)
    assert inbox.end is not None
    assert not inbox.streaming
    assert inbox.take_part() is None
    inbox.discard_rest()
    assert inbox.lost == 1


def test_a_violation_behind_a_slow_taker_answers_no_ping_that_follows() -> None:
    inbox = new(Config(max_queue_bytes=4))
    receive(inbox, frame(BINARY, b"a"))
    inbox.take_part()
    # The message inside a message looks well to who only looks ahead.
    controls = receive(inbox, frame(CONTINUATION, bytes(8)) + binary(1) + frame(FIN | PING))
    assert controls == []
    assert cause(inbox) is Cause.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("head", "rest", "lost"), [(CONTINUATION, None, 1), (FIN, Part("bc", final=True), 0)]
)
def test_a_drop_keeps_the_rest_of_a_message_taken_in_parts_only_if_it_is_whole(
    head: int, rest: Part | None, lost: int
) -> None:
    inbox = new()
    receive(inbox, frame(TEXT, "a"))
    inbox.take_part()
    receive(inbox, frame(head, "bc"))
    inbox.drop(keep_queue=True)
    assert inbox.streaming == (rest is not None)
    assert inbox.take_part() == rest
    assert inbox.lost == lost


def test_a_drop_loses_the_rest_of_a_message_taken_in_parts() -> None:
    inbox = new()
    receive(inbox, frame(TEXT, "a"))
    inbox.take_part()
    receive(inbox, frame(FIN, "b"))
    inbox.drop(keep_queue=False)
    assert not inbox.streaming
    assert inbox.take_part() is None
    assert inbox.lost == 1


def test_a_message_that_never_ends_is_lost_though_parts_of_it_were_taken() -> None:
    inbox = new()
    receive(inbox, frame(TEXT, "ab"))
    inbox.take_part()
    receive(inbox, frame(CONTINUATION, "cd"))
    inbox.finish()
    # What there is of it can still be had.
    assert inbox.take_part() == Part("cd", final=False)
    assert inbox.lost == 1


def test_what_a_slow_taker_has_before_him_is_not_lost_yet() -> None:
    inbox = new(Config(max_queue_bytes=2))
    receive(inbox, frame(BINARY, b"a"))
    inbox.take_part()
    receive(inbox, frame(CONTINUATION, b"bc"), frame(FIN, b"d"))
    assert inbox.blocked
    inbox.finish()
    assert inbox.lost == 0
    assert take_parts(inbox) == [Part(b"bc", final=False), Part(b"d", final=True)]
    assert inbox.lost == 0


# Discarding the rest


def streaming(*, compressed: bool = False) -> tuple[Inbox, bytes, bytes]:
    """An inbox whose first message is being taken in parts; more of that; its end, and another."""
    inbox = inflating(Config(max_queue_bytes=100))
    texts = [b"a", "b€".encode() * 100, "c€".encode()]
    if compressed:
        deflater = Deflater(15, False, Deflate())
        pieces = [deflater.compress_part(each, final=each is texts[-1]) for each in texts]
        behind = frame(FIN | RSV1 | TEXT, deflater.compress(b"next"))
    else:
        pieces, behind = texts, text("next")
    receive(inbox, frame((RSV1 if compressed else 0) | TEXT, pieces[0]))
    assert inbox.take_part() == Part("a", final=False)
    return inbox, frame(CONTINUATION, pieces[1]), frame(FIN, pieces[2]) + behind


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("phase", ["before more", "amid more", "after more", "at its end"])
def test_the_rest_of_a_message_can_be_discarded_in_any_phase(phase: str, compressed: bool) -> None:
    inbox, more, end = streaming(compressed=compressed)
    cuts = {"before more": 0, "amid more": 5, "after more": len(more)}
    stream = more + end
    cut = cuts.get(phase, len(stream))
    receive(inbox, stream[:cut])
    assert bool(inbox.queue) == (phase == "at its end")
    assert inbox.streaming
    inbox.discard_rest()
    assert not inbox.streaming
    inbox.advance()
    receive(inbox, stream[cut:])
    assert take_all(inbox) == ["next"]
    assert not inbox.streaming
    assert (inbox.lost, inbox.end) == (0, None)


def test_the_rest_can_be_discarded_inside_of_a_character() -> None:
    inbox, _, _ = streaming()
    receive(inbox, frame(CONTINUATION, "€".encode()[:2]))
    inbox.discard_rest()
    assert inbox.take_part() is None
    receive(inbox, frame(FIN, "€".encode()[2:]) + text("next"))
    assert take_all(inbox) == ["next"]


def test_discarding_gives_memory_back_at_once() -> None:
    def discard() -> Inbox:
        inbox = new()
        receive(inbox, frame(BINARY, b"1"))
        inbox.take_part()
        receive(inbox, frame(CONTINUATION, bytes(MIB // 2))[:-1], b"2")
        inbox.discard_rest()
        return inbox

    left, _ = grown(discard)
    assert left < 64 * KIB


def test_what_is_discarded_takes_no_memory() -> None:
    inbox, more, end = streaming()
    inbox.discard_rest()

    def flood() -> None:
        for _ in range(1000):
            receive(inbox, more)

    left, _ = grown(flood)
    assert left < KIB
    receive(inbox, end)
    assert take_all(inbox) == ["next"]


@pytest.mark.parametrize(
    ("rest", "expected"), [(b"\xff", Cause.INVALID_DATA), (bytes(MIB), Cause.TOO_BIG)]
)
def test_what_is_discarded_must_be_text_and_within_the_limit_all_the_same(
    rest: bytes, expected: Cause
) -> None:
    inbox, _, _ = streaming()
    inbox.discard_rest()
    receive(inbox, frame(CONTINUATION, rest))
    assert cause(inbox) is expected


def test_discarding_unblocks() -> None:
    inbox, more, end = streaming()
    receive(inbox, more, more)
    assert inbox.blocked
    inbox.discard_rest()
    assert not inbox.blocked
    inbox.advance()
    receive(inbox, end)
    assert take_all(inbox) == ["next"]


def test_discarding_without_a_message_in_parts_is_harmless() -> None:
    inbox = new()
    inbox.discard_rest()
    receive(inbox, text("a"))
    inbox.discard_rest()
    assert take_all(inbox) == ["a"]


@pytest.mark.parametrize("end", [Inbox.finish, lambda inbox: inbox.drop(keep_queue=False)])
def test_a_discarded_message_is_never_counted_as_lost(end: Callable[[Inbox], None]) -> None:
    """Nobody wanted it."""
    inbox, more, _ = streaming()
    receive(inbox, more)
    inbox.discard_rest()
    inbox.advance()
    end(inbox)
    assert inbox.lost == 0


# Compressed messages (RFC 7692)


def compressed(*messages: str | bytes) -> bytes:
    deflater = Deflater(15, False, Deflate())
    data = b""
    for message in messages:
        opcode, payload = (
            (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        )
        data += frame(FIN | RSV1 | opcode, deflater.compress(payload))
    return data


def test_compressed_messages_share_their_context_and_mix_with_plain_ones() -> None:
    inbox = inflating()
    receive(inbox, compressed("one two three", "one two three four", b"one") + text("plain"))
    assert take_all(inbox) == ["one two three", "one two three four", b"one", "plain"]


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_a_compressed_message_may_be_cut_anywhere(size: int) -> None:
    inbox = inflating()
    data = compressed("€uro " * 100, "", "€uro " * 50)
    receive(inbox, *(data[at : at + size] for at in range(0, len(data), size)))
    assert take_all(inbox) == ["€uro " * 100, "", "€uro " * 50]


def test_fragments_of_a_compressed_message_may_hold_control_frames() -> None:
    inbox = inflating()
    payload = Deflater(15, False, Deflate()).compress(b"abcdef" * 10)
    controls = receive(
        inbox,
        frame(RSV1 | BINARY, payload[:4]) + frame(FIN | PING, "1") + frame(FIN, payload[4:]),
    )
    assert controls == [(FIN | PING, b"1", 0)]
    assert take_all(inbox) == [b"abcdef" * 10]


def test_a_bomb_costs_no_more_than_the_limit_allows() -> None:
    """SECURITY 16: ten megabytes of zeros in ten kilobytes, with a limit of one."""
    inbox = inflating(Config(max_message_size=MIB))
    bomb = frame(FIN | RSV1 | BINARY, Deflater(15, False, Deflate()).compress(bytes(10_000_000)))
    assert len(bomb) < 50_000
    _, peak = grown(lambda: receive(inbox, bomb))
    assert cause(inbox) is Cause.TOO_BIG
    assert inbox.end is not None
    assert "1048576 bytes" in inbox.end.text
    assert inbox.lost == 1
    assert peak < 4 * MIB


def test_a_compressed_message_of_exactly_the_limit_is_accepted() -> None:
    inbox = inflating(Config(max_message_size=1000))
    receive(inbox, compressed(bytes(1000)))
    assert (take_all(inbox), inbox.end) == ([bytes(1000)], None)
    receive(inbox, compressed(bytes(1001)))
    assert cause(inbox) is Cause.TOO_BIG


def test_the_queue_counts_what_was_inflated() -> None:
    inbox = inflating(Config(max_queue_bytes=1500))
    receive(inbox, compressed(bytes(1000), bytes(1000), bytes(1000)))
    assert inbox.full
    assert inbox.take() == bytes(1000)
    assert inbox.take() == bytes(1000)
    assert inbox.take() is None


GOOD = zlib.compress(random.Random(1).randbytes(100), wbits=-15)


@pytest.mark.parametrize(
    "payload",
    [b"\x06", GOOD[:-20], GOOD + b"\x00" + b"trailing", b"\xff" * 20],
    ids=["a reserved block type", "truncated", "trailing", "noise"],
)
def test_corrupt_data_is_refused(payload: bytes) -> None:
    """SECURITY 17: never short data."""
    inbox = inflating()
    receive(inbox, compressed("good") + frame(FIN | RSV1 | BINARY, payload) + text("later"))
    assert cause(inbox) is Cause.INVALID_DATA
    assert take_all(inbox) == ["good"]
    assert inbox.lost == 2


def test_compressed_text_must_be_utf_8_at_once() -> None:
    """SECURITY 11: inside compressed text too."""
    inbox = inflating()
    part = Deflater(15, False, Deflate()).compress_part(b"abc\xff", final=False)
    receive(inbox, frame(RSV1 | TEXT, part))
    assert cause(inbox) is Cause.INVALID_DATA


def test_compressed_text_must_end_with_a_whole_character() -> None:
    inbox = inflating()
    payload = Deflater(15, False, Deflate()).compress("€".encode()[:2])
    receive(inbox, frame(FIN | RSV1 | TEXT, payload))
    assert cause(inbox) is Cause.INVALID_DATA


@pytest.mark.parametrize("head", [RSV1 | CONTINUATION, FIN | RSV1 | CONTINUATION])
def test_only_the_first_frame_says_that_a_message_is_compressed(head: int) -> None:
    """RFC 7692 section 6."""
    inbox = inflating()
    receive(inbox, frame(RSV1 | BINARY) + frame(head))
    assert cause(inbox) is Cause.PROTOCOL_ERROR


# What hostile bytes can do


@given(st.lists(st.binary(max_size=40), max_size=10), st.booleans(), st.booleans())
def test_no_bytes_raise_and_the_inbox_never_blocks_itself(
    pieces: list[bytes], deflate: bool, in_parts: bool
) -> None:
    """Any bytes, in any slicing: once everything is taken, reading goes on."""
    inbox = inflating(Config(max_queue=2)) if deflate else new(Config(max_queue=2))
    for piece in pieces:
        receive(inbox, piece)
        take_parts(inbox) if in_parts else take_all(inbox)
        assert not inbox.blocked
        assert inbox.want_read > 0
