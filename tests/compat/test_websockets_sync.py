"""The only place that proves ws_sync.compat.websockets, row by row of its table of behaviours.

Where it matters what is on the wire and when, the other side is played by hand; elsewhere the
module's client meets the module's server.
"""

from __future__ import annotations

import http
import logging
import math
import re
import signal
import socket
import ssl
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.rawpeers import (
    read_head,
    read_to_close,
    read_to_end,
    reset,
    shake_as_server,
)
from tests.leaks import AFTERMATH, open_sockets
from tests.wscore.rawpeer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RESERVED,
    TEXT,
    close_payload,
    frame,
    xor,
)

from ws_sync.compat import websockets
from ws_sync.compat.websockets import (
    ClientConnection,
    ClientPerMessageDeflateFactory,
    Close,
    CloseCode,
    ConcurrencyError,
    Connection,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    Headers,
    InvalidHandshake,
    InvalidMessage,
    InvalidOrigin,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    Origin,
    PayloadTooBig,
    PerMessageDeflate,
    ProtocolError,
    Request,
    Response,
    SecurityError,
    Server,
    ServerConnection,
    ServerPerMessageDeflateFactory,
    State,
    Subprotocol,
    TooManyFragments,
    WebSocketException,
    backoff,
    basic_auth,
    broadcast,
    connect,
    process_exception,
    reconnect,
    serve,
    unix_connect,
    unix_reconnect,
    unix_serve,
)

SECONDS = 10.0
"""How long a test waits for what has to come."""

SOON = 0.05
"""Seconds: a timeout that is meant to pass."""

Script = Callable[[socket.socket], object]


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Threads, but for the helper, and sockets. What others left may go meanwhile."""

    def left() -> set[object]:
        names = {each.name for each in threading.enumerate()} - {"ws_sync helper"}
        return {*names, *open_sockets()}

    before = left()
    yield
    patience = time.monotonic() + AFTERMATH
    while left() - before and time.monotonic() < patience:
        time.sleep(0.001)
    assert left() - before == set()


# --------------------------------------------------------------------------- who meets whom


def uri_of(server: Server, path: str = "/") -> str:
    return f"ws://127.0.0.1:{server.socket.getsockname()[1]}{path}"


def echo(websocket: ServerConnection) -> None:
    for message in websocket:
        websocket.send(message)


def stay(websocket: ServerConnection) -> None:
    websocket.wait_closed()


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Let a server serve in a thread."""
    with server, ThreadPoolExecutor(1) as thread:
        served = thread.submit(server.serve_forever)
        try:
            yield server
        finally:
            server.shutdown()
            served.result(SECONDS)


@contextmanager
def serving(
    handler: Callable[[ServerConnection], None] = echo, **options: Any
) -> Iterator[Server]:
    with running(serve(handler, "127.0.0.1", 0, **options)) as server:
        yield server


def connected(uri: str, **options: Any) -> ClientConnection:
    """A connection that the caller closes."""
    connection = connect(uri, legacy=True, **options)
    assert isinstance(connection, ClientConnection)
    return connection


@contextmanager
def both_ends(
    server_options: dict[str, Any] | None = None, **options: Any
) -> Iterator[tuple[ClientConnection, ServerConnection]]:
    """A client's and a server's connection of the module."""
    met: list[ServerConnection] = []

    def handler(websocket: ServerConnection) -> None:
        met.append(websocket)
        websocket.wait_closed()

    with (
        serving(handler, **(server_options or {})) as server,
        connected(uri_of(server), **options) as client,
    ):
        until(lambda: met)
        yield client, met[0]


@contextmanager
def answering(script: Script) -> Iterator[str]:
    """The URI of a server that plays the script with whoever comes first."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        listener.settimeout(SECONDS)

        def play() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(SECONDS)
                script(sock)

        playing = thread.submit(play)
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        playing.result(SECONDS)


@contextmanager
def client_and_peer(**options: Any) -> Iterator[tuple[ClientConnection, socket.socket]]:
    """A client of the module, and the server's end of its connection, played by hand."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        listener.settimeout(SECONDS)
        uri = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        opening = thread.submit(connected, uri, **options)
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(SECONDS)
            shake_as_server(sock)
            client = opening.result(SECONDS)
            yield client, sock
        client.wait_closed()


def request_of(**options: Any) -> bytes:
    """The head of the request that goes out with these options."""
    heads: list[bytes] = []

    def script(sock: socket.socket) -> None:
        heads.append(read_head(sock))
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with answering(script) as uri, pytest.raises(InvalidStatus):
        connected(uri, **options)
    return heads[0]


def answered(answer: bytes, **options: Any) -> None:
    """Connect to a server that answers every request like this, and then hangs up."""

    def script(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer)

    with answering(script) as uri:
        connected(uri, **options).close()


def raw_answer(server: Server, request: bytes) -> bytes:
    """Everything that a server says to a request."""
    with socket.create_connection(server.socket.getsockname()[:2], SECONDS) as sock:
        sock.sendall(request)
        return read_to_end(sock)


def send(sock: socket.socket, head: int, payload: bytes = b"") -> None:
    sock.sendall(frame(head, payload, masked=False))


