"""Frames (RFC 6455 section 5): encoder, decoder, look-ahead, skimmer; wsproto as an oracle."""

from __future__ import annotations

import codecs
import itertools
import math
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from wscore._close import FAILURES, Cause, CloseFrame, Failure, decode_close
from wscore._form import LANDS
from wscore._frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MAX_HEADER,
    OPCODE,
    PING,
    PONG,
    RSV1,
    TEXT,
    Decoder,
    Frame,
    Skimmer,
    encode,
    header,
    mask,
    rotate,
)

INF = math.inf
MIB = 1 << 20
KEY = bytes.fromhex("37fa213d")
NOISE = random.Random(6455).randbytes(70_000)

Written = tuple[int, bytes]
"""A whole frame: the first byte of its header, and its payload."""

Turn = tuple[float, float] | None
"""What is done between two feeds: decode with these budgets, or look ahead."""

ALL: Turn = (INF, INF)
NONE: Turn = (0, 0)


def make_decoder(
    *,
    masked: bool = False,
    compressed: bool = False,
    max_message_size: float = INF,
    max_fragment_size: float = INF,
    max_fragments: float = INF,
) -> Decoder:
    return Decoder(
        masked=masked,
        compressed=compressed,
        max_message_size=max_message_size,
        max_fragment_size=max_fragment_size,
        max_fragments=max_fragments,
    )


def wire(*frames: Written, key: bytes | None = None) -> bytes:
    return b"".join(encode(head, payload, key) for head, payload in frames)


def drain(decoder: Decoder) -> list[Frame]:
    """All that can be decoded, without any budget."""
    frames: list[Frame] = []
    while more := decoder.decode(INF, INF):
        frames += more
    return frames


def play(decoder: Decoder, pieces: Iterable[bytes], turns: Sequence[Turn] = (ALL,)) -> list[Frame]:
    """Feed the pieces, one turn behind each, then drain."""
    frames: list[Frame] = []
    for piece, turn in zip(pieces, itertools.cycle(turns), strict=False):
        decoder.feed(piece)
        frames += decoder.look_ahead() if turn is None else decoder.decode(*turn)
    return frames + drain(decoder)


def decode(data: bytes, *, masked: bool = False, compressed: bool = False) -> list[Frame]:
    """All frames of valid data."""
    decoder = make_decoder(masked=masked, compressed=compressed)
    frames = play(decoder, [data])
    assert decoder.failure is None
    return frames


def data_frames(frames: Iterable[Frame]) -> list[Written]:
    """The data frames in order, their pieces put together."""
    whole: list[Written] = []
    rest = 0
    for head, payload, to_come in frames:
        if head & 0x08:
            continue
        if rest:
            assert head & OPCODE == CONTINUATION
            assert to_come == rest - len(payload)
            first, so_far = whole.pop()
            whole.append((first, so_far + payload))
        else:
            whole.append((head, payload))
        rest = to_come
    return whole


def controls(frames: Iterable[Frame]) -> list[Written]:
    return [(head, payload) for head, payload, _ in frames if head & 0x08]


def begun(frames: Iterable[Frame]) -> int:
    return sum(head & OPCODE in (TEXT, BINARY) for head, _, _ in frames)


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The data in pieces of these sizes, over and over."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


def every_cut(data: bytes) -> Iterator[list[bytes]]:
    """The data in two pieces, in every way; then byte by byte."""
    for at in range(len(data) + 1):
        yield [data[:at], data[at:]]
    yield [data[i : i + 1] for i in range(len(data))]


def failure_of(data: bytes, *, masked: bool = False, compressed: bool = False) -> Failure:
    decoder = make_decoder(masked=masked, compressed=compressed)
    play(decoder, [data])
    assert decoder.failure is not None
    return decoder.failure


KEYS = st.none() | st.binary(min_size=4, max_size=4)
SIZES = st.lists(st.sampled_from([1, 2, 3, 5, 14, 60, 127, 1000]), min_size=1, max_size=6)
TURNS = st.lists(
    st.sampled_from([ALL, NONE, None, (1, INF), (1, 1), (2, 100), (INF, 1)]),
    min_size=1,
    max_size=6,
)
PAYLOADS = st.binary(max_size=6) | st.sampled_from([125, 126, 127, 701]).map(lambda n: NOISE[:n])
CONTROLS = st.tuples(st.sampled_from([FIN | PING, FIN | PONG]), st.binary(max_size=8))
GOOD_CLOSE: Written = (FIN | CLOSE, b"\x03\xe8bye")
BAD_CLOSE: Written = (FIN | CLOSE, b"\x03")


@st.composite
def streams(draw: st.DrawFn, *, compressed: bool = False) -> list[Written]:
    """Any messages in any fragments, with control frames in any place."""
    stream: list[Written] = draw(st.lists(CONTROLS, max_size=1))
    for _ in range(draw(st.integers(0, 4))):
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        if compressed and draw(st.booleans()):
            opcode |= RSV1
        payloads = draw(st.lists(PAYLOADS, min_size=1, max_size=4))
        for i, payload in enumerate(payloads):
            fin = FIN if i == len(payloads) - 1 else 0
            stream.append((fin | (CONTINUATION if i else opcode), payload))
            stream += draw(st.lists(CONTROLS, max_size=2))
    return stream


# 5.1  Overview: which side masks


@pytest.mark.parametrize("head", [FIN | BINARY, FIN | PING, FIN | CLOSE])
def test_a_frame_from_the_client_that_is_not_masked_is_a_protocol_error(head: int) -> None:
    """RFC 6455 section 5.1."""
    expected = (Cause.PROTOCOL_ERROR, "a frame from the client is not masked")
    assert failure_of(wire((head, b"")), masked=True) == expected


@pytest.mark.parametrize("head", [FIN | BINARY, FIN | PING, FIN | CLOSE])
def test_a_frame_from_the_server_that_is_masked_is_a_protocol_error(head: int) -> None:
    """RFC 6455 section 5.1."""
    expected = (Cause.PROTOCOL_ERROR, "a frame from the server is masked")
    assert failure_of(wire((head, b""), key=KEY), masked=False) == expected


def test_the_direction_of_masking_is_judged_from_two_bytes() -> None:
    """RFC 6455 section 5.1: whatever the length and the key would have been."""
    assert failure_of(bytes([FIN | BINARY, 127]), masked=True).cause is Cause.PROTOCOL_ERROR
    assert failure_of(bytes([FIN | BINARY, 0xFF])).cause is Cause.PROTOCOL_ERROR


# 5.2  Base framing protocol: the header


def is_legal(head: int, *, compressed: bool) -> bool:
    """Whether a frame that begins like this may begin a stream or continue a message."""
    fin, rsv1, rsv23, opcode = head & 0x80, head & 0x40, head & 0x30, head & 0x0F
    if rsv23 or opcode not in {0, 1, 2, 8, 9, 10}:
        return False
    if opcode >= 8:
        return bool(fin) and not rsv1
    return not rsv1 or (compressed and opcode in {1, 2})


@pytest.mark.parametrize("compressed", [False, True])
def test_exactly_the_defined_opcodes_and_bits_are_accepted(compressed: bool) -> None:
    """RFC 6455 sections 5.2 and 5.5, RFC 7692 section 6: all 256 first bytes."""
    for head in range(256):
        decoder = make_decoder(compressed=compressed)
        if head & OPCODE == CONTINUATION:
            decoder.feed(wire((BINARY, b"begun")))
        decoder.feed(wire((head, b"")))
        frames = drain(decoder)
        if is_legal(head, compressed=compressed):
            assert decoder.failure is None, hex(head)
            assert frames[-1] == (head, b"", 0)
        else:
            assert decoder.failure is not None, hex(head)
            assert decoder.failure.cause is Cause.PROTOCOL_ERROR
            assert (head, b"", 0) not in frames


