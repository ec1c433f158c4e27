"""permessage-deflate (RFC 7692): negotiation, compression and bounded decompression."""

from __future__ import annotations

import math
import random
import tracemalloc
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import BINARY, Frame
from websockets.headers import build_extension, parse_extension
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol, Opcode, RsvBits

from wscore._config import Deflate
from wscore._deflate import (
    CorruptData,
    Deflater,
    Inflater,
    Negotiated,
    accept,
    confirm,
    confirm_own,
    offer,
)

PLAIN = Deflate(server_max_window_bits=15, client_max_window_bits=15)
TAIL = b"\x00\x00\xff\xff"
TEXT = b"".join(b'{"id": %d, "square": %d}, ' % (i, i * i) for i in range(2000))
NOISE = random.Random(7692).randbytes(40_000)


def inflate(inflater: Inflater, *pieces: bytes) -> bytes:
    """A message in pieces, decompressed."""
    into = bytearray()
    for piece in pieces:
        assert inflater.feed(piece, into, math.inf)
    inflater.finish()
    return bytes(into)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def final_block(data: bytes, history: bytes = b"") -> bytes:
    """One block with BFINAL=1, padded to a whole byte (RFC 7692 section 7.2.1)."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=history)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


def sync_message(data: bytes, history: bytes = b"") -> bytes:
    """A message of a compressor whose window holds the history."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=history)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


# The offer (section 7.1)


@pytest.mark.parametrize(
    ("deflate", "value"),
    [
        (PLAIN, "permessage-deflate; client_max_window_bits"),
        (
            Deflate(),
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            Deflate(
                server_max_window_bits=8,
                client_max_window_bits=15,
                server_no_context_takeover=True,
                client_no_context_takeover=True,
            ),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=8; client_max_window_bits",
        ),
    ],
)
def test_an_offer_names_limits_and_always_that_the_client_can_follow_one(
    deflate: Deflate, value: str
) -> None:
    assert offer(deflate) == value


# The server's answer (section 7.1)

ACCEPTED = [
    # offers, the server's parameters, its answer, what was agreed on
    ("permessage-deflate", PLAIN, "", (15, 15, False, False)),
    ("permessage-deflate", Deflate(), "; server_max_window_bits=12", (12, 15, False, False)),
    ("permessage-deflate; client_max_window_bits", PLAIN, "", (15, 15, False, False)),
    (
        "permessage-deflate; client_max_window_bits",
        Deflate(),
        "; server_max_window_bits=12; client_max_window_bits=12",
        (12, 12, False, False),
    ),
    (
        "permessage-deflate; client_max_window_bits=10",
        PLAIN,
        "; client_max_window_bits=10",
        (15, 10, False, False),
    ),
    ("permessage-deflate; client_max_window_bits=15", PLAIN, "", (15, 15, False, False)),
    (
        "permessage-deflate; server_max_window_bits=15",
        PLAIN,
        "; server_max_window_bits=15",
        (15, 15, False, False),
    ),
    (
        "permessage-deflate; server_max_window_bits=8",
        Deflate(),
        "; server_max_window_bits=8",
        (8, 15, False, False),
    ),
    (
        "permessage-deflate; server_max_window_bits=15",
        Deflate(),
        "; server_max_window_bits=12",
        (12, 15, False, False),
    ),
    (
        "permessage-deflate; server_no_context_takeover",
        PLAIN,
        "; server_no_context_takeover",
        (15, 15, True, False),
    ),
    (
        "permessage-deflate; client_no_context_takeover",
        PLAIN,
        "; client_no_context_takeover",
        (15, 15, False, True),
    ),
    (
        "permessage-deflate",
        Deflate(
            server_max_window_bits=15,
            server_no_context_takeover=True,
            client_no_context_takeover=True,
        ),
        "; server_no_context_takeover; client_no_context_takeover",
        (15, 15, True, True),
    ),
]


@pytest.mark.parametrize(("offers", "deflate", "parameters", "agreed"), ACCEPTED)
def test_an_answer_names_what_was_asked_for_or_is_not_the_default(
    offers: str, deflate: Deflate, parameters: str, agreed: tuple[int, int, bool, bool]
) -> None:
    """RFC 7692 section 7.1.2.2: client_max_window_bits only where it was offered."""
    assert accept(offers, deflate) == ("permessage-deflate" + parameters, Negotiated(*agreed))