def receive(sock: socket.socket) -> tuple[int, bytes]:
    """The next frame from a client: its first byte, and its payload without the mask."""

    def read(size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = sock.recv(size - len(data))
            assert more, "the stream ended in a frame"
            data += more
        return data

    head, size = read(2)
    assert size & 0x7F < 126, "no test sends as much and looks at it"
    key = read(4)
    return head, xor(read(size & 0x7F), key)


def until(ready: Callable[[], object]) -> None:
    """Wait for what nobody announces."""
    patience = time.monotonic() + SECONDS
    while not ready():
        assert time.monotonic() < patience
        time.sleep(0.001)


def often(times: int, call: Callable[..., object], *args: object, **kwargs: object) -> None:
    for _ in range(times):
        call(*args, **kwargs)


def took(began: float) -> float:
    return time.monotonic() - began


VERBS: dict[str, Callable[[ClientConnection], object]] = {
    "recv": lambda client: client.recv(timeout=SOON),
    "recv_streaming": lambda client: [*client.recv_streaming(decode=True)],
    "iter": iter,
    "send": lambda client: client.send("x"),
    "send parts": lambda client: client.send(["x"]),
    "ping": lambda client: client.ping(),
    "pong": lambda client: client.pong(),
    "close": lambda client: client.close(),
}

# ------------------------------------------------------------------------------ W1: connect


def test_W1_connect_is_entered_and_closes_when_left() -> None:
    with serving() as server:
        with connect(uri_of(server)) as websocket:
            assert isinstance(websocket, ClientConnection)
            websocket.send("hello")
            assert websocket.recv() == "hello"
        assert websocket.state is State.CLOSED
        assert (websocket.close_code, websocket.close_reason) == (1000, "")


def test_W1_a_block_that_raises_closes_with_1011() -> None:
    with both_ends() as (client, server):
        with pytest.raises(RuntimeError), client:
            raise RuntimeError("in the block")
        assert server.wait_closed(SECONDS)
        assert server.close_code == 1011


def test_W1_connect_without_with_warns_once_where_it_is_used() -> None:
    with serving() as server:
        client = connect(uri_of(server))
        assert isinstance(client, ClientConnection)
        with pytest.warns(DeprecationWarning, match="legacy=True") as caught:
            client.send("hello")
        assert client.recv() == "hello"
        client.close()
        assert [each.filename for each in caught] == [__file__]


@pytest.mark.parametrize(
    "verb", ["recv", "send", "ping", "pong", "close", "recv_streaming", "iter"]
)
def test_W1_every_verb_without_with_warns(verb: str) -> None:
    def greet(websocket: ServerConnection) -> None:
        websocket.send("hello")
        websocket.wait_closed()

    with serving(greet) as server:
        client = connect(uri_of(server))
        assert isinstance(client, ClientConnection)
        with pytest.warns(DeprecationWarning, match="legacy=True"), suppress(TimeoutError):
            VERBS[verb](client)
        client.close()


@pytest.mark.parametrize("legacy", [True, None])
def test_W1_with_does_not_warn_nor_does_what_is_meant(legacy: bool | None) -> None:
    with serving() as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        with connect(uri_of(server), legacy=legacy) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
        client = connected(uri_of(server))
        client.send("hello")
        client.close()


def test_W1_connect_without_its_legacy_is_reconnect() -> None:
    with serving() as server:
        connector = connect(uri_of(server), legacy=False)
        assert isinstance(connector, reconnect)
        with connector as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"


def test_W1_reconnect_is_not_reentrant_but_can_be_entered_again() -> None:
    with serving() as server:
        connector = reconnect(uri_of(server))
        with connector, pytest.raises(RuntimeError):
            connector.__enter__()
        with connector as websocket:
            assert websocket.state is State.OPEN


@pytest.mark.parametrize(
    "uri", ["http://example.com", "ws://", "ws://example.com/#part", "ws://a:99999", "", "x"]
)
def test_W1_an_invalid_uri_raises_at_once(uri: str) -> None:
    with pytest.raises(InvalidURI) as raised:
        reconnect(uri)
    assert raised.value.uri == uri
    with pytest.raises(InvalidURI):
        connect(uri)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"subprotocols": "chat"}, TypeError),
        ({"compression": "gzip"}, ValueError),
        ({"extensions": [object()]}, TypeError),
        ({"ssl": ssl.create_default_context()}, ValueError),
        ({"max_size": -1}, ValueError),
        ({"proxy": "http://a", "proxy_ssl": ssl.create_default_context()}, ValueError),
    ],
)
def test_W1_options_that_cannot_be_right_raise_at_once(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        reconnect("ws://127.0.0.1:1/", **options)


@pytest.mark.parametrize("option", ["extra_headers", "read_limit", "write_limit"])
def test_W1_options_that_are_not_there_raise_on_connecting(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        connect("ws://127.0.0.1:1/", **{option: None})


def test_W1_the_options_of_the_request_are_in_it() -> None:
    head = request_of(
        origin=Origin("https://example.com"),
        subprotocols=["chat", "talk"],
        additional_headers={"X-Mine": "yes"},
    )
    for line in (
        b"Origin: https://example.com",
        b"Sec-WebSocket-Protocol: chat, talk",
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"X-Mine: yes",
        b"User-Agent: Python/",
    ):
        assert b"\r\n" + line in head


def test_W1_the_user_agent_is_ours_none_or_that_of_the_headers() -> None:
    assert b"User-Agent" not in request_of(user_agent_header=None)
    assert b"User-Agent: me\r\n" in request_of(user_agent_header="me")
    head = request_of(additional_headers=[("User-Agent", "mine")])
    assert re.findall(rb"User-Agent: (.*)\r\n", head) == [b"mine"]


def test_W1_compression_can_be_turned_off_or_set_up() -> None:
    assert b"Extensions" not in request_of(compression=None)
    factory = ClientPerMessageDeflateFactory(server_max_window_bits=10)
    head = request_of(compression=None, extensions=[factory])
    assert b"permessage-deflate; server_max_window_bits=10" in head
    with both_ends(
        {"extensions": [ServerPerMessageDeflateFactory(server_no_context_takeover=True)]}
    ) as (client, server):
        assert client.response is not None
        assert "server_no_context_takeover" in client.response.headers["Sec-WebSocket-Extensions"]
        server.send("x" * 1000)
        assert client.recv() == "x" * 1000


def test_W1_user_name_and_password_in_the_uri_become_basic_authentication() -> None:
    with serving(process_request=basic_auth("realm", ("user", "pass"))) as server:
        with connect(uri_of(server).replace("//", "//user:pass@")):
            [connection] = server.connections
            assert connection.username == "user"
        with pytest.raises(InvalidStatus) as raised:
            connect(uri_of(server).replace("//", "//user:wrong@"))
        assert raised.value.response.status_code == 401


def test_W1_open_timeout_is_from_beginning_to_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", open_timeout=SOON)
        assert SOON <= took(began) < 1


def test_W1_a_server_has_its_open_timeout_too() -> None:
    with serving(open_timeout=SOON) as server:
        began = time.monotonic()
        with socket.create_connection(server.socket.getsockname(), SECONDS) as sock:
            read_to_end(sock)
        assert SOON <= took(began) < 1


def test_W1_none_turns_timeouts_and_limits_off() -> None:
    off: dict[str, Any] = dict.fromkeys(
        ("open_timeout", "ping_interval", "ping_timeout", "close_timeout", "max_size", "max_queue")
    )
    with both_ends(off, **off) as (client, server):
        server.send("x" * 2_000_000)
        assert len(client.recv()) == 2_000_000


def test_W1_limits_come_in_pairs_too() -> None:
    with both_ends(max_size=(10, 5), max_queue=(2, 1), compression=None) as (client, server):
        server.send(["aaa", "bbb"])
        assert client.recv() == "aaabbb"
        server.send("aaabbb")
        with pytest.raises(ConnectionClosedError):
            client.recv()
        assert server.close_code == 1009


def test_W1_a_socket_that_is_connected_is_used() -> None:
    with serving() as server:
        sock = socket.create_connection(server.socket.getsockname())
        with connect("ws://example.com/path", sock=sock, timeout=SECONDS) as websocket:
            assert websocket.socket is sock
            assert websocket.request is not None
            assert websocket.request.headers["Host"] == "example.com"


def test_W1_an_address_goes_before_that_of_the_uri() -> None:
    with serving() as server:
        options: dict[str, Any] = {
            "address": server.socket.getsockname(),
            "source_address": ("127.0.0.1", 0),
        }
        with connect("ws://example.com/", **options) as websocket:
            assert websocket.request is not None
            assert websocket.request.headers["Host"] == "example.com"
        with connect(uri_of(server), timeout=SECONDS) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"


def test_W1_tls_verifies_and_knows_the_server_by_name(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    with serving(ssl=server_tls) as server:
        port = server.socket.getsockname()[1]
        uri = f"wss://127.0.0.1:{port}/"
        with connect(uri, ssl=client_tls, server_hostname="localhost") as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
            told: Any = websocket.socket
            assert told.version().startswith("TLS")
            assert told.server_hostname == "localhost"
            assert told.getpeername() == websocket.remote_address
            [connection] = server.connections
            told = connection.socket
            assert told.server_side
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(uri, ssl=client_tls, server_hostname="example.com")
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(uri)


def test_W1_a_connection_may_be_of_a_class_of_ones_own() -> None:
    class Mine(ClientConnection):
        pass

    class Theirs(ServerConnection):
        pass

    with both_ends({"create_connection": Theirs}, create_connection=Mine) as (client, server):
        assert (type(client), type(server)) == (Mine, Theirs)


@pytest.mark.parametrize("side", ["client", "server"])
def test_W1_a_class_that_fails_leaves_nothing_behind(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("no connection")

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with serving(**({"create_connection": fail} if side == "server" else {})) as server:
        options: dict[str, Any] = {"create_connection": fail} if side == "client" else {}
        with pytest.raises((RuntimeError, InvalidMessage, OSError)):
            connect(uri_of(server), **options)


def test_W1_a_logger_of_ones_own_is_used(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger = logging.getLogger("mine")
    with both_ends({"logger": logger}, logger=logger) as (client, _):
        client.logger.warning("told")
    [told] = [record for record in caplog.records if record.getMessage() == "told"]
    assert told.name == "mine"
    assert told.__dict__["websocket"] is client
    assert {record.name for record in caplog.records} == {"mine"}
    messages = [record.getMessage() for record in caplog.records]
    for message in ("connection open", "connection closed", "server closing", "server closed"):
        assert messages.count(message) == 1


def test_W1_redirections_are_followed() -> None:
    with serving() as server:

        def process_request(connection: ServerConnection, request: Request) -> Response | None:
            if request.path != "/old":
                return None
            response = connection.respond(http.HTTPStatus.FOUND, "")
            response.headers["Location"] = "/new"
            return response

        with (
            serving(process_request=process_request) as server,
            connect(uri_of(server, "/old")) as websocket,
        ):
            assert websocket.request is not None
            assert websocket.request.path == "/new"
            websocket.send("hello")
            assert websocket.recv() == "hello"


def to(location: str) -> Callable[[ServerConnection, Request], Response]:
    def process_request(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(http.HTTPStatus.FOUND, "")
        response.headers["Location"] = location
        return response

    return process_request


def test_W1_redirections_to_elsewhere_do_not_go_to_the_address_that_was_given() -> None:
    with serving(process_request=to("ws://example.com/")) as server:
        address = server.socket.getsockname()
        with pytest.raises(ValueError, match="cross-origin redirect"):
            connect(uri_of(server), address=address)


def test_W1_redirections_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websockets, "MAX_REDIRECTS", 3)
    with (
        serving(process_request=to("/")) as server,
        pytest.raises(SecurityError, match=r"^more than 3 redirects$"),
    ):
        connect(uri_of(server))


def test_W1_redirections_are_not_followed_with_a_socket_that_was_given() -> None:
    with serving(process_request=to("/there")) as server:
        sock = socket.create_connection(server.socket.getsockname())
        with sock, pytest.raises(ValueError, match=r"ws://a\.invalid/there with a preexisting"):
            connect("ws://a.invalid/", sock=sock)


def test_W2_redirections_do_not_lead_away_from_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with (
        running(unix_serve(echo, path, process_request=to("ws://b.invalid/there"))),
        pytest.raises(ValueError, match=r"ws://b\.invalid/there with a Unix socket"),
    ):
        unix_connect(path)


def test_W1_a_request_that_lost_what_it_needs_is_refused() -> None:
    def process_request(_: ServerConnection, request: Request) -> None:
        del request.headers["Sec-WebSocket-Key"]

    with (
        serving(process_request=process_request) as server,
        pytest.raises(InvalidStatus, match="400"),
    ):
        connect(uri_of(server))


def proxying(answer: bytes) -> tuple[list[bytes], Script]:
    """What a proxy was asked, and a proxy that answers so."""
    asked: list[bytes] = []

    def script(sock: socket.socket) -> None:
        asked.append(read_head(sock))
        sock.sendall(answer)
        if b" 200 " in answer:
            shake_as_server(sock)
            read_to_close(sock)
            send(sock, CLOSE, close_payload(1000))

    return asked, script


def test_W1_a_proxy_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, script = proxying(b"HTTP/1.1 200 OK\r\n\r\n")
    with answering(script) as uri:
        proxy = uri.replace("ws:", "http:")
        connected("ws://example.com/", proxy=proxy, source_address=("127.0.0.1", 0)).close()
    with answering(script) as uri:
        monkeypatch.setenv("http_proxy", uri.replace("ws:", "http:"))
        connected("ws://example.com/").close()
    assert [head.split(b"\r\n")[0] for head in asked] == [b"CONNECT example.com:80 HTTP/1.1"] * 2


def test_W1_a_proxy_that_refuses_says_why() -> None:
    _, script = proxying(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    with answering(script) as uri, pytest.raises(InvalidProxyStatus) as raised:
        connect("ws://example.com/", proxy=uri.replace("ws:", "http:"))
    assert raised.value.response.status_code == 407


@pytest.mark.parametrize("proxy", ["x://127.0.0.1", "127.0.0.1", "https://127.0.0.1:1"])
def test_W1_a_proxy_that_cannot_be_reached_is_invalid(proxy: str) -> None:
    with pytest.raises(InvalidProxy):
        connect("ws://example.com/", proxy=proxy)


# ------------------------------------------------------------------------------ W1: servers


def test_W1_serve_refuses_what_cannot_be_right() -> None:
    with pytest.raises(ValueError, match="either"):
        serve(echo)
    with socket.socket() as sock, pytest.raises(ValueError, match="either"):
        serve(echo, "127.0.0.1", 0, sock=sock)
    with pytest.raises(TypeError):
        serve(echo, "127.0.0.1", 0, subprotocols="chat")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        serve(echo, "127.0.0.1", 0, nonsense=True)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(echo, *taken.getsockname())


def test_W1_a_server_accepts_when_it_serves() -> None:
    with serve(echo, "127.0.0.1", 0) as server, ThreadPoolExecutor(1) as thread:
        with pytest.raises(TimeoutError):
            connect(uri_of(server), open_timeout=SOON)
        served = thread.submit(server.serve_forever)
        with connect(uri_of(server)) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
        server.shutdown()
        served.result(SECONDS)


def test_W1_a_server_that_never_served_shuts_down() -> None:
    with serve(echo, "127.0.0.1", 0) as server:
        assert server.fileno() == server.socket.fileno()
    assert server.fileno() == -1
    server.serve_forever()


def test_W1_a_socket_that_listens_is_used() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    with running(serve(echo, sock=sock)) as server:
        assert server.socket is sock
        with connect(uri_of(server)) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"


def test_W1_a_handler_that_raises_closes_its_connection_with_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(websocket: ServerConnection) -> None:
        if websocket.recv() == "fail":
            raise RuntimeError("in the handler")

    with (
        serving(handler) as server,
        connect(uri_of(server)) as fails,
        connect(uri_of(server)) as stays,
    ):
        fails.send("fail")
        with pytest.raises(ConnectionClosedError) as raised:
            fails.recv()
        assert raised.value.rcvd == Close(1011, "")
        stays.send("do not")
        with pytest.raises(ConnectionClosedOK):
            stays.recv()
    assert [record.getMessage() for record in caplog.records] == ["connection handler failed"]


def test_W1_a_handler_may_leave_the_end_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    with serving(lambda websocket: print(websocket.recv())) as server:  # noqa: T201
        connected(uri_of(server)).close(4000)
    assert caplog.records == []


def test_W1_the_end_of_another_connection_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    def handler(websocket: ServerConnection) -> None:
        raise ConnectionClosedOK(None, None)

    with (
        serving(handler) as server,
        connect(uri_of(server)) as websocket,
        pytest.raises(ConnectionClosedError),
    ):
        websocket.recv()
    assert [record.getMessage() for record in caplog.records] == ["connection handler failed"]


def test_W1_shutdown_closes_connections_and_waits_for_handlers() -> None:
    returned: list[int | None] = []

    def handler(websocket: ServerConnection) -> None:
        websocket.wait_closed()
        time.sleep(SOON)
        returned.append(websocket.close_code)

    with serving(handler) as server:
        client = connected(uri_of(server))
        until(lambda: server.connections)
        server.shutdown()
        assert returned == [1001]
        with pytest.raises(ConnectionClosedOK) as raised:
            client.recv()
        assert raised.value.rcvd == Close(1001, "")
        server.shutdown()
        with pytest.raises(ConnectionRefusedError):
            connect(uri_of_port(client))


def uri_of_port(client: ClientConnection) -> str:
    return f"ws://127.0.0.1:{client.remote_address[1]}/"


def test_W1_what_has_arrived_at_a_shutdown_is_received() -> None:
    received: list[Any] = []
    may_go_on = threading.Event()

    def handler(websocket: ServerConnection) -> None:
        may_go_on.wait()
        received.extend(websocket)

    with running(serve(handler, "127.0.0.1", 0)) as server, connected(uri_of(server)) as client:
        client.send("in time")
        threading.Timer(0.05, may_go_on.set).start()
        server.shutdown()
    assert received == ["in time"]


def test_W1_shutdown_says_what_it_is_told_to() -> None:
    with serving() as server:
        client = connected(uri_of(server))
        with pytest.raises(ProtocolError):
            server.shutdown(code=999)
        server.shutdown(code=CloseCode.SERVICE_RESTART, reason="soon back")
        with pytest.raises(ConnectionClosedError) as raised:
            client.recv()
        assert raised.value.rcvd == Close(1012, "soon back")


def test_W1_shutdown_may_leave_connections_alone() -> None:
    with serving() as server, ThreadPoolExecutor(1) as thread:
        client = connected(uri_of(server))
        shutting = thread.submit(server.shutdown, close_connections=False)
        until(lambda: server.fileno() == -1)
        client.send("still here")
        assert client.recv() == "still here"
        assert not shutting.done()
        client.close()
        shutting.result(SECONDS)
        assert client.close_code == 1000


def test_W1_shutdown_refuses_who_is_in_the_handshake() -> None:
    asked = threading.Event()
    go_on = threading.Event()

    def process_request(connection: ServerConnection, request: Request) -> None:
        asked.set()
        assert go_on.wait(SECONDS)

    with serving(process_request=process_request) as server, ThreadPoolExecutor(2) as threads:
        opening = threads.submit(connected, uri_of(server))
        assert asked.wait(SECONDS)
        shutting = threads.submit(server.shutdown)
        with pytest.raises(InvalidStatus) as raised:
            opening.result(SECONDS)
        assert raised.value.response.status_code == 503
        go_on.set()
        shutting.result(SECONDS)


def test_W1_shutdown_may_come_from_a_handler_or_a_signal() -> None:
    def handler(websocket: ServerConnection) -> None:
        websocket.server.shutdown()

    with serve(handler, "127.0.0.1", 0) as server, ThreadPoolExecutor(1) as thread:
        opening = thread.submit(connected, uri_of(server))
        server.serve_forever()
        opening.result(SECONDS).wait_closed()
    if hasattr(signal, "setitimer"):
        with serve(handler, "127.0.0.1", 0) as server:
            before = signal.signal(signal.SIGALRM, lambda *_: server.shutdown())
            try:
                signal.setitimer(signal.ITIMER_REAL, SOON)
                server.serve_forever()
            finally:
                signal.signal(signal.SIGALRM, before)


def test_W1_an_interrupted_server_shuts_down() -> None:
    if not hasattr(signal, "setitimer"):
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with serve(echo, "127.0.0.1", 0) as server:
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, SOON)
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
        finally:
            signal.signal(signal.SIGALRM, before)
        assert server.fileno() == -1


def test_W1_connections_are_those_that_are_open() -> None:
    with serving() as server:
        assert server.connections == set()
        with connect(uri_of(server)) as websocket:
            [connection] = server.connections
            assert connection.server is server
            assert connection.remote_address == websocket.local_address
        until(lambda: not server.connections)


def test_W1_the_hooks_see_requests_and_responses() -> None:
    seen: list[Any] = []

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        seen.append((connection.state, request.path, connection.request is request))
        if request.path == "/health":
            return connection.respond(http.HTTPStatus.OK, "fine\n")
        if request.path == "/raise":
            raise RuntimeError("in the hook")
        return None

    def process_response(
        connection: ServerConnection, request: Request, response: Response
    ) -> Response | None:
        seen.append((response.status_code, connection.response is response))
        response.headers["X-Mine"] = "yes"
        if request.path == "/teapot":
            return connection.respond(418, "tea\n")
        return None

    with serving(
        process_request=process_request, process_response=process_response, server_header="me"
    ) as server:
        with connect(uri_of(server, "/chat")) as websocket:
            assert websocket.response is not None
            assert websocket.response.status_code == 101
            assert websocket.response.headers["X-Mine"] == "yes"
            assert websocket.response.headers["Server"] == "me"
        assert seen == [(State.CONNECTING, "/chat", True), (101, True)]
        for path, status, body in [
            ("/health", 200, b"fine\n"),
            ("/teapot", 418, b"tea\n"),
        ]:
            with pytest.raises(InvalidStatus) as raised:
                connect(uri_of(server, path))
            assert raised.value.response.status_code == status
            assert raised.value.response.body == body
        answer = raw_answer(server, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\nfine\n")
        assert raw_answer(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 426")


def test_W1_a_server_header_is_there_unless_it_is_none() -> None:
    ways: list[dict[str, Any]] = [{}, {"server_header": None}]
    for options in ways:
        with serving(**options) as server, connect(uri_of(server)) as websocket:
            assert websocket.response is not None
            assert ("Server" in websocket.response.headers) is (not options)


@pytest.mark.parametrize(
    "hooks",
    [
        {"process_request": lambda *_: 1 / 0},
        {"process_request": lambda *_: "no response"},
        {"process_response": lambda *_: 1 / 0},
        {"select_subprotocol": lambda *_: 1 / 0},
    ],
)
def test_W1_a_hook_that_fails_is_500_and_logged(
    hooks: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(**hooks) as server, pytest.raises(InvalidStatus) as raised:
        connect(uri_of(server))
    assert raised.value.response.status_code == 500
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_W1_origins_say_whose_pages_may_connect() -> None:
    origins = [Origin("https://a.example"), re.compile(r"https://.*\.b\.example"), None]
    with serving(stay, origins=origins) as server:
        for origin in ("https://a.example", "https://x.b.example", None):
            connected(uri_of(server), origin=origin).close()
        with pytest.raises(InvalidStatus) as raised:
            connect(uri_of(server), origin=Origin("https://c.example"))
        assert raised.value.response.status_code == 403
    assert issubclass(InvalidOrigin, InvalidHandshake)


def test_W1_subprotocols_are_agreed_on() -> None:
    known = [Subprotocol("a"), Subprotocol("b")]
    with serving(stay, subprotocols=known) as server:
        with connect(uri_of(server), subprotocols=[*reversed(known)]) as websocket:
            assert websocket.subprotocol == "a"
        for offered in (None, [Subprotocol("c")]):
            with pytest.raises(InvalidStatus) as raised:
                connect(uri_of(server), subprotocols=offered)
            assert raised.value.response.status_code == 400


def test_W1_subprotocols_can_be_selected() -> None:
    def select(connection: ServerConnection, offered: Any) -> Subprotocol | None:
        if "no" in offered:
            raise NegotiationError("not that one")
        return offered[-1] if offered else None

    with serving(stay, subprotocols=[Subprotocol("x")], select_subprotocol=select) as server:
        offered = [Subprotocol("a"), Subprotocol("b")]
        with connect(uri_of(server), subprotocols=offered) as websocket:
            assert websocket.subprotocol == "b"
        with connect(uri_of(server)) as websocket:
            assert websocket.subprotocol is None
        with pytest.raises(InvalidStatus):
            connect(uri_of(server), subprotocols=[Subprotocol("no")])


def test_W1_basic_auth_lets_in_who_has_the_right_credentials() -> None:
    ways: list[dict[str, Any]] = [
        {"credentials": ("user", "pass")},
        {"credentials": [("other", "x"), ("user", "pass")]},
        {"check_credentials": lambda username, password: (username, password) == ("user", "pass")},
    ]
    for way in ways:
        with serving(process_request=basic_auth("realm", **way)) as server:
            uri = uri_of(server)
            with connect(uri.replace("//", "//user:pass@")):
                pass
            for wrong in (uri, uri.replace("//", "//user:x@"), uri.replace("//", "//x:pass@")):
                with pytest.raises(InvalidStatus) as raised:
                    connect(wrong)
                response = raised.value.response
                assert response.status_code == 401
                assert 'realm="realm"' in response.headers["WWW-Authenticate"]
            with pytest.raises(InvalidStatus):
                connect(uri, additional_headers={"Authorization": "Bearer x"})


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ValueError),
        ({"credentials": ("a", "b"), "check_credentials": lambda *_: True}, ValueError),
        ({"credentials": 1}, TypeError),
        ({"credentials": ["a"]}, TypeError),
    ],
)
def test_W1_basic_auth_refuses_what_is_wrong(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        basic_auth("realm", **options)


def test_W1_broadcast_reaches_all_that_are_open() -> None:
    with serving(stay) as server, ExitStack() as stack:
        clients = [stack.enter_context(connected(uri_of(server))) for _ in range(3)]
        until(lambda: len(server.connections) == 3)
        clients.pop().close()
        broadcast(server.connections, "hello")
        broadcast(server.connections, b"hello", text=True)
        broadcast(server.connections, "hello", text=False, max_workers=5)
        for client in clients:
            assert [client.recv() for _ in range(3)] == ["hello", "hello", b"hello"]


def test_W1_broadcast_refuses_what_is_no_message() -> None:
    for message in (1, ["a"], None):
        with pytest.raises(TypeError):
            broadcast([], message)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        broadcast([], "a", nonsense=1)


def test_W1_broadcast_waits_for_who_reads_slowly_and_goes_on_without_who_is_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "websockets.client")
    message = b"x" * 100_000
    stuck = {"ping_interval": SOON, "ping_timeout": SOON, "close_timeout": SOON}
    with (
        both_ends({"compression": None}) as (client, server),
        client_and_peer(compression=None, **stuck) as (silent, _),
        ThreadPoolExecutor(1) as thread,
    ):
        sending = thread.submit(often, 300, broadcast, [silent, server], message)
        assert [client.recv() for _ in range(300)] == [message] * 300
        sending.result(SECONDS)
        assert silent.wait_closed(SECONDS)
        broadcast([silent], "hello", raise_exceptions=True)
    [record] = caplog.records
    assert record.getMessage().startswith("broadcast did not reach it")


def test_W1_broadcast_does_not_go_into_an_iterable_but_behind_it() -> None:
    with both_ends() as (client, server):

        def parts() -> Iterator[str]:
            yield "a"
            broadcast([server], "hello")
            yield "b"

        server.send(parts())
        assert [client.recv(), client.recv()] == ["ab", "hello"]


def test_W1_broadcast_raises_failures_together_if_asked_to() -> None:
    stuck = {"ping_interval": SOON, "ping_timeout": SOON, "close_timeout": SOON}
    with client_and_peer(compression=None, **stuck) as (silent, _):
        with pytest.raises(ExceptionGroup) as raised:
            often(100, broadcast, [silent], b"x" * 1_000_000, raise_exceptions=True)
        assert [type(each) for each in raised.value.exceptions] == [ConnectionClosedError]


# ------------------------------------------------------------------- W2: Unix sockets


def test_W2_a_unix_socket_is_served_and_connected_to(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with running(unix_serve(echo, path)):
        with unix_connect(path) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
            assert websocket.request is not None
            assert websocket.request.headers["Host"] == "localhost"
        with unix_connect(str(path), "ws://example.com/chat") as websocket:
            assert websocket.request is not None
            assert websocket.request.headers["Host"] == "example.com"
            assert websocket.request.path == "/chat"
        with unix_connect(path, legacy=False) as websocket:
            assert websocket.state is State.OPEN
        for websocket in unix_reconnect(path):
            websocket.send("hello")
            assert websocket.recv() == "hello"
            break


def test_W2_with_tls_the_uri_is_wss(
    tmp_path: Path, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    path = tmp_path / "socket"
    with (
        running(unix_serve(echo, path, ssl=server_tls)),
        unix_connect(path, ssl=client_tls) as websocket,
    ):
        websocket.send("hello")
        assert websocket.recv() == "hello"


@pytest.mark.parametrize(
    "call", [unix_connect, unix_reconnect, partial(unix_serve, echo)], ids=str
)
def test_W2_without_a_path_there_is_no_unix_socket(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="path"):
        call()


def test_W2_a_path_and_a_socket_are_one_too_many() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        for call in (unix_connect, unix_reconnect, partial(unix_serve, echo)):
            with pytest.raises(ValueError, match="path"):
                call("/tmp/socket", sock=sock)


def test_W2_a_unix_socket_may_be_there_already(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    listener = socket.create_server(path, family=socket.AF_UNIX)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    with running(unix_serve(echo, sock=listener)), unix_connect(sock=sock) as websocket:
        websocket.send("hello")
        assert websocket.recv() == "hello"


def test_W2_a_path_that_nobody_listens_at_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unix_connect(tmp_path / "nobody")


# ------------------------------------------------------------------------- W3: connections


def test_W3_a_connection_tells_what_it_is() -> None:
    with both_ends() as (client, server):
        assert isinstance(client.id, uuid.UUID)
        assert client.id != server.id
        assert client.state is State.OPEN
        assert client.protocol.state is State.OPEN
        assert client.protocol.side is websockets.Side.CLIENT
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address
        assert client.socket.getsockname() == client.local_address
        assert client.request is not None
        assert server.request is not None
        assert client.request.path == server.request.path == "/"
        assert client.request is client.request
        assert client.response is not None
        assert server.response is not None
        assert client.response.status_code == server.response.status_code == 101
        assert client.subprotocol is None
        assert client.latency == 0
        assert (client.close_code, client.close_reason) == (None, None)
        with pytest.raises(websockets.InvalidState):
            repr(client.close_exc)


def test_W3_a_connection_that_is_closed_tells_how() -> None:
    with both_ends() as (client, server):
        client.close(4000, "enough")
        server.wait_closed()
        for end in (client, server):
            assert end.state is State.CLOSED
            assert (end.close_code, end.close_reason) == (4000, "enough")
            assert end.protocol.close_exc.rcvd == Close(4000, "enough")
            assert end.local_address is not None


def test_W3_text_and_binary_are_decoded_as_is_asked_for() -> None:
    with both_ends() as (client, server):
        for message in ("é", "é".encode()):
            server.send([message])
            server.send(message)
            server.send(message)
            assert client.recv() == message
            assert client.recv(decode=True) == "é"
            assert client.recv(None, False) == "é".encode()


def test_W3_binary_that_is_no_text_fails_a_connection_that_takes_it_for_text() -> None:
    with both_ends() as (client, server):
        server.send(b"\xff")
        with pytest.raises(ConnectionClosedError) as raised:
            client.recv(decode=True)
        assert isinstance(raised.value.__cause__, UnicodeDecodeError)
        server.wait_closed()
        assert server.close_code == 1007


def test_W3_recv_takes_a_timeout() -> None:
    with both_ends() as (client, server):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            client.recv(SOON)
        assert SOON <= took(began) < 1
        for timeout in (0, -1):
            with pytest.raises(TimeoutError):
                client.recv(timeout=timeout)
        server.send("hello")
        assert client.recv(timeout=SECONDS) == "hello"
        server.send("here")
        until(lambda: client._websocket.stats.messages_received == 2)
        assert client.recv(timeout=0) == "here"


def test_W3_a_timeout_also_bounds_the_wait_for_the_end() -> None:
    with client_and_peer() as (client, peer):
        send(peer, CLOSE, close_payload(1000))
        until(lambda: client.state is not State.OPEN)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            client.recv(timeout=SOON)
        assert took(began) < 1


def test_W3_a_message_is_received_in_parts_as_they_come() -> None:
    with client_and_peer() as (client, peer):
        parts = client.recv_streaming()
        send(peer, TEXT, b"a")
        assert next(parts) == "a"
        send(peer, CONTINUATION, b"\xc3")
        assert next(parts) == ""
        send(peer, CONTINUATION, b"\xa9b")
        assert next(parts) == "éb"
        send(peer, CONTINUATION | FIN)
        assert [*parts] == [""]
        send(peer, TEXT | FIN, b"next")
        assert client.recv() == "next"


@pytest.mark.parametrize("sent", [["a", "b"], [b"a", b"b"]])
def test_W3_a_part_is_a_frame_though_all_have_come(sent: Any) -> None:
    with both_ends() as (client, server):
        server.send(sent)
        server.send("next")
        until(lambda: client._websocket.stats.messages_received == 2)
        assert [*client.recv_streaming()] == [*sent, sent[0][:0]]
        assert [*client.recv_streaming()] == ["next"]


def test_W3_parts_are_decoded_as_is_asked_for() -> None:
    with both_ends() as (client, server):
        server.send("é")
        assert [*client.recv_streaming(decode=False)] == ["é".encode()]
        server.send("é".encode())
        assert [*client.recv_streaming(decode=True)] == ["é"]
        server.send("é".encode()[:1])
        with pytest.raises(ConnectionClosedError) as raised:
            list(client.recv_streaming(True))
        assert isinstance(raised.value.__cause__, UnicodeDecodeError)
        server.wait_closed()
        assert server.close_code == 1007


def test_W3_who_leaves_a_message_in_parts_gets_the_next() -> None:
    with client_and_peer() as (client, peer):
        send(peer, TEXT, b"first")
        parts: Any = client.recv_streaming()
        assert next(parts) == "first"
        parts.close()
        send(peer, CONTINUATION | FIN, b"rest")
        send(peer, TEXT | FIN, b"next")
        assert client.recv() == "next"


def test_W3_a_connection_that_ends_in_a_message_says_so() -> None:
    with client_and_peer() as (client, peer):
        send(peer, TEXT, b"first")
        parts = client.recv_streaming()
        assert next(parts) == "first"
        peer.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionClosedError):
            next(parts)


def test_W3_pong_sends_one_that_nobody_asked_for() -> None:
    with client_and_peer() as (client, peer):
        client.pong()
        client.pong("text")
        client.pong(b"bytes")
        assert [receive(peer) for _ in range(3)] == [
            (PONG, b""),
            (PONG, b"text"),
            (PONG, b"bytes"),
        ]


def test_W3_wait_closed_says_whether_it_is_closed() -> None:
    with both_ends() as (client, server):
        began = time.monotonic()
        assert client.wait_closed(SOON) is False
        assert SOON <= took(began) < 1
        server.close()
        assert client.wait_closed() is True
        assert client.wait_closed(timeout=0) is True


def test_W3_a_connection_closes_with_its_block() -> None:
    with client_and_peer() as (client, peer), ThreadPoolExecutor(1) as thread:

        def leave() -> None:
            with client as entered:
                assert entered is client

        leaving = thread.submit(leave)
        assert receive(peer) == (CLOSE, close_payload(1000))
        send(peer, CLOSE, close_payload(1000))
        peer.shutdown(socket.SHUT_WR)
        leaving.result(SECONDS)


# ----------------------------------------------------------------- W4: process_exception


def rejected(status: int) -> InvalidStatus:
    return InvalidStatus(Response(status, "", Headers()))


@pytest.mark.parametrize(
    "error",
    [
        OSError(),
        ConnectionRefusedError(),
        TimeoutError(),
        *map(rejected, (500, 502, 503, 504)),
    ],
)
def test_W4_what_may_pass_is_tried_again(error: Exception) -> None:
    assert process_exception(error) is None


def test_W4_an_end_of_the_stream_in_the_handshake_is_tried_again() -> None:
    with pytest.raises(InvalidMessage) as raised:
        answered(b"")
    assert isinstance(raised.value.__cause__, EOFError)
    assert process_exception(raised.value) is None


@pytest.mark.parametrize(
    "error",
    [
        *map(rejected, (200, 400, 401, 403, 404, 429, 501, 505)),
        InvalidMessage("malformed"),
        InvalidURI("x", "y"),
        ValueError(),
    ],
)
def test_W4_what_will_not_pass_is_raised(error: Exception) -> None:
    assert process_exception(error) is error


# -------------------------------------------------------------------------- W5: exceptions


def test_W5_the_tree_of_exceptions() -> None:
    tree = {
        WebSocketException: (
            ConnectionClosed,
            InvalidURI,
            InvalidProxy,
            InvalidHandshake,
            TooManyFragments,
            ProtocolError,
            PayloadTooBig,
            ConcurrencyError,
        ),
        ConnectionClosed: (ConnectionClosedOK, ConnectionClosedError),
        InvalidHandshake: (
            SecurityError,
            InvalidMessage,
            InvalidStatus,
            NegotiationError,
            websockets.ProxyError,
            websockets.InvalidHeader,
        ),
        websockets.InvalidHeader: (InvalidUpgrade, InvalidOrigin),
    }
    for parent, children in tree.items():
        assert [child for child in children if not issubclass(child, parent)] == []


def test_W5_everything_is_found_under_its_modules_names_too() -> None:
    assert websockets.exceptions.ConnectionClosed is ConnectionClosed
    assert websockets.frames.CloseCode is CloseCode
    assert websockets.sync.client.connect is connect
    assert websockets.server.serve is serve
    assert websockets.connection.Connection is Connection


@pytest.mark.parametrize("code", [1000, 4000])
def test_W5_both_sides_know_who_closed_first(code: int) -> None:
    frame_of = Close(code, "bye")
    with both_ends() as (client, server):
        client.close(code, "bye")
        for end, theirs_first in ((client, False), (server, True)):
            with pytest.raises(ConnectionClosed) as raised:
                end.recv()
            closed = raised.value
            assert isinstance(closed, ConnectionClosedOK) is (code == 1000)
            assert (closed.rcvd, closed.sent) == (frame_of, frame_of)
            assert closed.rcvd_then_sent is theirs_first


@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_W5_a_connection_that_breaks_off_has_no_close_frames(end: Script) -> None:
    with client_and_peer() as (client, peer):
        end(peer)
        with pytest.raises(ConnectionClosedError) as raised:
            client.recv()
        assert (raised.value.rcvd, raised.value.sent) == (None, None)
        assert raised.value.rcvd_then_sent is None
        assert isinstance(raised.value.__cause__, (EOFError, ConnectionResetError))
        assert (client.close_code, client.close_reason) == (1006, "")


@pytest.mark.parametrize(
    ("first", "code", "cause"),
    [
        (frame(RESERVED, b"", masked=False), 1002, ProtocolError),
        (frame(TEXT | FIN, b"\xff", masked=False), 1007, ProtocolError),
        (frame(BINARY | FIN, b"x" * 101, masked=False), 1009, PayloadTooBig),
    ],
)
def test_W5_a_peer_that_breaks_the_protocol_is_told_so(
    first: bytes, code: int, cause: type[Exception]
) -> None:
    with client_and_peer(max_size=100) as (client, peer):
        peer.sendall(first)
        head, payload = receive(peer)
        assert (head, payload[:2]) == (CLOSE, code.to_bytes(2, "big"))
        peer.close()
        with pytest.raises(ConnectionClosedError) as raised:
            client.recv()
        assert raised.value.sent is not None
        assert raised.value.sent.code == code
        assert isinstance(raised.value.__cause__, cause)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"nonsense\r\n\r\n", InvalidMessage),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", InvalidUpgrade),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", InvalidStatus),
    ],
)
def test_W5_a_handshake_fails_as_what_it_is(answer: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        answered(answer)


def test_W5_no_connection_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        connect(f"ws://127.0.0.1:{port}/")


# ------------------------------------------------------------------------------- W10: send


def test_W10_str_goes_as_text_and_bytes_as_binary() -> None:
    with client_and_peer(compression=None) as (client, peer):
        for message in ("é", b"b", bytearray(b"b"), memoryview(b"b")):
            client.send(message)
        assert [receive(peer) for _ in range(4)] == [(TEXT | FIN, "é".encode())] + [
            (BINARY | FIN, b"b")
        ] * 3


def test_W10_text_overrides_what_it_goes_as() -> None:
    with client_and_peer(compression=None) as (client, peer):
        client.send(b"a", text=True)
        client.send("a", text=False)
        client.send([b"a"], text=True)
        client.send(["a"], text=False)
        heads = [receive(peer)[0] for _ in range(6)]
        ends = CONTINUATION | FIN
        assert heads == [TEXT | FIN, BINARY | FIN, TEXT, ends, BINARY, ends]


@pytest.mark.parametrize("source", [list, tuple, iter, lambda parts: (part for part in parts)])
def test_W10_an_iterable_goes_as_fragments(source: Callable[[list[str]], Any]) -> None:
    with client_and_peer(compression=None) as (client, peer):
        client.send(source(["a", "b"]))
        client.send({"key": 1}.keys())
        assert [receive(peer) for _ in range(5)] == [
            (TEXT, b"a"),
            (CONTINUATION, b"b"),
            (CONTINUATION | FIN, b""),
            (TEXT, b"key"),
            (CONTINUATION | FIN, b""),
        ]


def test_W10_each_part_goes_when_it_is_there() -> None:
    with client_and_peer(compression=None) as (client, peer):

        def parts() -> Iterator[str]:
            yield "a"
            assert receive(peer) == (TEXT, b"a")
            yield "b"
            assert receive(peer) == (CONTINUATION, b"b")

        client.send(parts())
        assert receive(peer) == (CONTINUATION | FIN, b"")


def test_W10_text_in_bytes_may_be_cut_anywhere() -> None:
    with both_ends() as (client, server):
        client.send([b"a\xc3", bytearray(b"\xa9b"), "c"], text=True)
        assert server.recv() == "aébc"


@pytest.mark.parametrize("parts", [[b"a\xff"], [b"a", b"\xff"], [b"a", b"\xc3"]])
def test_W10_text_in_bytes_has_to_be_text(parts: list[bytes]) -> None:
    with both_ends() as (client, server):
        with pytest.raises(UnicodeDecodeError):
            client.send(parts, text=True)
        client.close()
        server.wait_closed()
        assert server.close_code == (1000 if len(parts) == 1 else 1011)
        with pytest.raises(ConnectionClosed):
            server.recv()


def test_W10_no_parts_are_no_message() -> None:
    with client_and_peer(compression=None) as (client, peer):
        client.send([])
        client.send("next")
        assert receive(peer) == (TEXT | FIN, b"next")


@pytest.mark.parametrize("message", [1, None, {"a": 1}, object()])
def test_W10_what_is_no_message_is_a_type_error(message: Any) -> None:
    with both_ends() as (client, server):
        with pytest.raises(TypeError):
            client.send(message)
        client.send("still here")
        assert server.recv() == "still here"


@pytest.mark.parametrize("parts", [[1], ["a", b"b"], [b"a", "b"], ["a", None], [["a"]]])
def test_W10_a_part_that_is_none_is_a_type_error_and_the_end(parts: Any) -> None:
    with both_ends() as (client, server):
        with pytest.raises(TypeError):
            client.send(parts)
        assert client.state is State.CLOSED
        server.wait_closed()
        assert server.close_code == 1011


def test_W10_a_source_that_raises_in_the_middle_fails_with_1011() -> None:
    def parts() -> Iterator[str]:
        yield "a"
        raise RuntimeError("in the source")

    with both_ends() as (client, server):
        with pytest.raises(RuntimeError):
            client.send(parts())
        assert client.state is State.CLOSED
        server.wait_closed()
        assert server.close_code == 1011


def test_W10_nobody_sends_into_an_iterable() -> None:
    with both_ends() as (client, server):

        def parts() -> Iterator[str]:
            yield "a"
            for message in ("b", ["c"]):
                with pytest.raises(ConcurrencyError):
                    client.send(message)
            client.ping()
            yield "d"

        client.send(parts())
        assert server.recv() == "ad"
        client.send("next")
        assert server.recv() == "next"


def test_W10_send_waits_while_the_peer_reads_nothing() -> None:
    with client_and_peer(compression=None) as (client, peer), ThreadPoolExecutor(1) as thread:
        sending = thread.submit(often, 500, client.send, b"x" * 100_000)
        with pytest.raises(TimeoutError):
            sending.result(0.2)
        reading = threading.Thread(target=read_to_close, args=(peer,))
        reading.start()
        sending.result(SECONDS)
        closing = thread.submit(client.close)
        reading.join()
        send(peer, CLOSE, close_payload(1000))
        peer.close()
        closing.result(SECONDS)


@pytest.mark.parametrize("code", [1000, 4000])
@pytest.mark.parametrize("verb", ["recv", "send", "send parts", "ping", "pong", "recv_streaming"])
def test_W10_on_a_closed_connection_every_verb_says_so(verb: str, code: int) -> None:
    with both_ends() as (client, server):
        server.close(code)
        with pytest.raises(ConnectionClosed) as raised:
            VERBS[verb](client)
        assert isinstance(raised.value, ConnectionClosedOK) is (code == 1000)
        assert client.state is State.CLOSED


# ------------------------------------------------------------- W11 to W13: recv, iteration


@pytest.mark.parametrize("payload", [close_payload(1000), close_payload(1001), b""])
def test_W11_a_connection_that_is_closed_well_ends_loops(payload: bytes) -> None:
    with client_and_peer() as (client, peer):
        send(peer, TEXT | FIN, b"a")
        send(peer, CLOSE, payload)
        peer.shutdown(socket.SHUT_WR)
        assert [*client] == ["a"]
        with pytest.raises(ConnectionClosedOK):
            client.recv()


@pytest.mark.parametrize("code", [1002, 1011, 3000, 4999])
def test_W11_a_connection_that_is_closed_otherwise_raises(code: int) -> None:
    with client_and_peer() as (client, peer):
        send(peer, TEXT | FIN, b"a")
        send(peer, CLOSE, close_payload(code))
        peer.shutdown(socket.SHUT_WR)
        messages = iter(client)
        assert next(messages) == "a"
        with pytest.raises(ConnectionClosedError):
            next(messages)
        with pytest.raises(ConnectionClosedError):
            client.recv()


def test_W11_recv_wakes_when_the_connection_closes() -> None:
    with both_ends() as (client, server), ThreadPoolExecutor(1) as thread:
        receiving = thread.submit(client.recv)
        until(client._receiving.locked)
        server.close(4000)
        with pytest.raises(ConnectionClosedError):
            receiving.result(SECONDS)
        receiving = thread.submit(server.recv)
        with pytest.raises(ConnectionClosedError):
            receiving.result(SECONDS)


def test_W12_no_message_is_lost_to_timeouts() -> None:
    with both_ends() as (client, server), ThreadPoolExecutor(1) as thread:
        numbers = iter(range(300))
        sending = thread.submit(often, 300, lambda: server.send(str(next(numbers))))
        received: list[int] = []
        patience = time.monotonic() + SECONDS
        while len(received) < 300 and time.monotonic() < patience:
            with suppress(TimeoutError):
                received.append(int(client.recv(timeout=0)))
        assert received == [*range(300)]
        sending.result(SECONDS)


def test_W12_only_one_receives_at_a_time() -> None:
    with both_ends() as (client, server), ThreadPoolExecutor(1) as thread:
        receiving = thread.submit(client.recv)
        until(client._receiving.locked)
        with pytest.raises(ConcurrencyError):
            client.recv(timeout=0)
        with pytest.raises(ConcurrencyError):
            next(client.recv_streaming())
        server.send("hello")
        assert receiving.result(SECONDS) == "hello"
        server.send("again")
        assert client.recv() == "again"


def test_W12_a_message_in_parts_is_received_by_one() -> None:
    with client_and_peer() as (client, peer):
        send(peer, TEXT, b"a")
        parts = client.recv_streaming()
        assert next(parts) == "a"
        with pytest.raises(ConcurrencyError):
            client.recv()
        with pytest.raises(ConcurrencyError):
            next(client.recv_streaming())
        send(peer, CONTINUATION | FIN, b"b")
        assert [*parts] == ["b"]


def test_W13_what_was_received_is_readable_after_a_local_close() -> None:
    with both_ends() as (client, server):
        client.send("begin")
        assert server.recv() == "begin"
        for message in ("a", b"b"):
            server.send(message)
        client.close()
        assert client.state is State.CLOSED
        assert [client.recv(), client.recv()] == ["a", b"b"]
        with pytest.raises(ConnectionClosedOK):
            client.recv()


@pytest.mark.parametrize("end", [socket.socket.close, lambda peer: send(peer, CLOSE)])
def test_W13_what_was_received_is_readable_after_the_peer_is_gone(end: Script) -> None:
    with client_and_peer() as (client, peer):
        send(peer, TEXT | FIN, b"a")
        send(peer, TEXT | FIN, b"b")
        end(peer)
        peer.close()
        client.wait_closed()
        assert [client.recv(), client.recv(timeout=0)] == ["a", "b"]
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=0)


# ------------------------------------------------------------------------------- W14: ping


def test_W14_a_ping_gives_an_event_that_its_pong_sets() -> None:
    with client_and_peer() as (client, peer):
        event = client.ping()
        assert isinstance(event, threading.Event)
        head, payload = receive(peer)
        assert (head, len(payload)) == (PING, 4)
        assert not event.wait(SOON)
        send(peer, PONG, payload)
        assert event.wait(SECONDS)
        assert SOON <= client.latency < 1


def test_W14_a_peer_of_ours_answers_though_it_receives_nothing() -> None:
    with both_ends() as (client, server):
        for end in (client, server):
            assert end.ping().wait(SECONDS)
            assert 0 < end.latency < 1


def test_W14_a_ping_carries_what_it_is_given() -> None:
    with client_and_peer() as (client, peer):
        client.ping("é")
        client.ping(bytearray(b"b"))
        client.ping(b"")
        assert [receive(peer) for _ in range(3)] == [
            (PING, "é".encode()),
            (PING, b"b"),
            (PING, b""),
        ]


def test_W14_a_pong_answers_all_earlier_pings() -> None:
    with client_and_peer() as (client, peer):
        first, second, third = (client.ping(data) for data in ("a", "b", "c"))
        send(peer, PONG, b"b")
        assert second.wait(SECONDS)
        assert first.is_set()
        assert not third.is_set()


def test_W14_a_payload_in_flight_cannot_be_sent_again() -> None:
    with client_and_peer() as (client, peer):
        event = client.ping("a")
        with pytest.raises(ConcurrencyError):
            client.ping(b"a")
        send(peer, PONG, b"a")
        assert event.wait(SECONDS)
        client.ping("a")


@pytest.mark.parametrize("end", ["local", "peer", "gone"])
def test_W14_an_event_is_not_set_on_close_unless_that_is_asked_for(end: str) -> None:
    with client_and_peer(ping_interval=None, close_timeout=SOON) as (client, peer):
        pong = client.ping()
        either = client.ping(ack_on_close=True)
        if end == "local":
            client.close()
        elif end == "peer":
            send(peer, CLOSE, close_payload(1000))
        peer.close()
        assert either.wait(SECONDS)
        assert client.state is State.CLOSED
        assert client.wait_closed(SECONDS)
        assert not pong.is_set()


def test_W14_a_pong_sets_an_event_that_close_would_also_set() -> None:
    with client_and_peer() as (client, peer):
        event = client.ping("a", ack_on_close=True)
        send(peer, PONG, b"a")
        assert event.wait(SECONDS)
        assert client.state is State.OPEN


def test_W14_a_ping_whose_connection_is_gone_is_forgotten() -> None:
    with client_and_peer() as (client, peer):
        client.ping()
        assert client._websocket._followers != []
        peer.close()
        client.wait_closed()
        assert client._websocket._followers == []


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"x" * 126, ProtocolError), (1, TypeError), (["a"], TypeError)],
)
def test_W14_a_payload_that_cannot_be_sent_is_refused(data: Any, error: type[Exception]) -> None:
    with both_ends() as (client, server):
        with pytest.raises(error):
            client.ping(data)
        with pytest.raises(error):
            client.pong(data)
        client.send("still here")
        assert server.recv() == "still here"


