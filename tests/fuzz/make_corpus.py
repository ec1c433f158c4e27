"""The only place for what the inputs in ``corpus`` are made of.

Good examples and those that break one rule, each named by what it is; written by ``python -m
tests.fuzz.make_corpus``. Inputs that a fuzzer found may lie beside them, and are left alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.targets import SEPARATOR, TARGETS
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    REQUEST,
    RESERVED,
    RSV1,
    TEXT,
    close_payload,
    frame,
)

CORPUS: Final = Path(__file__).parent / "corpus"

# The bits of a first byte: see targets.Circumstances.
SERVER, COMPRESSED, TIGHT, IN_PARTS, LATE, DEAF, ENDS, CLOSES = (1 << bit for bit in range(8))

SWITCH: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
)
"""The answer of RFC 6455 section 1.3, but for the empty line."""

CHUNKED: Final = b"HTTP/1.1 503 \r\nTransfer-Encoding: chunked\r\n\r\n"

HELLO: Final = bytes.fromhex("f248cdc9c90700")
"""\"Hello\" as RFC 7692 section 7.2.3.1 has it."""


def masked(head: int, payload: bytes = b"", *, announced: int | None = None) -> bytes:
    return frame(head, payload, masked=True, announced=announced)


def plain(head: int, payload: bytes = b"", *, announced: int | None = None) -> bytes:
    return frame(head, payload, masked=False, announced=announced)


def responses() -> Iterator[tuple[str, int, bytes]]:
    """Name, first byte, and what the server sends."""
    hello = plain(FIN | TEXT, b"Hello")
    yield "accepted", 0, SWITCH + b"\r\n"
    yield "accepted-and-a-message", ENDS, SWITCH + b"\r\n" + hello
    yield "accepted-and-closed", 0, SWITCH + b"\r\n" + hello + plain(CLOSE, close_payload(1001))
    yield "accepted-and-a-violation", LATE, SWITCH + b"\r\n" + hello + plain(RESERVED)
    yield "subprotocol", 0, SWITCH + b"Sec-WebSocket-Protocol: chat\r\n\r\n"
    yield "subprotocol-not-offered", 0, SWITCH + b"Sec-WebSocket-Protocol: soap\r\n\r\n"
    yield "deflate", COMPRESSED, SWITCH + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    yield (
        "deflate-not-offered",
        0,
        SWITCH + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    )
    yield "wrong-accept", 0, SWITCH.replace(b"s3pP", b"S3pP") + b"\r\n"
    yield "http-1.0", 0, SWITCH.replace(b"1.1 101", b"1.0 101") + b"\r\n"
    yield "early-hints", 0, b"HTTP/1.1 103 \r\nLink: a\r\n\r\n" + SWITCH + b"\r\n"
    yield (
        "folded-header",
        0,
        SWITCH.replace(b"Upgrade: websocket", b"Upgrade:\r\n websocket") + b"\r\n",
    )
    yield "control-character", 0, SWITCH + b"X: \x00\r\n\r\n"
    yield "lone-newline", 0, SWITCH.replace(b"\r\n", b"\n") + b"\n"
    yield "header-too-long", TIGHT, SWITCH + b"X: " + b"x" * 120 + b"\r\n\r\n"
    yield "too-many-headers", TIGHT, SWITCH + b"X: x\r\n" * 9 + b"\r\n"
    yield "rejected", 0, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    yield "rejected-until-the-end", ENDS, b"HTTP/1.1 401 \r\n\r\nwho are you?"
    yield "rejected-in-chunks", 0, CHUNKED + b"2;x=y\r\nno\r\n0\r\nX: y\r\n\r\n"
    yield "rejected-in-bad-chunks", 0, CHUNKED + b"-1\r\nno\r\n"
    yield "rejected-body-too-long", TIGHT, CHUNKED + b"1f\r\n" + b"x" * 31 + b"\r\n0\r\n\r\n"
    yield "redirect", 0, b"HTTP/1.1 302 Found\r\nLocation: wss://a/\r\nContent-Length: 0\r\n\r\n"
    yield "not-http", 0, b"SSH-2.0-OpenSSH_9.6\r\n"
    yield "cut-in-its-head", ENDS, SWITCH[:60]


