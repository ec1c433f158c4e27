"""The only place that proves ws_asyncio.compat.websockets, row by row of its table of behaviours.

Where it matters what is on the wire and when, the other side is played by hand; elsewhere the
module's client meets the module's server.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import functools
import gzip
import http
import logging
import re
import socket
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import aclosing, asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec

import pytest
from tests.adapters.runtimes.on_asyncio import run
from tests.ws_asyncio.peers import (
    REQUEST,
    BytesMessage,
    CloseConnection,
    Peer,
    Ping,
    Pong,
    TextMessage,
    listening,
    turns,
    until,
)
from wsproto.utilities import generate_accept_token

from ws_asyncio.compat import websockets
from ws_asyncio.compat.websockets import (
    ClientConnection,
    ClientPerMessageDeflateFactory,
    Close,
    CloseCode,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    Headers,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidStatus,
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
    backoff,
    basic_auth,
    broadcast,
    connect,
    process_exception,
    serve,
    unix_connect,
    unix_serve,
)

P = ParamSpec("P")

SOON = 0.05
"""Seconds: a timeout that is meant to pass."""


def on_asyncio(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run it to its end on a loop of its own; it fails if it leaves anything behind."""

    @functools.wraps(test)
    def runs(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs), asyncio.new_event_loop)

    return runs


# --------------------------------------------------------------------------- who meets whom


def port_of(server: Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def uri_of(server: Server, path: str = "/") -> str:
    return f"ws://127.0.0.1:{port_of(server)}{path}"


async def echo(websocket: ServerConnection) -> None:
    async for message in websocket:
        await websocket.send(message)


async def stay(websocket: ServerConnection) -> None:
    await websocket.wait_closed()


def serving(
    handler: Callable[[ServerConnection], Awaitable[None]] = echo, **options: Any
) -> Server:
    return serve(handler, "127.0.0.1", 0, **options)


@asynccontextmanager
async def both_ends(
    server_options: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[ClientConnection, ServerConnection]]:
    """A client's and a server's connection of the module."""
    met: asyncio.Future[ServerConnection] = asyncio.get_running_loop().create_future()

    async def handler(websocket: ServerConnection) -> None:
        met.set_result(websocket)
        await websocket.wait_closed()

    async with (
        serving(handler, **(server_options or {})) as server,
        connect(uri_of(server), **options) as client,
    ):
        yield client, await met


@asynccontextmanager
async def client_and_peer(**options: Any) -> AsyncIterator[tuple[ClientConnection, Peer]]:
    """A client of the module, and the server's end of its connection, played by hand."""
    async with listening() as (listener, port):
        opening = asyncio.create_task(_opened(f"ws://127.0.0.1:{port}/", **options))
        with await Peer.accept(listener) as peer:
            await peer.answer()
            client = await opening
            try:
                yield client, peer
            finally:
                client.transport.abort()
                await client.wait_closed()


async def _opened(uri: str, **options: Any) -> ClientConnection:
    return await connect(uri, **options)


async def request_of(**options: Any) -> bytes:
    """The head of the request that goes out with these options."""
    async with listening() as (listener, port):
        opening = asyncio.create_task(_opened(f"ws://127.0.0.1:{port}/", **options))
        with await Peer.accept(listener) as peer:
            head = await peer.read_head()
            await peer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(InvalidStatus):
            await opening
    return head


async def answered(answer: bytes, **options: Any) -> None:
    """Connect to a server that answers every request like this, and then hangs up."""
    async with listening() as (listener, port):
        opening = asyncio.create_task(_opened(f"ws://127.0.0.1:{port}/", **options))
        with await Peer.accept(listener) as peer:
            await peer.read_head()
            await peer.write(answer)
        await (await opening).wait_closed()


async def raw_answer(server: Server, request: bytes) -> bytes:
    """Everything that a server says to a request."""
    with await Peer.dial(port_of(server)) as peer:
        await peer.write(request)
        return await peer.read_to_end()


# --------------------------------------------------------------------- W1: connect, serve


@on_asyncio
async def test_W1_connect_is_awaited() -> None:
    async with serving() as server:
        client = await connect(uri_of(server))
        await client.send("hello")
        assert await client.recv() == "hello"
        await client.close()


@on_asyncio
async def test_W1_connect_is_entered_and_closes_when_left() -> None:
    async with both_ends() as (client, server):
        async with client as same:
            assert same is client
        assert client.state is State.CLOSED
        assert (server.close_code, server.close_reason) == (1000, "")


@on_asyncio
async def test_W1_a_block_that_raises_closes_with_1011() -> None:
    async with both_ends() as (client, server):
        with pytest.raises(KeyError):
            async with client:
                raise KeyError
        assert server.close_code == 1011


@on_asyncio
async def test_W1_connect_is_not_reentrant() -> None:
    async with serving() as server:
        connecting = connect(uri_of(server))
        async with connecting:
            with pytest.raises(RuntimeError, match="reentrant"):
                await connecting.__aenter__()
        async with connecting as again:
            assert again.state is State.OPEN


@pytest.mark.parametrize(
    "uri", ["http://localhost/", "ws://localhost/#part", "localhost", "ws://", "ws://a:b/"]
)
def test_W1_an_invalid_uri_raises_at_once(uri: str) -> None:
    with pytest.raises(InvalidURI) as raised:
        connect(uri)
    assert raised.value.uri == uri
    assert uri in str(raised.value)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"subprotocols": "chat"}, TypeError),
        ({"compression": "gzip"}, ValueError),
        ({"compression": False}, ValueError),
        ({"extensions": [object()]}, TypeError),
        ({"open_timeout": -1}, ValueError),
        ({"ssl": ssl.create_default_context()}, ValueError),
    ],
)
def test_W1_options_that_cannot_be_right_raise_at_once(
    options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        connect("ws://localhost/", **options)


@pytest.mark.parametrize(
    "options", [{"extra_headers": {}}, {"read_limit": 2**16}, {"timeout": 5}, {"klass": object}]
)
@on_asyncio
async def test_W1_options_that_are_gone_raise_when_awaited(options: dict[str, Any]) -> None:
    connecting = connect("ws://127.0.0.1:9/", **options)
    with pytest.raises(TypeError):
        await connecting


@on_asyncio
async def test_W1_the_options_of_the_request_are_in_it() -> None:
    head = await request_of(
        origin="https://example.com",
        subprotocols=["b", "a"],
        additional_headers=[("X-A", "1"), ("X-A", "2")],
        user_agent_header="Smith",
    )
    assert b"Origin: https://example.com\r\n" in head
    assert b"Sec-WebSocket-Protocol: b, a\r\n" in head
    assert b"X-A: 1\r\nX-A: 2\r\n" in head
    assert b"User-Agent: Smith\r\n" in head
    assert b"Sec-WebSocket-Extensions: permessage-deflate" in head


@on_asyncio
async def test_W1_the_user_agent_is_ours_none_or_that_of_the_headers() -> None:
    assert f"User-Agent: {websockets.USER_AGENT}\r\n".encode() in await request_of()
    assert b"User-Agent" not in await request_of(user_agent_header=None)
    head = await request_of(additional_headers=Headers(**{"User-Agent": "Smith"}))
    assert head.count(b"User-Agent") == 1
    assert b"User-Agent: Smith\r\n" in head


@on_asyncio
async def test_W1_compression_can_be_turned_off_or_set_up() -> None:
    assert b"Extensions" not in await request_of(compression=None)
    head = await request_of(
        extensions=[ClientPerMessageDeflateFactory(client_no_context_takeover=True)]
    )
    assert b"client_no_context_takeover" in head
    options = {"extensions": [ServerPerMessageDeflateFactory(server_max_window_bits=10)]}
    async with both_ends(options) as (client, _):
        assert client.response is not None
        assert "server_max_window_bits=10" in client.response.headers["Sec-WebSocket-Extensions"]
        await client.send("x" * 1000)


@on_asyncio
async def test_W1_user_name_and_password_in_the_uri_become_basic_authentication() -> None:
    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request.headers["Authorization"])
        return None

    seen: list[str] = []
    async with serving(process_request=process_request) as server:
        uri = f"ws://me:pass%3A@127.0.0.1:{port_of(server)}/"
        async with connect(uri):
            assert seen == [f"Basic {base64.b64encode(b'me:pass:').decode()}"]


@on_asyncio
async def test_W1_open_timeout_is_from_beginning_to_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="timed out during opening handshake"):
            await connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/", open_timeout=SOON)
        assert 0.9 * SOON <= time.monotonic() - began < 1


@on_asyncio
async def test_W1_none_turns_timeouts_and_limits_off() -> None:
    names = ("open_timeout", "ping_interval", "ping_timeout", "close_timeout", "max_size")
    async with both_ends(**dict.fromkeys(names), max_queue=None) as (client, server):
        sending = asyncio.create_task(server.send(bytes(2**20 + 1)))
        assert len(await client.recv()) == 2**20 + 1
        await sending