# ------------------------------------------------------------------------------ W15: close


def test_W15_close_is_idempotent() -> None:
    with both_ends() as (client, server):
        client.close(4000, "first")
        client.close(1001, "second")
        client.close(999)
        server.wait_closed()
        server.close()
        assert (server.close_code, server.close_reason) == (4000, "first")


def test_W15_several_threads_may_close() -> None:
    with both_ends() as (client, server), ThreadPoolExecutor(8) as threads:
        for closing in [threads.submit(end.close) for end in (client, server) * 4]:
            closing.result(SECONDS)
        assert client.state is server.state is State.CLOSED


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *zip((-1, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000), repeat("")),
        (1000, "x" * 124),
        (1000, "é" * 62),
    ],
)
def test_W15_what_no_close_frame_says_is_refused(code: int, reason: str) -> None:
    with both_ends() as (client, server):
        with pytest.raises(ProtocolError):
            client.close(code, reason)
        client.send("still here")
        assert server.recv() == "still here"


@pytest.mark.parametrize("code", [1000, CloseCode.GOING_AWAY, 1003, 1012, 1014, 3000, 4999])
def test_W15_what_may_be_said_is_said(code: int) -> None:
    with both_ends() as (client, server):
        client.close(code, "x" * 123)
        server.wait_closed()
        assert (server.close_code, server.close_reason) == (code, "x" * 123)


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_W15_close_waits_close_timeout_at_most(seconds: float) -> None:
    with client_and_peer(close_timeout=seconds) as (client, _):
        began = time.monotonic()
        client.close()
        assert seconds <= took(began) < seconds + 1
        assert client.close_code == 1006
        assert client.state is State.CLOSED
        assert isinstance(client.protocol.close_exc.__cause__, TimeoutError)