@pytest.mark.parametrize(
    ("head", "compressed", "text"),
    [
        (FIN | 0x3, False, "a frame with the reserved opcode 0x3"),
        (FIN | 0xF, True, "a frame with the reserved opcode 0xf"),
        (FIN | RSV1 | TEXT, False, "a frame with a reserved bit that no extension gave a meaning"),
        (FIN | 0x20 | TEXT, True, "a frame with a reserved bit that no extension gave a meaning"),
        (FIN | RSV1 | PING, True, "a frame with a reserved bit that no extension gave a meaning"),
        (PING, False, "a fragmented control frame"),
    ],
)
def test_a_bad_first_byte_is_named(head: int, compressed: bool, text: str) -> None:
    expected = (Cause.PROTOCOL_ERROR, text)
    assert failure_of(bytes([head, 0]), compressed=compressed) == expected


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("size", "length"),
    [
        (0, "00"),
        (1, "01"),
        (125, "7d"),
        (126, "7e007e"),
        (127, "7e007f"),
        (65535, "7effff"),
        (65536, "7f0000000000010000"),
    ],
)
def test_a_length_is_written_and_read_in_the_fewest_bytes(
    size: int, length: str, masked: bool
) -> None:
    """RFC 6455 section 5.2: "the minimal number of bytes MUST be used"."""
    expected = bytearray([FIN | BINARY]) + bytes.fromhex(length)
    expected[1] |= 0x80 if masked else 0
    assert header(FIN | BINARY, size, masked=masked) == expected
    data = wire((FIN | BINARY, NOISE[:size]), key=KEY if masked else None)
    assert data.startswith(expected)
    assert len(data) == len(expected) + 4 * masked + size
    assert decode(data, masked=masked) == [(FIN | BINARY, NOISE[:size], 0)]


def test_the_longest_header_has_14_bytes() -> None:
    """RFC 6455 section 5.2: 2, 8 of length, 4 of key."""
    assert len(header(FIN | BINARY, (1 << 63) - 1, masked=True)) + len(KEY) == MAX_HEADER


@pytest.mark.parametrize("head", [FIN | BINARY, TEXT])
@pytest.mark.parametrize(
    "length",
    [
        "7e0000",
        "7e007d",
        "7f0000000000000000",
        "7f000000000000007e",
        "7f000000000000ffff",
        "7f8000000000000000",
        "7fffffffffffffffff",
    ],
)
def test_a_length_in_more_bytes_than_needed_or_with_the_top_bit_is_a_protocol_error(
    head: int, length: str
) -> None:
    """RFC 6455 section 5.2: "the most significant bit MUST be 0"."""
    data = bytes([head]) + bytes.fromhex(length)
    decoder = make_decoder()
    decoder.feed(data[:-1])
    assert decoder.decode(INF, INF) == []
    assert decoder.failure is None
    decoder.feed(data[-1:])
    assert decoder.decode(INF, INF) == []
    assert decoder.failure == (
        Cause.PROTOCOL_ERROR,
        "a frame whose length is not encoded as section 5.2 asks",
    )


def test_the_longest_length_that_can_be_written_is_read() -> None:
    """RFC 6455 section 5.2: 63 bits."""
    size = (1 << 63) - 1
    decoder = make_decoder()
    decoder.feed(header(FIN | BINARY, size, masked=False))
    assert decoder.decode(INF, INF) == [(FIN | BINARY, b"", size)]


# 5.3  Client-to-server masking


def naive_mask(data: bytes, key: bytes) -> bytes:
    """RFC 6455 section 5.3 to the letter."""
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


@pytest.mark.parametrize("key", [KEY, b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\1\0\1"])
@pytest.mark.parametrize("sizes", [range(10), range(690, 710), range(1400, 1405), [65536 + 3]])
def test_masking_is_xor_with_the_key_repeated(sizes: Iterable[int], key: bytes) -> None:
    """RFC 6455 section 5.3, around the size where the way of doing it changes."""
    for size in sizes:
        for offset in range(4):
            turned = rotate(key, offset)
            data = NOISE[size : 2 * size] if size < 2000 else NOISE[:size]
            masked = mask(data, turned)
            assert masked == naive_mask(data, turned)
            assert mask(memoryview(data), turned) == masked
            assert mask(masked, turned) == data


@given(st.binary(max_size=2000), st.binary(min_size=4, max_size=4), st.integers(0, 2000))
def test_data_masked_in_two_pieces_is_masked_as_in_one(data: bytes, key: bytes, at: int) -> None:
    first, second = data[:at], data[at:]
    assert mask(first, key) + mask(second, rotate(key, len(first))) == mask(data, key)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 699, 701, 703])
def test_a_payload_is_unmasked_in_whatever_pieces_it_arrives(size: int) -> None:
    payload = NOISE[:2109]
    data = wire((FIN | BINARY, payload), key=KEY)
    frames = play(make_decoder(masked=True), cut(data, [size]))
    assert data_frames(frames) == [(FIN | BINARY, payload)]


# 5.4  Fragmentation


def test_a_continuation_without_a_message_is_a_protocol_error() -> None:
    """RFC 6455 section 5.4."""
    text = "a continuation frame without a message to continue"
    whole = (FIN | TEXT, b"whole")
    assert failure_of(wire((FIN | CONTINUATION, b""))) == (Cause.PROTOCOL_ERROR, text)
    assert failure_of(wire(whole, (CONTINUATION, b""))) == (Cause.PROTOCOL_ERROR, text)
    ended = wire((TEXT, b"a"), (FIN | CONTINUATION, b"b"), (FIN | CONTINUATION, b"c"))
    assert failure_of(ended) == (Cause.PROTOCOL_ERROR, text)


@pytest.mark.parametrize("head", [TEXT, BINARY, FIN | TEXT, FIN | BINARY])
def test_a_new_message_within_a_message_is_a_protocol_error(head: int) -> None:
    """RFC 6455 section 5.4: messages are not interleaved."""
    text = "a new message begins before the last one ended"
    assert failure_of(wire((TEXT, b"a"), (head, b"b"))) == (Cause.PROTOCOL_ERROR, text)


def test_control_frames_between_fragments_come_in_their_place() -> None:
    """RFC 6455 section 5.4."""
    stream = [
        (TEXT, b"Hel"),
        (FIN | PING, b"between"),
        (CONTINUATION, b""),
        (FIN | PONG, b""),
        (FIN | CONTINUATION, b"lo"),
        (FIN | BINARY, b"next"),
    ]
    assert decode(wire(*stream)) == [(head, payload, 0) for head, payload in stream]


def test_a_frame_comes_in_pieces_as_its_bytes_arrive() -> None:
    """The first piece has the frame's opcode, even without payload: the message has begun."""
    decoder = make_decoder()
    data = wire((TEXT, b"abc"), (FIN | CONTINUATION, b"de"))
    pieces = [data[:2], data[2:4], data[4:6], data[6:8], data[8:]]
    steps = []
    for piece in pieces:
        decoder.feed(piece)
        steps.append(decoder.decode(INF, INF))
    assert steps == [
        [(TEXT, b"", 3)],
        [(CONTINUATION, b"ab", 1)],
        [(CONTINUATION, b"c", 0)],
        [(FIN | CONTINUATION, b"d", 1)],
        [(FIN | CONTINUATION, b"e", 0)],
    ]


# 5.5  Control frames


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_carries_125_bytes_and_no_more(opcode: int, masked: bool) -> None:
    """RFC 6455 section 5.5."""
    key = KEY if masked else None
    payload = b"\x0f\xa0" + bytes(123)
    assert decode(wire((FIN | opcode, payload), key=key), masked=masked) == [
        (FIN | opcode, payload, 0)
    ]
    expected = (Cause.PROTOCOL_ERROR, "a control frame of more than 125 bytes")
    assert failure_of(wire((FIN | opcode, bytes(126)), key=key), masked=masked) == expected
    for length in (126, 127):
        two_bytes = bytes([FIN | opcode, length | (0x80 if masked else 0)])
        assert failure_of(two_bytes, masked=masked) == expected


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_comes_whole_or_not_yet(opcode: int) -> None:
    data = wire((FIN | opcode, b"\x03\xe8payload"), key=KEY)
    for at in range(len(data)):
        decoder = make_decoder(masked=True)
        decoder.feed(data[:at])
        assert decoder.decode(INF, INF) == []
        assert decoder.held == at
        decoder.feed(data[at:])
        assert decoder.decode(INF, INF) == [(FIN | opcode, b"\x03\xe8payload", 0)]
        assert decoder.held == 0


