"""What the drop-in modules for websockets share: values, exceptions, options, and translations."""

from __future__ import annotations

import math
import re
from itertools import islice
from typing import Any

import pytest

from wscore import (
    BadHandshake,
    Cause,
    CloseBy,
    CloseFrame,
    CloseReason,
    Connection,
    Deflate,
    Facts,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRejected,
    InvalidURL,
    OpenTimeout,
    RedirectRefused,
)
from wscore import ProxyError as CoreProxyError
from wscore import Request as CoreRequest
from wscore import Response as CoreResponse
from wscore import compat_websockets as w

OPTIONS: dict[str, Any] = {
    "subprotocols": None,
    "extensions": None,
    "compression": "deflate",
    "open_timeout": 10,
    "ping_interval": 20,
    "ping_timeout": 20,
    "close_timeout": 10,
    "max_size": 2**20,
    "max_queue": 16,
    "write_limit": 2**15,
}


# ---------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("close", "text"),
    [
        (w.Close(1000, ""), "1000 (OK)"),
        (w.Close(w.CloseCode.GOING_AWAY, "bye"), "1001 (going away) bye"),
        (w.Close(2999, ""), "2999 (unknown)"),
        (w.Close(3000, ""), "3000 (registered)"),
        (w.Close(4999, "x"), "4999 (private use) x"),
    ],
)
def test_a_close_frame_says_what_its_code_means(close: w.Close, text: str) -> None:
    assert str(close) == text


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_a_code_that_must_not_be_sent_is_a_protocol_error(code: int) -> None:
    with pytest.raises(w.ProtocolError, match="invalid status code"):
        w.check_close(code, "")


def test_a_reason_that_does_not_fit_is_a_protocol_error() -> None:
    w.check_close(4999, "x" * 123)
    with pytest.raises(w.ProtocolError, match="control frame too long"):
        w.check_close(1000, "é" * 62)


def test_a_payload_is_text_or_bytes_of_at_most_125() -> None:
    assert w.to_payload("é") == "é".encode()
    assert w.to_payload(memoryview(b"x")) == b"x"
    with pytest.raises(w.ProtocolError):
        w.to_payload(b"x" * 126)
    with pytest.raises(TypeError):
        w.to_payload(5)


def test_headers_keep_order_and_repetitions_and_ignore_case() -> None:
    headers = w.Headers([("A", "1")], {"b": "2"}, w.Headers(a="3"), C="4")
    assert list(headers) == ["a", "b", "c"]
    assert len(headers) == 3
    assert headers.get_all("A") == ["1", "3"]
    assert headers["B"] == "2"
    assert "c" in headers
    other: Any = 5
    assert other not in headers
    assert list(headers.raw_items()) == [("A", "1"), ("b", "2"), ("a", "3"), ("C", "4")]
    assert headers.serialize() == b"A: 1\r\nb: 2\r\na: 3\r\nC: 4\r\n\r\n"
    assert repr(w.Headers(a="1")) == "Headers([('a', '1')])"


def test_a_header_with_several_values_has_not_one() -> None:
    with pytest.raises(w.MultipleValuesError) as raised:
        w.Headers([("a", "1"), ("A", "2")])["a"]
    assert str(raised.value) == "'a'"
    assert str(w.MultipleValuesError()) == ""
    with pytest.raises(KeyError):
        w.Headers()["a"]


def test_headers_change() -> None:
    headers = w.Headers(a="1")
    copy = headers.copy()
    headers["A"] = "2"
    assert headers.get_all("a") == ["1", "2"]
    del headers["a"]
    assert headers == w.Headers()
    with pytest.raises(KeyError):
        del headers["a"]
    assert copy == w.Headers(A="1")
    assert copy != {"a": "1"}
    copy.update(copy)
    assert copy.get_all("a") == ["1", "1"]
    copy.clear()
    assert not copy


@pytest.mark.parametrize("end", ["\r", "\n", "\0"])
def test_a_value_that_would_end_its_line_is_refused(end: str) -> None:
    headers = w.Headers()
    with pytest.raises(w.InvalidHeaderValue):
        headers["a"] = f"1{end}b: 2"
    headers.set_insecure("a", end)
    assert headers["a"] == end