def test_W15_close_in_the_middle_of_a_message_in_parts_says_so() -> None:
    """The peer is not left with half a message and a friendly goodbye."""
    gate = threading.Event()

    def parts() -> Iterator[str]:
        yield "half"
        gate.wait()
        yield "half"

    with both_ends() as (client, server), ThreadPoolExecutor() as threads:
        sending = threads.submit(client.send, parts())
        try:
            assert next(iter(server.recv_streaming())) == "half"
            client.close()
        finally:
            gate.set()
        with pytest.raises(ConnectionClosedError) as raised:
            sending.result()
        assert raised.value.sent == Close(1011, "close during fragmented message")


def test_W1_ssl_context_is_the_former_name_of_ssl(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    renamed = "ssl_context was renamed to ssl"
    with pytest.warns(DeprecationWarning, match=renamed):
        server = serve(echo, "127.0.0.1", 0, ssl_context=server_tls)
    with running(server):
        uri = f"wss://127.0.0.1:{server.socket.getsockname()[1]}/"
        options: dict[str, Any] = {"server_hostname": "localhost", "ssl_context": client_tls}
        with pytest.warns(DeprecationWarning, match=renamed):
            client = connect(uri, legacy=True, **options)
        with client:
            pass


def test_W3_extensions_tell_whether_there_is_compression() -> None:
    with both_ends() as (client, server):
        ((mine,), (theirs,)) = client.protocol.extensions, server.protocol.extensions
        assert isinstance(mine, PerMessageDeflate)
        assert mine.local_max_window_bits == theirs.remote_max_window_bits
    with both_ends(compression=None) as (client, server):
        assert client.protocol.extensions == server.protocol.extensions == []


def test_W15_close_sends_what_was_sent_before() -> None:
    with both_ends() as (client, server):
        for number in range(10):
            client.send(str(number))
        client.close()
        assert [*server] == [str(number) for number in range(10)]


def test_W15_a_close_is_answered_though_nobody_receives() -> None:
    with client_and_peer() as (client, peer):
        send(peer, CLOSE, close_payload(4000, "bye"))
        assert receive(peer) == (CLOSE, close_payload(4000, "bye"))
        peer.close()
        assert client.wait_closed(SECONDS)
        assert client.close_code == 4000


# -------------------------------------------------------------------------- W16: reconnecting


def test_W16_delays_grow_from_3_to_90_seconds() -> None:
    first, *delays = islice(backoff(), 12)
    assert 0 <= first < 5
    assert delays == [pytest.approx(min(3.1 * 1.618**i, 90)) for i in range(11)]
    assert max(delays) == 90


def at_once() -> Any:
    return repeat(0.0)


def test_W16_a_loop_connects_again_and_again() -> None:
    count = iter(range(3))

    def handler(websocket: ServerConnection) -> None:
        websocket.send(str(next(count)))

    with serving(handler) as server:
        received: list[object] = []
        for websocket in reconnect(uri_of(server), reconnect_delays=at_once):
            with suppress(ConnectionClosed):
                received += [*websocket]
                websocket.recv()
            if len(received) == 3:
                break
        assert received == ["0", "1", "2"]


def test_W16_connect_iterates_without_its_legacy() -> None:
    with serving() as server:
        for websocket in connect(uri_of(server), legacy=False):
            assert isinstance(websocket, ClientConnection)
            break


def test_W16_attempts_that_fail_are_made_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "websockets.client")
    failures = [503, 500]

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(failures.pop(), "not now\n") if failures else None

    with serving(process_request=process_request, logger=logging.getLogger("other")) as server:
        for websocket in reconnect(uri_of(server), reconnect_delays=at_once):
            websocket.send("hello")
            assert websocket.recv() == "hello"
            break
    lines = [each.getMessage() for each in caplog.records if each.name == "websockets.client"]
    assert len(lines) == 2
    assert all("reconnecting in 0.0 seconds" in line for line in lines)