def test_what_follows_a_close_frame_is_nothing() -> None:
    """RFC 6455 section 5.5.1: not even what would break a rule."""
    decoder = make_decoder()
    decoder.feed(wire((FIN | TEXT, b"before"), GOOD_CLOSE, (FIN | TEXT, b"behind")))
    assert drain(decoder) == [(FIN | TEXT, b"before", 0), (*GOOD_CLOSE, 0)]
    decoder.feed(b"\xff\xff")
    assert drain(decoder) == decoder.look_ahead() == []
    assert decoder.failure is None
    assert decoder.held == 0


# 5.7  Examples


@pytest.mark.parametrize(
    ("written", "key", "data"),
    [
        ((FIN | TEXT, b"Hello"), None, "81 05 48 65 6c 6c 6f"),
        ((FIN | TEXT, b"Hello"), KEY, "81 85 37 fa 21 3d 7f 9f 4d 51 58"),
        ((TEXT, b"Hel"), None, "01 03 48 65 6c"),
        ((FIN | PING, b"Hello"), None, "89 05 48 65 6c 6c 6f"),
        ((FIN | PONG, b"Hello"), KEY, "8a 85 37 fa 21 3d 7f 9f 4d 51 58"),
    ],
)
def test_the_examples_of_the_rfc_are_written_and_read(
    written: Written, key: bytes | None, data: str
) -> None:
    """RFC 6455 section 5.7."""
    assert encode(*written, key) == bytes.fromhex(data)
    assert decode(bytes.fromhex(data), masked=key is not None) == [(*written, 0)]


# Limits (RFC 6455 section 10.4)


@pytest.mark.parametrize("limit", [0, 5, 125, 126, 70_000])
@pytest.mark.parametrize("masked", [False, True])
def test_a_frame_of_exactly_the_limit_is_accepted_and_one_more_byte_is_judged_from_the_length(
    limit: int, masked: bool
) -> None:
    decoder = make_decoder(masked=masked, max_fragment_size=limit)
    decoder.feed(wire((BINARY, bytes(limit)), key=KEY if masked else None))
    assert data_frames(drain(decoder)) == [(BINARY, bytes(limit))]
    decoder.feed(header(FIN | CONTINUATION, limit + 1, masked=masked))
    assert drain(decoder) == []
    text = f"a frame of {limit + 1} bytes; the limit is {limit}"
    assert decoder.failure == (Cause.TOO_BIG, text)


@pytest.mark.parametrize("limit", [0, 5, 125, 126, 70_000])
@pytest.mark.parametrize("masked", [False, True])
def test_a_message_of_exactly_the_limit_is_accepted_and_one_more_byte_is_judged_from_the_length(
    limit: int, masked: bool
) -> None:
    decoder = make_decoder(masked=masked, max_message_size=limit)
    decoder.feed(wire((FIN | BINARY, bytes(limit)), key=KEY if masked else None))
    assert data_frames(drain(decoder)) == [(FIN | BINARY, bytes(limit))]
    decoder.feed(header(BINARY, limit + 1, masked=masked))
    assert drain(decoder) == []
    text = f"a message of {limit + 1} bytes; the limit is {limit}"
    assert decoder.failure == (Cause.TOO_BIG, text)


def test_the_fragments_of_a_message_count_together() -> None:
    """And each message by itself; control frames do not count."""
    decoder = make_decoder(max_message_size=10)
    fragments = [(TEXT, bytes(4)), (FIN | PING, bytes(100)), (CONTINUATION, bytes(6))]
    end = (FIN | CONTINUATION, b"")
    decoder.feed(wire(*fragments, end, *fragments))
    assert data_frames(drain(decoder)) == [*fragments[::2], end, *fragments[::2]]
    decoder.feed(header(FIN | CONTINUATION, 1, masked=False))
    assert drain(decoder) == []
    assert decoder.failure == (Cause.TOO_BIG, "a message over the limit of 10 bytes")


def test_a_fragment_counts_in_full_as_soon_as_it_begins() -> None:
    decoder = make_decoder(max_message_size=10)
    data = wire((BINARY, bytes(9)), (CONTINUATION, bytes(2)))
    play(decoder, cut(data, [1]))
    assert decoder.failure == (Cause.TOO_BIG, "a message over the limit of 10 bytes")


def test_the_size_of_a_compressed_message_is_judged_by_whoever_inflates_it() -> None:
    """RFC 7692: only then is it known. The size of a frame is judged all the same."""
    decoder = make_decoder(compressed=True, max_message_size=10, max_fragment_size=20)
    stream = [(RSV1 | TEXT, bytes(20)), (FIN | CONTINUATION, bytes(20))]
    decoder.feed(wire(*stream))
    assert data_frames(drain(decoder)) == stream
    decoder.feed(wire((FIN | TEXT, bytes(10)), (RSV1 | TEXT, bytes(21))))
    assert data_frames(drain(decoder)) == [(FIN | TEXT, bytes(10))]
    assert decoder.failure == (Cause.TOO_BIG, "a frame of 21 bytes; the limit is 20")


def test_a_message_behind_a_compressed_one_is_judged_by_its_own_bits() -> None:
    decoder = make_decoder(compressed=True, max_message_size=10)
    decoder.feed(wire((FIN | RSV1 | TEXT, bytes(20)), (TEXT, bytes(10)), (CONTINUATION, b"1")))
    drain(decoder)
    assert decoder.failure == (Cause.TOO_BIG, "a message over the limit of 10 bytes")


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_exactly_so_many_fragments_are_accepted(limit: int) -> None:
    """Empty ones count too; control frames do not."""
    decoder = make_decoder(max_fragments=limit)
    message = [(BINARY, b""), *[(CONTINUATION, b"")] * (limit - 1)]
    message[-1] = (FIN | message[-1][0], b"")
    decoder.feed(wire(*message, (FIN | PING, b""), *message))
    assert data_frames(drain(decoder)) == message * 2
    decoder.feed(wire((BINARY, b""), *[(CONTINUATION, b"")] * (limit - 1)))
    assert len(drain(decoder)) == limit
    assert decoder.failure is None
    decoder.feed(wire((FIN | CONTINUATION, b"")))
    assert drain(decoder) == []
    assert decoder.failure == (Cause.TOO_BIG, f"a message of more than {limit} frames")


def test_what_came_before_a_violation_is_given_and_nothing_after_it() -> None:
    """Messages and control frames behind a broken rule are not processed (section 7.1.7)."""
    decoder = make_decoder()
    behind = wire((FIN | TEXT, b"behind"), (FIN | PING, b"behind"))
    decoder.feed(wire((FIN | TEXT, b"before"), (FIN | PING, b"before")) + b"\x83\x00" + behind)
    assert decoder.decode(INF, INF) == [(FIN | TEXT, b"before", 0), (FIN | PING, b"before", 0)]
    failure = decoder.failure
    assert failure == (Cause.PROTOCOL_ERROR, "a frame with the reserved opcode 0x3")
    held = decoder.held
    decoder.feed(behind)
    assert drain(decoder) == []
    assert decoder.failure == failure
    assert decoder.held == held == 2 + len(behind)


# Batches