def test_what_only_has_keys_and_values_is_headers_too() -> None:
    class Keyed:
        def keys(self) -> list[str]:
            return ["a"]

        def __getitem__(self, key: str) -> str:
            return key * 2

    assert w.Headers(Keyed()) == w.Headers(a="aa")


def test_our_values_become_theirs() -> None:
    assert w.request_of(None) is None
    assert w.response_of(None) is None
    connection = Connection.client(CoreRequest("/a?b", "h", {"C": "d"}), now=0)
    request = w.request_of(connection.request)
    assert request is not None
    assert (request.path, request.headers["c"]) == ("/a?b", "d")
    assert w.response_of(CoreResponse(404, {"a": "b"}, "no")) == w.Response(
        404, "Not Found", w.Headers(a="b"), b"no"
    )
    assert w.phrase_of(599) == ""
    assert w.state_of(Facts(connection)) is w.State.CONNECTING


# ------------------------------------------------------------------------------ exceptions

REFUSAL = w.Response(404, "Not Found", w.Headers())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (w.InvalidURI("u", "why"), "u isn't a valid URI: why"),
        (w.InvalidProxy("u", "why"), "u isn't a valid proxy: why"),
        (w.InvalidStatus(REFUSAL), "server rejected WebSocket connection: HTTP 404"),
        (w.InvalidProxyStatus(REFUSAL), "proxy rejected connection: HTTP 404"),
        (w.InvalidMethod("POST"), "unsupported HTTP method: POST"),
        (w.InvalidProtocol("HTTP/1.0"), "unsupported HTTP version: HTTP/1.0"),
        (w.InvalidHeader("N"), "missing N header"),
        (w.InvalidHeader("N", ""), "empty N header"),
        (w.InvalidHeader("N", "v"), "invalid N header: v"),
        (w.InvalidHeaderFormat("N", "bad", "a, b", 3), "invalid N header: bad at 3 in a, b"),
        (w.InvalidOrigin(None), "missing Origin header"),
        (w.DuplicateParameter("n"), "duplicate parameter: n"),
        (w.InvalidParameterName("n"), "invalid parameter name: n"),
        (w.InvalidParameterValue("n", None), "missing value for parameter n"),
        (w.InvalidParameterValue("n", ""), "empty value for parameter n"),
        (w.InvalidParameterValue("n", "v"), "invalid value for parameter n: v"),
        (w.TooManyFragments(3), "fragmented message exceeds limit of 3 frames"),
        (w.PayloadTooBig(5, 3), "frame with 5 bytes exceeds limit of 3 bytes"),
        (w.PayloadTooBig(None, 3), "frame exceeds limit of 3 bytes"),
        (
            w.PayloadTooBig(5, 3, 2),
            "frame with 5 bytes after reading 2 bytes exceeds limit of 5 bytes",
        ),
        (w.PayloadTooBig("text"), "text"),
    ],
)
def test_an_exception_says_what_happened(error: Exception, text: str) -> None:
    assert str(error) == text


def test_a_payload_that_is_too_big_learns_what_came_before() -> None:
    error = w.PayloadTooBig(5, 3)
    error.set_current_size(2)
    assert (error.current_size, error.max_size) == (2, 5)


NORMAL = w.Close(1000, "")
OURS = w.Close(4000, "x")


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (w.ConnectionClosed(None, None), "no close frame received or sent", 1006),
        (w.ConnectionClosed(NORMAL, None), "received 1000 (OK); no close frame sent", 1000),
        (
            w.ConnectionClosed(None, OURS),
            "sent 4000 (private use) x; no close frame received",
            1006,
        ),
        (
            w.ConnectionClosed(OURS, NORMAL, True),
            "received 4000 (private use) x; then sent 1000 (OK)",
            4000,
        ),
        (
            w.ConnectionClosed(OURS, NORMAL, False),
            "sent 1000 (OK); then received 4000 (private use) x",
            4000,
        ),
    ],
)
def test_a_closed_connection_says_who_said_what_first(
    error: w.ConnectionClosed, text: str, code: int
) -> None:
    assert str(error) == text
    assert error.code == code
    assert error.reason == ("x" if code == 4000 else "")


def reason(
    cause: Cause, by: CloseBy, received: int | None, sent: int | None, error: OSError | None = None
) -> CloseReason:
    frames = [None if code is None else CloseFrame(code, "") for code in (sent, received)]
    return CloseReason(1000, "why", by, cause, frames[0], frames[1], error=error)