def test_W16_delays_begin_anew_after_a_connection() -> None:
    begun: list[int] = []
    answers = [503, 0, 503, 0]

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        status = answers.pop(0)
        return connection.respond(status, "not now\n") if status else None

    def delays() -> Any:
        begun.append(1)
        return repeat(0.0)

    with serving(process_request=process_request) as server:
        for _ in reconnect(uri_of(server), reconnect_delays=delays):
            if not answers:
                break
    assert len(begun) == 2


def test_W16_process_exception_says_what_is_fatal() -> None:
    with serving(process_request=basic_auth("realm", ("a", "b"))) as server:
        with pytest.raises(InvalidStatus):
            next(iter(reconnect(uri_of(server))))
        mine = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as raised:
            next(iter(reconnect(uri_of(server), process_exception=lambda _: mine)))
        assert isinstance(raised.value.__cause__, InvalidStatus)


def test_W16_when_there_are_no_more_delays_the_failure_is_raised() -> None:
    def no_delays() -> Any:
        return iter(())

    with (
        serving(process_request=lambda connection, _: connection.respond(503, "")) as server,
        pytest.raises(InvalidStatus),
    ):
        next(iter(reconnect(uri_of(server), reconnect_delays=no_delays)))


def test_W16_who_leaves_the_loop_closes_the_connection() -> None:
    closed: list[ServerConnection] = []

    def handler(websocket: ServerConnection) -> None:
        websocket.wait_closed()
        closed.append(websocket)

    with serving(handler) as server:
        for websocket in reconnect(uri_of(server)):
            assert websocket.state is State.OPEN
            break
        until(lambda: closed)
        assert closed[0].close_code == 1000