def requests() -> Iterator[tuple[str, int, bytes]]:
    """Name, first byte, and what the client sends."""
    hello = masked(FIN | TEXT, b"Hello")
    open_end = REQUEST[:-2]
    offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    yield "good", 0, REQUEST
    yield "good-and-a-message", ENDS, REQUEST + hello
    yield "good-and-closed", 0, REQUEST + hello + masked(CLOSE, close_payload(1000, "bye"))
    yield "good-and-a-violation", TIGHT, REQUEST + hello * 4 + masked(RESERVED)
    yield "good-and-not-masked", LATE, REQUEST + hello + plain(FIN | TEXT, b"Hello")
    yield "deflate", COMPRESSED, open_end + offer
    yield "subprotocols", 0, open_end + b"Sec-WebSocket-Protocol: soap, superchat, chat\r\n\r\n"
    yield "subprotocol-twice", 0, open_end + b"Sec-WebSocket-Protocol: chat, chat\r\n\r\n"
    yield "absolute-target", 0, REQUEST.replace(b"/chat", b"http://a:1?x", 1)
    yield "asterisk-target", 0, REQUEST.replace(b"/chat", b"*", 1)
    yield "post", 0, REQUEST.replace(b"GET", b"POST")
    yield "http-1.0", 0, REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0")
    yield "http-2-preface", 0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "plain-get", 0, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    yield "no-host", 0, REQUEST.replace(b"Host: example.com\r\n", b"")
    yield "bad-host", 0, REQUEST.replace(b"example.com", b"xn--\xff@a")
    yield "version-8", 0, REQUEST.replace(b"Version: 13", b"Version: 8")
    yield "key-twice", 0, open_end + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    yield "short-key", 0, REQUEST.replace(b"dGhl", b"")
    yield "with-a-body", 0, open_end + b"Content-Length: 5\r\n\r\nhello"
    yield "folded-header", 0, open_end + b"X: a\r\n b\r\n\r\n"
    yield "line-too-long", TIGHT, REQUEST.replace(b"/chat", b"/" + b"x" * 120, 1)
    yield "head-too-long", TIGHT, open_end + (b"X: " + b"x" * 99 + b"\r\n") * 4 + b"\r\n"
    yield "tls", 0, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def streams() -> Iterator[tuple[str, int, bytes]]:
    """Name, first byte, and what the peer sends on an open connection."""
    euro = "€".encode()
    large = bytes(range(256)) * 2
    ping = masked(PING, b"ping")
    half = masked(TEXT, b"fragmented ")
    nine = masked(FIN | TEXT, b"x" * 9)
    yield "text-and-binary", SERVER, masked(FIN | TEXT, b"Hello") + masked(FIN | BINARY, large)
    yield "empty-messages", SERVER | LATE, masked(FIN | TEXT) * 9 + masked(FIN | BINARY)
    yield "fragments-and-a-ping", SERVER, half + ping + masked(FIN | CONTINUATION, b"message")
    yield (
        "a-character-in-fragments",
        SERVER | IN_PARTS,
        masked(TEXT, euro[:1]) + masked(FIN, euro[1:]),
    )
    yield "not-utf-8", SERVER, masked(FIN | TEXT, b"ok") + masked(TEXT, b"\xed\xa0\x80")
    yield "a-character-cut-off", SERVER, masked(FIN | TEXT, euro[:2])
    yield "close-1000", SERVER, masked(CLOSE, close_payload(1000, "bye"))
    yield "close-1005", SERVER, masked(CLOSE)
    yield "close-1014", 0, plain(CLOSE, close_payload(1014))
    yield "close-1006", 0, plain(CLOSE, close_payload(1006))
    yield "close-of-one-byte", 0, plain(CLOSE, b"\x03")
    yield "close-with-a-reason-not-utf-8", 0, plain(CLOSE, b"\x03\xe8\xff")
    yield (
        "close-behind-a-full-queue",
        SERVER | TIGHT | LATE,
        nine * 4 + (masked(FIN | TEXT, b"\xff") + masked(CLOSE, close_payload(1001))),
    )
    yield "reserved-opcode", SERVER, masked(FIN | TEXT, b"ok") + masked(RESERVED) + masked(CLOSE)
    yield "reserved-bit", SERVER, masked(FIN | RSV1 | TEXT, b"ok")
    yield "not-masked", SERVER, plain(FIN | TEXT, b"ok")
    yield "masked-by-a-server", 0, masked(FIN | TEXT, b"ok")
    yield "length-in-too-many-bytes", 0, b"\x82\x7e\x00\x05hello"
    yield "length-of-63-bits", SERVER | TIGHT, masked(FIN | BINARY, announced=(1 << 63) - 1)
    yield "many-pings-and-nobody-reads", SERVER | DEAF | TIGHT, masked(PING, b"x" * 40) * 30
    # Two messages in the first read, three in each that follows.
    reads = 2 * len(nine) << 8 | 3 * len(nine) << 16
    yield "reads-across-the-high-mark", SERVER | TIGHT | LATE | reads, nine * 8
    yield "the-end-inside-of-a-message", SERVER | ENDS, masked(PONG, b"unasked") + half
    yield "too-many-fragments", SERVER | TIGHT, half + masked(CONTINUATION) * 5
    yield "we-close-inside-of-a-message", SERVER | CLOSES, half + masked(CONTINUATION, b"x")[:-1]
    yield "compressed", SERVER | COMPRESSED, masked(FIN | RSV1 | TEXT, HELLO) * 2