@pytest.mark.parametrize(
    "offers",
    [
        "permessage-deflate ; server_max_window_bits = 9",
        'permessage-deflate; server_max_window_bits="9"',
        'permessage-deflate; server_max_window_bits="\\9"',
        "\tpermessage-deflate;server_max_window_bits=9 ",
        ", ,permessage-deflate; server_max_window_bits=9,",
        "x-webkit-deflate-frame, permessage-deflate; server_max_window_bits=9",
        "foo; bar=1; baz, permessage-deflate; server_max_window_bits=9",
        "foo; bar=a/b, permessage-deflate; server_max_window_bits=9",
        'foo; bar="a, permessage-deflate", permessage-deflate; server_max_window_bits=9',
        'foo; bar="\\", permessage-deflate", permessage-deflate; server_max_window_bits=9',
        "permessage-deflate; x, permessage-deflate; server_max_window_bits=9",
        "permessage-deflate; server_max_window_bits=9, permessage-deflate",
    ],
)
def test_the_first_valid_offer_is_accepted_wherever_it_stands(offers: str) -> None:
    """RFC 6455 section 9.1: the grammar; RFC 7692 section 5.1: offers in order of preference."""
    accepted = accept(offers, PLAIN)
    assert accepted is not None
    assert accepted[0] == "permessage-deflate; server_max_window_bits=9"


NOT_WINDOW_BITS = [
    "7",
    "16",
    "08",
    "012",
    "+9",
    "1 0",
    "9.",
    "\u0669",
    "1\u0660",
    "a",
    "-8",
    "150",
]

INVALID_IN_EITHER = [
    "unknown",
    "unknown=1",
    "Server_no_context_takeover",
    "server_no_context_takeover=1",
    'client_no_context_takeover="true"',
    "server_no_context_takeover; server_no_context_takeover",
    "client_max_window_bits=9; client_max_window_bits=10",
    "server_max_window_bits",
    'server_max_window_bits=""',
    'server_max_window_bits="1 0"',
    'server_max_window_bits="10',
    "server_max_window_bits=",
    "server_max_window_bits=9=9",
    "server_max_window_bits 9",
    "",
    ";",
    "=",
    "\x00",
    *(
        f"{side}_max_window_bits={bits}"
        for bits in NOT_WINDOW_BITS
        for side in ("server", "client")
    ),
]


@pytest.mark.parametrize("parameters", INVALID_IN_EITHER)
def test_invalid_parameters_decline_an_offer_and_fail_an_answer(parameters: str) -> None:
    """RFC 7692 sections 5.1, 5.2 and 7.1."""
    value = f"permessage-deflate; {parameters}"
    assert accept(value, PLAIN) is None
    with pytest.raises(ValueError, match=r"permessage-deflate|not a token|malformed"):
        confirm(value, PLAIN)


@pytest.mark.parametrize(
    "offers",
    [
        "",
        " ",
        ",",
        "foo",
        "Permessage-deflate",
        "permessage-deflate2",
        '"permessage-deflate"',
        "permessage-deflate foo",
        "foo=permessage-deflate",
        'foo; bar=", permessage-deflate',
        'foo; bar=", permessage-deflate\\',
        'foo; bar="\\", permessage-deflate',
    ],
)
def test_nothing_is_accepted_where_nothing_valid_is_offered(offers: str) -> None:
    assert accept(offers, PLAIN) is None


# The client's reading of the answer (section 7.1)


@pytest.mark.parametrize(
    ("parameters", "deflate", "agreed"),
    [
        ("", PLAIN, (15, 15, False, False)),
        ("; server_max_window_bits=9", PLAIN, (9, 15, False, False)),
        ("; server_max_window_bits=12", Deflate(), (12, 12, False, False)),
        ("; server_max_window_bits=8", Deflate(), (8, 12, False, False)),
        ("; client_max_window_bits=8", PLAIN, (15, 8, False, False)),
        ('; client_max_window_bits="9"', PLAIN, (15, 9, False, False)),
        ("; server_no_context_takeover", PLAIN, (15, 15, True, False)),
        ("; client_no_context_takeover", PLAIN, (15, 15, False, True)),
    ],
)
def test_an_answer_within_the_offer_is_what_was_agreed_on(
    parameters: str, deflate: Deflate, agreed: tuple[int, int, bool, bool]
) -> None:
    assert confirm("permessage-deflate" + parameters, deflate) == Negotiated(*agreed)