def test_so_many_messages_begin_as_may_and_the_rest_stays() -> None:
    decoder = make_decoder()
    message = wire((FIN | TEXT, b"one"))
    decoder.feed(message * 10)
    for taken, messages in [(0, 0), (1, 1), (4, 3), (4, -1), (10, INF)]:
        held = decoder.held
        frames = decoder.decode(messages, INF)
        assert decoder.held == held - len(message) * len(frames) == len(message) * (10 - taken)


def test_a_message_begins_while_any_room_is_left_and_none_once_it_is_used_up() -> None:
    decoder = make_decoder()
    decoder.feed(wire(*[(FIN | TEXT, bytes(10))] * 10))
    for room, begins in [(0, 0), (-5, 0), (1, 1), (10, 1), (11, 2), (20, 2), (INF, 4)]:
        assert len(decoder.decode(INF, room)) == begins
    assert decoder.held == 0


def test_a_message_in_fragments_takes_the_room_of_all_of_them() -> None:
    decoder = make_decoder()
    fragments = [(TEXT, bytes(4)), (CONTINUATION, bytes(3)), (FIN | CONTINUATION, bytes(3))]
    decoder.feed(wire(*fragments, *fragments, *fragments))
    assert len(decoder.decode(INF, 10)) == 3
    assert len(decoder.decode(INF, 11)) == 6


def test_a_message_that_came_in_pieces_takes_the_room_of_all_of_them() -> None:
    decoder = make_decoder()
    data = wire((FIN | TEXT, bytes(10)), (FIN | TEXT, b"next"), (FIN | TEXT, b"last"))
    decoder.feed(data[:8])
    assert decoder.decode(INF, 10) == [(FIN | TEXT, bytes(6), 4)]
    decoder.feed(data[8:])
    assert decoder.decode(INF, 10) == [(FIN | CONTINUATION, bytes(4), 0)]
    assert decoder.decode(INF, 4) == [(FIN | TEXT, b"next", 0)]
    assert decoder.decode(INF, 1) == [(FIN | TEXT, b"last", 0)]


def test_a_begun_message_goes_on_without_any_budget() -> None:
    """Else the peer could not complete what holds the queue."""
    decoder = make_decoder()
    decoder.feed(wire((TEXT, b"one"), (FIN | PING, b""), (CONTINUATION, b"two")))
    assert len(decoder.decode(1, 1)) == 3
    data = wire((FIN | CONTINUATION, b"three"), (FIN | TEXT, b"next"))
    decoder.feed(data[:4])
    assert decoder.decode(0, 0) == [(FIN | CONTINUATION, b"th", 3)]
    decoder.feed(data[4:])
    assert decoder.decode(0, 0) == [(FIN | CONTINUATION, b"ree", 0)]
    assert decoder.decode(0, 0) == []
    assert decoder.decode(1, 1) == [(FIN | TEXT, b"next", 0)]


@pytest.mark.parametrize("size", [5, 100])
def test_a_batch_ends_behind_each_compressed_message(size: int) -> None:
    """Only whoever inflates it knows what room it takes."""
    decoder = make_decoder(compressed=True)
    stream = [
        (FIN | TEXT, b"plain"),
        (RSV1 | TEXT, b"a"),
        (FIN | CONTINUATION, b"b"),
        (FIN | RSV1 | TEXT, bytes(size)),
        (FIN | TEXT, b"plain"),
    ]
    data = wire(*stream)
    decoder.feed(data[:-10])
    assert len(decoder.decode(INF, INF)) == 3
    assert data_frames(decoder.decode(INF, INF))[0][0] == FIN | RSV1 | TEXT
    decoder.feed(data[-10:])
    rest = drain(decoder)
    assert data_frames(rest)[-1] == (FIN | TEXT, b"plain")
    assert rest[-1][2] == 0


def test_a_compressed_message_ends_its_batch_when_its_last_piece_comes() -> None:
    decoder = make_decoder(compressed=True)
    data = wire((FIN | RSV1 | TEXT, b"deflated"), (FIN | TEXT, b"plain"))
    decoder.feed(data[:5])
    assert decoder.decode(INF, INF) == [(FIN | RSV1 | TEXT, b"def", 5)]
    decoder.feed(data[5:])
    assert decoder.decode(INF, INF) == [(FIN | CONTINUATION, b"lated", 0)]
    assert decoder.decode(INF, INF) == [(FIN | TEXT, b"plain", 0)]


@given(streams(), KEYS, SIZES, st.integers(0, 3), st.integers(0, 300))
def test_no_batch_ever_begins_more_than_its_budgets_allow(
    stream: list[Written], key: bytes | None, sizes: list[int], messages: int, room: int
) -> None:
    decoder = make_decoder(masked=key is not None)
    begun_size = 0
    for piece in cut(wire(*stream, key=key), sizes):
        decoder.feed(piece)
        frames = decoder.decode(messages, room)
        assert begun(frames) <= messages
        left = room
        for head, payload, rest in frames:
            if head & 0x08:
                continue
            if head & OPCODE:
                assert left > 0
                begun_size = 0
            begun_size += len(payload)
            if head & FIN and not rest:
                left -= begun_size
    assert decoder.failure is None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_is_fed_is_borrowed_for_the_call(
    kind: Callable[[bytearray], bytes | bytearray | memoryview],
) -> None:
    """An adapter reads the next bytes into the same buffer."""
    message = wire((FIN | BINARY, b"data"))
    ping = wire((FIN | PING, b"ping"))
    decoder = make_decoder()
    scratch = bytearray()

    def feed(data: bytes) -> None:
        scratch[:] = data
        borrowed = kind(scratch)
        decoder.feed(borrowed)
        if isinstance(borrowed, memoryview):
            borrowed.release()
        scratch[:] = bytes(len(data))

    feed(message[:1])
    feed(message[1:])
    assert decoder.decode(1, 1) == [(FIN | BINARY, b"data", 0)]
    feed(message[:3])
    assert decoder.decode(0, 0) == []
    feed(message[3:] + ping[:3])
    feed(ping[3:])
    assert drain(decoder) == [(FIN | PING, b"ping", 0), (FIN | BINARY, b"data", 0)]


# Looking ahead: control frames behind a full queue


def blocked(data: bytes = b"", **options: bool) -> Decoder:
    """A decoder in front of a message that may not begin, with data behind it."""
    decoder = make_decoder(**options)
    key = KEY if options.get("masked") else None
    decoder.feed(wire((FIN | TEXT, b"waits"), key=key))
    assert decoder.decode(0, 0) == []
    decoder.feed(data)
    return decoder


WAITS: Frame = (FIN | TEXT, b"waits", 0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0, 5, 125, 126, 400, 65536])
def test_control_frames_behind_a_blocked_message_are_cut_out(size: int, masked: bool) -> None:
    """In the order they came in, each once, over a header of any length."""
    key = KEY if masked else None
    data_frame = (FIN | BINARY, NOISE[:size])
    stream = [data_frame, (FIN | PING, b"1"), data_frame, (FIN | PONG, b"2"), (FIN | PING, b"3")]
    decoder = blocked(wire(*stream, key=key), masked=masked)
    assert controls(decoder.decode(0, 0)) == [stream[1], stream[3], stream[4]]
    assert decoder.look_ahead() == decoder.decode(0, 0) == []
    frames = drain(decoder)
    assert data_frames(frames) == [WAITS[:2], data_frame, data_frame]
    assert controls(frames) == []
    assert decoder.held == 0


@pytest.mark.parametrize("masked", [False, True])
def test_a_control_frame_behind_is_found_with_its_last_byte_in_any_slicing(masked: bool) -> None:
    key = KEY if masked else None
    ping = (FIN | PING, b"payload")
    data = wire((BINARY, bytes(130)), ping, key=key)
    for pieces in every_cut(data):
        decoder = blocked(masked=masked)
        for piece in pieces[:-1]:
            decoder.feed(piece)
            if len(piece) < len(data):
                assert decoder.decode(0, 0) == []
        decoder.feed(pieces[-1])
        assert (*ping, 0) in decoder.decode(0, 0) or not pieces[-1]
        assert data_frames(drain(decoder)) == [WAITS[:2], (BINARY, bytes(130))]