LOST = ConnectionResetError()


@pytest.mark.parametrize(
    ("ours", "kind", "order", "cause"),
    [
        (
            reason(Cause.CLOSED, CloseBy.LOCAL, 1000, 1000),
            *(w.ConnectionClosedOK, False, type(None)),
        ),
        (
            reason(Cause.PEER_CLOSED, CloseBy.PEER, 1001, 1001),
            *(w.ConnectionClosedOK, True, type(None)),
        ),
        (
            reason(Cause.PEER_CLOSED, CloseBy.PEER, 1011, 1011),
            *(w.ConnectionClosedError, True, type(None)),
        ),
        (
            reason(Cause.CLOSED, CloseBy.LOCAL, None, 1000),
            *(w.ConnectionClosedError, None, type(None)),
        ),
        (
            reason(Cause.EOF, CloseBy.TRANSPORT, None, None),
            *(w.ConnectionClosedError, None, EOFError),
        ),
        (
            reason(Cause.TRANSPORT_ERROR, CloseBy.TRANSPORT, None, None, LOST),
            *(w.ConnectionClosedError, None, ConnectionResetError),
        ),
        (
            reason(Cause.TOO_BIG, CloseBy.POLICY, 1009, 1009),
            *(w.ConnectionClosedError, False, w.PayloadTooBig),
        ),
        (
            reason(Cause.INVALID_DATA, CloseBy.POLICY, 1007, 1007),
            *(w.ConnectionClosedError, False, w.ProtocolError),
        ),
        (
            reason(Cause.SEND_TIMEOUT, CloseBy.POLICY, None, None),
            *(w.ConnectionClosedError, None, TimeoutError),
        ),
    ],
)
def test_the_end_of_a_connection_is_told_as_theirs(
    ours: CloseReason,
    kind: type[w.ConnectionClosed],
    order: bool | None,
    cause: type[BaseException],
) -> None:
    error = w.closed(ours)
    assert type(error) is kind
    assert error.rcvd_then_sent is order
    assert isinstance(error.__cause__, cause)


def caused(error: HandshakeError, cause: BaseException) -> HandshakeError:
    error.__cause__ = cause
    return error


SENT_ON = CoreResponse(302, {"Location": "ws://b/"})
SWITCHED = CoreResponse(101, {"Upgrade": "h2c", "Sec-WebSocket-Accept": "x"})


@pytest.mark.parametrize(
    ("ours", "kind", "text"),
    [
        (OpenTimeout(3), TimeoutError, "timed out during opening handshake"),
        (RedirectRefused(CoreResponse(302), "no"), w.InvalidStatus, "HTTP 302"),
        (RedirectRefused(SENT_ON, "more than max_redirects, 2"), w.SecurityError, "than 2 redir"),
        (RedirectRefused(SENT_ON, "from wss to ws"), w.SecurityError, "non-secure URI ws://b/$"),
        (RedirectRefused(SENT_ON, "away from unix_path"), ValueError, "ws://b/ with a Unix"),
        (RedirectRefused(SENT_ON, "neither"), w.InvalidURI, "ws://b/ isn't .*: neither"),
        (HandshakeRejected(SENT_ON), w.InvalidStatus, "HTTP 302"),
        (HandshakeRejected(CoreResponse(403)), w.InvalidStatus, "HTTP 403"),
        (CoreProxyError("no", CoreResponse(407)), w.InvalidProxyStatus, "HTTP 407"),
        (CoreProxyError("odd", CoreResponse(200)), w.InvalidProxyMessage, "from proxy$"),
        (CoreProxyError("odd"), w.InvalidProxyMessage, "from proxy$"),
        (caused(CoreProxyError("odd"), OSError("socks")), w.ProxyError, "to connect to SOCKS"),
        (HandshakeInterrupted("gone"), w.InvalidMessage, "did not receive"),
        (HandshakeInterrupted("the proxy x ended"), w.InvalidProxyMessage, "from proxy$"),
        (caused(HandshakeInterrupted("gone"), OSError("lost")), OSError, "lost"),
        (BadHandshake("odd"), w.InvalidMessage, "HTTP response$"),
        (BadHandshake("lacks Connection: Upgrade", SWITCHED), w.InvalidUpgrade, "missing Conn"),
        (BadHandshake("lacks Upgrade: websocket", SWITCHED), w.InvalidUpgrade, "Upgrade.*: h2c"),
        (BadHandshake("Sec-WebSocket-Accept", SWITCHED), w.InvalidHeaderValue, "Accept.*: x"),
        (BadHandshake("chooses a subprotocol", SWITCHED), w.NegotiationError, "subprotocol"),
        (BadHandshake("HTTP/1.0", SWITCHED), w.InvalidMessage, "HTTP response$"),
    ],
)
def test_a_failed_handshake_is_told_as_theirs(
    ours: HandshakeError, kind: type[Exception], text: str
) -> None:
    error = w.failed(ours)
    assert type(error) is kind
    with pytest.raises(kind, match=text):
        raise error