def values() -> Iterator[tuple[str, int, bytes]]:
    """Name, first two bytes, and the value of the header; see targets.parameters."""
    offer, response, largest = 0, 1, 0x3F << 8
    name = b"permessage-deflate"
    yield "offer-plain", offer | largest, name
    yield "offer-of-a-client-window", offer, name + b"; client_max_window_bits"
    yield "offer-in-two-ways", offer | 4, name + b"; server_max_window_bits=10, " + name
    yield "offer-quoted", offer, name + b'; server_max_window_bits="1\\0"'
    yield "offer-quoted-without-end", offer, name + b'; a="' + name + b", " + name
    yield "offer-of-something-else", offer, b"permessage-bzip2; level=9, x-webkit-deflate-frame"
    yield (
        "offer-unknown-first",
        offer,
        name + b"; level=9, " + name + b"; server_max_window_bits=8",
    )
    yield "offer-twice-the-same", offer, name + b"; server_no_context_takeover" * 2
    yield "offer-bits-7", offer, name + b"; server_max_window_bits=7"
    yield "offer-bits-08", offer, name + b"; server_max_window_bits=08"
    yield "offer-empty-elements", offer, b" , ,\t," + name + b" ;  client_no_context_takeover ,"
    yield "offer-not-ascii", offer, name + b"; \xe9=\xff, " + name
    yield "response-plain", response | largest, name
    yield "response-plain-to-a-smaller-window", response, name
    yield (
        "response-of-everything",
        response | largest,
        (
            name + b"; server_no_context_takeover; client_no_context_takeover"
            b"; server_max_window_bits=9; client_max_window_bits=8"
        ),
    )
    yield "response-without-what-was-asked", response | largest | 2, name
    yield "response-flag-with-value", response | largest, name + b"; server_no_context_takeover=1"
    yield "response-window-without-value", response | largest, name + b"; client_max_window_bits"
    yield "response-of-two", response | largest, name + b", " + name
    yield "response-of-something-else", response | largest, b"permessage-bzip2"
    yield "response-empty", response | largest, b""