def test_held_counts_every_raw_byte_that_is_not_decoded_or_cut_out() -> None:
    message, ping = wire((FIN | TEXT, b"message")), wire((FIN | PING, b"ping"))
    decoder = blocked()
    held = decoder.held
    decoder.feed(message + ping + ping[:3])
    decoder.look_ahead()
    assert decoder.held == held + len(message) + 3
    decoder.feed(ping[3:] + message[:1])
    decoder.look_ahead()
    assert decoder.held == held + len(message) + 1
    assert decoder.decode(1, 1) == [WAITS]
    assert decoder.held == len(message) + 1
    drain(decoder)
    assert decoder.held == 1


UNTRUSTED = {
    "reserved opcode": b"\x83\x00",
    "reserved bit": b"\xc1\x00",
    "wrong mask direction": b"\x82\x80mask",
    "fragmented control frame": b"\x09\x00",
    "long control frame": b"\x89\x7e\x00\x7e" + bytes(126),
    "bad Close payload": wire(BAD_CLOSE),
}
"""What cannot be trusted: nothing behind it is looked at."""

MISJUDGED = {
    "length not minimal": b"\x82\x7e\x00\x01!",
    "continuation of nothing": wire((FIN | CONTINUATION, b"!")),
    "too big": wire((FIN | BINARY, bytes(1001))),
}
"""What breaks a rule, and can still be hopped over."""


