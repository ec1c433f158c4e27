"""Attacks by frames that break RFC 6455 sections 5 to 8 (SECURITY 11 to 14)."""

from __future__ import annotations

from functools import partial

from tests.adapters.rawpeers import Frame
from tests.security.attacker import Attacker
from tests.security.on_servers.table import add, attack, failed, long_attack
from tests.security.victim import MIB, Server
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MASK,
    PING,
    PONG,
    RSV1,
    TEXT,
    close_payload,
    frame,
    xor,
)

GOOD = frame(FIN | TEXT, b"good", masked=True)


def masked(head: int, payload: bytes = b"", announced: int | None = None) -> bytes:
    return frame(head, payload, masked=True, announced=announced)


def with_length(width: int, size: int, payload: bytes) -> bytes:
    """A binary frame whose length is written in so many bytes."""
    mark = {2: 126, 8: 127}[width]
    head = bytes((FIN | BINARY, 0x80 | mark)) + size.to_bytes(width, "big") + MASK
    return head + xor(payload, MASK)


VIOLATIONS: dict[str, tuple[bytes, int]] = {
    # Section 5.2.
    "rsv1": (masked(FIN | RSV1 | TEXT, b"x"), 1002),
    "rsv2": (masked(FIN | 0x20 | TEXT, b"x"), 1002),
    "rsv3": (masked(FIN | 0x10 | TEXT, b"x"), 1002),
    "all_reserved_bits": (masked(FIN | 0x70 | BINARY, b"x"), 1002),
    **{f"opcode_{code:x}": (masked(FIN | code), 1002) for code in (3, 4, 5, 6, 7)},
    **{f"opcode_{code:x}": (masked(FIN | code), 1002) for code in (11, 12, 13, 14, 15)},
    "length_5_in_two_bytes": (with_length(2, 5, b"hello"), 1002),
    "length_300_in_eight_bytes": (with_length(8, 300, bytes(300)), 1002),
    "length_with_the_top_bit": (with_length(8, 1 << 63, b""), 1002),
    "length_of_all_ones": (with_length(8, (1 << 64) - 1, b""), 1002),
    # Section 5.1.
    "no_mask": (frame(FIN | TEXT, b"hello", masked=False), 1002),
    "no_mask_on_a_ping": (frame(PING, b"hello", masked=False), 1002),
    "no_mask_on_a_close": (frame(CLOSE, close_payload(1000), masked=False), 1002),
    # Section 5.5.
    "ping_of_126_bytes": (masked(PING, bytes(126)), 1002),
    "pong_of_65536_bytes": (masked(PONG, bytes(65536)), 1002),
    "close_of_126_bytes": (masked(CLOSE, close_payload(1000, "a" * 124)), 1002),
    "ping_in_fragments": (masked(PING & ~FIN), 1002),
    "pong_in_fragments": (masked(PONG & ~FIN), 1002),
    "close_in_fragments": (masked(CLOSE & ~FIN, close_payload(1000)), 1002),
    "compressed_ping": (masked(PING | RSV1), 1002),
    # Section 5.4.
    "continuation_of_nothing": (masked(FIN | CONTINUATION, b"x"), 1002),
    "continuation_of_nothing_that_goes_on": (masked(CONTINUATION, b"x"), 1002),
    "text_within_a_message": (masked(TEXT, b"a") + masked(FIN | TEXT, b"b"), 1002),
    "binary_within_a_message": (masked(BINARY, b"a") + masked(FIN | BINARY, b"b"), 1002),
    "new_fragments_within_a_message": (masked(TEXT, b"a") + masked(TEXT, b"b"), 1002),
    # Section 5.5.1 and 7.4.
    "close_of_one_byte": (masked(CLOSE, b"\x03"), 1002),
    "close_with_a_reason_that_is_not_utf8": (masked(CLOSE, b"\x03\xe8\xff"), 1007),
    "close_with_half_a_character": (masked(CLOSE, b"\x03\xe8\xe2\x82"), 1007),
    **{
        f"close_with_code_{code}": (masked(CLOSE, close_payload(code)), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    # Limits, judged by the header.
    "one_byte_more_than_the_limit": (masked(FIN | BINARY, announced=MIB + 1), 1009),
    "four_gibibytes": (masked(FIN | BINARY, announced=1 << 32), 1009),
    "as_long_as_can_be": (masked(FIN | BINARY, announced=(1 << 63) - 1), 1009),
    "fragments_over_the_limit": (
        masked(BINARY, bytes(MIB)) + masked(FIN | CONTINUATION, b"x"),
        1009,
    ),
}


def _violate(data: bytes, code: int, server: Server) -> None:
    """What came before it is delivered; then it fails, with the Close frame on the wire."""
    with server.connect() as attacker:
        attacker.open()
        attacker.send(GOOD)
        # For so many bytes at once the answers would have to be read meanwhile.
        attacker.send(data + masked(FIN | TEXT, b"never read"))
        failed(attacker, code, b"good")


for name, (data, code) in VIOLATIONS.items():
    add(f"frame: {name}", partial(_violate, data, code))


NOT_UTF8: dict[str, bytes] = {
    "lone_continuation": b"\x80",
    "two_continuations": b"ab\xbf\xbf",
    "overlong_slash": b"\xc0\xaf",
    "overlong_nul": b"\xe0\x80\x80",
    "surrogate": b"\xed\xa0\x80",
    "surrogate_pair": b"\xed\xa1\x8c\xed\xbe\xb4",
    "beyond_unicode": b"\xf4\x90\x80\x80",
    "five_bytes": b"\xf8\x88\x80\x80\x80",
    "fe_and_ff": b"\xfe\xff",
    "cut_off_at_the_end": "κόσμ".encode() + b"\xce",
    "cut_off_in_the_middle": b"\xe2\x82 and on",
}


def _send_bad_text(text: bytes, server: Server) -> None:
    """Whole, at every split into two fragments, and byte by byte."""
    slicings = [[text], *([text[:at], text[at:]] for at in range(1, len(text)))]
    slicings.append([text[at : at + 1] for at in range(len(text))])
    for pieces in slicings:
        with server.connect() as attacker:
            attacker.open()
            first, *rest = pieces
            attacker.send_frame(TEXT | (0 if rest else FIN), first)
            for i, piece in enumerate(rest, 1):
                attacker.send_frame(CONTINUATION | (FIN if i == len(rest) else 0), piece)
            failed(attacker, 1007)


for name, text in NOT_UTF8.items():
    add(f"text: {name}", partial(_send_bad_text, text))


@attack
def text_that_is_wrong_fails_before_it_ends(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        attacker.send(masked(TEXT, announced=1000)[:-4] + MASK + xor(b"wrong: \xff", MASK))
        failed(attacker, 1007)


@attack
def good_text_at_every_split_is_echoed(server: Server) -> None:
    text = "aé€𐍈κόσμε".encode()
    with server.connect() as client:
        client.open()
        for at in range(len(text) + 1):
            client.send_frame(TEXT, text[:at])
            client.send_frame(PING, b"between")
            client.send_frame(FIN | CONTINUATION, text[at:])
            assert {*client.frames(2)} == {Frame(PONG, b"between"), Frame(FIN | TEXT, text)}
        client.close()


LEGAL_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)


@attack
def every_legal_close_code_is_answered_by_itself(server: Server) -> None:
    for code in (*LEGAL_CODES, 3000, 3999, 4000, 4999):
        with server.connect() as client:
            client.open()
            client.close(code)


@attack
def an_empty_close_is_answered_by_an_empty_one(server: Server) -> None:
    with server.connect() as client:
        client.open()
        client.send_frame(CLOSE)
        assert client.frames_to_end() == [Frame(CLOSE, b"")]


@attack
def a_hundred_closes_are_answered_by_one(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        attacker.send(masked(CLOSE, close_payload(1000)) * 100)
        assert attacker.frames_to_end() == [Frame(CLOSE, close_payload(1000))]


@attack
def what_comes_behind_a_close_is_ignored(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        attacker.send(masked(CLOSE, close_payload(1000)) + GOOD * 10 + masked(PING))
        assert attacker.frames_to_end() == [Frame(CLOSE, close_payload(1000))]


@attack
def every_violation_gets_its_close_frame(server: Server) -> None:
    """Also with input left that nobody reads, which would reset the connection (SECURITY 13)."""
    unread = GOOD * 2000
    for _ in range(30):
        with server.connect() as attacker:
            attacker.open()
            attacker.send_as_much_as_goes(masked(FIN | 0x03) + unread)
            failed(attacker, 1002)


@long_attack
def every_violation_of_a_thousand_gets_its_close_frame(server: Server) -> None:
    for _ in range(1000):
        with server.connect() as attacker:
            attacker.open()
            attacker.send_as_much_as_goes(masked(FIN | 0x03) + GOOD * 100)
            failed(attacker, 1002)


@attack
def the_end_within_a_frame(server: Server) -> None:
    for size in range(1, len(GOOD)):
        with server.connect() as attacker:
            attacker.open()
            attacker.send(GOOD[:size])
            attacker.end()
            assert attacker.frames_to_end() == []


@attack
def the_end_within_a_message(server: Server) -> None:
    with server.connect() as attacker:
        attacker.open()
        attacker.send_frame(TEXT, b"to be continued")
        attacker.end()
        assert attacker.frames_to_end() == []


@attack
def the_end_behind_a_message(server: Server) -> None:
    """There may be nobody any more who could read the echo, but that is not known."""
    with server.connect() as attacker:
        attacker.open()
        attacker.send(GOOD)
        assert attacker.frames(1)[0].payload == b"good"
        attacker.end()
        assert attacker.frames_to_end() == []


@attack
def a_reset_within_a_frame(server: Server) -> None:
    for size in range(1, len(GOOD)):
        attacker = server.connect()
        attacker.open()
        attacker.send(GOOD[:size])
        attacker.reset()


@attack
def a_reset_while_it_is_answered(server: Server) -> None:
    for _ in range(20):
        attacker = server.connect()
        attacker.open()
        attacker.send_binary(bytes(MIB))
        attacker.sock.recv(1)
        attacker.reset()


@attack
def a_reset_behind_a_close(server: Server) -> None:
    for _ in range(20):
        attacker = server.connect()
        attacker.open()
        attacker.send_frame(CLOSE, close_payload(1000))
        attacker.reset()


def _echoes(client: Attacker, data: bytes) -> None:
    client.send_binary(data)
    (echo,) = client.frames(1)
    assert echo == Frame(FIN | BINARY, data)


@attack
def exactly_the_limit_is_accepted(server: Server) -> None:
    with server.connect() as client:
        client.open()
        _echoes(client, bytes(MIB))
        client.close()


@attack
def a_mask_of_zeros_is_a_mask(server: Server) -> None:
    with server.connect() as client:
        client.open()
        client.send(bytes((FIN | TEXT, 0x82)) + bytes(4) + b"hi")
        assert client.frames(1) == [Frame(FIN | TEXT, b"hi")]
        client.close()