def test_a_redirection_is_not_followed_with_a_socket_that_was_given() -> None:
    error = w.failed(HandshakeRejected(SENT_ON), "ws://a/", is_fixed=True)
    assert str(error) == "cannot follow redirect to ws://b/ with a preexisting socket"
    refusal = w.failed(HandshakeRejected(CoreResponse(401, {"Location": "/"})), is_fixed=True)
    assert isinstance(refusal, w.InvalidStatus)


@pytest.mark.parametrize(
    ("ours", "kind"),
    [
        (HandshakeInterrupted("gone"), EOFError),
        (BadHandshake("odd"), ValueError),
        (BadHandshake("a line is over max_header_line"), w.HeaderLineTooLong),
        (BadHandshake("it has over max_headers"), w.TooManyHeaders),
    ],
)
def test_what_is_wrong_with_a_message_is_its_cause_and_ours_is_behind_it(
    ours: HandshakeError, kind: type[Exception]
) -> None:
    cause = w.failed(ours).__cause__
    assert cause is not None
    assert type(cause) is kind
    assert cause.__cause__ is ours
    assert str(cause) == str(ours)


def test_a_peer_that_takes_too_long_to_close_is_a_cause() -> None:
    reason = CloseReason(1000, "", CloseBy.LOCAL, Cause.CLOSED, CloseFrame(1000, ""))
    assert w.closed(reason).__cause__ is None
    assert isinstance(w.closed(reason, timed_out=True).__cause__, TimeoutError)


@pytest.mark.parametrize(
    ("header", "side", "extensions"),
    [
        (None, w.Side.CLIENT, []),
        ("", w.Side.SERVER, []),
        (
            "permessage-deflate; server_max_window_bits=10; client_no_context_takeover",
            w.Side.CLIENT,
            [w.PerMessageDeflate(False, True, 10, 15)],
        ),
        (
            "permessage-deflate; server_max_window_bits=10; client_no_context_takeover",
            w.Side.SERVER,
            [w.PerMessageDeflate(True, False, 15, 10)],
        ),
    ],
)
def test_extensions_are_what_was_agreed_on(
    header: str | None, side: w.Side, extensions: list[w.PerMessageDeflate]
) -> None:
    headers = {"Sec-WebSocket-Extensions": header} if header else {}
    response = None if header is None else CoreResponse(101, headers)
    assert w.extensions_of(response, side) == extensions


def test_a_proxy_that_is_none_says_why() -> None:
    error = InvalidURL("it has no host")
    assert "scheme ftp isn't supported" in str(w.invalid_proxy("ftp://a", error))
    assert str(w.invalid_proxy("http://", error)).endswith("it has no host")


def test_a_request_may_be_changed_but_for_what_a_handshake_needs() -> None:
    headers = {"Sec-WebSocket-Key": "x", "Origin": "a", "Sec-WebSocket-Protocol": "b"}
    request = CoreRequest("/", "host", headers)
    seen = w.Request("/", w.Headers(headers))
    del seen.headers["Origin"]
    after = w.changed(request, seen)
    assert (after.origin, after.subprotocols) == (None, ("b",))
    del seen.headers["Sec-WebSocket-Key"]
    with pytest.raises(w.InvalidHeaderValue, match="missing Sec-WebSocket-Key"):
        w.changed(request, seen)


# --------------------------------------------------------------------------------- options


def test_the_defaults_are_theirs() -> None:
    config = w.config(**OPTIONS)
    assert config.deflate == Deflate(level=6, threshold=0)
    assert (config.keep_unread, config.fail_timeout, config.plain_http) == (True, 0, True)
    assert config.keep_fragments
    assert config.queue_marks == (16, 4)
    assert config.send_marks == (2**15, 2**13)
    assert config.send_timeout == 40


