"""The only place for the rules of RFC 6455 as vectors: what the peer sends, and what follows.

One vector for each case of groups 1 to 7 and 10 of the Autobahn test suite, under the number that
the case has in its version 25.10.1. Every octet that matters is as it is there. Cases that differ
in nothing but how their octets are sliced are alike here, since every vector is played in every
slicing. Sections are those of RFC 6455 unless another is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    TEXT,
    Frame,
    close_payload,
)

from wscore import Cause, Message


class Cut(NamedTuple):
    """A part of a frame: of its payload from ``start`` to ``stop``, the header with its start."""

    frame: Frame
    start: int
    stop: int


Turn: TypeAlias = tuple[Frame | Cut, ...]
"""What the peer sends without waiting for anything."""


class End(NamedTuple):
    """How it ends.

    :ivar code: that of the Close frame that is written, 1005 for an empty one.
    :ivar cause: PEER_CLOSED, with both Close frames exchanged; or the rule that was broken.
    """

    code: int
    cause: Cause


class Vector(NamedTuple):
    """What the peer sends, and all that comes of it if the application echoes every message.

    :ivar case: its number.
    :ivar rule: what it tests, and where that is written.
    :ivar turns: the peer sends each when it has read all that answers the one before. The
        connection is open until the last one has begun and not when that has come.
    :ivar messages: what the application gets.
    :ivar written: the frames that answer each turn; the last ones stand before the Close frame.
    :ivar end: how it ends.
    :ivar written_at_once: the same where a turn comes in one read, if that differs.
    """

    case: str
    rule: str
    turns: tuple[Turn, ...]
    messages: tuple[Message, ...]
    written: tuple[tuple[Frame, ...], ...]
    end: End
    written_at_once: tuple[tuple[Frame, ...], ...] | None = None


FINE: Final = End(1000, Cause.PEER_CLOSED)
BROKEN: Final = End(1002, Cause.PROTOCOL_ERROR)
NOT_UTF8: Final = End(1007, Cause.INVALID_DATA)

GOODBYE: Final = (CLOSE, close_payload(1000))

HELLO: Final = "Hello, world!"
HELLO_FRAME: Final = (FIN | TEXT, HELLO.encode())
OCTETS: Final = bytes.fromhex("00fffefdfcfb00ff")
"""Neither text nor free of zeros."""

KOSME: Final = bytes.fromhex("ceba e1bdb9 cf83 cebc ceb5")
"""A text of characters of two and of three octets."""
EDITED: Final = b"edited"
SURROGATE: Final = bytes.fromhex("eda080")
TOO_HIGH: Final = bytes.fromhex("f4908080")
"""It would be U+110000. Its second octet is the wrong one."""


def echo(message: Message) -> Frame:
    if isinstance(message, str):
        return FIN | TEXT, message.encode()
    return FIN | BINARY, message


def fine(case: str, rule: str, *turns: Sequence[Frame], gets: Sequence[Message] = ()) -> Vector:
    """Nothing is wrong: pings are answered, messages end with the last turn; the peer closes."""
    pongs = [[(PONG, payload) for head, payload in turn if head == PING] for turn in turns]
    written = *map(tuple, pongs[:-1]), (*pongs[-1], *map(echo, gets)), ()
    return Vector(case, rule, (*map(tuple, turns), (GOODBYE,)), tuple(gets), written, FINE)


def broken(
    case: str, rule: str, *frames: Frame, gets: Sequence[Message] = (), end: End = BROKEN
) -> Vector:
    """A rule is broken, behind the messages that ``gets`` has; nothing behind it is heard."""
    return Vector(case, rule, (frames,), tuple(gets), (tuple(map(echo, gets)),), end)


def fragments(payload: bytes, size: int) -> list[Frame]:
    """A text message in frames of ``size`` octets and what remains (section 5.4)."""
    last = (len(payload) - 1) // size
    return [
        ((0 if i else TEXT) | (FIN if i == last else 0), payload[i * size : (i + 1) * size])
        for i in range(last + 1)
    ]


# ------------------------------------------------------------------------------- 1, framing


def lengths() -> Iterator[Vector]:
    """Each way to write a length, at both of its ends (section 5.2)."""
    for i, size in enumerate((0, 125, 126, 127, 128, 65535, 65536, 65536), 1):
        text, data = "*" * size, b"\xfe" * size
        rule = f"message of {size} octets comes back (section 5.2)"
        yield fine(f"1.1.{i}", f"a text {rule}", [echo(text)], gets=[text])
        yield fine(f"1.2.{i}", f"a binary {rule}", [echo(data)], gets=[data])


# ---------------------------------------------------------------------- 2, pings and pongs


def pings() -> Iterator[Vector]:
    rule = "a pong has the payload of its ping (section 5.5.3)"
    for case, payload in (
        ("2.1", b""),
        ("2.2", HELLO.encode()),
        ("2.3", OCTETS),
        ("2.4", b"\xfe" * 125),
        ("2.6", b"\xfe" * 125),
    ):
        yield fine(case, rule, [(PING, payload)])
    rule = "a ping has 125 octets at most (section 5.5)"
    yield broken("2.5", rule, (PING, b"\xfe" * 126))

    rule = "a pong that nobody asked for is not answered (section 5.5.3)"
    unasked = (PONG, b"nobody asked")
    # The Close frame comes at once: what answered a pong would stand in front of its answer.
    yield Vector("2.7", rule, (((PONG, b""), GOODBYE),), (), ((),), FINE)
    yield Vector("2.8", rule, ((unasked, GOODBYE),), (), ((),), FINE)
    yield fine("2.9", rule, [unasked, (PING, b"asked")])

    # Section 5.5.3 would allow to answer only the last one.
    rule = "each of ten pings gets its pong, in order (section 5.5.3)"
    ten = [(PING, b"ping %d" % i) for i in range(10)]
    for case in ("2.10", "2.11"):
        yield fine(case, rule, ten)


# ------------------------------------------------------- 3 and 4, reserved bits and opcodes


def reserved() -> Iterator[Vector]:
    rule = "a reserved bit is set, and no extension says why (section 5.2)"
    bits = [rsv << 4 for rsv in range(8)]
    yield broken("3.1", rule, (bits[1] | FIN | TEXT, HELLO.encode()))
    for rsv in (2, 3, 4):
        bad = (bits[rsv] | FIN | TEXT, HELLO.encode())
        yield broken(f"3.{rsv}", rule, HELLO_FRAME, bad, (PING, b""), gets=[HELLO])
    yield broken("3.5", rule, (bits[5] | FIN | BINARY, OCTETS))
    yield broken("3.6", rule, (bits[6] | FIN | BINARY, HELLO.encode()))
    yield broken("3.7", rule, (bits[7] | CLOSE, b""))

    for group, first in (("4.1", 3), ("4.2", 11)):
        rule = f"opcodes {first} to {first + 4} mean nothing (section 5.2)"
        heads = [FIN | opcode for opcode in range(first, first + 5)]
        yield broken(f"{group}.1", rule, (heads[0], b""))
        yield broken(f"{group}.2", rule, (heads[1], b"means nothing"))
        for i, payload in ((3, b""), (4, HELLO.encode()), (5, HELLO.encode())):
            bad = (heads[i - 1], payload)
            yield broken(f"{group}.{i}", rule, HELLO_FRAME, bad, (PING, b""), gets=[HELLO])


# ------------------------------------------------------------------------ 5, fragmentation


def fragmentation() -> Iterator[Vector]:
    rule = "a control frame is never fragmented (sections 5.4 and 5.5)"
    for case, head in (("5.1", PING), ("5.2", PONG)):
        yield broken(case, rule, (head & ~FIN, b"fragment1"), (FIN, b"fragment2"))

    rule = "the fragments of a message make the message (section 5.4)"
    first, second = (TEXT, b"fragment1"), (FIN, b"fragment2")
    whole = "fragment1fragment2"
    for case in ("5.3", "5.4", "5.5"):
        yield fine(case, rule, [first, second], gets=[whole])
    rule = "a ping between two fragments is answered before they are a message (section 5.4)"
    for case in ("5.6", "5.7", "5.8"):
        yield fine(case, rule, [first, (PING, b"ping"), second], gets=[whole])

    rule = "a continuation frame continues nothing (section 5.4)"
    stray = b"continues nothing"
    for case in ("5.9", "5.10", "5.11"):
        yield broken(case, rule, (FIN, stray), HELLO_FRAME)
    for case in ("5.12", "5.13", "5.14"):
        yield broken(case, rule, (CONTINUATION, stray), HELLO_FRAME)
    bad = (CONTINUATION, stray)
    yield broken("5.15", rule, first, second, bad, HELLO_FRAME, gets=[whole])
    for case, head in (("5.16", CONTINUATION), ("5.17", FIN)):
        yield broken(case, rule, *((head, stray), first, second) * 2)

    rule = "a message begins before the one before it ended (section 5.4)"
    yield broken("5.18", rule, first, (FIN | TEXT, b"fragment2"))

    rule = "pings are answered while the rest of a message is awaited (section 5.4)"
    parts = fragments(b"fragment1fragment2fragment3fragment4fragment5", 9)
    turns = [*parts[:2], (PING, b"first")], [*parts[2:4], (PING, b"second"), parts[4]]
    text = "".join(payload.decode() for _, payload in parts)
    for case in ("5.19", "5.20"):
        yield fine(case, rule, *turns, gets=[text])


# -------------------------------------------------------------------------------- 6, UTF-8


def texts() -> Iterator[Vector]:
    rule = "empty fragments add nothing to a message (section 5.4)"
    yield fine("6.1.1", rule, [(FIN | TEXT, b"")], gets=[""])
    for case, text in (("6.1.2", ""), ("6.1.3", "between")):
        three = [(TEXT, b""), (CONTINUATION, text.encode()), (FIN, b"")]
        yield fine(case, rule, three, gets=[text])

    rule = "text may be cut anywhere, also within a character (section 5.6)"
    mixed = "Hello-µ@ßöäüàá-UTF-8!!"
    half = len("Hello-µ@ßöä".encode())
    yield fine("6.2.1", rule, [echo(mixed)], gets=[mixed])
    yield fine("6.2.2", rule, fragments(mixed.encode(), half), gets=[mixed])
    yield fine("6.2.3", rule, fragments(mixed.encode(), 1), gets=[mixed])
    yield fine("6.2.4", rule, fragments(KOSME, 1), gets=[KOSME.decode()])

    rule = "a message is not UTF-8, however it is cut (section 8.1)"
    wrong = KOSME + SURROGATE + EDITED
    yield broken("6.3.1", rule, (FIN | TEXT, wrong), end=NOT_UTF8)
    yield broken("6.3.2", rule, *fragments(wrong, 1), end=NOT_UTF8)

    rule = "a message that cannot become UTF-8 fails before it has ended (section 8.1)"
    wrong = KOSME + TOO_HIGH + EDITED
    sequence, octet = len(KOSME), len(KOSME) + 1
    for i, (start, stop) in enumerate(((sequence, sequence + 4), (octet, octet + 1)), 1):
        in_frames: tuple[Turn, ...] = (
            ((TEXT, wrong[:start]),),
            ((CONTINUATION, wrong[start:stop]),),
        )
        yield Vector(f"6.4.{i}", rule, in_frames, (), ((), ()), NOT_UTF8)
        one = (FIN | TEXT, wrong)
        in_one: tuple[Turn, ...] = (Cut(one, 0, start),), (Cut(one, start, stop),)
        yield Vector(f"6.4.{i + 2}", rule, in_one, (), ((), ()), NOT_UTF8)


INCOMPLETE: Final = (
    *("c0", "e080", "f08080", "f8808080", "fc80808080"),
    *("df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"),
)

BEYOND: Final = [
    f"{(plane << 16 | 0xFFFE | last):c}".encode().hex()
    for plane in range(1, 17)
    for last in (0, 1)
]
"""The last two code points of each plane but the first: no characters, and yet UTF-8."""

# Each sequence of octets is a text message in one frame; "!" says that it is not UTF-8.
SEQUENCES: Final[tuple[tuple[str, Sequence[str]], ...]] = (
    (
        "characters of one to four octets",
        [
            *(f"hello{character}world".encode().hex() for character in "$¢€\U00024b62"),
            KOSME.hex(),
        ],
    ),
    (
        "a text ends where a character does",
        [
            ("" if size in (2, 5, 7, 9, 11) else "!") + KOSME[:size].hex()
            for size in range(1, len(KOSME) + 1)
        ],
    ),
    ("the first character of each length", ["00", "c280", "e0a080", "f0908080"]),
    ("nothing has five or six octets", ["!f888808080", "!fc8480808080"]),
    ("the last character of each length", ["7f", "dfbf", "efbfbf", "f48fbfbf"]),
    ("nothing is beyond U+10FFFF", ["!f7bfbfbf", "!fbbfbfbfbf", "!fdbfbfbfbfbf"]),
    (
        "what is next to surrogates, and to the end",
        ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf", "!f4908080"],
    ),
    (
        "a continuation octet continues nothing",
        [
            *("!80", "!bf", "!80bf", "!80bf80"),
            *("!80bf80bf", "!80bf80bf80", "!80bf80bf80bf"),
            "!" + bytes(range(0x80, 0xBF)).hex(),
        ],
    ),
    (
        "a first octet is not continued",
        [
            "!" + "".join(f"{octet:02x}20" for octet in range(first, last))
            for first, last in (
                *((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7)),
                *((0xF8, 0xFB), (0xFC, 0xFD)),
            )
        ],
    ),
    ("the last octet is missing", [f"!{sequence}" for sequence in INCOMPLETE]),
    ("the last octet is missing, again and again", ["!" + "".join(INCOMPLETE)]),
    ("octets that never occur", ["!fe", "!ff", "!fefeffff"]),
    (
        "an ASCII character takes one octet",
        ["!c0af", "!e080af", "!f08080af", "!f8808080af", "!fc80808080af"],
    ),
    (
        "a character takes no more octets than it needs",
        ["!c1bf", "!e09fbf", "!f08fbfbf", "!f887bfbfbf", "!fc83bfbfbfbf"],
    ),
    (
        "NUL takes one octet",
        ["!c080", "!e08080", "!f0808080", "!f880808080", "!fc8080808080"],
    ),
    (
        "surrogates are no characters",
        ["!eda080", "!edadbf", "!edae80", "!edafbf", "!edb080", "!edbe80", "!edbfbf"],
    ),
    (
        "nor are pairs of them",
        [
            f"!{high}{low}"
            for high in ("eda080", "edadbf", "edae80", "edafbf")
            for low in ("edb080", "edbfbf")
        ],
    ),
    ("code points that are no characters", ["efbfbe", "efbfbf", *BEYOND]),
    (
        "the last code points of the first plane",
        [f"efbf{octet:02x}" for octet in range(0xB9, 0xC0)],
    ),
)


def sequences() -> Iterator[Vector]:
    for group, (what, several) in enumerate(SEQUENCES, 5):
        rule = f"UTF-8: {what} (section 8.1, RFC 3629 section 3)"
        for i, sequence in enumerate(several, 1):
            octets = bytes.fromhex(sequence.removeprefix("!"))
            frame = (FIN | TEXT, octets)
            if sequence.startswith("!"):
                yield broken(f"6.{group}.{i}", rule, frame, end=NOT_UTF8)
            else:
                yield fine(f"6.{group}.{i}", rule, [frame], gets=[octets.decode()])


# ------------------------------------------------------------------------------ 7, closing


def closed(
    case: str, rule: str, payload: bytes, *behind: Frame, ahead: Turn = (), end: End = FINE
) -> Vector:
    """The peer sends a Close frame, and perhaps more; the application gets no message."""
    return Vector(case, rule, ((*ahead, (CLOSE, payload), *behind),), (), ((),), end)


def closing() -> Iterator[Vector]:
    normal = close_payload(1000)
    hello = "Hello World!"
    rule = "a message is echoed, then Close is answered with Close (section 5.5.1)"
    yield fine("7.1.1", rule, [echo(hello)], gets=[hello])
    rule = "nothing behind a Close frame is heard (section 5.5.1)"
    yield closed("7.1.2", rule, normal, (CLOSE, b""))
    yield closed("7.1.3", rule, normal, (PING, b""))
    yield closed("7.1.4", rule, normal, echo(hello))
    rest = (FIN, b"fragment2")
    yield closed("7.1.5", rule, normal, rest, ahead=((TEXT, b"fragment1"),))
    # The suite leaves it open. A Close frame waits for nothing: what came before it can be taken,
    # and is echoed if it was taken before.
    rule = "messages ahead of a Close frame are received in any case (section 5.5.1)"
    gets = (("0123456789" * 26215)[: 256 * 1024], hello)
    echoes = tuple(map(echo, gets))
    turns = ((*echoes, GOODBYE, (PING, b"")),)
    yield Vector("7.1.6", rule, turns, gets, (echoes,), FINE, written_at_once=((),))

    rule = "a Close frame may be empty (section 5.5.1)"
    yield closed("7.3.1", rule, b"", end=End(1005, Cause.PEER_CLOSED))
    rule = "a Close frame has a whole code or none (section 5.5.1)"
    yield closed("7.3.2", rule, b"a", end=BROKEN)
    rule = "a Close frame has a reason of 123 octets at most (sections 5.5 and 5.5.1)"
    for i, reason in enumerate(("", hello, "*" * 123), 3):
        yield closed(f"7.3.{i}", rule, close_payload(1000, reason))
    yield closed("7.3.6", rule, close_payload(1000, "*" * 124), end=BROKEN)
    rule = "a Close frame's reason is UTF-8 (sections 5.5.1 and 8.1)"
    yield closed("7.5.1", rule, normal + KOSME + SURROGATE + EDITED, end=NOT_UTF8)

    rule = "a close code that may be sent is answered with itself (section 7.4)"
    codes = (*(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011), *(3000, 3999, 4000, 4999))
    for i, code in enumerate(codes, 1):
        yield closed(f"7.7.{i}", rule, close_payload(code), end=End(code, Cause.PEER_CLOSED))
    rule = "a close code that must not be sent, or means nothing (section 7.4)"
    for i, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield closed(f"7.9.{i}", rule, close_payload(code), end=BROKEN)
    # The suite leaves it open.
    rule = "a close code beyond those that section 7.4.2 has"
    for i, code in enumerate((5000, 65535), 1):
        yield closed(f"7.13.{i}", rule, close_payload(code), end=BROKEN)


# --------------------------------------------------------------------------- 10, and all


def automatic() -> Iterator[Vector]:
    rule = "51 fragments and what remains make a message, echoed in one frame (section 5.4)"
    text = "*" * 65536
    yield fine("10.1.1", rule, [*fragments(text.encode(), 1300)], gets=[text])


VECTORS: Final = (
    *lengths(),
    *pings(),
    *reserved(),
    *fragmentation(),
    *texts(),
    *sequences(),
    *closing(),
    *automatic(),
)
