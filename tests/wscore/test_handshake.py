"""Tests of wscore._handshake: the opening handshake in memory, both roles, honest and hostile."""

from __future__ import annotations

import base64
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto import events as wsproto_events
from wsproto.extensions import PerMessageDeflate

from wscore import _handshake
from wscore._config import Config
from wscore._errors import (
    BadHandshake,
    HandshakeInterrupted,
    HandshakeRejected,
    InvalidState,
)
from wscore._handshake import ClientHandshake, ServerHandshake
from wscore._http import Accept, Headers, Request, Response

# The example of RFC 6455 section 1.3.
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TOKEN = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

REQUEST_HEADERS = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
RESPONSE_HEADERS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": TOKEN,
}


def head(first_line: str, *headers: tuple[str, str]) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def changed(
    headers: dict[str, str], more: Iterable[tuple[str, str]], changes: dict[str, str | None]
) -> list[tuple[str, str]]:
    """The headers with some replaced, those whose new value is None left out, more behind."""
    pairs = [(name, changes.get(name, value)) for name, value in headers.items()]
    return [(name, value) for name, value in pairs if value is not None] + list(more)


def request(
    *more: tuple[str, str], line: str = "GET /chat HTTP/1.1", **changes: str | None
) -> bytes:
    by_name = {name.replace("_", "-"): value for name, value in changes.items()}
    return head(line, *changed(REQUEST_HEADERS, more, by_name))


def switch(
    *more: tuple[str, str],
    line: str = "HTTP/1.1 101 Switching Protocols",
    **changes: str | None,
) -> bytes:
    by_name = {name.replace("_", "-"): value for name, value in changes.items()}
    return head(line, *changed(RESPONSE_HEADERS, more, by_name))


def config(**options: Any) -> Config:
    """A configuration whose handshake key is that of RFC 6455 section 1.3."""
    return Config(entropy=lambda size: b"the sample nonce"[:size], **options)


def server(*data: bytes, **options: Any) -> ServerHandshake:
    handshake = ServerHandshake(config(**options))
    for piece in data:
        handshake.receive(piece)
    return handshake


def client(*data: bytes, **options: Any) -> ClientHandshake:
    handshake = ClientHandshake(Request("/chat", "example.com"), config(**options))
    for piece in data:
        handshake.receive(piece)
    return handshake