@on_asyncio
async def test_W1_limits_come_in_pairs_too() -> None:
    pairs: dict[str, Any] = {
        "max_size": (2**20, 2**10),
        "max_queue": (4, 2),
        "write_limit": (2**16, 2**10),
    }
    async with both_ends(pairs, **pairs) as (client, server):
        for number in range(20):
            await client.send(str(number))
        assert [await server.recv() for _ in range(20)] == [str(n) for n in range(20)]


@on_asyncio
async def test_W1_a_full_queue_holds_the_peer_back() -> None:
    message = bytes(2**16)
    async with client_and_peer(max_queue=2, compression=None) as (client, peer):
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for _ in range(200):
                await peer.send(BytesMessage(message))
                sent += 1

        sending = asyncio.create_task(send_all())
        await asyncio.sleep(SOON)
        assert sent < 200
        for _ in range(200):
            assert await client.recv() == message
        await sending


@on_asyncio
async def test_W1_a_cancelled_connect_leaves_nothing() -> None:
    async with listening() as (listener, port):
        opening = asyncio.create_task(_opened(f"ws://127.0.0.1:{port}/"))
        with await Peer.accept(listener) as peer:
            await peer.read_head()
            opening.cancel()
            assert await peer.read_to_end() == b""
        with pytest.raises(asyncio.CancelledError):
            await opening


@on_asyncio
async def test_W1_host_and_port_go_before_those_of_the_uri() -> None:
    async with serving() as server:
        where: dict[str, Any] = {"host": "127.0.0.1", "port": port_of(server)}
        async with connect("ws://overridden.invalid/", **where) as client:
            assert client.request is not None
            assert client.request.headers["Host"] == "overridden.invalid"


@on_asyncio
async def test_W1_a_socket_that_is_connected_is_used() -> None:
    async with serving() as server:
        sock = socket.create_connection(("127.0.0.1", port_of(server)))
        async with connect("ws://elsewhere.invalid/", sock=sock) as client:
            await client.ping()
        assert sock.fileno() == -1


@on_asyncio
async def test_W1_tls_verifies_and_knows_the_server_by_name(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serve(echo, "localhost", 0, ssl=server_tls) as server:
        uri = f"wss://localhost:{port_of(server)}/"
        async with connect(uri, ssl=client_tls) as client:
            tls = client.transport.get_extra_info("ssl_object")
            assert tls.server_hostname == "localhost"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri)
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(uri, ssl=client_tls, server_hostname="elsewhere.invalid")
        with pytest.raises(ValueError, match="ssl=None"):
            await connect(uri, ssl=None)


@on_asyncio
async def test_W1_a_connection_may_be_of_a_class_of_ones_own() -> None:
    class Mine(ClientConnection):
        pass

    class Theirs(ServerConnection):
        pass

    options = {"create_connection": Theirs}
    async with both_ends(options, create_connection=Mine) as (client, server):
        assert type(client) is Mine
        assert type(server) is Theirs


@on_asyncio
async def test_W1_a_logger_of_ones_own_is_used(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    mine = logging.getLogger("mine")
    options = {"logger": mine}
    async with both_ends(options, logger=mine) as (client, _):
        assert isinstance(client.logger, logging.LoggerAdapter)
        assert client.logger.logger is mine
        client.logger.warning("hello")
    assert {record.name for record in caplog.records} >= {"mine"}
    record = next(record for record in caplog.records if record.message == "hello")
    assert vars(record)["websocket"] is client


@on_asyncio
async def test_W1_redirections_are_followed() -> None:
    async with (
        serving(process_request=redirect(lambda: "/there")) as server,
        connect(uri_of(server, "/here")) as client,
    ):
        assert client.request is not None
        assert client.request.path == "/there"


@on_asyncio
async def test_W1_redirections_to_elsewhere_go_without_credentials() -> None:
    seen: list[Headers] = []

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request.headers)
        return None

    async with (
        serving(process_request=process_request) as there,
        serving(process_request=redirect(lambda: uri_of(there, "/there"))) as here,
        connect(uri_of(here), additional_headers={"Authorization": "Bearer x", "Cookie": "y"}),
    ):
        assert not {"Authorization", "Cookie"} & {name.title() for name in seen[0]}


@on_asyncio
async def test_W1_redirections_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websockets, "MAX_REDIRECTS", 2)
    async with serving(process_request=redirect(lambda: "/here")) as server:
        with pytest.raises(SecurityError, match=r"^more than 2 redirects$"):
            await connect(uri_of(server))


@on_asyncio
async def test_W5_a_proxy_that_hangs_up_answers_nothing_valid() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        with pytest.raises(InvalidProxyMessage, match="HTTP response from proxy") as raised:
            await connect("ws://a.invalid/", proxy=f"http://127.0.0.1:{port}")
        assert isinstance(raised.value.__cause__, EOFError)


@on_asyncio
async def test_W1_redirections_are_not_followed_with_a_socket_that_was_given() -> None:
    async with serving(process_request=redirect(lambda: "/there")) as server:
        sock = socket.create_connection(("127.0.0.1", port_of(server)))
        with sock, pytest.raises(ValueError, match=r"ws://a\.invalid/there with a preexisting"):
            await connect("ws://a.invalid/", sock=sock)


@on_asyncio
async def test_W2_redirections_do_not_lead_away_from_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    elsewhere = redirect(lambda: "ws://other.invalid/there")
    async with unix_serve(echo, path, process_request=elsewhere):
        with pytest.raises(ValueError, match=r"ws://other\.invalid/there with a Unix socket"):
            await unix_connect(path)