def test_W16_the_next_turn_closes_the_connection_before() -> None:
    with serving() as server:
        turns = iter(reconnect(uri_of(server)))
        first = next(turns)
        second = next(turns)
        assert (first.state, second.state) == (State.CLOSED, State.OPEN)
        second.close()


# -------------------------------------------------------------------------- W17: keepalive


def test_W17_a_peer_that_answers_no_ping_is_closed_with_1011() -> None:
    options = {"ping_interval": 0.05, "ping_timeout": 0.05, "close_timeout": 0.05}
    with client_and_peer(**options) as (client, peer):
        began = time.monotonic()
        with pytest.raises(ConnectionClosedError) as raised:
            client.recv()
        assert 0.1 <= took(began) < 1
        assert raised.value.sent == Close(1011, "keepalive ping timeout")
        assert raised.value.rcvd is None
        assert receive(peer)[0] == PING
        assert receive(peer) == (CLOSE, close_payload(1011, "keepalive ping timeout"))


def test_W17_a_peer_that_reads_nothing_is_closed_too() -> None:
    options = {"ping_interval": 0.1, "ping_timeout": 0.1, "close_timeout": 0.05}
    with client_and_peer(compression=None, **options) as (client, _):
        began = time.monotonic()
        with pytest.raises(ConnectionClosedError):
            often(1000, client.send, b"x" * 1_000_000)
        assert took(began) < 2