def in_bytes(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def sliced(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return (data[start:end] for start, end in itertools.pairwise(places))


def server_outcome(handshake: ServerHandshake) -> object:
    return handshake.request, handshake.refusal, handshake.problem, handshake.leftover


def client_outcome(handshake: ClientHandshake) -> object:
    error = handshake.error
    return (
        (handshake.done, type(error), str(error), getattr(error, "response", None)),
        (handshake.response, handshake.subprotocol, handshake.negotiated, handshake.leftover),
    )


def read_response(data: bytes) -> tuple[int, Headers, bytes]:
    """A response as another implementation reads it."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    http.receive_data(b"")
    response = http.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := http.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    headers = [(k.decode(), v.decode("latin-1")) for k, v in response.headers.raw_items()]
    return response.status_code, Headers(headers), body


# What a server takes.


def test_a_server_reads_a_request_with_every_header_as_sent() -> None:
    handshake = server(request(("Cookie", "ä=1"), ("cookie", "b=2")))
    assert handshake.request is not None
    assert handshake.request == Request(
        "/chat",
        "example.com",
        [*REQUEST_HEADERS.items(), ("Cookie", "ä=1"), ("cookie", "b=2")],
    )
    assert handshake.request.headers.pairs()[0] == ("Host", "example.com")
    assert (handshake.refusal, handshake.problem, handshake.response) == (None, "", None)


@pytest.mark.parametrize(
    "data",
    [
        request(Connection="keep-alive, Upgrade"),
        request(("Connection", "upgrade"), Connection="keep-alive"),
        request(("Upgrade", "WebSocket"), Upgrade="h2c"),
        request(Connection="UPGRADE", Upgrade="WEBSOCKET"),
        request().replace(b"Sec-WebSocket-Key", b"sEC-wEBsOCKET-kEY"),
        request(("Cookie", "c" * 7000), *[(f"X-{i}", "v") for i in range(40)]),
        request(("Content-Length", "0")),
        request(("Expect", "100-continue")),
        request(("Sec-WebSocket-Protocol", "")),
        request(("Sec-WebSocket-Extensions", "nonsense; ;;, =, \xff")),
        request(("X-Empty", "")),
        request(("X-Tab", "a\tb")),
        request(Host="[::1]:8080"),
        request(Host="xn--mnchen-3ya.example:1"),
        request(Host="under_score.example"),
        request().replace(b": ", b":"),
        request().replace(b": ", b": \t "),
    ],
)
def test_a_server_serves_every_honest_client(data: bytes) -> None:
    """SECURITY 6."""
    handshake = server(data, compression="deflate")
    assert handshake.problem == ""
    assert handshake.accept().startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", ("/", "example.com")),
        ("/a%20b?c=d?e", ("/a%20b?c=d?e", "example.com")),
        ("http://other.example:81/a?b", ("/a?b", "other.example:81")),
        ("HTTPS://other.example", ("/", "other.example")),
        ("http://other.example?b", ("/?b", "other.example")),
    ],
)
def test_a_target_is_a_path_or_an_absolute_url_whose_authority_is_the_host(
    target: str, expected: tuple[str, str]
) -> None:
    """RFC 6455 section 4.2.1 item 1, RFC 9112 section 3.2.2."""
    handshake = server(request(line=f"GET {target} HTTP/1.1"))
    assert handshake.request is not None
    assert (handshake.request.target, handshake.request.host) == expected


def test_a_request_in_single_bytes_is_the_same_and_is_there_with_its_last_byte() -> None:
    data = request()
    handshake = server(*in_bytes(data[:-1]))
    assert handshake.request is None
    assert handshake.held == len(data) - 1
    handshake.receive(data[-1:])
    assert server_outcome(handshake) == server_outcome(server(data))
    assert handshake.held == 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_data_can_be_received(kind: Callable[[bytes], Any]) -> None:
    assert server(kind(request())).request is not None
    assert client(kind(switch())).response is not None
    assert client(kind(b"HTTP/1.1 403 \r\n\r\n"), kind(b"no")).held == 2


def test_what_follows_a_request_is_kept_as_it_came() -> None:
    handshake = server(request() + b"\x81\x85", b"\0\r\n\r\n")
    assert handshake.leftover == b"\x81\x85\0\r\n\r\n"
    assert handshake.held == 7


def test_there_is_no_leftover_before_the_head_is_there() -> None:
    assert server(b"GET / HT").leftover == b""
    assert client(b"HTTP/1.1 ").leftover == b""


def test_a_long_head_in_single_bytes_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """SECURITY 5: linear time."""
    looked_at = 0
    pattern = _handshake._CONTROL

    class Counting:
        def search(self, buffer: bytearray, position: int) -> re.Match[bytes] | None:
            nonlocal looked_at
            looked_at += len(buffer) - position
            return pattern.search(buffer, position)

    monkeypatch.setattr(_handshake, "_CONTROL", Counting())
    data = request(*[("Cookie", "c" * 4000)] * 15)
    assert server(*in_bytes(data)).request is not None
    assert looked_at < 1.1 * len(data)


# What a server refuses.

BAD_REQUESTS = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01", 400),
    "no request line": (b"\r\n" + request(), 400),
    "lower case method": (request(line="get / HTTP/1.1"), 400),
    "other method": (request(line="POST / HTTP/1.1"), 400),
    "HTTP/1.0": (request(line="GET / HTTP/1.0"), 400),
    "HTTP/1.0 without Host": (request(line="GET / HTTP/1.0", Host=None), 400),
    "HTTP/2.0": (request(line="GET / HTTP/2.0"), 400),
    "HTTP/0.9": (b"GET /\r\n", 400),
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n", 400),
    "two spaces": (request(line="GET  / HTTP/1.1"), 400),
    "target with a space": (request(line="GET /a b HTTP/1.1"), 400),
    "target beyond ASCII": (request(line="GET /\xe4 HTTP/1.1"), 400),
    "target with a fragment": (request(line="GET /a#b HTTP/1.1"), 400),
    "target is an asterisk": (request(line="GET * HTTP/1.1"), 400),
    "target is an authority": (request(line="GET example.com:80 HTTP/1.1"), 400),
    "target of another scheme": (request(line="GET ftp://example.com/ HTTP/1.1"), 400),
    "target with a bad authority": (request(line="GET http://a@b/ HTTP/1.1"), 400),
    "no Host": (request(Host=None), 400),
    "two Hosts": (request(("Host", "example.com")), 400),
    "empty Host": (request(Host=""), 400),
    "Host with a space": (request(Host="a b"), 400),
    "Host beyond ASCII": (request(Host="m\xfcnchen.example"), 400),
    "Host with user name": (request(Host="me@example.com"), 400),
    "Host with bad port": (request(Host="example.com:http"), 400),
    "no Key": (request(Sec_WebSocket_Key=None), 400),
    "two Keys": (request(("Sec-WebSocket-Key", KEY)), 400),
    "Key of 15 bytes": (request(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAA"), 400),
    "Key of 17 bytes": (request(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAAA="), 400),
    "Key not base64": (request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZ!=="), 400),
    "Key beyond ASCII": (request(Sec_WebSocket_Key="\xe4" * 22 + "=="), 400),
    "empty Key": (request(Sec_WebSocket_Key=""), 400),
    "no Version": (request(Sec_WebSocket_Version=None), 400),
    "two Versions": (request(("Sec-WebSocket-Version", "13")), 400),
    "Version 8": (request(Sec_WebSocket_Version="8"), 426),
    "Version 013": (request(Sec_WebSocket_Version="013"), 426),
    "Versions in one": (request(Sec_WebSocket_Version="13, 8"), 426),
    "empty Version": (request(Sec_WebSocket_Version=""), 426),
    "no Upgrade": (request(Upgrade=None), 426),
    "no handshake at all": (head("GET / HTTP/1.1", ("Host", "example.com")), 426),
    "other Upgrade": (request(Upgrade="h2c"), 400),
    "Upgrade with a version": (request(Upgrade="websocket/13"), 400),
    "no Connection": (request(Connection=None), 400),
    "other Connection": (request(Connection="keep-alive"), 400),
    "Connection: upgraded": (request(Connection="upgraded"), 400),
    "body": (request(("Content-Length", "1")) + b"x", 400),
    "chunked body": (request(("Transfer-Encoding", "chunked")), 400),
    "other coding": (request(("Transfer-Encoding", "gzip")), 400),
    "negative length": (request(("Content-Length", "-1")), 400),
    "length that is no number": (request(("Content-Length", "0x0")), 400),
    "two lengths": (request(("Content-Length", "0"), ("Content-Length", "1")), 400),
    "endless length": (request(("Content-Length", "9" * 5000)), 400),
    "subprotocol not a token": (request(("Sec-WebSocket-Protocol", "a b")), 400),
    "subprotocol beyond ASCII": (request(("Sec-WebSocket-Protocol", "\xe4")), 400),
    "subprotocol twice": (
        request(("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b, a")),
        400,
    ),
    "NUL in a value": (request(("X", "a\0b")), 400),
    "control in a value": (request(("X", "a\x01b")), 400),
    "DEL in a value": (request(("X", "a\x7fb")), 400),
    "bare CR": (request(("X", "a\rb")), 400),
    "two CRs": (request().replace(b"\r\n", b"\r\r\n"), 400),
    "bare LF": (request().replace(b"\r\n", b"\n"), 400),
    "one bare LF": (request(("X", "a\nY: b")), 400),
    "space before the colon": (request(("X ", "a")), 400),
    "space before the name": (request((" X", "a")), 400),
    "folded header": (request(("X", "a\r\n b")), 400),
    "header folded by a tab": (request(("X", "a\r\n\tb")), 400),
    "no colon": (request().replace(b"\r\n\r\n", b"\r\nX\r\n\r\n"), 400),
    "no name": (request(("", "a")), 400),
    "name beyond ASCII": (request(("X\xe4", "a")), 400),
}


@pytest.mark.parametrize(("data", "status"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
@pytest.mark.parametrize("slices", [lambda data: [data], in_bytes], ids=["whole", "bytes"])
def test_a_server_refuses_a_bad_request_without_reflecting_it(
    data: bytes, status: int, slices: Callable[[bytes], list[bytes]]
) -> None:
    """RFC 6455 section 4.2.1, SECURITY 7 and 8."""
    handshake = server(*slices(data), compression="deflate")
    assert handshake.request is None
    assert handshake.problem
    assert handshake.refusal is not None
    assert handshake.refusal.status == status
    assert handshake.refusal.body == _handshake._BODIES[status].encode()
    found, headers, body = read_response(handshake.refuse(handshake.refusal))
    assert (found, body) == (status, handshake.refusal.body)
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Length"] == str(len(body))
    assert "close" in headers["Connection"].split(", ")
    assert len(headers) == (5 if status == 426 else 3)


@pytest.mark.parametrize("data", [data for data, _ in BAD_REQUESTS.values()], ids=BAD_REQUESTS)
def test_what_is_wrong_with_a_request_does_not_depend_on_how_it_was_sliced(data: bytes) -> None:
    assert server(data).problem == server(*in_bytes(data)).problem


@pytest.mark.parametrize("case", ["Version 8", "no Upgrade"])
def test_426_says_which_upgrade_and_version_are_served(case: str) -> None:
    """RFC 6455 section 4.4, RFC 9110 sections 7.8 and 15.5.22."""
    handshake = server(BAD_REQUESTS[case][0])
    assert handshake.refusal is not None
    headers = read_response(handshake.refuse(handshake.refusal))[1]
    assert headers["Sec-WebSocket-Version"] == "13"
    assert headers["Upgrade"] == "websocket"
    assert headers["Connection"] == "close, Upgrade"


@pytest.mark.parametrize(
    "data",
    [b"\x16", b"GET / HTTP/1.1\r\nX: \0", b"GET /\r\n", b"GET / HTTP/1.1\n"],
    ids=["TLS", "NUL", "HTTP/0.9", "bare LF"],
)
def test_garbage_is_refused_at_once_and_not_when_its_head_ends(data: bytes) -> None:
    assert server(data[:-1]).refusal is None
    assert server(data).refusal is not None


def test_what_follows_a_bad_request_is_dropped() -> None:
    handshake = server(b"\0", request())
    assert (handshake.request, handshake.leftover, handshake.held) == (None, b"", 0)


def test_the_reason_for_a_refusal_does_not_repeat_a_header_that_may_be_a_credential() -> None:
    handshake = server(request(("Authorization ", "Basic c2VjcmV0")))
    assert handshake.problem == "malformed HTTP: illegal header line"


# Who may connect (SECURITY 25).


@pytest.mark.parametrize(
    ("origins", "sent", "accepted"),
    [
        (None, "https://evil.example", True),
        (["https://good.example"], "https://good.example", True),
        (["https://good.example"], "https://evil.example", False),
        (["https://good.example"], "https://good.example.evil.example", False),
        (["https://good.example"], "http://good.example", False),
        (["https://good.example"], "https://good.example:8443", False),
        (["https://good.example"], "null", False),
        (["https://good.example"], None, False),
        (["https://good.example", None], None, True),
        (["null"], "null", True),
        ([], "https://good.example", False),
        ([None], "", False),
    ],
)
def test_a_server_lets_in_the_pages_of_its_origins(
    origins: list[str | None] | None, sent: str | None, accepted: bool
) -> None:
    headers = [] if sent is None else [("Origin", sent)]
    handshake = server(request(*headers), origins=origins)
    if accepted:
        assert handshake.request is not None
    else:
        assert handshake.request is None
        assert handshake.refusal is not None
        assert handshake.refusal.status == 403
        assert "Config.origins" in handshake.problem


@pytest.mark.parametrize(
    "data",
    [
        head("GET /health HTTP/1.1", ("Host", "example.com")),
        request(Sec_WebSocket_Key=None),
        request(("Origin", "https://bad.example")),
    ],
    ids=["no handshake at all", "no Key", "a page that may not connect"],
)
def test_with_plain_http_the_hook_sees_what_is_no_good_handshake(data: bytes) -> None:
    handshake = server(data, plain_http=True, origins=["https://good.example"])
    assert handshake.request is not None
    assert handshake.refusal is not None
    for slices in (in_bytes(data), [data + b"more"]):
        again = server(*slices, plain_http=True, origins=["https://good.example"])
        assert server_outcome(again) == server_outcome(handshake)


def test_with_plain_http_what_is_no_good_http_is_refused_as_ever() -> None:
    handshake = server(b"GET / HTTP/1.1\r\n\r\n", plain_http=True)
    assert handshake.request is None
    assert handshake.refusal is not None


def test_two_origins_are_none_of_those_that_may_connect() -> None:
    both = ("Origin", "https://good.example"), ("Origin", "https://evil.example")
    handshake = server(request(*both), origins=["https://good.example"])
    assert handshake.refusal is not None
    assert handshake.refusal.status == 403


# The limits of a head (SECURITY 5).


def test_a_request_line_of_exactly_the_limit_is_accepted_and_a_longer_one_is_414() -> None:
    def line(size: int) -> str:
        return "GET /" + "a" * (size - len("GET / HTTP/1.1")) + " HTTP/1.1"

    assert server(request(line=line(8192))).request is not None
    handshake = server(request(line=line(8193)))
    assert handshake.refusal is not None
    assert handshake.refusal.status == 414
    assert "max_header_line, 8192 bytes" in handshake.problem


def test_a_header_line_of_exactly_the_limit_is_accepted_and_a_longer_one_is_431() -> None:
    assert server(request(("X", "a" * 8189))).request is not None
    handshake = server(request(("X", "a" * 8190)))
    assert handshake.refusal is not None
    assert handshake.refusal.status == 431
    assert "max_header_line, 8192 bytes" in handshake.problem


def test_exactly_the_limit_of_headers_is_accepted_and_more_are_431() -> None:
    more = 128 - len(REQUEST_HEADERS)
    assert server(request(*[("X", "a")] * more)).request is not None
    handshake = server(request(*[("X", "a")] * (more + 1)))
    assert handshake.refusal is not None
    assert handshake.refusal.status == 431
    assert "max_headers, 128" in handshake.problem


def test_a_head_of_exactly_the_limit_is_accepted_and_a_larger_one_is_431() -> None:
    data = request()
    assert server(data, max_head_size=len(data)).request is not None
    handshake = server(data, max_head_size=len(data) - 1)
    assert handshake.refusal is not None
    assert handshake.refusal.status == 431
    assert f"max_head_size, {len(data) - 1} bytes" in handshake.problem


def test_a_head_of_64_kib_is_not_held_to_the_parsers_own_limit() -> None:
    data = request(*[("Cookie", "c" * 8150)] * 8)
    assert 60 * 1024 < len(data) <= 64 * 1024
    assert server(data).request is not None
    assert server(*in_bytes(data)).request is not None


@pytest.mark.parametrize(
    ("endless", "options", "size", "status"),
    [
        (b"A", {}, 8193, 414),
        (request()[:-2] + b"X" * 9000, {}, len(request()) - 2 + 8193, 431),
        (b"A", {"max_header_line": math.inf}, 65_535, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500, {}, 16 + 129 * 6, 431),
    ],
    ids=["request line", "header line", "head", "headers"],
)
def test_a_limit_is_enforced_with_the_first_byte_over_it(
    endless: bytes, options: dict[str, Any], size: int, status: int
) -> None:
    data = (endless * (size // len(endless) + 1))[:size]
    handshake = server(data[:-1], **options)
    assert handshake.refusal is None
    handshake.receive(data[-1:])
    assert handshake.refusal is not None
    assert handshake.refusal.status == status


def test_limits_can_be_turned_off() -> None:
    options = {"max_head_size": math.inf, "max_header_line": math.inf, "max_headers": math.inf}
    data = request(*[("X", "a")] * 1000, ("Y", "b" * 100_000))
    assert server(data, **options).request is not None


# How a server answers.


def test_a_server_answers_with_the_token_of_the_example_in_rfc_6455() -> None:
    """RFC 6455 sections 1.3 and 4.2.2."""
    handshake = server(request())
    assert handshake.accept(None) == switch()
    assert handshake.response == Response(101, RESPONSE_HEADERS)
    assert (handshake.subprotocol, handshake.negotiated) == (None, None)


@pytest.mark.parametrize(
    ("known", "answer", "chosen"),
    [
        ((), None, None),
        (("c",), None, None),
        (("c", "b", "a"), None, "b"),
        (("b",), Accept(), None),
        ((), Accept("a"), "a"),
    ],
    ids=["none known", "none in common", "server's order", "declined", "chosen by hand"],
)
def test_a_server_chooses_a_subprotocol_that_the_client_offers(
    known: tuple[str, ...], answer: Accept | None, chosen: str | None
) -> None:
    """RFC 6455 section 4.2.2 item 5."""
    handshake = server(request(("Sec-WebSocket-Protocol", "a, b")), subprotocols=known)
    data = handshake.accept(answer)
    assert handshake.subprotocol == chosen
    expected = [] if chosen is None else [("Sec-WebSocket-Protocol", chosen)]
    assert data == switch(*expected)


def test_a_server_adds_headers_to_the_response_that_accepts() -> None:
    handshake = server(request())
    extra = [("Set-Cookie", "a=ä"), ("Set-Cookie", "b=2"), ("X", "")]
    assert handshake.accept(Accept(headers=extra)) == switch(*extra)
    assert handshake.response is not None
    assert handshake.response.headers.pairs()[-3:] == tuple(extra)


@pytest.mark.parametrize(
    ("compression", "offers", "agreed"),
    [
        (None, ["permessage-deflate"], False),
        ("deflate", [], False),
        ("deflate", ["permessage-deflate"], True),
        ("deflate", ["permessage-deflate; bad", "permessage-deflate"], True),
        ("deflate", ["x-other"], False),
    ],
)
def test_a_server_agrees_on_compression_if_both_want_it(
    compression: str | None, offers: list[str], agreed: bool
) -> None:
    """RFC 7692 section 5.1: offers may stand in several headers."""
    headers = [("Sec-WebSocket-Extensions", offer) for offer in offers]
    handshake = server(request(*headers), compression=compression)
    data = handshake.accept()
    assert (handshake.negotiated is not None) is agreed
    assert (b"Sec-WebSocket-Extensions: permessage-deflate" in data) is agreed


OURS = [
    *("Host", "Upgrade", "connection", "Content-Length", "Transfer-Encoding"),
    *("Sec-WebSocket-Key", "Sec-WebSocket-Accept", "sec-websocket-protocol"),
    *("Sec-WebSocket-Version", "Sec-WebSocket-Extensions"),
]
ILLEGAL_HEADERS = [
    *[("", "a"), ("a b", "c"), ("a:", "b"), ("ä", "b"), ("a\r\nb", "c")],
    *[("a", "b\r\nc: d"), ("a", "b\nc"), ("a", "b\rc"), ("a", "\0"), ("a", "\x7f")],
    *[("a", "€"), ("a", " b"), ("a", "b\t"), ("a", "b "), ("a", " ")],
]


@pytest.mark.parametrize("pair", [*[(name, "x") for name in OURS], *ILLEGAL_HEADERS])
def test_headers_that_are_illegal_or_not_the_callers_are_refused_in_either_role(
    pair: tuple[str, str],
) -> None:
    handshake = server(request())
    with pytest.raises(ValueError, match=r"header|set by hand"):
        handshake.accept(Accept(headers=[pair]))
    assert handshake.accept() == switch()
    with pytest.raises(ValueError, match=r"header|set by hand"):
        ClientHandshake(Request("/", "example.com", [pair]), config())


def test_the_error_for_a_bad_header_names_it_and_does_not_show_its_value() -> None:
    with pytest.raises(ValueError, match="Authorization") as caught:
        ClientHandshake(Request("/", "h", {"Authorization": "Bearer secret\n"}), config())
    assert "secret" not in str(caught.value)


def test_a_subprotocol_that_was_not_offered_is_the_callers_mistake_and_changes_nothing() -> None:
    handshake = server(request(("Sec-WebSocket-Protocol", "a, b")))
    with pytest.raises(ValueError, match="'c'; the client offers a, b"):
        handshake.accept(Accept("c"))
    assert handshake.response is None
    assert handshake.accept(Accept("a")).startswith(b"HTTP/1.1 101 ")
    with pytest.raises(ValueError, match="offers none"):
        server(request()).accept(Accept("c"))


def test_an_answer_of_another_type_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="not Response"):
        server(request()).accept(cast(Any, Response(101)))
    with pytest.raises(TypeError, match="not Accept"):
        server(request()).refuse(cast(Any, Accept()))


def test_only_a_request_that_is_there_can_be_accepted_and_only_once() -> None:
    with pytest.raises(InvalidState):
        server(b"GET").accept()
    handshake = server(request())
    handshake.accept()
    with pytest.raises(InvalidState):
        handshake.accept()
    with pytest.raises(InvalidState):
        handshake.refuse(Response(403))


@pytest.mark.parametrize(
    ("response", "head_and_body"),
    [
        (
            Response(403, body="nö"),
            b"HTTP/1.1 403 \r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: 3\r\nConnection: close\r\n\r\nn\xc3\xb6",
        ),
        (
            Response(401, {"WWW-Authenticate": "Basic", "content-type": "text/html"}, b"<p>"),
            b"HTTP/1.1 401 \r\nWWW-Authenticate: Basic\r\ncontent-type: text/html\r\n"
            b"Content-Length: 3\r\nConnection: close\r\n\r\n<p>",
        ),
        (
            Response(302, {"Location": "/", "Content-Length": "0", "Connection": "Close"}),
            b"HTTP/1.1 302 \r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        (Response(200), b"HTTP/1.1 200 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        (Response(204), b"HTTP/1.1 204 \r\nConnection: close\r\n\r\n"),
        (Response(304), b"HTTP/1.1 304 \r\nConnection: close\r\n\r\n"),
        (Response(205), b"HTTP/1.1 205 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        (Response(599), b"HTTP/1.1 599 \r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Response) else "",
)
def test_a_refusal_is_a_complete_response_that_ends_the_connection(
    response: Response, head_and_body: bytes
) -> None:
    """RFC 9112 section 9.6, RFC 9110 section 8.6."""
    handshake = server(request())
    assert handshake.refuse(response) == head_and_body
    assert handshake.response is not None
    assert handshake.response.status == response.status
    assert handshake.response.body == response.body
    status, headers, body = read_response(head_and_body)
    assert (status, headers, body) == (response.status, handshake.response.headers, response.body)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(101), ValueError),
        (Response(100), ValueError),
        (Response(199), ValueError),
        (Response(600), ValueError),
        (Response(cast(Any, "403")), TypeError),
        (Response(403, body=cast(Any, [1])), TypeError),
        (Response(204, body="x"), ValueError),
        (Response(304, body="x"), ValueError),
        (Response(403, {"Content-Length": "1"}), ValueError),
        (Response(403, {"Content-Length": "0x0"}), ValueError),
        (Response(403, {"Transfer-Encoding": "chunked"}, "x"), ValueError),
        (Response(403, {"Connection": "keep-alive"}), ValueError),
        (Response(403, {"X": "a\r\nb"}), ValueError),
        (Response(403, {"X y": "a"}), ValueError),
    ],
    ids=repr,
)
def test_a_refusal_that_cannot_be_sent_is_the_callers_mistake_and_changes_nothing(
    response: Response, error: type[Exception]
) -> None:
    handshake = server(request())
    with pytest.raises(error):
        handshake.refuse(response)
    assert handshake.response is None
    assert handshake.refuse(Response(403)).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "before it sent"), (b"GET", "after 3 bytes"), (request(), "before its request was")],
)
def test_a_server_says_where_the_clients_stream_ended(data: bytes, message: str) -> None:
    assert message in server(data).eof()


# What a client sends.


def test_a_client_sends_the_request_of_rfc_6455() -> None:
    """RFC 6455 section 4.1."""
    assert client().data == request()
    assert client().request == Request("/chat", "example.com", REQUEST_HEADERS)


def test_a_client_offers_its_subprotocols_and_compression_and_adds_headers() -> None:
    handshake = ClientHandshake(
        Request("/?q", "[::1]:81", {"Origin": "http://a", "Cookie": "ä"}),
        config(subprotocols=("b", "a"), compression="deflate"),
    )
    peer = server(handshake.data)
    assert peer.request is not None
    assert peer.request == handshake.request
    assert (peer.request.target, peer.request.host) == ("/?q", "[::1]:81")
    assert peer.request.subprotocols == ("b", "a")
    assert peer.request.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
    assert peer.request.headers.pairs()[-2:] == (("Origin", "http://a"), ("Cookie", "ä"))


def test_every_request_has_a_key_of_its_own_of_16_bytes() -> None:
    """RFC 6455 section 4.1 item 7."""
    handshakes = [ClientHandshake(Request("/", "h"), Config()) for _ in range(100)]
    keys = {handshake.request.headers["Sec-WebSocket-Key"] for handshake in handshakes}
    assert len(keys) == 100
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


@pytest.mark.parametrize(
    ("target", "host", "error"),
    [
        ("", "h", ValueError),
        ("chat", "h", ValueError),
        ("*", "h", ValueError),
        ("http://h/", "h", ValueError),
        ("/a b", "h", ValueError),
        ("/a\r\nX: y", "h", ValueError),
        ("/ä", "h", ValueError),
        ("/a#b", "h", ValueError),
        (b"/", "h", TypeError),
        ("/", "", ValueError),
        ("/", "a b", ValueError),
        ("/", "münchen.example", ValueError),
        ("/", "h\r\nX: y", ValueError),
        ("/", "h\n", ValueError),
        ("/", "h/path", ValueError),
        ("/", "me@h", ValueError),
        ("/", "h:http", ValueError),
        ("/", "::1", ValueError),
        ("/", None, TypeError),
    ],
)
def test_a_target_or_host_that_cannot_be_sent_is_the_callers_mistake(
    target: Any, host: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"target|host"):
        ClientHandshake(Request(target, host), config())


# What a client takes.


@pytest.mark.parametrize(
    "data",
    [
        switch(),
        switch(line="HTTP/1.1 101"),
        switch(line="HTTP/1.1 101 \xfcber"),
        switch(Connection="keep-alive, UPGRADE", Upgrade="WebSocket"),
        switch(("connection", "upgrade"), Connection="keep-alive"),
        switch().replace(b"Sec-WebSocket-Accept", b"sec-websocket-accept"),
        switch(("X", "a\r\n folded")),
        switch(("Content-Length", "0")),
        switch(("Sec-WebSocket-Extensions", "")),
        head("HTTP/1.1 100 Continue") + switch(),
        head("HTTP/1.1 103 Early Hints", ("Link", "</a>")) * 20 + switch(),
    ],
)
@pytest.mark.parametrize("slices", [lambda data: [data], in_bytes], ids=["whole", "bytes"])
def test_a_client_opens_with_every_honest_server(
    data: bytes, slices: Callable[[bytes], list[bytes]]
) -> None:
    """RFC 6455 section 4.1, RFC 9110 section 15.2, SECURITY 6."""
    handshake = client(*slices(data))
    assert (handshake.done, handshake.error) == (True, None)
    assert handshake.response is not None
    assert handshake.response.status == 101
    assert handshake.response.headers["Sec-WebSocket-Accept"] == TOKEN


def test_what_follows_the_response_that_opens_is_kept_as_it_came() -> None:
    handshake = client(head("HTTP/1.1 100 ") + switch() + b"\x81", b"\0")
    assert handshake.leftover == b"\x81\0"
    assert handshake.held == 2
    handshake.eof()
    assert handshake.error is None


def test_a_client_takes_the_subprotocol_and_the_compression_that_the_server_chose() -> None:
    answer = switch(
        ("Sec-WebSocket-Protocol", "a"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=10"),
    )
    handshake = client(answer, subprotocols=["b", "a"], compression="deflate")
    assert handshake.error is None
    assert handshake.subprotocol == "a"
    assert handshake.negotiated is not None
    assert handshake.negotiated.server_max_window_bits == 10


def test_a_client_opens_without_what_the_server_declined() -> None:
    handshake = client(switch(), subprotocols=["a"], compression="deflate")
    assert (handshake.done, handshake.error) == (True, None)
    assert (handshake.subprotocol, handshake.negotiated) == (None, None)


BAD_SWITCHES = {
    "HTTP/1.0": switch(line="HTTP/1.0 101 Switching Protocols"),
    "no Upgrade": switch(Upgrade=None),
    "other Upgrade": switch(Upgrade="h2c"),
    "more than one Upgrade": switch(Upgrade="websocket, h2c"),
    "no Connection": switch(Connection=None),
    "other Connection": switch(Connection="close"),
    "no accept": switch(Sec_WebSocket_Accept=None),
    "wrong accept": switch(Sec_WebSocket_Accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "accept in lower case": switch(Sec_WebSocket_Accept=TOKEN.lower()),
    "the key as accept": switch(Sec_WebSocket_Accept=KEY),
    "accept twice": switch(("Sec-WebSocket-Accept", TOKEN)),
    "accept twice, one wrong": switch(("sec-websocket-accept", "x")),
    "accept beyond ASCII": switch(Sec_WebSocket_Accept="\xe4"),
    "other subprotocol": switch(("Sec-WebSocket-Protocol", "c")),
    "subprotocol in other case": switch(("Sec-WebSocket-Protocol", "A")),
    "empty subprotocol": switch(("Sec-WebSocket-Protocol", "")),
    "two subprotocols": switch(("Sec-WebSocket-Protocol", "a, b")),
    "subprotocol twice": switch(("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "a")),
    "unknown extension": switch(("Sec-WebSocket-Extensions", "x-other")),
    "bad parameters": switch(
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=7")
    ),
    "extension twice": switch(
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ),
}


@pytest.mark.parametrize("data", BAD_SWITCHES.values(), ids=BAD_SWITCHES.keys())
def test_a_client_does_not_open_if_the_response_breaks_a_rule(data: bytes) -> None:
    """RFC 6455 section 4.1, SECURITY 9."""
    handshake = client(data + b"\x81\x00", subprotocols=["a", "b"], compression="deflate")
    assert handshake.done
    assert isinstance(handshake.error, BadHandshake)
    assert "response" in str(handshake.error)
    assert handshake.response is not None
    assert handshake.error.response is handshake.response
    assert (handshake.subprotocol, handshake.negotiated) == (None, None)
    assert (handshake.leftover, handshake.held) == (b"", 0)


@pytest.mark.parametrize(
    "header",
    [("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Extensions", "permessage-deflate")],
)
def test_a_client_that_offers_nothing_accepts_nothing(header: tuple[str, str]) -> None:
    assert isinstance(client(switch(header)).error, BadHandshake)


@pytest.mark.parametrize(
    "data",
    [
        b"\x15",
        b"S",
        b"HTTP/2",
        b"h",
        b"\r",
        b"HTTP/1.1 20\r\n",
        b"HTTP/1.1 101\n",
        b"HTTP/1.1 099 \r\n\r\n",
        b"HTTP/1.1 200 \r\nX : a\r\n\r\n",
        b"HTTP/1.1 200 \r\n X: a\r\n\r\n",
        b"HTTP/1.1 200 \r\nX: \0",
        b"HTTP/1.1 200 \r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 \r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 100 \r\n\r\nX",
    ],
)
def test_a_response_that_is_not_http_is_reported_with_the_byte_that_shows_it(
    data: bytes,
) -> None:
    """SECURITY 10."""
    assert not client(data[:-1]).done
    handshake = client(data)
    assert handshake.done
    assert isinstance(handshake.error, BadHandshake)
    assert handshake.error.response is None
    handshake.receive(switch())
    handshake.eof()
    assert isinstance(handshake.error, BadHandshake)
    assert handshake.held == 0


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"HTTP/1.1 200 " + b"a" * 8192, "max_header_line, 8192"),
        (b"HTTP/1.1 200 \r\n" + b"a" * 8193, "max_header_line, 8192"),
        (b"HTTP/1.1 200 \r\n" + b"A: b\r\n" * 129, "max_headers, 128"),
        ((b"HTTP/1.1 200 \r\n" + b"A: %s\r\n" % (b"b" * 8000) * 9), "max_head_size, 65536"),
        (head("HTTP/1.1 100 Continue") * 3000, "max_head_size, 65536"),
    ],
    ids=["status line", "header line", "headers", "head", "all heads together"],
)
def test_a_response_that_exceeds_a_limit_is_a_bad_handshake(data: bytes, limit: str) -> None:
    """SECURITY 5."""
    handshake = client(data)
    assert isinstance(handshake.error, BadHandshake)
    assert limit in str(handshake.error)


def test_the_limit_of_headers_is_for_each_head() -> None:
    early = head("HTTP/1.1 103 ", *[("X", "a")] * 128)
    assert client(early * 2 + switch(*[("X", "a")] * 125)).error is None


# How a client is rejected.


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, b"no"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 302 \r\nLocation: /\r\nContent-Length: 0\r\n\r\n", 302, b""),
        (b"HTTP/1.1 204 \r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", 304, b""),
        (b"HTTP/1.0 500 \r\nContent-Length: 2\r\n\r\nno", 500, b"no"),
        (
            b"HTTP/1.1 503 \r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nn\r\n1;x=y\r\no\r\n0\r\nX: y\r\n\r\n",
            503,
            b"no",
        ),
        (b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 999 \r\nContent-Length: 1\r\n\r\n!", 999, b"!"),
    ],
    ids=["403", "200", "302", "204", "304", "HTTP/1.0", "chunked", "behind 100"],
)
@pytest.mark.parametrize("slices", [lambda data: [data], in_bytes], ids=["whole", "bytes"])
def test_a_rejection_is_complete_with_the_last_byte_of_its_body(
    data: bytes, status: int, body: bytes, slices: Callable[[bytes], list[bytes]]
) -> None:
    assert not client(data[:-1]).done
    handshake = client(*slices(data), b"more")
    assert isinstance(handshake.error, HandshakeRejected)
    assert handshake.error.response is handshake.response
    assert (handshake.error.response.status, handshake.error.response.body) == (status, body)
    assert str(status) in str(handshake.error)
    assert handshake.held == 0


def test_a_body_without_length_ends_with_the_stream() -> None:
    """RFC 9112 section 6.3."""
    handshake = client(b"HTTP/1.1 403 \r\nX: y\r\n\r\nno", b" way")
    assert not handshake.done
    assert handshake.held == 6
    assert handshake.response == Response(403, {"X": "y"})
    handshake.eof()
    assert handshake.response == Response(403, {"X": "y"}, b"no way")
    assert isinstance(handshake.error, HandshakeRejected)


@pytest.mark.parametrize(
    ("framing", "body"),
    [("Content-Length: 9", b"no"), ("Transfer-Encoding: chunked", b"9\r\nno")],
)
def test_a_rejection_whose_body_is_cut_short_by_the_end_is_still_that_rejection(
    framing: str, body: bytes
) -> None:
    handshake = client(f"HTTP/1.1 403 \r\n{framing}\r\n\r\n".encode() + body)
    assert not handshake.done
    handshake.eof()
    assert isinstance(handshake.error, HandshakeRejected)
    assert handshake.error.response.status == 403
    assert handshake.error.response.body == b"no"


@pytest.mark.parametrize("framing", ["X: y", "Content-Length: 99", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("limit", [0, 1, 10])
def test_no_more_than_max_body_size_is_kept_or_waited_for(framing: str, limit: int) -> None:
    """SECURITY 10."""
    body = b"0123456789abcdef"
    chunk = b"10\r\n" + body if "chunked" in framing else body
    data = f"HTTP/1.1 403 \r\n{framing}\r\n\r\n".encode() + chunk
    enough = len(data) - len(body) + limit
    if limit:
        assert not client(data[: enough - 1], max_body_size=limit).done
    for handshake in (
        client(data, max_body_size=limit),
        client(data[:enough], max_body_size=limit),
        client(*in_bytes(data), max_body_size=limit),
    ):
        assert isinstance(handshake.error, HandshakeRejected)
        assert handshake.error.response.body == body[:limit]


def test_a_body_without_limit_is_kept_whole() -> None:
    body = b"x" * 200_000
    data = b"HTTP/1.1 403 \r\nContent-Length: 200000\r\n\r\n" + body
    handshake = client(data, max_body_size=math.inf)
    assert isinstance(handshake.error, HandshakeRejected)
    assert handshake.error.response.body == body


CHUNKED = b"HTTP/1.1 503 \r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [b"x", b"-1\r\n", b"1\r\nab\r\n", b"1" * 21 + b"\r\n", b"0\r\nX : y\r\n\r\n"],
)
def test_a_malformed_chunk_is_a_bad_handshake_that_keeps_the_response(body: bytes) -> None:
    handshake = client(CHUNKED + body + b"\r\n")
    assert isinstance(handshake.error, BadHandshake)
    assert handshake.error.response is not None
    assert handshake.error.response.status == 503


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_the_line_before_a_chunk_has_the_same_limit_in_any_slicing(size: int) -> None:
    def reject(line: int) -> ClientHandshake:
        data = CHUNKED + b"1;" + b"x" * (line - 4) + b"\r\n!\r\n0\r\n\r\n"
        return client(*[data[i : i + size] for i in range(0, len(data), size)])

    assert isinstance(reject(4097).error, HandshakeRejected)
    assert isinstance(reject(4098).error, BadHandshake)


def test_a_stream_that_ends_before_the_answer_interrupts_the_handshake() -> None:
    handshake = client()
    handshake.eof()
    assert isinstance(handshake.error, HandshakeInterrupted)
    assert "before it answered" in str(handshake.error)


def test_a_stream_that_ends_within_the_head_interrupts_the_handshake() -> None:
    handshake = client(b"HTTP/1.1 10")
    handshake.eof()
    assert isinstance(handshake.error, HandshakeInterrupted)
    assert "after 11 bytes" in str(handshake.error)
    assert (handshake.done, handshake.held) == (True, 0)


# Any input, any slicing (SECURITY 23).

PIECES = [
    *(b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b",", b"\0", b"\xff", b"0", b"5", b"a"),
    *(b"GET / HTTP/1.1\r\n", b"HTTP/1.1 101 \r\n", b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 403 \r\n"),
    *(b"Host: h\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n"),
    *(request(), request()[:-2], switch(), switch()[:-2], b"5\r\nabcde\r\n", b"0\r\n\r\n"),
]
ANY_BYTES = st.binary() | st.lists(st.sampled_from(PIECES)).map(b"".join)
CUTS = st.lists(st.integers(min_value=0, max_value=2000), max_size=20)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "max_head_size": st.integers(100, 400),
        "max_header_line": st.integers(10, 60),
        "max_headers": st.integers(1, 8),
        "max_body_size": st.integers(0, 20),
        "compression": st.just("deflate"),
    },
)


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """Valid bytes with one of them replaced, left out, or another put before it."""
    place = draw(st.integers(0, len(valid) - 1))
    return valid[:place] + draw(st.binary(max_size=1)) + valid[place + draw(st.booleans()) :]


SUBPROTOCOLS = st.lists(st.sampled_from("abcd"), unique=True)
REQUESTS = [request(), request(("Sec-WebSocket-Extensions", "permessage-deflate"))]
RESPONSES = [switch(), CHUNKED + b"2\r\nno\r\n0\r\n\r\n", b"HTTP/1.1 403 \r\n\r\nno"]


@given(ANY_BYTES | st.sampled_from(REQUESTS).flatmap(mutated), CUTS, LIMITS)
@example(b"GET /", [], {"max_header_line": 3, "max_head_size": 4})
def test_a_server_survives_any_bytes_and_the_slicing_does_not_matter(
    data: bytes, cuts: list[int], limits: dict[str, Any]
) -> None:
    handshake = server(*sliced(data, cuts), **limits)
    assert server_outcome(handshake) == server_outcome(server(data, **limits))
    assert handshake.eof()
    if handshake.request is not None:
        assert handshake.accept().startswith(b"HTTP/1.1 101 ")
    elif handshake.refusal is not None:
        assert handshake.problem
        assert read_response(handshake.refuse(handshake.refusal))[0] in _handshake._BODIES


@given(ANY_BYTES | st.sampled_from(RESPONSES).flatmap(mutated), CUTS, LIMITS, st.booleans())
def test_a_client_survives_any_bytes_and_the_slicing_does_not_matter(
    data: bytes, cuts: list[int], limits: dict[str, Any], ends: bool
) -> None:
    whole, pieces = client(data, **limits), client(*sliced(data, cuts), **limits)
    if ends:
        whole.eof()
        pieces.eof()
        assert pieces.done
    assert client_outcome(pieces) == client_outcome(whole)


# Against another implementation.


@pytest.mark.parametrize("compressed", [False, True])
def test_our_client_opens_with_wsproto_as_the_server(compressed: bool) -> None:
    extensions = [PerMessageDeflate()] if compressed else []
    handshake = ClientHandshake(
        Request("/chat?x=y", "example.com:81", {"Origin": "http://a"}),
        Config(subprotocols=["b", "a"], compression="deflate"),
    )
    peer = WSConnection(ConnectionType.SERVER)
    peer.receive_data(handshake.data)
    (asked,) = peer.events()
    assert isinstance(asked, wsproto_events.Request)
    assert (asked.host, asked.target) == ("example.com:81", "/chat?x=y")
    assert asked.subprotocols == ["b", "a"]
    handshake.receive(
        peer.send(
            wsproto_events.AcceptConnection(
                subprotocol="a", extensions=[*extensions], extra_headers=[(b"X", b"y")]
            )
        )
    )
    assert handshake.error is None
    assert handshake.subprotocol == "a"
    assert (handshake.negotiated is not None) is compressed
    assert handshake.response is not None
    assert handshake.response.headers["X"] == "y"
    handshake.receive(peer.send(wsproto_events.TextMessage("hi")))
    assert len(handshake.leftover) > 2


def test_our_client_is_rejected_by_wsproto_as_the_server() -> None:
    handshake = client()
    peer = WSConnection(ConnectionType.SERVER)
    peer.receive_data(handshake.data)
    handshake.receive(
        peer.send(wsproto_events.RejectConnection(403, has_body=True))
        + peer.send(wsproto_events.RejectData(b"no", body_finished=True))
    )
    assert isinstance(handshake.error, HandshakeRejected)
    assert handshake.error.response.status == 403
    assert handshake.error.response.body == b"no"


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_our_server_opens_with_wsproto_as_the_client(compression: str | None) -> None:
    peer = WSConnection(ConnectionType.CLIENT)
    handshake = server(
        peer.send(
            wsproto_events.Request(
                "example.com", "/chat", [PerMessageDeflate()], subprotocols=["a", "b"]
            )
        ),
        compression=compression,
        subprotocols=["b"],
    )
    peer.receive_data(handshake.accept(None))
    (opened,) = peer.events()
    assert isinstance(opened, wsproto_events.AcceptConnection)
    assert opened.subprotocol == handshake.subprotocol == "b"
    assert bool(opened.extensions) is (compression is not None)
    handshake.receive(peer.send(wsproto_events.TextMessage("hi")))
    assert handshake.leftover


@pytest.mark.parametrize("subprotocol", [None, "b"])
@pytest.mark.parametrize("headers", [{}, {"Server": "ours", "X-Y": "z; \xe9"}])
def test_our_server_answers_what_wsproto_would(
    subprotocol: str | None, headers: dict[str, str]
) -> None:
    peer = WSConnection(ConnectionType.CLIENT)
    asked = peer.send(wsproto_events.Request("example.com", "/", subprotocols=["a", "b"]))
    theirs = WSConnection(ConnectionType.SERVER)
    theirs.receive_data(asked)
    extra = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    assert server(asked).accept(Accept(subprotocol, headers)) == theirs.send(
        wsproto_events.AcceptConnection(subprotocol=subprotocol, extra_headers=extra)
    )


def test_our_server_refuses_wsproto_as_the_client() -> None:
    peer = WSConnection(ConnectionType.CLIENT)
    handshake = server(peer.send(wsproto_events.Request("example.com", "/")))
    peer.receive_data(handshake.refuse(Response(401, {"WWW-Authenticate": "Basic"}, "who?")))
    rejected, data, end = peer.events()
    assert isinstance(rejected, wsproto_events.RejectConnection)
    assert rejected.status_code == 401
    assert (b"www-authenticate", b"Basic") in rejected.headers
    assert isinstance(data, wsproto_events.RejectData)
    assert data.data == b"who?"
    assert isinstance(end, wsproto_events.RejectData)
    assert end.body_finished


@given(SUBPROTOCOLS, SUBPROTOCOLS)
def test_our_client_and_our_server_agree(offered: list[str], known: list[str]) -> None:
    ours = client(subprotocols=offered, compression="deflate")
    peer = server(ours.data, subprotocols=known, compression="deflate")
    ours.receive(peer.accept())
    assert ours.error is None
    assert ours.subprotocol == peer.subprotocol
    assert ours.subprotocol == next((name for name in known if name in offered), None)
    assert ours.negotiated == peer.negotiated is not None
    assert ours.response == peer.response