@pytest.mark.parametrize("bad", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_header_that_cannot_be_trusted_is_judged_in_order_and_not_looked_behind(
    bad: bytes,
) -> None:
    behind = wire((FIN | PING, b"behind"))
    before = wire((FIN | PING, b"before"), (FIN | TEXT, b"next"))
    for pieces in every_cut(bad):
        decoder = blocked(before)
        assert decoder.decode(0, 0) == [(FIN | PING, b"before", 0)]
        for piece in [*pieces, behind, behind]:
            decoder.feed(piece)
            assert decoder.decode(0, 0) == []
        assert decoder.failure is None
        held = decoder.held
        assert decoder.decode(1, INF) == [WAITS]
        assert decoder.failure is None
        assert decoder.decode(0, 0) == decoder.look_ahead() == []
        assert decoder.held == held - 7
        frames = drain(decoder)
        assert frames[0] == (FIN | TEXT, b"next", 0)
        assert frames[1:] == []
        assert decoder.failure is not None
        assert decoder.held == len(bad + behind + behind)
        assert drain(decoder) == []


@pytest.mark.parametrize("bad", MISJUDGED.values(), ids=MISJUDGED)
def test_data_is_judged_only_when_it_is_decoded(bad: bytes) -> None:
    for pieces in every_cut(bad):
        decoder = make_decoder(max_message_size=1000)
        decoder.feed(wire((FIN | TEXT, b"waits")))
        found = decoder.decode(0, 0)
        for piece in [*pieces, wire((FIN | PING, b"behind"))]:
            decoder.feed(piece)
            found += decoder.decode(0, 0)
        assert found == [(FIN | PING, b"behind", 0)]
        assert decoder.failure is None
        assert drain(decoder) == [WAITS]
        assert decoder.failure is not None


def test_a_length_with_the_top_bit_behind_is_taken_at_its_word_until_decoded() -> None:
    decoder = blocked(b"\x82\x7f" + b"\xff" * 8 + wire((FIN | PING, b"payload?")))
    assert decoder.decode(0, 0) == []
    assert drain(decoder) == [WAITS]
    assert decoder.failure is not None
    assert decoder.failure.cause is Cause.PROTOCOL_ERROR


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye"])
def test_a_good_close_found_ahead_ends_and_what_is_held_can_still_be_decoded(
    payload: bytes, masked: bool
) -> None:
    key = KEY if masked else None
    data = wire((FIN | BINARY, b"held"), (FIN | CLOSE, payload), key=key)
    for pieces in every_cut(data):
        decoder = blocked(masked=masked)
        found = []
        for piece in [*pieces[:-1], pieces[-1] + wire((FIN | PING, b""), key=key)]:
            decoder.feed(piece)
            found += decoder.decode(0, 0)
        assert found == [(FIN | CLOSE, payload, 0)]
        held = decoder.held
        decoder.feed(wire((FIN | PING, b"behind"), (FIN | TEXT, b"behind"), key=key))
        assert decoder.decode(0, 0) == []
        assert decoder.held == held
        assert data_frames(drain(decoder)) == [WAITS[:2], (FIN | BINARY, b"held")]
        assert decoder.held == 0
        assert decoder.failure is None


def test_an_incomplete_close_behind_is_no_end() -> None:
    data = wire((FIN | CLOSE, b"\x03\xe8bye"))
    decoder = blocked(data[:-1])
    assert decoder.decode(0, 0) == []
    decoder.feed(data[-1:])
    assert decoder.decode(0, 0) == [(FIN | CLOSE, b"\x03\xe8bye", 0)]


def test_looking_ahead_hops_over_the_payload_that_is_arriving() -> None:
    """What looks like a ping within a payload is none."""
    ping = wire((FIN | PING, b"ping"))
    payload = ping * 3
    data = wire((FIN | BINARY, payload), (FIN | PING, b"real"))
    for at in range(2, len(data)):
        decoder = make_decoder()
        decoder.feed(data[:at])
        before = decoder.decode(INF, INF)
        assert decoder.look_ahead() == []
        decoder.feed(data[at:])
        found = before + decoder.look_ahead()
        assert controls(found) == [(FIN | PING, b"real")]
        assert data_frames(before + drain(decoder)) == [(FIN | BINARY, payload)]


def test_looking_ahead_goes_on_within_a_message() -> None:
    """Whoever takes a message in parts may pause between its frames."""
    decoder = make_decoder()
    decoder.feed(wire((TEXT, b"one")))
    assert decoder.decode(1, 1) == [(TEXT, b"one", 0)]
    assert decoder.look_ahead() == []
    decoder.feed(wire((CONTINUATION, b"two"), (FIN | PING, b"ping"), (FIN | CONTINUATION, b"!")))
    assert decoder.look_ahead() == [(FIN | PING, b"ping", 0)]
    assert decoder.decode(0, 0) == [(CONTINUATION, b"two", 0), (FIN | CONTINUATION, b"!", 0)]


def test_looking_ahead_of_what_was_not_decoded_at_all() -> None:
    decoder = make_decoder()
    decoder.feed(wire((FIN | TEXT, b"text"), (FIN | PING, b"ping")))
    assert decoder.look_ahead() == [(FIN | PING, b"ping", 0)]
    assert drain(decoder) == [(FIN | TEXT, b"text", 0)]


@given(
    st.booleans().flatmap(lambda c: st.tuples(st.just(c), streams(compressed=c))),
    st.sampled_from([b"", wire(GOOD_CLOSE), *UNTRUSTED.values(), b"\x82", b"\x89\x05half"]),
    SIZES,
    TURNS,
)
def test_no_slicing_and_no_budgets_change_what_is_decoded(
    stream: tuple[bool, list[Written]], end: bytes, sizes: list[int], turns: list[Turn]
) -> None:
    """Data frames in order, control frames perhaps earlier, the failure, what is left over."""
    compressed, written = stream
    end = b"\xf1\x00" if compressed and end == UNTRUSTED["reserved bit"] else end
    data = wire(*written) + end
    at_once = make_decoder(compressed=compressed)
    expected = play(at_once, [data])
    sliced = make_decoder(compressed=compressed)
    frames = play(sliced, cut(data, sizes), turns)
    assert data_frames(frames) == data_frames(expected)
    assert Counter(controls(frames)) == Counter(controls(expected))
    assert sliced.failure == at_once.failure
    # What comes behind a violation is not taken in.
    assert sliced.held == at_once.held or sliced.failure is not None


@given(streams(), st.binary(min_size=4, max_size=4), SIZES, TURNS)
def test_no_slicing_and_no_budgets_change_what_a_client_sent(
    stream: list[Written], key: bytes, sizes: list[int], turns: list[Turn]
) -> None:
    decoder = make_decoder(masked=True)
    frames = play(decoder, cut(wire(*stream, key=key), sizes), turns)
    assert data_frames(frames) == [frame for frame in stream if not frame[0] & 0x08]
    assert Counter(controls(frames)) == Counter(frame for frame in stream if frame[0] & 0x08)
    assert decoder.failure is None
    assert decoder.held == 0


@given(
    st.booleans(),
    st.lists(st.binary(max_size=20) | streams().map(lambda s: wire(*s))).map(b"".join),
    SIZES,
    TURNS,
)
@example(masked=False, data=b"\x82\x7f" + b"\xff" * 40, sizes=[1], turns=[None])
def test_no_bytes_in_any_slicing_raise(
    masked: bool, data: bytes, sizes: list[int], turns: list[Turn]
) -> None:
    """And all decode to the same data and the same failure as at once."""
    at_once = make_decoder(masked=masked, compressed=True, max_message_size=500, max_fragments=3)
    expected = play(at_once, [data])
    sliced = make_decoder(masked=masked, compressed=True, max_message_size=500, max_fragments=3)
    frames = play(sliced, cut(data, sizes), turns)
    closed = any(head & OPCODE == CLOSE for head, _ in controls(frames))
    if not closed:
        # Behind data that is misjudged, control frames may have been found, but none is missed.
        assert Counter(controls(frames)) >= Counter(controls(expected))
        assert sliced.failure == at_once.failure
    assert data_frames(frames) == data_frames(expected)


# Handing over, giving up


def test_what_is_held_is_decoded_after_handing_over_and_nothing_more_is_taken_in() -> None:
    decoder = blocked(wire((FIN | BINARY, b"held")))
    assert decoder.hand_over() == (b"", 0)
    held = decoder.held
    decoder.feed(wire((FIN | TEXT, b"fed"), (FIN | PING, b"")))
    assert decoder.held == held
    assert decoder.decode(1, 1) == [WAITS]
    assert drain(decoder) == [(FIN | BINARY, b"held", 0)]


def test_handing_over_gives_an_incomplete_header_or_control_frame() -> None:
    for tail in (b"\x82", b"\x82\x7e\x01", wire((FIN | PING, b"ping"))[:-1]):
        assert make_fed(tail).hand_over() == (tail, 0)
        decoder = blocked(tail)
        held = decoder.held
        assert decoder.hand_over() == (tail, 0)
        assert decoder.held == held - len(tail)
        assert drain(decoder) == [WAITS]


def make_fed(data: bytes) -> Decoder:
    decoder = make_decoder()
    decoder.feed(data)
    drain(decoder)
    return decoder


def test_handing_over_tells_how_much_of_a_payload_is_yet_to_come() -> None:
    data = wire((FIN | BINARY, bytes(100)))
    assert make_fed(data[:42]).hand_over() == (b"", 60)
    decoder = blocked(data[:42])
    assert decoder.hand_over() == (b"", 60)
    assert data_frames(drain(decoder)) == [WAITS[:2], (FIN | BINARY, bytes(40))]


def test_control_frames_that_handing_over_finds_are_not_lost() -> None:
    decoder = make_decoder()
    decoder.feed(wire((FIN | TEXT, b"text"), (FIN | PING, b"ping")))
    assert decoder.hand_over() == (b"", 0)
    assert drain(decoder) == [(FIN | PING, b"ping", 0), (FIN | TEXT, b"text", 0)]


def test_giving_up_returns_all_that_is_not_decoded() -> None:
    data = wire((FIN | BINARY, bytes(100)))
    assert make_fed(b"").leftover() == (b"", 0)
    assert make_fed(data[:42]).leftover() == (b"", 60)
    assert make_fed(data[:1]).leftover() == (data[:1], 0)
    bad = b"\x83\x00" + data
    assert make_fed(wire((FIN | TEXT, b"text")) + bad).leftover() == (bad, 0)


def test_giving_up_returns_what_was_looked_through_without_the_control_frames() -> None:
    waits, next_one = wire(WAITS[:2]), wire((FIN | BINARY, b"next"))
    decoder = blocked(wire((FIN | PING, b"ping")) + next_one + next_one)
    assert decoder.decode(1, 1) == [(FIN | PING, b"ping", 0), WAITS]
    decoder.feed(waits + waits[:1])
    assert decoder.leftover() == (next_one + next_one + waits + waits[:1], 0)
    assert decoder.held == 0
    assert decoder.leftover() == (b"", 0)
    decoder.feed(next_one)
    assert drain(decoder) == []


@given(streams(), KEYS, SIZES, TURNS, st.floats(0, 1), st.booleans())
def test_whoever_skims_on_misses_no_message_and_not_the_close_frame(
    stream: list[Written],
    key: bytes | None,
    sizes: list[int],
    turns: list[Turn],
    share: float,
    hand_over: bool,
) -> None:
    """Wherever decoding is handed over or given up."""
    data = wire(*stream, GOOD_CLOSE, key=key)
    at = int(share * (len(data) - 1))
    decoder = make_decoder(masked=key is not None)
    frames: list[Frame] = []
    for piece, turn in zip(cut(data[:at], sizes), itertools.cycle(turns), strict=False):
        decoder.feed(piece)
        frames += decoder.look_ahead() if turn is None else decoder.decode(*turn)
    start, rest = decoder.hand_over() if hand_over else decoder.leftover()
    skimmer = Skimmer(rest)
    for piece in [start, *cut(data[at:], sizes)]:
        skimmer.feed(piece)
    frames += drain(decoder)
    assert skimmer.close == CloseFrame(1000, "bye")
    assert begun(frames) + skimmer.begun == sum(h & OPCODE in (TEXT, BINARY) for h, _ in stream)


# Skimming


@pytest.mark.parametrize("key", [None, KEY])
def test_skimming_finds_the_close_frame_and_counts_messages_in_any_slicing(
    key: bytes | None,
) -> None:
    stream = [
        (FIN | TEXT, b"whole"),
        (BINARY, bytes(126)),
        (FIN | PING, b"ping"),
        (FIN | CONTINUATION, wire(GOOD_CLOSE)),
        (FIN | RSV1 | TEXT, b"deflated"),
        (FIN | CLOSE, b"\x0f\xa0why"),
    ]
    data = wire(*stream, key=key)
    for pieces in every_cut(data):
        skimmer = Skimmer(0)
        for piece in pieces[:-1]:
            skimmer.feed(piece)
        assert skimmer.close is None or not pieces[-1]
        skimmer.feed(pieces[-1])
        assert skimmer.close == CloseFrame(4000, "why")
        assert skimmer.begun == 3


def test_skimming_begins_behind_the_payload_that_is_yet_to_come() -> None:
    payload = wire((FIN | TEXT, b"no message"), GOOD_CLOSE)
    for pieces in every_cut(payload):
        skimmer = Skimmer(len(payload))
        for piece in pieces:
            skimmer.feed(piece)
        assert (skimmer.begun, skimmer.close) == (0, None)
        skimmer.feed(wire((FIN | TEXT, b""), (FIN | CLOSE, b"")))
        assert (skimmer.begun, skimmer.close) == (1, CloseFrame(1005, ""))


@pytest.mark.parametrize(
    "no_close",
    [
        wire(BAD_CLOSE),
        wire((FIN | CLOSE, b"\x03\xed")),
        wire((FIN | CLOSE, b"\x03\xe8\xff")),
        wire((CLOSE, b"\x03\xe8")),
        wire((FIN | RSV1 | CLOSE, b"\x03\xe8")),
        wire((FIN | CLOSE, b"\x03\xe8" + bytes(124))),
    ],
    ids=["one byte", "code 1005", "not UTF-8", "fragmented", "reserved bit", "126 bytes"],
)
def test_skimming_passes_over_what_is_no_good_close_frame(no_close: bytes) -> None:
    """A peer that breaks rules may still close; its Close frame is what is waited for."""
    skimmer = Skimmer(0)
    skimmer.feed(no_close + wire((FIN | CLOSE, b"\x03\xe8" + bytes(123))))
    assert skimmer.close == CloseFrame(1000, "\0" * 123)


def test_skimming_takes_every_other_header_at_its_word() -> None:
    """RFC 6455 section 7.1.2: what comes is not judged any more."""
    skimmer = Skimmer(0)
    bad = [b"\xff\x81mask!", b"\x03\x00", b"\x82\x7e\x00\x01!", b"\x89\x7e\x00\x7e" + bytes(126)]
    skimmer.feed(b"".join(bad) + wire(GOOD_CLOSE))
    assert (skimmer.begun, skimmer.close) == (1, CloseFrame(1000, "bye"))


def test_skimming_counts_nothing_behind_the_close_frame() -> None:
    skimmer = Skimmer(0)
    skimmer.feed(wire(GOOD_CLOSE, (FIN | TEXT, b""), (FIN | CLOSE, b"")))
    skimmer.feed(wire((FIN | TEXT, b""), (FIN | CLOSE, b"")))
    assert (skimmer.begun, skimmer.close) == (0, CloseFrame(1000, "bye"))


@given(
    st.integers(0, 50),
    st.lists(st.binary(max_size=20) | streams().map(lambda s: wire(*s))).map(b"".join),
    SIZES,
)
def test_skimming_any_bytes_in_any_slicing_comes_to_the_same(
    rest: int, data: bytes, sizes: list[int]
) -> None:
    at_once, sliced = Skimmer(rest), Skimmer(rest)
    at_once.feed(data)
    for piece in cut(data, sizes):
        sliced.feed(memoryview(piece))
    assert (sliced.begun, sliced.close) == (at_once.begun, at_once.close)


# Memory and work


Spent = Callable[..., int]


@pytest.fixture
def tracing() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def memory() -> int:
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def spent(tracing: None) -> Spent:
    """How much memory a call takes at its peak: no copy of what is held hides from that."""

    def measure(step: Callable[..., object], *arguments: object) -> int:
        tracemalloc.reset_peak()
        before = memory()
        step(*arguments)
        return tracemalloc.get_traced_memory()[1] - before

    return measure


@pytest.mark.parametrize("turn", [ALL, NONE, None])
def test_an_announced_length_allocates_nothing(spent: Spent, turn: Turn) -> None:
    announced = header(FIN | BINARY, 1 << 62, masked=False)
    decoder, skimmer = make_decoder(), Skimmer(0)

    def step() -> None:
        decoder.feed(announced)
        if turn is None:
            decoder.look_ahead()
        else:
            decoder.decode(*turn)
        skimmer.feed(announced)

    assert spent(step) < 4096


@pytest.mark.usefixtures("tracing")
def test_what_is_decoded_is_not_kept() -> None:
    """An idle connection costs what it holds, not what it read last."""
    decoder = make_decoder()
    data = memoryview(wire((FIN | BINARY, NOISE)) + b"\x82")
    before = memory()
    decoder.feed(data)
    drain(decoder)
    assert memory() - before < 4096
    assert decoder.held == 1


@pytest.mark.usefixtures("tracing")
def test_what_is_decoded_of_what_is_held_is_let_go_before_it_outweighs_the_rest() -> None:
    message = wire((FIN | BINARY, bytes(1020)))
    decoder = make_decoder()
    before = memory()
    decoder.feed(memoryview(message * 100))
    for _ in range(100):
        decoder.decode(1, INF)
        assert memory() - before <= 2 * decoder.held + 8192


@pytest.mark.parametrize("decodes", [True, False], ids=["decode", "look_ahead"])
def test_a_byte_at_a_time_behind_a_full_queue_copies_nothing_that_is_held(
    spent: Spent, decodes: bool
) -> None:
    """Neither where the queue is full nor where the front message is taken in parts."""
    decoder = make_decoder()
    decoder.feed(wire((FIN | BINARY, bytes(65536))))
    decoder.look_ahead()
    pieces = list(cut(wire(*[(FIN | BINARY, b"some"), (FIN | PING, b"ping")] * 100), [1]))

    def step(piece: bytes) -> None:
        decoder.feed(piece)
        found.extend(decoder.decode(0, 0) if decodes else decoder.look_ahead())

    found: list[Frame] = []
    total = sum(spent(step, piece) for piece in pieces)
    assert found == [(FIN | PING, b"ping", 0)] * 100
    assert total < 65536 * 4 + 2048 * len(pieces)


@pytest.mark.parametrize("coming", [b"", b"\x04ping\x89"], ids=["nothing", "pings"])
def test_taking_one_message_at_a_time_copies_each_held_byte_a_few_times(
    spent: Spent, coming: bytes
) -> None:
    """Also with half a header behind, and with control frames coming in a byte at a time."""
    count = 4000
    decoder = make_decoder()
    decoder.feed(wire((FIN | BINARY, b"fourteen bytes")) * count + b"\x89")
    held = decoder.held
    pieces = itertools.cycle(cut(coming, [1]))
    frames: list[Frame] = []

    def step() -> None:
        decoder.feed(next(pieces, b""))
        frames.extend(decoder.decode(1, INF))

    total = sum(spent(step) for _ in range(count))
    assert len(data_frames(frames)) == count
    assert total < 8 * held + 2048 * count


def test_a_large_payload_a_byte_at_a_time_costs_a_byte_at_a_time(spent: Spent) -> None:
    decoder = make_decoder(masked=True)
    data = wire((FIN | BINARY, NOISE[:2000]), key=KEY)
    decoder.feed(header(FIN | BINARY, 1 << 40, masked=True) + KEY)
    decoder.decode(INF, INF)

    def step(byte: bytes) -> None:
        decoder.feed(byte)
        decoder.decode(INF, INF)

    # Where it is to land, memory for a message of usual size is set aside with the first byte.
    assert spent(step, data[:1]) < 2048 + (MIB if LANDS else 0)
    for byte in cut(data[1:], [1]):
        assert spent(step, byte) < 2048
    assert decoder.held == 0


@pytest.mark.usefixtures("tracing")
def test_skimming_keeps_no_more_than_a_header_or_a_close_frame() -> None:
    skimmer = Skimmer(0)
    stream = wire((FIN | BINARY, NOISE), (FIN | PING, bytes(125)), (FIN | CLOSE, b"\x03" * 125))
    pieces = list(cut(stream * 3, [1009]))
    before = memory()
    for piece in pieces:
        skimmer.feed(piece)
        assert memory() - before < 4096
    assert skimmer.begun == 3


# wsproto as an oracle


def messages_and_controls(frames: Iterable[tuple[int, bytes, bool]]) -> list[Written]:
    """Whole messages and control frames in order, from (opcode, payload, last) of any pieces."""
    events: list[Written] = []
    opcode, message = 0, b""
    for kind, payload, last in frames:
        if kind & 0x08:
            events.append((kind, payload))
            continue
        opcode, message = kind or opcode, message + payload
        if last:
            events.append((opcode, message))
            message = b""
    return events


def read_with_ours(data: bytes, sizes: list[int], *, masked: bool) -> list[Written]:
    decoder = make_decoder(masked=masked)
    frames = play(decoder, cut(data, sizes))
    assert decoder.failure is None
    return messages_and_controls(
        (head & OPCODE, payload, bool(head & FIN) and not rest) for head, payload, rest in frames
    )


def read_with_wsproto(data: bytes, sizes: list[int], *, masked: bool) -> list[Written]:
    """Close frames come decoded: their payload is written anew."""
    protocol = FrameProtocol(client=not masked, extensions=[])
    frames: list[tuple[int, bytes, bool]] = []
    for piece in cut(data, sizes):
        protocol.receive_bytes(piece)
        for frame in protocol.received_frames():
            payload = frame.payload
            if isinstance(payload, tuple):
                code, reason = payload
                payload = code.to_bytes(2, "big") + reason.encode()
            elif isinstance(payload, str):
                payload = payload.encode()
            frames.append((frame.opcode, payload, frame.message_finished))
    return messages_and_controls(frames)


@st.composite
def conversations(draw: st.DrawFn) -> list[Written]:
    """As streams, but with text that is text, and perhaps a Close frame at the end."""
    stream: list[Written] = []
    for _ in range(draw(st.integers(0, 4))):
        opcode = draw(st.sampled_from([TEXT, BINARY]))
        payload = draw(st.text(max_size=100)).encode() if opcode == TEXT else draw(PAYLOADS)
        fragments = list(cut(payload, draw(SIZES))) or [b""]
        for i, fragment in enumerate(fragments):
            fin = FIN if i == len(fragments) - 1 else 0
            stream.append((fin | (CONTINUATION if i else opcode), fragment))
            stream += draw(st.lists(CONTROLS, max_size=1))
    return stream + draw(st.sampled_from([[], [GOOD_CLOSE]]))


@given(conversations(), KEYS, SIZES)
def test_wsproto_reads_what_is_written(
    stream: list[Written], key: bytes | None, sizes: list[int]
) -> None:
    expected = messages_and_controls(
        (head & OPCODE, payload, bool(head & FIN)) for head, payload in stream
    )
    data = wire(*stream, key=key)
    assert read_with_wsproto(data, sizes, masked=key is not None) == expected
    assert read_with_ours(data, sizes, masked=key is not None) == expected


@given(conversations(), st.booleans(), SIZES)
@example(stream=[(BINARY, NOISE[:65535]), (FIN, NOISE[:65536])], masked=True, sizes=[9000])
def test_what_wsproto_writes_is_read(
    stream: list[Written], masked: bool, sizes: list[int]
) -> None:
    """All of it binary: wsproto writes text from str, and these fragments cut characters."""
    writer = FrameProtocol(client=masked, extensions=[])
    data = bytearray()
    for head, payload in stream:
        match Opcode(head & OPCODE):
            case Opcode.PING:
                data += writer.ping(payload)
            case Opcode.PONG:
                data += writer.pong(payload)
            case Opcode.CLOSE:
                data += writer.close(1000, "bye")
            case _:
                data += writer.send_data(payload, fin=bool(head & FIN))
    expected = messages_and_controls(
        ((BINARY if head & OPCODE == TEXT else head & OPCODE), payload, bool(head & FIN))
        for head, payload in stream
    )
    assert read_with_ours(bytes(data), sizes, masked=masked) == expected


@pytest.mark.parametrize("masked", [False, True])
@given(st.lists(st.text(max_size=50)))
def test_text_that_wsproto_writes_is_read(masked: bool, texts: list[str]) -> None:
    writer = FrameProtocol(client=masked, extensions=[])
    data = b"".join(bytes(writer.send_data(text)) for text in texts)
    expected = [(TEXT, text.encode()) for text in texts]
    assert read_with_ours(data, [7], masked=masked) == expected


def our_verdict(data: bytes, *, masked: bool) -> Cause | None:
    """What is wrong with the data; what _inbox and _close judge is judged here as they do."""
    decoder = make_decoder(masked=masked)
    utf8: codecs.IncrementalDecoder | None = None
    for head, payload, rest in play(decoder, [data]):
        opcode = head & OPCODE
        if opcode == CLOSE:
            close = decode_close(payload)
            return close.cause if isinstance(close, Failure) else None
        if opcode in (TEXT, BINARY):
            utf8 = codecs.getincrementaldecoder("utf-8")() if opcode == TEXT else None
        if utf8 is not None and not head & 0x08:
            try:
                utf8.decode(payload, bool(head & FIN) and not rest)
            except UnicodeDecodeError:
                return Cause.INVALID_DATA
    return None if decoder.failure is None else decoder.failure.cause


def wsproto_verdict(data: bytes, *, masked: bool) -> int | None:
    protocol = FrameProtocol(client=not masked, extensions=[])
    protocol.receive_bytes(data)
    try:
        list(protocol.received_frames())
    except ParseFailed as error:
        return int(error.code)
    return None


@st.composite
def anything(draw: st.DrawFn, *, masked: bool) -> bytes:
    """Frames of which some break a rule, and sometimes plain noise."""
    data = bytearray()
    for _ in range(draw(st.integers(1, 5))):
        head = draw(st.sampled_from([0x00, 0x80, 0x01, 0x81, 0x02, 0x82]) | st.integers(0, 255))
        if draw(st.booleans()):
            head = draw(st.sampled_from([0x88, 0x89, 0x8A, 0x81, 0x82]))
        payload = draw(st.binary(max_size=6) | st.sampled_from([bytes(125), bytes(126)]))
        if head == FIN | CLOSE and draw(st.booleans()):
            payload = draw(st.integers(990, 5010)).to_bytes(2, "big") + payload
        key = KEY if masked != (draw(st.integers(0, 9)) == 0) else None
        frame = encode(head, payload, key)
        if draw(st.integers(0, 9)) == 0:
            frame = frame[: draw(st.integers(0, len(frame)))] + draw(st.binary(max_size=4))
        if draw(st.integers(0, 9)) == 0:
            width = draw(st.sampled_from([2, 8]))
            size = draw(st.sampled_from([0, 125, 126, 65535, 65536, 1 << 63]))
            length = (size % (1 << 8 * width)).to_bytes(width, "big")
            frame = bytes([head, (0x80 if key else 0) | (126 if width == 2 else 127)]) + length
        data += frame
    return bytes(data)


@given(st.booleans().flatmap(lambda m: st.tuples(st.just(m), anything(masked=m))))
@example((False, b"\x81\x02\xff"))
@example((False, b"\x01\x01\xc3\x89\x00\x80\x01a"))
@example((False, b"\x88\x03\x03\xf6\xff"))
def test_the_rules_of_wsproto_are_broken_by_the_same_bytes(stream: tuple[bool, bytes]) -> None:
    """With the same close code. The intentional differences:

    - Close code 1014 is registered since wsproto was written, and accepted.
    - A broken rule is found earlier: as soon as the header's first two bytes, or its length, show
      it. wsproto waits for the rest of the header, for continuations also for a byte of payload.
    """
    masked, data = stream
    ours = our_verdict(data, masked=masked)
    theirs = wsproto_verdict(data, masked=masked)
    if ours is None and theirs is not None:
        assert has_code_1014(data, masked=masked)
    elif ours is Cause.INVALID_DATA and theirs == 1002:
        # Then the reason is wrong, too, but wsproto looks at the code first.
        assert has_a_bad_reason(data, masked=masked)
    elif ours is not None and theirs is None:
        assert wsproto_verdict(data + bytes(16), masked=masked) == 1002
        assert ours is Cause.PROTOCOL_ERROR
    elif ours is not None:
        assert FAILURES[ours][1] == theirs


def has_code_1014(data: bytes, *, masked: bool) -> bool:
    frames = controls(play(make_decoder(masked=masked), [data]))
    return frames[-1][0] == FIN | CLOSE and frames[-1][1][:2] == (1014).to_bytes(2, "big")


def has_a_bad_reason(data: bytes, *, masked: bool) -> bool:
    decoder = make_decoder(masked=masked)
    play(decoder, [data])
    return decoder.failure == decode_close(b"\x03\xf6\xff")


def test_close_code_1014_is_accepted_where_wsproto_refuses_it() -> None:
    """The IANA registry has it."""
    data = wire((FIN | CLOSE, (1014).to_bytes(2, "big")))
    assert our_verdict(data, masked=False) is None
    assert wsproto_verdict(data, masked=False) == 1002