def test_none_turns_an_option_off() -> None:
    options: dict[str, Any] = {**dict.fromkeys(OPTIONS), "write_limit": (0, None)}
    config = w.config(**options)
    assert config.deflate is None
    assert config.send_marks == (1, 0)
    for name in ("open_timeout", "close_timeout", "ping_interval", "ping_timeout", "max_queue"):
        assert getattr(config, name) == math.inf
    assert (config.max_message_size, config.max_fragment_size) == (math.inf, math.inf)
    assert config.send_timeout == math.inf


def test_who_does_not_want_to_wait_for_the_end_hardly_does() -> None:
    assert w.config(**{**OPTIONS, "close_timeout": 0}).close_timeout == 0.001


def test_limits_come_in_pairs_too() -> None:
    pairs = {"max_size": (10, 5), "max_queue": (8, 2), "write_limit": (100, 10)}
    config = w.config(**{**OPTIONS, **pairs})
    assert (config.max_message_size, config.max_fragment_size) == (10, 5)
    assert config.queue_marks == (8, 2)
    assert config.send_marks == (100, 10)


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ({"subprotocols": "chat"}, TypeError),
        ({"compression": "gzip"}, ValueError),
        ({"extensions": [object()]}, TypeError),
    ],
)
def test_an_option_that_cannot_be_right_is_refused(
    option: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        w.config(**{**OPTIONS, **option})


def test_parameters_of_compression_become_ours() -> None:
    client = w.ClientPerMessageDeflateFactory(client_max_window_bits=11)
    config = w.config(**{**OPTIONS, "extensions": [client]})
    assert config.deflate == Deflate(
        server_max_window_bits=15,
        client_max_window_bits=11,
        level=6,
        memory_level=8,
        threshold=0,
    )
    server = w.ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,
        server_max_window_bits=12,
        compress_settings={"memLevel": 4, "level": 9},
    )
    assert server.deflate() == Deflate(
        server_max_window_bits=12,
        client_max_window_bits=15,
        server_no_context_takeover=True,
        level=9,
        memory_level=4,
        threshold=0,
    )
    with pytest.raises(ValueError, match="wbits"):
        w.ServerPerMessageDeflateFactory(compress_settings={"wbits": 9}).deflate()


# ---------------------------------------------------------------------------- reconnecting


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError(), True),
        (TimeoutError(), True),
        (w.failed(HandshakeInterrupted("gone")), True),
        *((w.failed(HandshakeRejected(CoreResponse(s))), True) for s in (500, 502, 503, 504)),
        (w.failed(HandshakeRejected(CoreResponse(403))), False),
        (w.InvalidMessage("odd"), False),
        (ValueError(), False),
    ],
)
def test_what_may_pass_is_retried(error: Exception, passing: bool) -> None:
    assert w.process_exception(error) is (None if passing else error)


def test_delays_grow_to_their_maximum() -> None:
    first, *rest = islice(w.backoff(), 11)
    assert 0 <= first < 5
    assert rest[:3] == pytest.approx([3.1, 5.0158, 8.1155644])
    assert rest[-1] == 90.0


# -------------------------------------------------------------------------- authentication


def test_basic_authentication_is_built_and_parsed() -> None:
    header = w.build_authorization_basic("user", "p:é")
    assert w.parse_authorization_basic(header) == ("user", "p:é")
    assert w.build_www_authenticate_basic('a "b"') == 'Basic realm="a \\"b\\"", charset="UTF-8"'
    with pytest.raises(ValueError, match="colon"):
        w.build_authorization_basic("a:b", "")


@pytest.mark.parametrize("header", ["", "Digest x", "Basic !", "Basic /w==", "Basic dXNlcg=="])
def test_what_is_no_basic_authentication_is_an_invalid_header(header: str) -> None:
    with pytest.raises(w.InvalidHeaderValue):
        w.parse_authorization_basic(header)


# ------------------------------------------------------------------------ URIs and messages


def test_a_uri_is_taken_apart() -> None:
    assert w.parse_uri("ws://example.com/a?b").target == "/a?b"


@pytest.mark.parametrize("uri", ["http://example.com", "ws://", "ws://example.com/#a", ""])
def test_what_is_no_websocket_uri_is_an_invalid_one(uri: str) -> None:
    with pytest.raises(w.InvalidURI) as caught:
        w.parse_uri(uri)
    assert caught.value.uri == uri