def deflate(data: bytes, *, level: int = 9, bits: int = 15) -> bytes:
    """A message as a sender without context sends it (RFC 7692 section 7.2.1)."""
    return deflate_all([data], level=level, bits=bits)


def deflate_all(messages: list[bytes], *, level: int = 9, bits: int = 15) -> bytes:
    """Messages as a sender with context sends them, as an input holds them."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
    flushed = [
        compressor.compress(each) + compressor.flush(zlib.Z_SYNC_FLUSH) for each in messages
    ]
    return SEPARATOR.join(each.removesuffix(SEPARATOR) for each in flushed)


def payloads() -> Iterator[tuple[str, int, bytes]]:
    """Name, first two bytes, and the payloads; see targets.agreement."""
    server, text, tight, forgets = 1, 2, 4, 64
    largest, smallest = 7 << 3, 0
    in_fragments = 3 << 8
    twice = [b"Hello, hello", b"Hello, hello"]
    noise = Random(0).randbytes(300)
    yield "hello", server | text | largest, HELLO
    yield (
        "hello-with-context",
        text | largest,
        HELLO + SEPARATOR + bytes.fromhex("f200110000"),
    )
    yield "hello-not-compressed", text | largest, bytes.fromhex("000500faff48656c6c6f00")
    yield "hello-in-a-final-block", text | largest, bytes.fromhex("f348cdc9c9070000")
    yield (
        "hello-in-two-blocks",
        text | largest,
        bytes.fromhex("f248050000") + SEPARATOR[2:] + bytes.fromhex("cac9c90700"),
    )
    yield "empty", server | largest, b"\x00"
    yield "of-no-bytes", server | largest, b""
    yield "two-in-fragments", server | text | largest | in_fragments, deflate_all(twice)
    yield "context-that-is-forgotten", text | forgets | largest, deflate_all(twice)
    yield "smallest-window", server | smallest, deflate_all([bytes(range(200)) * 2] * 2, bits=9)
    yield "window-larger-than-agreed", server | smallest, deflate_all([noise * 2] * 2)
    yield "bomb", server | tight | largest, deflate(bytes(100_000))
    yield "at-the-limit", server | tight | largest, deflate(bytes(300))
    yield "over-the-limit", server | tight | largest, deflate(bytes(301))
    yield "stored", largest, deflate(bytes(range(256)), level=0)
    yield "truncated", largest, deflate(b"Hello, hello, hello")[:-3]
    yield "something-behind-the-end", largest, deflate(b"Hello") + b"\x00\x01"
    yield "reserved-block-type", largest, b"\x07"
    yield "refers-to-nothing", largest, bytes.fromhex("f200110000")
    yield "not-utf-8", server | text | largest, deflate(b"\xc3\x28")


def deflated_input(chosen: int, data: bytes) -> bytes:
    return chosen.to_bytes(2, "little") + b"\0\0" + data


def input_of_values(chosen: int, data: bytes) -> bytes:
    return chosen.to_bytes(2, "little") + data


def sliced_input(chosen: int, data: bytes) -> bytes:
    return chosen.to_bytes(3, "little") + data


Made = Callable[[], Iterator[tuple[str, int, bytes]]]

MADE: Final[dict[str, tuple[Made, Callable[[int, bytes], bytes]]]] = {
    "response_head": (responses, sliced_input),
    "request_head": (requests, sliced_input),
    "frames": (streams, sliced_input),
    "parameters": (values, input_of_values),
    "deflated": (payloads, deflated_input),
}


def made(target: str) -> dict[str, bytes]:
    """The inputs of this target by the names of their files."""
    examples, to_input = MADE[target]
    return {f"{name}.bin": to_input(chosen, data) for name, chosen, data in examples()}


def main() -> None:
    """Write the corpus."""
    for target in TARGETS:
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in made(target).items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