def test_W17_a_live_peer_stays_though_its_messages_are_not_taken() -> None:
    options: dict[str, Any] = {"ping_interval": 0.02, "ping_timeout": 0.2}
    with both_ends(max_queue=1, **options) as (client, server):
        for number in range(20):
            server.send(str(number))
        time.sleep(0.3)
        assert client.state is State.OPEN
        assert [client.recv() for _ in range(20)] == [str(number) for number in range(20)]
        assert 0 < client.latency < 1


def test_W17_a_peer_that_answers_pings_stays_and_latency_is_known() -> None:
    with both_ends(ping_interval=0.02, ping_timeout=SECONDS) as (client, _):
        until(lambda: client.latency)
        assert client.latency < 1
        assert client.state is State.OPEN


def test_W17_no_interval_is_no_keepalive() -> None:
    with client_and_peer(ping_interval=None, ping_timeout=0.01) as (_, peer):
        peer.settimeout(0.1)
        with pytest.raises(TimeoutError):
            peer.recv(1)


def test_W17_no_timeout_is_pings_without_consequences() -> None:
    with client_and_peer(ping_interval=0.02, ping_timeout=None) as (client, peer):
        assert [receive(peer)[0] for _ in range(3)] == [PING] * 3
        assert client.state is State.OPEN


def test_the_numbers_of_the_module_are_in_one_place() -> None:
    config = reconnect("ws://127.0.0.1/")._config
    assert config.max_send_buffer[0] == websockets.WRITE_LIMIT  # type: ignore[index]
    assert config.max_queue_bytes == math.inf