@on_asyncio
async def test_W1_a_redirection_without_a_location_is_a_rejection() -> None:
    def process_request(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(http.HTTPStatus.FOUND, "")

    async with serving(process_request=process_request) as server:
        with pytest.raises(InvalidStatus, match="302"):
            await connect(uri_of(server))


@on_asyncio
async def test_W1_redirections_to_elsewhere_do_not_go_to_the_host_that_was_given() -> None:
    async with serving(process_request=redirect(lambda: "ws://other.invalid/there")) as server:
        with pytest.raises(ValueError, match="cross-origin redirect to ws://other"):
            await connect("ws://a.invalid/", host="127.0.0.1", port=port_of(server))


def redirect(
    location: Callable[[], str],
) -> Callable[[ServerConnection, Request], Response | None]:
    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/there":
            return None
        response = connection.respond(http.HTTPStatus.FOUND, "")
        response.headers["Location"] = location()
        return response

    return process_request


@on_asyncio
async def test_W1_a_proxy_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    async with serving() as server, proxy(port_of(server)) as (port, asked):
        url = f"http://me:pw@127.0.0.1:{port}"
        async with connect("ws://far.invalid/", proxy=url, family=socket.AF_INET) as client:
            await client.ping()
        monkeypatch.setenv("ws_proxy", url)
        async with connect("ws://far.invalid/"):
            pass
        with pytest.raises(OSError):
            await connect("ws://far.invalid/", proxy=None, open_timeout=1)
    assert len(asked) == 2
    assert asked[0].startswith(b"CONNECT far.invalid:80 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " in asked[0]


@on_asyncio
async def test_W1_a_proxy_speaks_tls_with_options_of_its_own(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving() as server, proxy(port_of(server), server_tls) as (port, _):
        url = f"https://localhost:{port}"
        async with connect("ws://far.invalid/", proxy=url, proxy_ssl=client_tls) as client:
            await client.ping()
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect("ws://far.invalid/", proxy=url)
        options: dict[str, Any] = {"proxy_ssl": client_tls, "proxy_server_hostname": "other"}
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect("ws://far.invalid/", proxy=url, **options)


@on_asyncio
async def test_W1_options_for_a_proxy_fit_it() -> None:
    with pytest.raises(InvalidProxy) as raised:
        await connect("ws://localhost/", proxy="other://localhost:1")
    assert raised.value.proxy == "other://localhost:1"
    with pytest.raises(ValueError, match="proxy_ssl"):
        await connect("ws://localhost/", proxy="http://localhost:1", proxy_ssl=True)
    with pytest.raises(ValueError, match="proxy_ssl"):
        await connect("ws://localhost/", proxy="https://localhost:1", proxy_ssl=None)


@on_asyncio
async def test_W1_a_proxy_that_refuses_says_why() -> None:
    async with proxy(None) as (port, _):
        with pytest.raises(websockets.InvalidProxyStatus, match="HTTP 407") as raised:
            await connect("ws://far.invalid/", proxy=f"http://127.0.0.1:{port}")
    assert raised.value.response.status_code == 407


@asynccontextmanager
async def proxy(
    target: int | None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of a proxy that leads to that port, or nowhere, and the requests that it gets."""
    asked: list[bytes] = []
    running: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if target is None:
            writer.write(b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", target)
            await asyncio.gather(pipe(reader, back), pipe(there, writer))
            await back.wait_closed()
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        # Who does not trust this one hangs up.
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await serve_one(reader, writer)

    listener = await asyncio.start_server(accepted, "localhost", 0, family=socket.AF_INET, ssl=tls)
    async with listener:
        yield listener.sockets[0].getsockname()[1], asked
    if running:
        await asyncio.wait(running)


# ----------------------------------------------------------------------- W2: Unix sockets


@on_asyncio
async def test_W2_unix_sockets_lead_from_unix_connect_to_unix_serve(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with unix_serve(echo, path), unix_connect(path) as client:
        assert client.request is not None
        assert client.request.headers["Host"] == "localhost"
        await client.send("hello")
        assert await client.recv() == "hello"


@on_asyncio
async def test_W2_the_uri_says_host_and_path(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    async with unix_serve(echo, path), unix_connect(path, "ws://example.com/p") as client:
        assert client.request is not None
        assert (client.request.headers["Host"], client.request.path) == ("example.com", "/p")


@on_asyncio
async def test_W2_with_ssl_the_uri_is_wss(
    tmp_path: Path, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    path = tmp_path / "socket"
    async with (
        unix_serve(echo, path, ssl=server_tls),
        unix_connect(path, ssl=client_tls) as client,
    ):
        assert client.transport.get_extra_info("ssl_object") is not None


@on_asyncio
async def test_W2_a_path_or_a_socket_is_needed_and_not_both() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        with pytest.raises(ValueError, match="no path"):
            await unix_connect()
        with pytest.raises(ValueError, match="path and sock"):
            await unix_connect("/", sock=sock)
        with pytest.raises(ValueError, match="no sock"):
            await unix_serve(echo)
        with pytest.raises(ValueError, match="path and sock"):
            await unix_serve(echo, "/", sock=sock)


# ------------------------------------------------------------------------- W3: connections


@on_asyncio
async def test_W3_a_connection_tells_what_it_is() -> None:
    options: dict[str, Any] = {"subprotocols": ["a", "b"]}
    async with both_ends(options, subprotocols=["b", "c"]) as (client, server):
        assert isinstance(client.id, uuid.UUID)
        assert client.id != server.id
        assert client.subprotocol == server.subprotocol == "b"
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address
        assert client.state is client.protocol.state is State.OPEN
        assert client.transport.get_extra_info("peername") == client.remote_address
        assert (client.close_code, client.close_reason) == (None, None)
        assert client.latency == 0
        for connection in (client, server):
            assert connection.request is not None
            assert connection.response is not None
            assert connection.request.path == "/"
            assert connection.request.headers["Upgrade"] == "websocket"
            assert connection.response.status_code == 101
            assert connection.response.reason_phrase == "Switching Protocols"
            assert connection.response.headers["sec-websocket-protocol"] == "b"


@on_asyncio
async def test_W3_a_connection_that_is_closed_tells_how() -> None:
    async with both_ends() as (client, server):
        await client.close(4000, "enough")
        for connection in (client, server):
            assert connection.state is State.CLOSED
            assert connection.close_code == 4000
            assert connection.close_reason == "enough"
            assert isinstance(connection.protocol.close_exc, ConnectionClosedError)


@on_asyncio
async def test_W3_text_and_binary_are_decoded_as_is_asked_for() -> None:
    async with both_ends() as (client, server):
        for message in ("é", "é", "é".encode(), "é".encode()):
            await server.send(message)
        assert await client.recv() == "é"
        assert await client.recv(decode=False) == "é".encode()
        assert await client.recv() == "é".encode()
        assert await client.recv(decode=True) == "é"


@on_asyncio
async def test_W3_binary_that_is_no_text_fails_a_connection_that_takes_it_for_text() -> None:
    async with both_ends() as (client, server):
        await server.send(b"\xff")
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv(decode=True)
        assert isinstance(raised.value.__cause__, UnicodeDecodeError)
        assert server.close_code == 1007


@on_asyncio
async def test_W3_a_message_is_received_in_parts_as_they_come() -> None:
    async with client_and_peer() as (client, peer):
        parts = client.recv_streaming()
        for part in ("a", "é", ""):
            await peer.send(TextMessage(part, message_finished=not part))
            if part:
                assert await anext(parts) == part
        assert "".join([str(part) async for part in parts]) == ""


@pytest.mark.parametrize("compression", [None, "deflate"])
@on_asyncio
async def test_W3_the_parts_are_the_frames(compression: str | None) -> None:
    async with both_ends(compression=compression) as (client, server):
        for parts in (["a", "b" * 100_000, "", "c"], [b"a", b"b"], ["", ""]):
            await server.send(parts)
            await (await server.ping())
            empty = parts[0][:0]
            assert [part async for part in client.recv_streaming()] == [*parts, empty]


@on_asyncio
async def test_W3_parts_are_decoded_as_is_asked_for() -> None:
    async with both_ends() as (client, server):
        await server.send("é")
        assert [part async for part in client.recv_streaming(decode=False)] == ["é".encode()]
        await server.send("é".encode())
        assert [part async for part in client.recv_streaming(decode=True)] == ["é"]
        await server.send("é".encode()[:1])
        with pytest.raises(ConnectionClosedError):
            [part async for part in client.recv_streaming(decode=True)]
        assert server.close_code == 1007


@on_asyncio
async def test_W3_who_leaves_a_message_in_parts_gets_the_next() -> None:
    async with both_ends() as (client, server):
        gate = asyncio.Event()

        async def parts() -> AsyncIterator[str]:
            yield "first"
            await gate.wait()
            yield "second"

        sending = asyncio.create_task(server.send(parts()))
        async with aclosing(client.recv_streaming()) as received:  # type: ignore[type-var]
            assert await anext(received) == "first"
        gate.set()
        await sending
        await server.send("next")
        assert await client.recv() == "next"


@on_asyncio
async def test_W3_pong_sends_one_that_nobody_asked_for() -> None:
    async with client_and_peer() as (client, peer):
        await client.pong()
        await client.pong("text")
        await client.pong(b"bytes")
        assert [(await peer.receive(Pong)).payload for _ in range(3)] == [b"", b"text", b"bytes"]


@on_asyncio
async def test_W3_wait_closed_waits_until_it_is_closed() -> None:
    async with both_ends() as (client, server):
        waiting = asyncio.create_task(client.wait_closed())
        await turns()
        assert not waiting.done()
        await server.close()
        await waiting
        assert client.state is State.CLOSED


# ----------------------------------------------------------------- W4: process_exception


@pytest.mark.parametrize(
    "error",
    [
        OSError(),
        ConnectionRefusedError(),
        TimeoutError(),
        *(InvalidStatus(Response(status, "", Headers())) for status in (500, 502, 503, 504)),
    ],
)
def test_W4_what_may_pass_is_tried_again(error: Exception) -> None:
    assert process_exception(error) is None


def test_W4_an_end_of_the_stream_in_the_handshake_is_tried_again() -> None:
    error = InvalidMessage("no answer")
    assert process_exception(error) is error
    error.__cause__ = EOFError()
    assert process_exception(error) is None


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        SecurityError(),
        InvalidURI("x", "y"),
        *(InvalidStatus(Response(status, "", Headers())) for status in (400, 401, 404, 501, 505)),
    ],
)
def test_W4_what_will_not_pass_is_raised(error: Exception) -> None:
    assert process_exception(error) is error


@on_asyncio
async def test_W4_the_handshakes_that_fail_are_what_it_is_given() -> None:
    with pytest.raises(InvalidMessage) as ended:
        await answered(b"")
    assert process_exception(ended.value) is None
    with pytest.raises(InvalidStatus) as rejected:
        await answered(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    assert process_exception(rejected.value) is None
    with pytest.raises(InvalidMessage) as junk:
        await answered(b"220 smtp.invalid ESMTP Postfix\r\n\r\n")
    assert process_exception(junk.value) is junk.value


# -------------------------------------------------------------------------- W5: exceptions


def test_W5_the_tree_of_exceptions() -> None:
    def under(kind: type[BaseException]) -> set[str]:
        return {each.__name__ for each in kind.__subclasses__()}

    assert under(websockets.WebSocketException) == {
        *("ConnectionClosed", "InvalidURI", "InvalidProxy", "InvalidHandshake"),
        *("ProtocolError", "PayloadTooBig", "TooManyFragments", "InvalidState"),
        "ConcurrencyError",
    }
    assert under(ConnectionClosed) == {"ConnectionClosedOK", "ConnectionClosedError"}
    assert under(InvalidHandshake) == {
        *("SecurityError", "ProxyError", "InvalidMessage", "InvalidMethod", "InvalidProtocol"),
        *("InvalidStatus", "InvalidHeader", "NegotiationError"),
    }
    assert issubclass(ConcurrencyError, RuntimeError)
    assert issubclass(websockets.InvalidState, AssertionError)


def test_W5_exceptions_are_found_under_their_modules_names_too() -> None:
    assert websockets.exceptions.ConnectionClosed is ConnectionClosed
    assert websockets.frames.CloseCode is CloseCode
    assert websockets.protocol.State is State
    assert websockets.datastructures.Headers is websockets.http11.Headers is Headers


@pytest.mark.parametrize(
    ("rcvd", "sent", "order", "text", "code"),
    [
        (None, None, None, "no close frame received or sent", 1006),
        (Close(1000, ""), None, None, "received 1000 (OK); no close frame sent", 1000),
        (None, Close(1011, "x"), None, "sent 1011 (internal error) x; no close frame rec", 1006),
        (Close(1000, ""), Close(1000, ""), True, "received 1000 (OK); then sent 1000 (OK)", 1000),
        (Close(3001, "a"), Close(4001, ""), False, "sent 4001 (private use); then rec", 3001),
    ],
)
def test_W5_connection_closed_says_who_said_what(
    rcvd: Close | None, sent: Close | None, order: bool | None, text: str, code: int
) -> None:
    error = ConnectionClosedError(rcvd, sent, order)
    assert (error.rcvd, error.sent, error.rcvd_then_sent) == (rcvd, sent, order)
    assert str(error).startswith(text)
    assert error.code == code
    assert error.reason == ("" if rcvd is None else rcvd.reason)


@on_asyncio
async def test_W5_both_sides_know_who_closed_first() -> None:
    async with both_ends() as (client, server):
        await client.close(1001, "bye")
        with pytest.raises(ConnectionClosedOK) as mine:
            await client.recv()
        assert mine.value == mine.value
        assert str(mine.value) == "sent 1001 (going away) bye; then received 1001 (going away) bye"
        assert mine.value.rcvd_then_sent is False
        with pytest.raises(ConnectionClosedOK) as theirs:
            await server.recv()
        assert theirs.value.rcvd == Close(1001, "bye")
        assert theirs.value.rcvd_then_sent is True


@on_asyncio
async def test_W5_a_connection_that_breaks_off_has_no_close_frames() -> None:
    async with client_and_peer() as (client, peer):
        peer.reset()
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert (raised.value.rcvd, raised.value.sent) == (None, None)
        assert isinstance(raised.value.__cause__, (ConnectionError, EOFError))
        assert client.close_code == 1006
    async with client_and_peer() as (client, peer):
        peer.end()
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert isinstance(raised.value.__cause__, EOFError)


@on_asyncio
async def test_W5_a_message_over_max_size_fails_with_1009() -> None:
    async with both_ends(max_size=10) as (client, server):
        await server.send("é" * 5)
        assert await client.recv() == "é" * 5
        await server.send("é" * 6)
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert isinstance(raised.value.__cause__, PayloadTooBig)
        assert server.close_code == 1009


@on_asyncio
async def test_W5_a_frame_over_its_limit_fails_with_1009() -> None:
    async with both_ends(max_size=(None, 10), compression=None) as (client, server):
        await server.send([b"x" * 10, b"x" * 10])
        assert await client.recv() == b"x" * 20
        await server.send(b"x" * 11)
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert isinstance(raised.value.__cause__, PayloadTooBig)


@on_asyncio
async def test_W5_a_peer_that_breaks_the_protocol_is_told_so() -> None:
    async with client_and_peer() as (client, peer):
        # RFC 6455 section 5.2: an opcode that is reserved.
        await peer.write(b"\x83\x00")
        close = await peer.receive(CloseConnection)
        assert close.code == 1002
        peer.end()
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert isinstance(raised.value.__cause__, ProtocolError)


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n"
UPGRADE = b"Upgrade: websocket\r\n"
CONNECTION = b"Connection: Upgrade\r\n"


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (b"", InvalidMessage, "did not receive a valid HTTP response"),
        (b"HTTP/1.1 10", InvalidMessage, "did not receive a valid HTTP response"),
        (b"junk\r\n\r\n", InvalidMessage, "did not receive a valid HTTP response"),
        (b"HTTP/1.0 101 x\r\n\r\n", InvalidMessage, "did not receive a valid HTTP response"),
        (SWITCHING + b"x" * 9000 + b"\r\n\r\n", InvalidMessage, "valid HTTP response"),
        (SWITCHING + CONNECTION + b"\r\n", websockets.InvalidUpgrade, "missing Upgrade header"),
        (SWITCHING + UPGRADE + b"\r\n", websockets.InvalidUpgrade, "missing Connection header"),
        (
            SWITCHING + UPGRADE + CONNECTION + b"\r\n",
            websockets.InvalidHeader,
            "missing Sec-WebSocket-Accept header",
        ),
        (
            SWITCHING + UPGRADE + CONNECTION + b"Sec-WebSocket-Accept: no\r\n\r\n",
            websockets.InvalidHeaderValue,
            "invalid Sec-WebSocket-Accept header: no",
        ),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            InvalidStatus,
            "server rejected WebSocket connection: HTTP 404",
        ),
    ],
    ids=[
        *("empty", "cut", "junk", "HTTP/1.0", "long line", "no Upgrade", "no Connection"),
        *("no Accept", "wrong Accept", "rejected"),
    ],
)
@on_asyncio
async def test_W5_a_handshake_fails_as_what_it_is(
    answer: bytes, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text) as raised:
        await answered(answer)
    assert isinstance(raised.value, InvalidHandshake)


@on_asyncio
async def test_W5_a_rejection_has_a_response() -> None:
    def process_request(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(http.HTTPStatus.IM_A_TEAPOT, "short and stout")
        response.headers["X-Why"] = "because"
        return response

    async with serving(process_request=process_request) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(uri_of(server))
    response = raised.value.response
    assert (response.status_code, response.body) == (418, b"short and stout")
    assert response.reason_phrase == "I'm a Teapot"
    assert response.headers["x-why"] == "because"


@on_asyncio
async def test_W5_no_connection_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await connect(f"ws://127.0.0.1:{port}/")


@on_asyncio
async def test_W5_a_server_that_picks_what_was_not_offered_is_refused() -> None:
    async with listening() as (listener, port):
        opening = asyncio.create_task(_opened(f"ws://127.0.0.1:{port}/", subprotocols=["a"]))
        with await Peer.accept(listener) as peer:
            head = await peer.read_head()
            key = next(line for line in head.split(b"\r\n") if b"-Key: " in line)
            token = generate_accept_token(key.partition(b": ")[2])
            answer = SWITCHING + UPGRADE + CONNECTION + b"Sec-WebSocket-Accept: " + token
            await peer.write(answer + b"\r\nSec-WebSocket-Protocol: b\r\n\r\n")
            with pytest.raises(NegotiationError):
                await opening


# ------------------------------------------------------------------------------- W10: send


@on_asyncio
async def test_W10_str_goes_as_text_and_bytes_as_binary() -> None:
    async with client_and_peer(compression=None) as (client, peer):
        await client.send("é")
        await client.send(b"\x00")
        await client.send(bytearray(b"\x01"))
        await client.send(memoryview(b"\x02"))
        assert (await peer.receive(TextMessage)).data == "é"
        for byte in (b"\x00", b"\x01", b"\x02"):
            assert (await peer.receive(BytesMessage)).data == byte


@on_asyncio
async def test_W10_text_overrides_what_it_goes_as() -> None:
    async with client_and_peer(compression=None) as (client, peer):
        await client.send("é", text=False)
        await client.send("é".encode(), text=True)
        await client.send([b"a", memoryview(b"\xc3"), b"\xa9"], text=True)
        assert (await peer.receive(BytesMessage)).data == "é".encode()
        assert (await peer.receive(TextMessage)).data == "é"
        assert (await peer.receive(TextMessage)).data == "aé"
        with pytest.raises(UnicodeDecodeError):
            await client.send(b"\xff", text=True)


async def asynchronous(parts: list[Any]) -> AsyncIterator[Any]:
    for part in parts:
        yield part


@pytest.mark.parametrize("source", [list, iter, tuple, asynchronous])
@on_asyncio
async def test_W10_an_iterable_goes_as_fragments(source: Callable[[list[str]], Any]) -> None:
    async with client_and_peer(compression=None) as (client, peer):
        await client.send(source(["a", "b"]))
        parts = [await anext(peer.events()) for _ in range(3)]
    assert [
        (part.data, part.message_finished) for part in parts if isinstance(part, TextMessage)
    ] == [
        ("a", False),
        ("b", False),
        ("", True),
    ]


@on_asyncio
async def test_W10_each_part_goes_when_it_is_there() -> None:
    async with both_ends() as (client, server):
        gates = [asyncio.Event(), asyncio.Event()]

        async def parts() -> AsyncIterator[str]:
            yield "a"
            await gates[0].wait()
            yield "b"
            await gates[1].wait()

        sending = asyncio.create_task(client.send(parts()))
        received = server.recv_streaming()
        assert await anext(received) == "a"
        gates[0].set()
        assert await anext(received) == "b"
        other = asyncio.create_task(client.send("other"))
        await turns()
        assert not other.done()
        gates[1].set()
        assert "".join([str(part) async for part in received]) == ""
        assert await server.recv() == "other"
        await asyncio.gather(sending, other)


@pytest.mark.parametrize("source", [list, asynchronous])
@on_asyncio
async def test_W10_nothing_is_no_message(source: Callable[[list[str]], Any]) -> None:
    async with both_ends() as (client, server):
        await client.send(source([]))
        await client.send("next")
        assert await server.recv() == "next"


@pytest.mark.parametrize("message", [{"a": 1}, {}, None, 5, object()])
@on_asyncio
async def test_W10_what_is_no_message_is_a_type_error(message: Any) -> None:
    async with both_ends() as (client, server):
        with pytest.raises(TypeError):
            await client.send(message)
        await client.send("still open")
        assert await server.recv() == "still open"


@pytest.mark.parametrize("parts", [[1], [None], ["a", b"b"], [b"a", "b"]])
@pytest.mark.parametrize("source", [list, asynchronous])
@on_asyncio
async def test_W10_a_part_that_is_none_is_a_type_error_and_the_end(
    parts: list[Any], source: Callable[[list[Any]], Any]
) -> None:
    async with both_ends() as (client, server):
        with pytest.raises(TypeError):
            await client.send(source(parts))
        await server.wait_closed()
        assert server.close_code == 1011


@on_asyncio
async def test_W10_a_message_that_is_cancelled_in_the_middle_fails_with_1011() -> None:
    async with both_ends() as (client, server):

        async def parts() -> AsyncIterator[str]:
            yield "a"
            await asyncio.Event().wait()

        sending = asyncio.create_task(client.send(parts()))
        assert await anext(server.recv_streaming()) == "a"
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.wait_closed()
        assert server.close_code == 1011


@on_asyncio
async def test_W10_a_message_that_is_cancelled_before_it_began_is_not_sent() -> None:
    async with both_ends() as (client, server):

        async def parts() -> AsyncIterator[str]:
            await asyncio.Event().wait()
            yield "a"

        for message in (parts(), parts()):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.send(message), 0.01)
        await client.send("next")
        assert await server.recv() == "next"


@on_asyncio
async def test_W10_send_waits_while_the_buffer_is_full() -> None:
    async with client_and_peer(write_limit=2**15, compression=None) as (client, peer):
        client.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 2**14
        )
        message = bytes(2**16)
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for _ in range(20):
                await client.send(message)
                sent += 1

        sending = asyncio.create_task(send_all())
        await asyncio.sleep(SOON)
        assert sent < 20
        reading = asyncio.create_task(peer.read_to_end())
        await sending
        closing = asyncio.create_task(client.close())
        await until(lambda: len(peer.raw) > 20 * len(message))
        peer.end()
        await reading
        await closing


@pytest.mark.parametrize("method", ["send", "send parts", "ping", "pong"])
@pytest.mark.parametrize("code", [1000, 1011])
@on_asyncio
async def test_W10_on_a_closed_connection_it_says_so(method: str, code: int) -> None:
    async with both_ends() as (client, server):
        await server.close(code)
        calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "send": lambda: client.send("x"),
            "send parts": lambda: client.send(["x"]),
            "ping": client.ping,
            "pong": client.pong,
        }
        with pytest.raises(ConnectionClosedOK if code == 1000 else ConnectionClosedError):
            await calls[method]()


# ------------------------------------------------------------- W11 to W13: recv, iteration


@pytest.mark.parametrize("code", [1000, 1001])
@on_asyncio
async def test_W11_a_connection_that_is_closed_well_ends_loops(code: int) -> None:
    async with both_ends() as (client, server):
        await server.send("a")
        await server.send(b"b")
        closing = asyncio.create_task(server.close(code))
        assert [message async for message in client] == ["a", b"b"]
        with pytest.raises(ConnectionClosedOK):
            await client.recv()
        with pytest.raises(ConnectionClosedOK):
            await anext(client.recv_streaming())
        await closing


@pytest.mark.parametrize("code", [1011, 3000, 4999])
@on_asyncio
async def test_W11_a_connection_that_is_closed_otherwise_raises(code: int) -> None:
    async with both_ends() as (client, server):
        await server.close(code)
        with pytest.raises(ConnectionClosedError):
            async for _ in client:
                pass
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        with pytest.raises(ConnectionClosedError):
            await anext(client.recv_streaming())


@on_asyncio
async def test_W11_recv_wakes_when_the_connection_closes() -> None:
    async with both_ends() as (client, _):
        receiving = asyncio.create_task(client.recv())
        await turns()
        await client.close()
        with pytest.raises(ConnectionClosedOK):
            await receiving


@on_asyncio
async def test_W12_a_cancelled_recv_has_taken_nothing() -> None:
    async with both_ends() as (client, server):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.recv(), 0.001)
        await server.send("x")
        assert await client.recv() == "x"


@on_asyncio
async def test_W12_a_message_is_not_lost_to_a_recv_that_is_cancelled_when_it_comes() -> None:
    async with both_ends() as (client, server):
        receiving = asyncio.create_task(client.recv())
        await server.send("x")
        await server.ping()
        while not receiving.done():
            receiving.cancel()
            await asyncio.sleep(0)
        if receiving.cancelled():
            assert await client.recv() == "x"
        else:
            assert receiving.result() == "x"


@on_asyncio
async def test_W12_only_one_receives_at_a_time() -> None:
    async with both_ends() as (client, server):
        receiving = asyncio.create_task(client.recv())
        await turns()
        with pytest.raises(ConcurrencyError):
            await client.recv()
        with pytest.raises(ConcurrencyError):
            await anext(client.recv_streaming())
        await server.send("x")
        assert await receiving == "x"
        parts = client.recv_streaming()
        streaming = asyncio.ensure_future(anext(parts))
        await turns()
        with pytest.raises(ConcurrencyError):
            await client.recv()
        await server.send("y")
        assert await streaming == "y"


@on_asyncio
async def test_W13_what_was_received_is_readable_after_a_local_close() -> None:
    async with both_ends() as (client, server):
        await server.send("a")
        await server.send(b"b")
        await (await client.ping())
        await (await server.ping())
        await client.close()
        assert await client.recv() == "a"
        assert [message async for message in client] == [b"b"]
        with pytest.raises(ConnectionClosedOK):
            await client.recv()


@on_asyncio
async def test_W13_what_has_arrived_counts_as_received() -> None:
    async def handler(websocket: ServerConnection) -> None:
        await websocket.send("a")
        await websocket.send("b")
        await websocket.wait_closed()

    async with serving(handler) as server:
        for _ in range(10):
            client = await connect(uri_of(server))
            await client.close()
            assert [message async for message in client] == ["a", "b"]


@on_asyncio
async def test_W13_what_was_received_is_readable_after_the_peer_is_gone() -> None:
    async with client_and_peer() as (client, peer):
        await peer.send(TextMessage("a"))
        peer.end()
        await client.wait_closed()
        assert await client.recv() == "a"
        with pytest.raises(ConnectionClosedError):
            await client.recv()


# ------------------------------------------------------------------------------- W14: ping


@on_asyncio
async def test_W14_a_ping_gives_a_future_of_its_round_trip_time() -> None:
    async with both_ends() as (client, _):
        pong = await client.ping()
        latency = await pong
        assert isinstance(latency, float)
        assert 0 < latency < 5
        assert client.latency == latency


@on_asyncio
async def test_W14_a_ping_has_four_random_bytes_or_what_it_is_given() -> None:
    async with client_and_peer() as (client, peer):
        for data in (None, None, "text", b"bytes", bytearray(b"array"), ""):
            await client.ping(data)
        payloads = [bytes((await peer.receive(Ping)).payload) for _ in range(6)]
        assert len(payloads[0]) == len(payloads[1]) == 4
        assert payloads[0] != payloads[1]
        assert payloads[2:] == [b"text", b"bytes", b"array", b""]


@on_asyncio
async def test_W14_a_pong_answers_all_earlier_pings() -> None:
    async with client_and_peer() as (client, peer):
        first = await client.ping("1")
        second = await client.ping("2")
        third = await client.ping("3")
        await peer.send(Pong(b"other"))
        await peer.send(Pong(b"2"))
        assert await first >= await second > 0
        assert not asyncio.ensure_future(third).done()
        await peer.send(Pong(b"3"))
        await third


@on_asyncio
async def test_W14_a_payload_in_flight_cannot_be_sent_again() -> None:
    async with client_and_peer() as (client, peer):
        pong = await client.ping("same")
        with pytest.raises(ConcurrencyError):
            await client.ping(b"same")
        await peer.send(Pong(b"same"))
        await pong
        await client.ping("same")


@on_asyncio
async def test_W14_a_ping_that_nobody_waits_for_any_more_is_forgotten() -> None:
    async with client_and_peer() as (client, _):
        pong = await client.ping("same")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pong, 0.01)
        await turns()
        await client.ping("same")


@pytest.mark.parametrize("end", ["close", "reset", "abort"])
@on_asyncio
async def test_W14_a_ping_raises_when_the_connection_ends(end: str) -> None:
    async with client_and_peer(close_timeout=SOON) as (client, peer):
        pong = await client.ping()
        if end == "reset":
            peer.reset()
        elif end == "abort":
            client.transport.abort()
        else:
            await client.close()
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(pong, 1)


@pytest.mark.parametrize(
    ("data", "kind"), [("x" * 126, ProtocolError), ("é" * 63, ProtocolError), (5, TypeError)]
)
@on_asyncio
async def test_W14_a_payload_that_cannot_be_sent_is_refused(
    data: Any, kind: type[Exception]
) -> None:
    async with both_ends() as (client, _):
        with pytest.raises(kind):
            await client.ping(data)
        with pytest.raises(kind):
            await client.pong(data)
        await (await client.ping("x" * 125))


# ------------------------------------------------------------------------------ W15: close


@on_asyncio
async def test_W15_close_is_idempotent() -> None:
    async with client_and_peer() as (client, peer):
        closing = [asyncio.create_task(client.close(1000 + i, str(i))) for i in range(2)]
        close = await peer.answer_close()
        assert (close.code, close.reason) == (1000, "0")
        peer.end()
        await asyncio.gather(*closing)
        await client.close(4000)
        await client.close(999)
        assert client.close_code == 1000


@pytest.mark.parametrize(
    ("code", "reason"),
    [*((code, "") for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)), (1000, "é" * 62)],
)
@on_asyncio
async def test_W15_what_no_close_frame_says_is_refused(code: int, reason: str) -> None:
    async with both_ends() as (client, server):
        with pytest.raises(ProtocolError):
            await client.close(code, reason)
        assert client.state is State.OPEN
        await client.close(4999, "x" * 123)
        assert server.close_reason == "x" * 123


@on_asyncio
async def test_W15_close_waits_close_timeout_at_most() -> None:
    async with client_and_peer(close_timeout=SOON) as (client, _):
        began = time.monotonic()
        await client.close()
        assert 0.9 * SOON <= time.monotonic() - began < 1
        with pytest.raises(ConnectionClosedError, match="no close frame received"):
            await client.recv()
        assert client.close_code == 1006
        assert isinstance(client.protocol.close_exc.__cause__, TimeoutError)


@on_asyncio
async def test_W15_a_peer_that_says_goodbye_and_stays_is_a_timeout_too() -> None:
    async with client_and_peer(close_timeout=SOON) as (client, peer):
        closing = asyncio.create_task(client.close())
        await peer.answer_close()
        await closing
        with pytest.raises(ConnectionClosedOK) as raised:
            await client.recv()
        assert isinstance(raised.value.__cause__, TimeoutError)


@on_asyncio
async def test_W5_a_transport_that_is_aborted_is_an_end_of_the_stream() -> None:
    async with both_ends() as (client, server):
        client.transport.abort()
        for each in (client, server):
            with pytest.raises(ConnectionClosedError) as raised:
                await each.recv()
            assert isinstance(raised.value.__cause__, (EOFError, ConnectionResetError))


@on_asyncio
async def test_W15_close_in_the_middle_of_a_message_in_parts_says_so() -> None:
    """The peer is not left with half a message and a friendly goodbye."""

    async def parts() -> AsyncIterator[str]:
        yield "half"
        await asyncio.get_running_loop().create_future()

    async with both_ends() as (client, server):
        sending = asyncio.create_task(client.send(parts()))
        assert await anext(server.recv_streaming()) == "half"
        await client.close()
        sending.cancel()
        assert client.protocol.close_exc.sent == Close(1011, "close during fragmented message")
        with suppress(asyncio.CancelledError, ConnectionClosedError):
            await sending


@on_asyncio
async def test_W3_extensions_tell_whether_there_is_compression() -> None:
    async with both_ends() as (client, server):
        ((mine,), (theirs,)) = client.protocol.extensions, server.protocol.extensions
        assert isinstance(mine, PerMessageDeflate)
        assert mine.name == "permessage-deflate"
        assert mine.local_max_window_bits == theirs.remote_max_window_bits
    async with both_ends(compression=None) as (client, server):
        assert client.protocol.extensions == server.protocol.extensions == []


@on_asyncio
async def test_W1_process_request_may_change_what_is_asked_for() -> None:
    def process_request(_: ServerConnection, request: Request) -> None:
        del request.headers["Origin"]

    async with (
        serving(process_request=process_request, origins=[None]) as server,
        connect(uri_of(server), origin=Origin("http://a")) as client,
    ):
        assert client.state is State.OPEN


@pytest.mark.parametrize("name", ["Sec-WebSocket-Key", "Upgrade", "Connection"])
@on_asyncio
async def test_W1_a_request_that_lost_what_it_needs_is_refused(name: str) -> None:
    def process_request(_: ServerConnection, request: Request) -> None:
        del request.headers[name]

    async with serving(process_request=process_request) as server:
        with pytest.raises(InvalidStatus, match="400"):
            await connect(uri_of(server))


@on_asyncio
async def test_W15_close_sends_what_was_sent_before() -> None:
    async with both_ends() as (client, server):
        for number in range(10):
            await client.send(str(number))
        closing = asyncio.create_task(client.close())
        assert [message async for message in server] == [str(number) for number in range(10)]
        await closing


@on_asyncio
async def test_W15_a_cancelled_close_goes_on() -> None:
    async with both_ends() as (client, server):
        closing = asyncio.create_task(client.close(1001))
        await asyncio.sleep(0)
        closing.cancel()
        await server.wait_closed()
        assert server.close_code == 1001


# -------------------------------------------------------------------------- W16: reconnecting


def test_W16_delays_grow_from_3_to_90_seconds() -> None:
    first, *rest = islice(backoff(), 12)
    assert 0 <= first < 5
    assert rest[:3] == pytest.approx([3.1, 3.1 * 1.618, 3.1 * 1.618**2])
    assert rest[-1] == 90
    assert [*islice(backoff(0, 1, 4, 2), 5)] == [0, 1, 2, 4, 4]


def answer_with(
    *statuses: int | None,
) -> Callable[[ServerConnection, Request], Response | None]:
    """A process_request that answers so, one request after the other; None: it opens."""
    answers = iter(statuses)

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        status = next(answers)
        return None if status is None else connection.respond(status, "")

    return process_request


def at_once() -> Generator[float]:
    while True:
        yield 0.0


@on_asyncio
async def test_W16_a_loop_connects_again_and_again() -> None:
    attempts = 0

    async def process_request(connection: ServerConnection, request: Request) -> Response | None:
        nonlocal attempts
        attempts += 1
        match attempts:
            case 1:
                await asyncio.sleep(4 * SOON)
            case 2:
                connection.transport.abort()
            case 3:
                return connection.respond(503, "")
            case 6:
                return connection.respond(402, "")
        return None

    seen: list[ClientConnection] = []
    async with serving(process_request=process_request) as server:

        async def stay_connected() -> None:
            options: dict[str, Any] = {"open_timeout": 3 * SOON, "reconnect_delays": at_once}
            async for client in connect(uri_of(server), **options):
                # The loop has closed the one before.
                assert [each.state for each in seen] == [State.CLOSED] * len(seen)
                seen.append(client)

        with pytest.raises(InvalidStatus, match="402"):
            await stay_connected()
    assert attempts == 6
    assert len(seen) == 2


@on_asyncio
async def test_W16_delays_begin_anew_after_a_connection() -> None:
    began: list[float] = []

    def delays() -> Generator[float]:
        began.append(0)
        yield from (0.001, 0.001)

    hook = answer_with(503, 503, None, 503, 503, 402)
    async with serving(process_request=hook) as server:
        with pytest.raises(InvalidStatus, match="402"):
            async for _ in connect(uri_of(server), reconnect_delays=delays):
                pass
    assert len(began) == 2


@on_asyncio
async def test_W16_process_exception_says_what_is_fatal() -> None:
    def mine(error: Exception) -> Exception | None:
        assert isinstance(error, InvalidStatus)
        if error.response.status_code == 503:
            return None
        return LookupError("mine")

    async with serving(process_request=answer_with(503, 404)) as server:
        with pytest.raises(LookupError, match="mine") as raised:
            async for _ in connect(
                uri_of(server), process_exception=mine, reconnect_delays=at_once
            ):
                pass
        assert isinstance(raised.value.__cause__, InvalidStatus)


@on_asyncio
async def test_W16_who_leaves_the_loop_closes_the_connection() -> None:
    async with serving() as server:
        async with aclosing(aiter(connect(uri_of(server)))) as loop:  # type: ignore[type-var]
            client = await anext(loop)
        assert client.state is State.CLOSED


@on_asyncio
async def test_W16_an_attempt_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "websockets.client")
    async with serving(process_request=answer_with(503, 402)) as server:
        with pytest.raises(InvalidStatus):
            async for _ in connect(uri_of(server), reconnect_delays=at_once):
                pass
    assert any("HTTP 503" in record.getMessage() for record in caplog.records)


# -------------------------------------------------------------------------- W17: keepalive


@on_asyncio
async def test_W17_a_peer_that_answers_no_ping_is_closed_with_1011() -> None:
    options = {"ping_interval": SOON, "ping_timeout": SOON, "close_timeout": SOON}
    async with client_and_peer(**options) as (client, peer):
        began = time.monotonic()
        receiving = asyncio.create_task(client.recv())
        await peer.receive(Ping)
        close = await peer.receive(CloseConnection)
        assert 1.9 * SOON <= time.monotonic() - began < 1
        assert (close.code, close.reason) == (1011, "keepalive ping timeout")
        with pytest.raises(ConnectionClosedError, match=r"1011.*keepalive ping timeout"):
            await receiving


@on_asyncio
async def test_W17_a_peer_that_answers_pings_stays_and_latency_is_known() -> None:
    async with both_ends(ping_interval=0.01, ping_timeout=1) as (client, _):
        await until(lambda: client.latency > 0)
        assert client.state is State.OPEN


@on_asyncio
async def test_W17_no_interval_is_no_keepalive() -> None:
    async with client_and_peer(ping_interval=None) as (client, peer):
        reading = asyncio.create_task(peer.read())
        await asyncio.sleep(SOON)
        assert not reading.done()
        await client.send("x")
        await reading


@on_asyncio
async def test_W17_no_timeout_is_pings_without_consequences() -> None:
    async with client_and_peer(ping_interval=0.01, ping_timeout=None) as (client, peer):
        for _ in range(5):
            await peer.receive(Ping)
        assert client.state is State.OPEN


@on_asyncio
async def test_W17_a_stuck_writer_is_noticed_too() -> None:
    options = {"ping_interval": SOON, "ping_timeout": SOON, "close_timeout": SOON}
    async with client_and_peer(**options, compression=None) as (client, _):

        async def send_on() -> None:
            while True:
                await client.send(bytes(2**16))

        # The peer reads nothing: no ping leaves.
        with pytest.raises(ConnectionClosedError):
            await asyncio.wait_for(send_on(), 2)
        assert client.close_code == 1006


@on_asyncio
async def test_W17_a_slow_consumer_is_no_dead_peer() -> None:
    options = {"ping_interval": SOON / 2, "ping_timeout": 2 * SOON, "max_queue": 1}
    async with client_and_peer(**options) as (client, peer):
        for number in range(20):
            await peer.send(TextMessage(str(number)))
        # Nobody receives, and still the answers to pings are seen behind the messages.
        for _ in range(8):
            ping = await peer.receive(Ping)
            await peer.send(ping.response())
        assert client.state is State.OPEN
        assert [await client.recv() for _ in range(20)] == [str(n) for n in range(20)]


@on_asyncio
async def test_W17_pings_of_the_peer_are_answered_though_nobody_receives() -> None:
    async with client_and_peer(max_queue=1) as (_, peer):
        for number in range(20):
            await peer.send(TextMessage(str(number)))
        await peer.send(Ping(b"there?"))
        assert (await peer.receive(Pong)).payload == b"there?"


# ---------------------------------------------------------------- what W1 and W3 say of serving


@on_asyncio
async def test_W1_a_handler_that_returns_closes_with_1000() -> None:
    async def handler(websocket: ServerConnection) -> None:
        await websocket.send("bye")

    async with serving(handler) as server, connect(uri_of(server)) as client:
        assert [message async for message in client] == ["bye"]
        with pytest.raises(ConnectionClosedOK, match=r"received 1000 \(OK\); then sent 1000"):
            await client.recv()


@on_asyncio
async def test_W1_a_handler_that_raises_closes_with_1011_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(websocket: ServerConnection) -> None:
        async for message in websocket:
            assert message == "fine"
            await websocket.send(message)

    async with (
        serving(handler) as server,
        connect(uri_of(server)) as other,
        connect(uri_of(server)) as client,
    ):
        await client.send("odd")
        with pytest.raises(ConnectionClosedError) as raised:
            await client.recv()
        assert raised.value.rcvd == Close(1011, "")
        await other.send("fine")
        assert await other.recv() == "fine"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("websockets.server", "connection handler failed")
    assert record.exc_info is not None


@on_asyncio
async def test_W1_a_handler_need_not_catch_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(websocket: ServerConnection) -> None:
        while True:
            await websocket.recv()

    async with serving(handler) as server, connect(uri_of(server)):
        pass
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@on_asyncio
async def test_W1_a_server_knows_its_connections_and_they_it() -> None:
    async with serving(stay) as server:
        assert server.connections == set()
        async with connect(uri_of(server)):
            [connection] = server.connections
            assert isinstance(connection, ServerConnection)
            assert connection.server is server
        await connection.wait_closed()
        assert server.connections == set()


@on_asyncio
async def test_W1_a_server_that_closes_says_so() -> None:
    async with serving(stay) as server, connect(uri_of(server)) as client:
        server.close(code=CloseCode.SERVICE_RESTART, reason="back soon")
        server.close()
        with pytest.raises(ConnectionClosedError, match=r"received 1012.*back soon"):
            await client.recv()
        await server.wait_closed()
        assert not server.is_serving()
        assert server.sockets == ()


@on_asyncio
async def test_W1_what_has_arrived_when_a_server_closes_is_received() -> None:
    received: list[Any] = []

    async def handler(websocket: ServerConnection) -> None:
        received.extend([message async for message in websocket])

    server = await serve(handler, "127.0.0.1", 0)
    async with connect(uri_of(server)) as client:
        await client.send("in time")
        server.close()
        await server.wait_closed()
    assert received == ["in time"]


@on_asyncio
async def test_W1_a_server_that_closes_may_leave_connections_alone() -> None:
    async with serving() as server, connect(uri_of(server)) as client:
        server.close(close_connections=False)
        await asyncio.sleep(0)
        assert server.sockets == ()
        waiting = asyncio.create_task(server.wait_closed())
        await client.send("x")
        assert await client.recv() == "x"
        assert not waiting.done()
        await client.close()
        await waiting


@on_asyncio
async def test_W1_a_server_that_closes_refuses_who_is_in_the_handshake() -> None:
    async def process_request(connection: ServerConnection, request: Request) -> None:
        connection.server.close()
        await asyncio.sleep(0.01)

    async with serving(process_request=process_request) as server:
        with pytest.raises(InvalidStatus, match="503"):
            await connect(uri_of(server))


@on_asyncio
async def test_W1_a_server_that_closes_waits_for_handlers() -> None:
    done = False

    async def handler(websocket: ServerConnection) -> None:
        nonlocal done
        await websocket.wait_closed()
        await asyncio.sleep(2 * SOON)
        done = True

    # Longer than twice close_timeout, after which our own server would cancel them.
    async with serving(handler, close_timeout=0) as server:
        await connect(uri_of(server))
    assert done


@on_asyncio
async def test_W1_a_server_may_be_awaited_started_later_and_run_forever() -> None:
    server = await serving(start_serving=False)
    assert server.get_loop() is asyncio.get_running_loop()
    assert not server.is_serving()
    await server.start_serving()
    assert server.is_serving()
    running = asyncio.create_task(server.serve_forever())
    async with connect(uri_of(server)) as client:
        await client.ping()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not server.is_serving()
        assert client.state is State.CLOSED


@on_asyncio
async def test_W1_a_server_listens_on_a_socket_of_ones_own() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    async with serve(echo, sock=sock), connect(f"ws://127.0.0.1:{port}/") as client:
        await client.ping()


@on_asyncio
async def test_W1_a_server_refuses_what_takes_longer_than_open_timeout() -> None:
    async with serving(open_timeout=SOON) as server:
        with await Peer.dial(port_of(server)) as peer:
            began = time.monotonic()
            assert await peer.read_to_end() == b""
            assert time.monotonic() - began < 1


@on_asyncio
async def test_W1_a_health_check_is_answered_over_plain_http() -> None:
    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(200, "fine\n") if request.path == "/healthz" else None

    async with serving(process_request=process_request) as server:
        answer = await raw_answer(server, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\nfine\n")
        answer = await raw_answer(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 426 ")


@pytest.mark.parametrize("asynchronous", [False, True])
@on_asyncio
async def test_W1_hooks_see_requests_and_responses(asynchronous: bool) -> None:
    seen: list[Any] = []

    def process_request(connection: ServerConnection, request: Request) -> None:
        seen.append((connection.state, request.path, connection.request == request))

    def process_response(
        connection: ServerConnection, request: Request, response: Response
    ) -> Response:
        seen.append((request.path, response.status_code))
        headers = response.headers.copy()
        headers["X-Mine"] = "yes"
        return dataclasses.replace(response, headers=headers)

    def maybe_asynchronous(hook: Callable[..., Any]) -> Callable[..., Any]:
        async def waits(*args: Any) -> Any:
            await asyncio.sleep(0)
            return hook(*args)

        return waits if asynchronous else hook

    options: dict[str, Any] = {
        "process_request": maybe_asynchronous(process_request),
        "process_response": maybe_asynchronous(process_response),
    }
    async with serving(**options) as server, connect(uri_of(server, "/p?q")) as client:
        assert client.response is not None
        assert client.response.headers["X-Mine"] == "yes"
    assert seen == [(State.CONNECTING, "/p?q", True), ("/p?q", 101)]


@pytest.mark.parametrize("hook", ["process_request", "process_response", "select_subprotocol"])
@on_asyncio
async def test_W1_a_hook_that_raises_is_500_and_logged(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*args: Any) -> None:
        raise LookupError("mine")

    hooks: dict[str, Any] = {hook: fails}
    async with serving(**hooks) as server:
        with pytest.raises(InvalidStatus, match="500"):
            await connect(uri_of(server))
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


@on_asyncio
async def test_W1_a_hook_may_answer_with_anything() -> None:
    body = gzip.compress(b"hello")
    headers = Headers({"Content-Encoding": "gzip", "Content-Length": str(len(body))})
    response = Response(200, "OK", headers, body)

    def process_request(connection: ServerConnection, request: Request) -> Response:
        return response

    async with serving(process_request=process_request) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(uri_of(server))
    assert gzip.decompress(raised.value.response.body) == b"hello"
    assert raised.value.response.headers["Content-Encoding"] == "gzip"


@on_asyncio
async def test_W1_the_server_header_is_ours_mine_or_none() -> None:
    for option, header in [({}, websockets.SERVER), ({"server_header": "Neo"}, "Neo")]:
        async with both_ends(option) as (client, _):
            assert client.response is not None
            assert client.response.headers["Server"] == header
    async with both_ends({"server_header": None}) as (client, _):
        assert client.response is not None
        assert "Server" not in client.response.headers


@on_asyncio
async def test_W1_origins_say_whose_pages_are_let_in() -> None:
    origins = ["https://a.example", re.compile(r"https://\w+\.b\.example"), None]
    async with serving(origins=origins) as server:
        for origin in ("https://a.example", "https://x.b.example", None):
            async with connect(uri_of(server), origin=origin):  # type: ignore[arg-type]
                pass
        for origin in ("https://c.example", "https://x.b.example.evil"):
            with pytest.raises(InvalidStatus, match="403"):
                await connect(uri_of(server), origin=origin)  # type: ignore[arg-type]


@on_asyncio
async def test_W1_a_subprotocol_is_agreed_on_or_the_request_refused() -> None:
    async with serving(subprotocols=["a", "b"]) as server:
        async with connect(uri_of(server), subprotocols=["b", "a"]) as client:  # type: ignore[list-item]
            assert client.subprotocol == "a"
        with pytest.raises(InvalidStatus, match="400"):
            await connect(uri_of(server), subprotocols=["c"])  # type: ignore[list-item]
        with pytest.raises(InvalidStatus, match="400"):
            await connect(uri_of(server))


@on_asyncio
async def test_W1_select_subprotocol_chooses() -> None:
    def choose(connection: ServerConnection, offered: Any) -> Any:
        if not offered:
            raise NegotiationError("none")
        return offered[-1] if offered[-1] != "none" else None

    async with serving(select_subprotocol=choose) as server:
        for last, chosen in (("b", "b"), ("none", None)):
            async with connect(uri_of(server), subprotocols=["a", last]) as client:  # type: ignore[list-item]
                assert client.subprotocol == chosen
        with pytest.raises(InvalidStatus, match="400"):
            await connect(uri_of(server))


@pytest.mark.parametrize(
    ("authorization", "username"),
    [
        (None, None),
        ("Bearer x", None),
        ("Basic ???", None),
        (websockets.headers.build_authorization_basic("me", "wrong"), None),
        (websockets.headers.build_authorization_basic("you", "pw"), None),
        (websockets.headers.build_authorization_basic("me", "pw"), "me"),
    ],
)
@pytest.mark.parametrize("how", ["pair", "pairs", "function", "coroutine"])
@on_asyncio
async def test_W1_basic_auth_lets_in_who_knows_the_password(
    authorization: str | None, username: str | None, how: str
) -> None:
    async def check(username: str, password: str) -> bool:
        return (username, password) == ("me", "pw")

    hook = {
        "pair": basic_auth("here", ("me", "pw")),
        "pairs": basic_auth("here", [("me", "pw"), ("him", "x")]),
        "function": basic_auth("here", check_credentials=lambda *pair: pair == ("me", "pw")),
        "coroutine": basic_auth("here", check_credentials=check),
    }[how]
    headers = {} if authorization is None else {"Authorization": authorization}
    async with serving(stay, process_request=hook) as server:
        if username is None:
            with pytest.raises(InvalidStatus, match="401") as raised:
                await connect(uri_of(server), additional_headers=headers)
            challenge = raised.value.response.headers["WWW-Authenticate"]
            assert challenge == 'Basic realm="here", charset="UTF-8"'
        else:
            async with connect(uri_of(server), additional_headers=headers):
                [connection] = server.connections
                assert connection.username == username


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, ValueError),
        ({"credentials": ("a", "b"), "check_credentials": print}, ValueError),
        ({"credentials": 42}, TypeError),
        ({"credentials": [42]}, TypeError),
    ],
)
def test_W1_basic_auth_needs_credentials_or_who_checks_them(
    options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        basic_auth(**options)


@pytest.mark.parametrize("message", ["text", b"binary"])
@on_asyncio
async def test_W3_broadcast_sends_to_all_that_are_open(message: str | bytes) -> None:
    async with (
        serving(stay) as server,
        connect(uri_of(server)) as a,
        connect(uri_of(server), compression=None) as b,
        connect(uri_of(server)) as closed,
    ):
        connections = server.connections
        await closed.close()
        broadcast(connections, message)
        assert [await a.recv(), await b.recv()] == [message, message]


@on_asyncio
async def test_W3_broadcast_takes_messages_only_and_can_tell_what_failed() -> None:
    async with both_ends() as (client, server):
        wrong: Any
        for wrong in (["a"], 5, None):
            with pytest.raises(TypeError):
                broadcast([server], wrong)
        broadcast([server], b"as text", text=True)
        assert await client.recv() == "as text"
        broadcast([], "nobody", raise_exceptions=True)


@pytest.mark.parametrize("raising", [False, True])
@on_asyncio
async def test_W3_broadcast_tells_who_could_not_be_written_to(
    raising: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no way")

    async with both_ends() as (client, server):
        with monkeypatch.context() as patch:
            patch.setattr(server._websocket, "_send_now", fail)
            if raising:
                with pytest.raises(ExceptionGroup, match="skipped broadcast") as raised:
                    broadcast([server], "x", raise_exceptions=True)
                assert isinstance(raised.value.exceptions[0].__cause__, OSError)
            else:
                broadcast([server], "x")
        assert ("skipped broadcast" in caplog.text) is not raising
        assert client.state is State.OPEN


@on_asyncio
async def test_W3_broadcast_reaches_who_is_sent_a_message_in_parts_behind_it() -> None:
    gate = asyncio.Event()

    async def parts() -> AsyncIterator[str]:
        yield "a"
        await gate.wait()
        yield "b"

    async with both_ends() as (client, server):
        sending = asyncio.create_task(server.send(parts()))
        receiving = client.recv_streaming()
        assert await anext(receiving) == "a"
        broadcast([server], "to all")
        gate.set()
        await sending
        assert [part async for part in receiving] == ["b", ""]
        assert await client.recv() == "to all"


@on_asyncio
async def test_W3_broadcast_does_not_wait_for_who_reads_nothing() -> None:
    options = {"ping_interval": SOON, "ping_timeout": 3 * SOON, "compression": None}
    async with serving(stay, **options) as server, connect(uri_of(server)) as reader:
        with await Peer.dial(port_of(server)) as peer:
            await peer.upgrade()
            await until(lambda: len(server.connections) == 2)
            received = 0
            while len(server.connections) == 2:
                broadcast(server.connections, bytes(2**16))
                await reader.recv()
                received += 1
            assert received


@on_asyncio
async def test_W1_a_good_request_by_hand_is_accepted() -> None:
    async with serving() as server:
        with await Peer.dial(port_of(server)) as peer:
            await peer.write(REQUEST)
            head = await peer.read_head()
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
            await peer.send(TextMessage("hello"))
            assert (await peer.receive(TextMessage)).data == "hello"