@pytest.mark.parametrize(
    ("message", "text", "sent"),
    [
        ("é", None, "é"),
        ("é", True, "é"),
        ("é", False, b"\xc3\xa9"),
        (b"\xc3\xa9", None, b"\xc3\xa9"),
        (b"\xc3\xa9", False, b"\xc3\xa9"),
        (bytearray(b"\xc3\xa9"), True, "é"),
    ],
)
def test_a_flag_says_whether_a_message_is_text(
    message: object, text: bool | None, sent: object
) -> None:
    assert w.to_message(message, text) == sent


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(TypeError, match="not int"):
        w.to_message(1, None)


# ----------------------------------------------------------------------- a server's handshake


def test_who_asks_to_upgrade_to_a_websocket_is_known() -> None:
    assert w.asks_upgrade(CoreRequest("/", "a", [("Upgrade", "WebSocket")]))
    assert not w.asks_upgrade(CoreRequest("/", "a", [("Upgrade", "h2c")]))
    assert not w.asks_upgrade(CoreRequest("/", "a"))


@pytest.mark.parametrize("origin", ["https://a", "https://b.c", None])
def test_a_known_origin_is_let_in(origin: str | None) -> None:
    w.check_origin(origin, ["https://a", re.compile(r"https://b\..*"), None])
    w.check_origin(origin, None)


@pytest.mark.parametrize("origin", ["https://x", None])
def test_an_unknown_origin_is_not(origin: str | None) -> None:
    with pytest.raises(w.InvalidOrigin):
        w.check_origin(origin, ["https://a", re.compile(".*y")])


def test_the_servers_favourite_subprotocol_is_chosen() -> None:
    assert w.choose_subprotocol(["b", "a"], ["a", "b"]) == "a"
    assert w.choose_subprotocol(["b"], ()) is None


@pytest.mark.parametrize(("offered", "why"), [([], "missing"), (["x"], "invalid")])
def test_without_a_common_subprotocol_there_is_no_agreement(offered: list[str], why: str) -> None:
    with pytest.raises(w.NegotiationError, match=f"{why} subprotocol; expected one of a, b"):
        w.choose_subprotocol(offered, ["a", "b"])


def test_the_handshakes_own_headers_are_not_added() -> None:
    headers = w.Headers({"Upgrade": "websocket", "Sec-WebSocket-Accept": "x", "X-Mine": "y"})
    assert [*w.added_headers(headers)] == [("X-Mine", "y")]


def test_a_response_that_accepts_answers_the_key() -> None:
    # The key and its answer are those of RFC 6455 section 1.3.
    request = CoreRequest("/", "a", [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
    response = w.switching(request, "chat", "today")
    assert (response.status_code, response.reason_phrase) == (101, "Switching Protocols")
    assert list(response.headers.raw_items()) == [
        ("Date", "today"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("Sec-WebSocket-Protocol", "chat"),
    ]
    assert "Sec-WebSocket-Protocol" not in w.switching(request, None, "today").headers


def test_a_response_in_text_says_how_long_it_is() -> None:
    response = w.text_response(404, "é", "today")
    assert (response.status_code, response.reason_phrase) == (404, "Not Found")
    assert response.body == "é".encode()
    assert dict(response.headers) == {
        "date": "today",
        "connection": "close",
        "content-length": "2",
        "content-type": "text/plain; charset=utf-8",
    }


def test_a_user_is_known_by_the_password() -> None:
    known = {"me": "pw", "nobody": ""}
    assert w.is_known(known, "me", "pw")
    assert w.is_known(known, "nobody", "")
    for username, password in (("me", "wrong"), ("me", ""), ("you", "pw"), ("you", "")):
        assert not w.is_known(known, username, password)


def test_credentials_are_a_pair_or_several() -> None:
    assert w.known_credentials(("a", "b")) == {"a": "b"}
    assert w.known_credentials([("a", "b"), ("c", "d")]) == {"a": "b", "c": "d"}


@pytest.mark.parametrize("credentials", [1, ["a"], [("a", 1)], ("a", "b", "c")])
def test_what_is_no_credentials_is_refused(credentials: object) -> None:
    with pytest.raises(TypeError, match="invalid credentials"):
        w.known_credentials(credentials)