@pytest.mark.parametrize("answer", ["", " ", ","])
@pytest.mark.parametrize("deflate", [None, PLAIN])
def test_no_answer_is_a_declined_offer(answer: str, deflate: Deflate | None) -> None:
    assert confirm(answer, deflate) is None


def test_what_the_offer_says_of_the_clients_compressor_holds_whatever_is_answered() -> None:
    """RFC 7692 sections 7.1.1.2 and 7.1.2.2."""
    ours = Deflate(
        server_max_window_bits=15, client_max_window_bits=10, client_no_context_takeover=True
    )
    for parameters in ("", "; client_max_window_bits=15"):
        agreed = confirm("permessage-deflate" + parameters, ours)
        assert agreed == Negotiated(15, 10, False, True)


@pytest.mark.parametrize(
    ("answer", "deflate", "message"),
    [
        ("permessage-deflate", None, "not offered: permessage-deflate$"),
        ("foo", None, "not offered: foo$"),
        ("foo; bar", PLAIN, "not offered: foo$"),
        ("permessage-deflate, foo", PLAIN, "not offered: foo$"),
        ("permessage-deflate, permessage-deflate", PLAIN, "2 times"),
        ("permessage-deflate; client_max_window_bits", PLAIN, "without a value"),
        ("permessage-deflate; server_max_window_bits=13", Deflate(), "13 and .* at most 12"),
        ("permessage-deflate", Deflate(), "15, the default, and .* at most 12"),
        (
            "permessage-deflate",
            Deflate(server_max_window_bits=15, server_no_context_takeover=True),
            "without the server_no_context_takeover",
        ),
        ("permessage-deflate; x", PLAIN, "unknown parameter, x$"),
        ("permessage-deflate; server_max_window_bits=08", PLAIN, "=08; it takes 8 to 15"),
        ("permessage-deflate; server_no_context_takeover=1", PLAIN, "with a value, 1;"),
        ("permessage-deflate; x; ", PLAIN, "malformed: 'permessage-deflate; x; '"),
        ('permessage-deflate; x="y z"', PLAIN, "value of x is not a token: 'y z'"),
    ],
)
def test_an_answer_outside_the_offer_is_an_error_that_names_what_is_wrong(
    answer: str, deflate: Deflate | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        confirm(answer, deflate)


def test_an_error_shows_no_more_than_a_line_of_what_the_server_wrote() -> None:
    long = "x" * 60_000
    for answer in (
        long,
        f'"{long}',
        f"permessage-deflate; {long}",
        f'permessage-deflate; {long}="{long} "',
        f"permessage-deflate; server_max_window_bits={long}",
        f"permessage-deflate; server_no_context_takeover={long}",
    ):
        with pytest.raises(ValueError, match=r"x{50}") as caught:
            confirm(answer, PLAIN)
        assert len(str(caught.value)) < 250


# A server whose response somebody else sent


@pytest.mark.parametrize(
    ("parameters", "agreed"),
    [
        ("", (12, 15, False, False)),
        ("; server_max_window_bits=10", (10, 15, False, False)),
        ("; server_max_window_bits=15; client_max_window_bits=9", (12, 9, False, False)),
        ("; server_no_context_takeover; client_no_context_takeover", (12, 15, True, True)),
    ],
)
def test_a_server_may_do_less_than_a_response_in_its_name_allows_and_must_take_what_it_does(
    parameters: str, agreed: tuple[int, int, bool, bool]
) -> None:
    assert confirm_own("permessage-deflate" + parameters, Deflate()) == Negotiated(*agreed)


def test_a_response_in_a_servers_name_is_read_strictly() -> None:
    assert confirm_own("", None) is None
    assert confirm_own("", PLAIN) is None
    for answer in ("permessage-deflate; x", "permessage-deflate, permessage-deflate", "foo"):
        with pytest.raises(ValueError, match=r"unknown|2 times|not offered"):
            confirm_own(answer, PLAIN)
    with pytest.raises(ValueError, match="not offered"):
        confirm_own("permessage-deflate", None)


deflates = st.builds(
    Deflate,
    server_max_window_bits=st.integers(8, 15),
    client_max_window_bits=st.integers(8, 15),
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    level=st.integers(0, 9),
    memory_level=st.integers(1, 9),
)


@given(client=deflates, server=deflates)
def test_any_client_and_any_server_of_ours_agree_within_both_ones_limits(
    client: Deflate, server: Deflate
) -> None:
    accepted = accept(offer(client), server)
    assert accepted is not None
    answer, agreed = accepted
    assert confirm(answer, client) == agreed
    for bits in ("server_max_window_bits", "client_max_window_bits"):
        assert getattr(agreed, bits) == min(getattr(client, bits), getattr(server, bits))
    for flag in ("server_no_context_takeover", "client_no_context_takeover"):
        assert getattr(agreed, flag) == (getattr(client, flag) or getattr(server, flag))


WORDS = [
    *("permessage-deflate", "server_max_window_bits", "client_max_window_bits", "foo"),
    *("server_no_context_takeover", "client_no_context_takeover", "8", "15", "16", "08"),
    *(";", "; ", ",", ", ", "=", '"', "\\", " ", "\t", "\n", "\x00", "\u0661"),
]
headers = st.text() | st.lists(st.sampled_from(WORDS)).map("".join)


@given(value=headers, deflate=deflates)
def test_any_offer_gives_an_answer_or_none(value: str, deflate: Deflate) -> None:
    accepted = accept(value, deflate)
    if accepted is not None:
        answer, agreed = accepted
        assert agreed.server_max_window_bits <= deflate.server_max_window_bits
        assert confirm(answer, PLAIN) == agreed


@given(value=headers, deflate=st.none() | deflates)
def test_any_answer_gives_an_agreement_or_none_or_a_value_error(
    value: str, deflate: Deflate | None
) -> None:
    try:
        agreed = confirm(value, deflate)
    except ValueError:
        return
    assert (agreed is None) == (not value.strip(" \t,"))


# The examples of section 7.2.3

HELLO = bytes.fromhex("f248cdc9c90700")
EXAMPLES = [
    pytest.param([HELLO], b"Hello", id="7.2.3.1-one-block"),
    pytest.param([HELLO[:3], HELLO[3:]], b"Hello", id="7.2.3.1-fragmented"),
    pytest.param([bytes.fromhex("000500faff48656c6c6f00")], b"Hello", id="7.2.3.3-stored"),
    pytest.param([bytes.fromhex("f348cdc9c9070000")], b"Hello", id="7.2.3.4-final"),
    pytest.param([bytes.fromhex("f24805000000ffffcac9c90700")], b"Hello", id="7.2.3.5-two-blocks"),
    pytest.param([b"\x00"], b"", id="7.2.3.6-empty"),
]


@pytest.mark.parametrize(("pieces", "message"), EXAMPLES)
@pytest.mark.parametrize("no_context_takeover", [False, True])
def test_the_examples_of_the_rfc_are_decompressed_time_and_again(
    pieces: list[bytes], message: bytes, no_context_takeover: bool
) -> None:
    """RFC 7692 section 7.2.3."""
    inflater = Inflater(15, no_context_takeover)
    for _ in range(3):
        assert inflate(inflater, *pieces) == message
        assert inflate(inflater, HELLO) == b"Hello"


def test_the_examples_of_the_rfc_are_what_our_compressor_makes() -> None:
    """RFC 7692 sections 7.2.3.1, 7.2.3.2 and 7.2.3.6."""
    deflater = Deflater(15, False, Deflate(level=6))
    assert deflater.compress(b"Hello") == HELLO
    assert deflater.compress(b"Hello") == bytes.fromhex("f200110000")
    assert deflater.compress(b"") == b"\x00"
    forgetful = Deflater(15, True, Deflate(level=6))
    assert [forgetful.compress(b"Hello") for _ in range(2)] == [HELLO, HELLO]


def test_a_message_may_refer_to_the_one_before_only_with_context_takeover() -> None:
    """RFC 7692 section 7.2.3.2."""
    again = bytes.fromhex("f200110000")
    with_takeover = Inflater(15, False)
    assert inflate(with_takeover, HELLO) == inflate(with_takeover, again) == b"Hello"
    without = Inflater(15, True)
    assert inflate(without, HELLO) == b"Hello"
    with pytest.raises(CorruptData):
        inflate(without, again)


# Compression


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("data", [TEXT, NOISE, bytes(10_000), b"x"])
def test_every_level_round_trips_with_the_tail_cut_off(level: int, data: bytes) -> None:
    """RFC 7692 section 7.2.1."""
    deflater, inflater = Deflater(12, False, Deflate(level=level)), Inflater(12, False)
    for _ in range(2):
        compressed = deflater.compress(data)
        assert not compressed.endswith(TAIL)
        assert inflate(inflater, compressed) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_object_is_compressed_and_decompressed(
    kind: type[bytes] | type[bytearray] | type[memoryview],
) -> None:
    compressed = Deflater(12, False, Deflate()).compress(kind(TEXT))
    into = bytearray()
    inflater = Inflater(12, False)
    assert inflater.feed(kind(compressed), into, len(TEXT))
    inflater.finish()
    assert into == TEXT


@pytest.mark.parametrize("level", range(10))
def test_a_window_of_256_bytes_reads_what_our_compressor_makes_for_it(level: int) -> None:
    """RFC 7692 section 7.1.2: 8 bits, of which zlib makes no raw stream."""
    repetitive = b"".join(NOISE[:size] * 3 for size in range(200, 600))
    for memory_level in (1, 5, 9):
        deflater = Deflater(8, False, Deflate(level=level, memory_level=memory_level))
        strict = zlib.decompressobj(-8)
        inflater = Inflater(8, False)
        for message in (repetitive, TEXT, NOISE, repetitive):
            compressed = deflater.compress(message)
            assert strict.decompress(compressed + TAIL) == message
            assert inflate(inflater, compressed) == message


@pytest.mark.parametrize("bits", range(9, 16))
def test_our_compressor_keeps_to_the_window_agreed_on(bits: int) -> None:
    message = b"".join(NOISE[i : i + 300] + NOISE[:300] for i in range(0, 39_000, 100))
    deflater = Deflater(bits, False, Deflate(level=9))
    strict = zlib.decompressobj(-bits)
    for _ in range(2):
        assert strict.decompress(deflater.compress(message) + TAIL) == message


@pytest.mark.parametrize("no_context_takeover", [False, True])
def test_a_message_in_parts_can_be_read_part_by_part(no_context_takeover: bool) -> None:
    deflater = Deflater(12, no_context_takeover, Deflate())
    inflater = Inflater(12, no_context_takeover)
    for parts in ([b"", TEXT, b"", NOISE, b""], [b"", b""], [b"one"], [b"a", b"b"]):
        into = bytearray()
        sent = b""
        for number, part in enumerate(parts, 1):
            final = number == len(parts)
            assert inflater.feed(deflater.compress_part(part, final=final), into, math.inf)
            sent += part
            assert into == sent
        inflater.finish()


def test_after_a_reset_a_message_refers_to_none_before_it() -> None:
    deflater = Deflater(15, False, Deflate())
    first = deflater.compress(TEXT)
    assert len(deflater.compress(TEXT[-1000:])) < 50
    deflater.reset()
    assert deflater.compress(TEXT) == first
    deflater.reset()
    deflater.reset()
    assert inflate(Inflater(15, True), deflater.compress(TEXT)) == TEXT


def test_no_context_takeover_keeps_the_context_within_a_message_only() -> None:
    """RFC 7692 section 7.1.1."""
    deflater = Deflater(15, True, Deflate())
    first = deflater.compress_part(NOISE[:5000], final=False)
    again = deflater.compress_part(NOISE[:5000], final=True)
    assert len(again) < 200 < len(first)
    assert len(deflater.compress(NOISE[:5000])) > 5000
    assert len(deflater.compress_part(NOISE[:5000], final=False)) > 5000
    assert deflater.compress_part(b"", final=True) == b"\x00"
    assert len(deflater.compress(NOISE[:5000])) > 5000


# Whole messages


MESSAGES = [
    pytest.param(sync_message(b"Hello"), id="fixed"),
    pytest.param(sync_message(TEXT[:3000]), id="dynamic"),
    pytest.param(sync_message(NOISE[:300]), id="stored"),
    pytest.param(sync_message(b""), id="empty"),
    pytest.param(final_block(TEXT[:3000]) + b"\x00", id="final-dynamic"),
    pytest.param(final_block(b"Hello") + b"\x00", id="final-fixed"),
    pytest.param(final_block(NOISE[:300]) + b"\x00", id="final-stored"),
    pytest.param(final_block(b"Hello") * 3 + sync_message(TEXT[:500]), id="mixed"),
]


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("no_context_takeover", [False, True])
def test_a_message_cut_off_at_any_byte_is_corrupt(
    message: bytes, no_context_takeover: bool
) -> None:
    """RFC 7692 section 7.2.2: what zlib itself would deliver short.

    The one exception is not to be told: the first byte of a stored block is an empty message.
    """
    for size in range(len(message)):
        if message[:size] == b"\x00":
            continue
        inflater = Inflater(15, no_context_takeover)
        assert inflate(inflater, HELLO) == b"Hello"
        with pytest.raises(CorruptData):
            inflate(inflater, message[:size])


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("trailer", [b"\x00", TAIL, b"\x01", b"\xff", b"x", b"trailing data"])
def test_a_message_with_something_behind_its_end_is_corrupt(
    message: bytes, trailer: bytes
) -> None:
    with pytest.raises(CorruptData):
        inflate(Inflater(15, False), message + trailer)


@pytest.mark.parametrize("pieces", [[], [b""], [b"", b""]])
def test_a_compressed_message_without_any_byte_is_truncated(pieces: list[bytes]) -> None:
    """RFC 7692 section 7.2.3.6: an empty message is one byte."""
    with pytest.raises(CorruptData):
        inflate(Inflater(15, False), *pieces)


def test_a_truncated_final_block_is_corrupt_even_if_the_tail_ends_it() -> None:
    """Its end-of-block code is seven zeros, and the tail begins with sixteen."""
    truncated = final_block(b"Hello")[:-1]
    bare = zlib.decompressobj(-15)
    assert bare.decompress(truncated + TAIL) == b"Hello"
    assert bare.eof
    with pytest.raises(CorruptData):
        inflate(Inflater(15, False), truncated)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_may_be_cut_anywhere_with_empty_pieces_between(
    message: bytes, size: int
) -> None:
    whole = inflate(Inflater(15, False), message)
    pieces = [piece for part in cut(message, size) for piece in (b"", part)]
    inflater = Inflater(15, False)
    for _ in range(3):
        assert inflate(inflater, *pieces) == whole


# Blocks with BFINAL=1 (sections 7.2.1 and 7.2.3.4)


@pytest.mark.parametrize("no_context_takeover", [False, True])
def test_final_blocks_end_neither_the_message_nor_the_connection(
    no_context_takeover: bool,
) -> None:
    inflater = Inflater(15, no_context_takeover)
    message = final_block(b"one ") + final_block(b"two ") + sync_message(b"three")
    for _ in range(2):
        assert inflate(inflater, message) == b"one two three"
        assert inflate(inflater, sync_message(b"four")) == b"four"
        assert inflate(inflater, final_block(TEXT) + b"\x00") == TEXT


def test_the_window_goes_on_behind_a_final_block() -> None:
    """RFC 7692 section 7.2.2: "the same LZ77 sliding window", whatever the block was."""
    first, second, third = NOISE[:9000], NOISE[9000:12_000], NOISE[12_000:13_000]
    inflater = Inflater(15, False)
    assert inflate(inflater, sync_message(first)) == first
    reference = final_block(second, first)
    assert inflate(inflater, reference, sync_message(second, first + second)) == second * 2
    history = first + second * 2
    again = sync_message(first, history)
    assert len(again) < 300
    assert inflate(inflater, again) == first
    within = Inflater(15, True)
    message = final_block(third) + sync_message(third, third)
    assert inflate(within, *cut(message, 1)) == third * 2


def test_a_flood_of_empty_final_blocks_is_an_empty_message() -> None:
    inflater = Inflater(15, False)
    assert inflate(inflater, final_block(b"") * 10_000 + b"\x00") == b""
    assert inflate(inflater, HELLO) == b"Hello"


# The limit


@pytest.mark.parametrize("size", [1, 100, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("piece", [1, 1_000_000])
@pytest.mark.parametrize("kind", [int, float])
def test_exactly_the_limit_passes_and_one_byte_more_does_not(
    size: int, piece: int, kind: type[int] | type[float]
) -> None:
    pieces = cut(sync_message(bytes(size)), piece)
    for limit, fits in ((size, True), (size - 1, False)):
        inflater, into = Inflater(15, False), bytearray(b"before")
        taken = all(
            inflater.feed(part, into, kind(limit + len(b"before") - len(into))) for part in pieces
        )
        assert taken is fits
        assert len(into) <= limit + len(b"before")
        assert into.startswith(b"before")
        if fits:
            inflater.finish()
            assert into == b"before" + bytes(size)


def test_the_limit_counts_across_final_blocks() -> None:
    message = final_block(bytes(1000)) * 3 + b"\x00"
    into = bytearray()
    assert not Inflater(15, False).feed(message, into, 2999)
    assert into == bytes(2999)
    into.clear()
    assert Inflater(15, False).feed(message, into, 3000)
    assert into == bytes(3000)


def test_a_limit_already_passed_lets_nothing_through() -> None:
    for limit in (-1, -1_000_000, -0.5):
        into = bytearray()
        assert not Inflater(15, False).feed(sync_message(bytes(1000)), into, limit)
        assert into == b""


# Memory


def peak(base: int) -> int:
    return tracemalloc.get_traced_memory()[1] - base


def test_a_bomb_costs_its_limit_and_not_its_size() -> None:
    bomb = sync_message(bytes(10_000_000))
    inflater, into = Inflater(15, False), bytearray()
    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        assert not inflater.feed(bomb, into, 1024 * 1024)
        assert peak(base) < 4 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert len(into) <= 1024 * 1024


def test_what_is_not_used_takes_no_memory_of_zlib_and_between_messages_only_the_window() -> None:
    compressed = sync_message(TEXT[:4000])
    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        deflaters = [Deflater(12, False, PLAIN) for _ in range(100)]
        inflaters = [Inflater(12, False) for _ in range(100)]
        assert tracemalloc.get_traced_memory()[0] - base < 100 * 1024
        for deflater, inflater in zip(deflaters, inflaters, strict=True):
            assert deflater.compress(b"") == b"\x00"
            inflate(inflater, compressed)
        assert tracemalloc.get_traced_memory()[0] - base < 100 * (4096 + 2048)
    finally:
        tracemalloc.stop()


# Implementations of others


def websockets_exchange(
    peer: PerMessageDeflate, deflater: Deflater, inflater: Inflater, messages: Iterable[bytes]
) -> None:
    for message in messages:
        received = peer.decode(Frame(BINARY, deflater.compress(message), rsv1=True))
        assert received.data == message
        assert inflate(inflater, bytes(peer.encode(Frame(BINARY, message)).data)) == message


CONVERSATION = [b"", b"a", TEXT, NOISE, TEXT, b"", TEXT[:100], b"a"]

PARAMETERS = [
    Deflate(),
    PLAIN,
    Deflate(server_max_window_bits=9, client_max_window_bits=9, level=9),
    Deflate(server_no_context_takeover=True, level=6, memory_level=9),
    Deflate(client_no_context_takeover=True, server_max_window_bits=10, level=0),
]


@pytest.mark.parametrize("ours", PARAMETERS)
@pytest.mark.parametrize("theirs", PARAMETERS)
def test_our_server_talks_to_the_client_of_websockets(ours: Deflate, theirs: Deflate) -> None:
    client = ClientPerMessageDeflateFactory(
        server_no_context_takeover=theirs.server_no_context_takeover,
        client_no_context_takeover=theirs.client_no_context_takeover,
        server_max_window_bits=theirs.server_max_window_bits,
        client_max_window_bits=theirs.client_max_window_bits,
    )
    accepted = accept(build_extension([(client.name, list(client.get_request_params()))]), ours)
    assert accepted is not None
    answer, agreed = accepted
    [(_, parameters)] = parse_extension(answer)
    websockets_exchange(
        client.process_response_params(parameters, []),
        Deflater(agreed.server_max_window_bits, agreed.server_no_context_takeover, ours),
        Inflater(agreed.client_max_window_bits, agreed.client_no_context_takeover),
        CONVERSATION,
    )


@pytest.mark.parametrize("ours", PARAMETERS)
@pytest.mark.parametrize("theirs", PARAMETERS)
def test_our_client_talks_to_the_server_of_websockets(ours: Deflate, theirs: Deflate) -> None:
    server = ServerPerMessageDeflateFactory(
        server_no_context_takeover=theirs.server_no_context_takeover,
        client_no_context_takeover=theirs.client_no_context_takeover,
        server_max_window_bits=theirs.server_max_window_bits,
        client_max_window_bits=theirs.client_max_window_bits,
    )
    [(name, asked)] = parse_extension(offer(ours))
    answered, peer = server.process_request_params(asked, [])
    agreed = confirm(build_extension([(name, answered)]), ours)
    assert agreed is not None
    websockets_exchange(
        peer,
        Deflater(agreed.client_max_window_bits, agreed.client_no_context_takeover, ours),
        Inflater(agreed.server_max_window_bits, agreed.server_no_context_takeover),
        CONVERSATION,
    )


def test_our_client_talks_to_the_server_of_wsproto() -> None:
    ours = Deflate()
    peer = WsprotoDeflate()
    answer = peer.accept(offer(ours))
    agreed = confirm(f"permessage-deflate; {answer}", ours)
    assert agreed == Negotiated(12, 12, False, False)
    protocol = FrameProtocol(client=False, extensions=[peer])
    plain = RsvBits(False, False, False)
    deflater, inflater = Deflater(12, False, ours), Inflater(12, False)
    for message in CONVERSATION[1:]:
        compressed = deflater.compress(message)
        marked = RsvBits(True, False, False)
        peer.frame_inbound_header(protocol, Opcode.BINARY, marked, len(compressed))
        data = peer.frame_inbound_payload_data(protocol, compressed)
        rest = peer.frame_inbound_complete(protocol, True)
        assert isinstance(data, bytes)
        assert isinstance(rest, bytes)
        assert data + rest == message
        rsv, sent = peer.frame_outbound(protocol, Opcode.BINARY, plain, message, True)
        assert rsv.rsv1
        assert inflate(inflater, sent) == message


# Anything that can be sent


repetitive = st.builds(
    lambda data, times: data * times, st.binary(max_size=40), st.integers(0, 99)
)
bodies = st.binary(max_size=200) | repetitive


@given(
    deflate=deflates,
    bits=st.integers(8, 15),
    no_context_takeover=st.booleans(),
    messages=st.lists(st.lists(bodies, min_size=1, max_size=4), max_size=5),
    size=st.integers(1, 50),
)
def test_any_messages_in_any_parts_and_any_pieces_round_trip(
    deflate: Deflate,
    bits: int,
    no_context_takeover: bool,
    messages: list[list[bytes]],
    size: int,
) -> None:
    deflater = Deflater(bits, no_context_takeover, deflate)
    inflater = Inflater(bits, no_context_takeover)
    for parts in messages:
        compressed = b"".join(
            deflater.compress_part(part, final=number == len(parts))
            for number, part in enumerate(parts, 1)
        )
        assert inflate(inflater, *cut(compressed, size)) == b"".join(parts)


whole = bodies.map(sync_message) | bodies.map(lambda body: final_block(body) + b"\x00")
damaged = st.builds(
    lambda message, at, patch: message[:at] + patch + message[at + 1 :],
    whole,
    st.integers(0, 100),
    st.binary(max_size=3),
)


@given(
    messages=st.lists(st.binary() | whole | damaged, max_size=5),
    bits=st.integers(8, 15),
    no_context_takeover=st.booleans(),
    limit=st.integers(0, 5000),
)
@example([b"\x03\x00", b"\x00"], 15, False, 0)
def test_any_bytes_are_a_message_or_too_long_or_corrupt(
    messages: list[bytes], bits: int, no_context_takeover: bool, limit: int
) -> None:
    inflater = Inflater(bits, no_context_takeover)
    for message in messages:
        into = bytearray()
        try:
            fits = inflater.feed(message, into, limit)
            if fits:
                inflater.finish()
        except CorruptData:
            return
        finally:
            assert len(into) <= limit
        if not fits:
            return


@given(message=st.binary() | whole | damaged, size=st.integers(1, 9))
def test_what_any_bytes_mean_does_not_depend_on_how_they_are_cut(
    message: bytes, size: int
) -> None:
    def meaning(*pieces: bytes) -> bytes | None:
        try:
            return inflate(Inflater(15, False), *pieces)
        except CorruptData:
            return None

    assert meaning(message) == meaning(*cut(message, size))


@given(message=damaged)
def test_what_is_not_corrupt_is_what_zlib_makes_of_it(message: bytes) -> None:
    """Blocks with BFINAL=1 apart, which end zlib's work."""
    bare = zlib.decompressobj(-15)
    try:
        expected = bare.decompress(message + TAIL)
        actual = inflate(Inflater(15, False), message)
    except (zlib.error, CorruptData):
        return
    assert actual == expected if not bare.eof else actual.startswith(expected)
