"""The only place that proves the drop-in module for trio-websocket: a test or more for each row.

A row is an order of the design's list, T1 to T46; its number stands in the names of its tests.
"""

from __future__ import annotations

import copy
import gc
import logging
import math
import pickle
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from tests.adapters import certificates
from tests.compat.trio_peers import (
    RawPeer,
    background,
    in_no_time,
    is_stuck,
    on_loopback,
    seconds_of,
)
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
)

from ws_trio.compat import trio_websocket
from ws_trio.compat.trio_websocket import (
    CONFIG,
    CloseReason,
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    DisconnectionTimeout,
    Endpoint,
    HandshakeError,
    WebSocketConnection,
    WebSocketRequest,
    WebSocketServer,
    connect_websocket,
    connect_websocket_url,
    open_websocket,
    open_websocket_url,
    serve_websocket,
    wrap_client_stream,
    wrap_server_stream,
)

HOST = "127.0.0.1"


async def echo(request: WebSocketRequest) -> None:
    websocket = await request.accept()
    while True:
        await websocket.send_message(await websocket.get_message())


async def until_closed(request: WebSocketRequest) -> None:
    websocket = await request.accept()
    await websocket.get_message()


@asynccontextmanager
async def serving(
    handler: Callable[[WebSocketRequest], Awaitable[object]],
    ssl_context: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[WebSocketServer]:
    async with background() as nursery:
        yield await nursery.start(
            partial(serve_websocket, handler, HOST, 0, ssl_context, **options)
        )


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts what is connected in memory."""

    def __init__(self) -> None:
        self._give, self._take = trio.open_memory_channel[trio.abc.Stream](math.inf)

    def connect(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        self._give.send_nowait(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        return await self._take.receive()

    async def aclose(self) -> None:
        self._give.close()

    def __repr__(self) -> str:
        return "MemoryListener()"


@asynccontextmanager
async def serving_in_memory(
    handler: Callable[[WebSocketRequest], Awaitable[object]], **options: Any
) -> AsyncIterator[MemoryListener]:
    listener = MemoryListener()
    async with background() as nursery:
        await nursery.start(WebSocketServer(handler, [listener], **options).run)
        yield listener


@asynccontextmanager
async def client_and_peer(**options: Any) -> AsyncIterator[tuple[WebSocketConnection, RawPeer]]:
    """A client of ours, and a server by hand."""
    ours, theirs = trio.testing.memory_stream_pair()
    peer = RawPeer(theirs, client=False)
    async with background() as nursery:
        nursery.start_soon(peer.shake)
        yield await wrap_client_stream(nursery, ours, "example.com", "/chat?a=b", **options), peer


@asynccontextmanager
async def server_and_peer(**options: Any) -> AsyncIterator[tuple[WebSocketConnection, RawPeer]]:
    """A server of ours, and a client by hand."""
    ours, theirs = trio.testing.memory_stream_pair()
    peer = RawPeer(theirs, client=True)
    async with background() as nursery:
        nursery.start_soon(peer.shake)
        request = await wrap_server_stream(nursery, ours, **options)
        websocket = await request.accept()
        await trio.testing.wait_all_tasks_blocked()
        yield websocket, peer


@asynccontextmanager
async def both_ends(
    **options: Any,
) -> AsyncIterator[tuple[WebSocketConnection, WebSocketConnection]]:
    """A client and a server of ours."""
    ours, theirs = trio.testing.memory_stream_pair()
    servers: list[WebSocketConnection] = []

    async def serve(nursery: trio.Nursery) -> None:
        servers.append(await (await wrap_server_stream(nursery, theirs, **options)).accept())

    async with background() as nursery:
        nursery.start_soon(serve, nursery)
        client = await wrap_client_stream(nursery, ours, "example.com", "/", **options)
        await trio.testing.wait_all_tasks_blocked()
        yield client, servers[0]


def reason_of(websocket: WebSocketConnection) -> tuple[int, str, str | None]:
    assert websocket.closed is not None
    return websocket.closed.code, websocket.closed.name, websocket.closed.reason


async def closes(call: Callable[[], Awaitable[object]]) -> tuple[int, str | None]:
    """With what code and reason it raises ConnectionClosed."""
    with pytest.raises(ConnectionClosed) as info:
        await call()
    assert info.value.reason is not None
    return info.value.reason.code, info.value.reason.reason


# Names and signatures; test_trio_websocket_signatures compares all of them.


@on_loopback
async def test_T1_open_websocket_connects_by_host_port_and_resource() -> None:
    async with (
        serving(echo) as server,
        open_websocket(HOST, server.port, "/chat?a=b", use_ssl=False) as websocket,
    ):
        await websocket.send_message("hello")
        assert await websocket.get_message() == "hello"
        assert websocket.path == "/chat?a=b"


@on_loopback
async def test_T1_T2_tls_verifies_the_server() -> None:
    async with serving(echo, certificates.server_tls()) as server:
        context = certificates.client_tls()
        async with open_websocket("localhost", server.port, "/", use_ssl=context) as websocket:
            await websocket.send_message(b"hello")
            assert await websocket.get_message() == b"hello"
            assert isinstance(websocket.remote, Endpoint)
            assert websocket.remote.is_ssl
        url = f"wss://localhost:{server.port}/"
        async with open_websocket_url(url, context) as websocket:
            await websocket.ping()
        for refused in (
            open_websocket("localhost", server.port, "/", use_ssl=True),
            open_websocket_url(url),
        ):
            with pytest.raises(HandshakeError) as info:
                async with refused:
                    raise AssertionError
            assert isinstance(info.value.__cause__, ssl.SSLCertVerificationError)


@in_no_time
async def test_T1_use_ssl_is_a_bool_or_a_context() -> None:
    wrong: Any = 1
    with pytest.raises(TypeError, match="must be bool or ssl"):
        async with open_websocket(HOST, 1, "/", use_ssl=wrong):
            raise AssertionError


@on_loopback
async def test_T2_open_websocket_url_takes_a_url_or_what_prints_as_one() -> None:
    class Url:
        def __init__(self, text: str) -> None:
            self.text = text

        def __str__(self) -> str:
            return self.text

    paths = {"": "/", "?a=b": "/?a=b", "/x?a=b": "/x?a=b", "/%D7%90?%D7": "/%D7%90?%D7"}
    async with serving(until_closed) as server:
        for given, path in {**paths, "/x#part": "/x"}.items():
            url: Any = Url(f"ws://{HOST}:{server.port}{given}")
            async with open_websocket_url(url) as websocket:
                assert websocket.path == path


@pytest.mark.parametrize("url", ["http://example.com/", "example.com", "ws://", "ws:///path"])
def test_T2_a_url_that_is_none_raises_at_once(url: str) -> None:
    with pytest.raises(ValueError):
        open_websocket_url(url)


def test_T2_a_context_is_for_wss() -> None:
    with pytest.raises(ValueError, match="SSL context must be None"):
        open_websocket_url("ws://example.com", ssl.create_default_context())


@on_loopback
async def test_T3_T4_connect_websocket_takes_a_nursery() -> None:
    async with serving(echo) as server, trio.open_nursery() as nursery:
        url = f"ws://{HOST}:{server.port}/"
        for websocket in (
            await connect_websocket(nursery, HOST, server.port, "/", use_ssl=False),
            await connect_websocket_url(nursery, url),
        ):
            assert websocket.closed is None
            await websocket.aclose()
        # The nursery ends by itself: closed connections leave no task.


@in_no_time
async def test_T5_T43_a_client_runs_on_a_stream_of_any_kind() -> None:
    async with client_and_peer() as (websocket, peer):
        assert peer.head.startswith(b"GET /chat?a=b HTTP/1.1\r\n")
        assert b"\r\nHost: example.com\r\n" in peer.head
        assert websocket.is_client
        assert not websocket.is_server
        await peer.send((FIN | BINARY, b"hello"))
        assert await websocket.get_message() == b"hello"
        assert isinstance(websocket.local, str)
        assert websocket.local == websocket.remote == repr(websocket._stream)


@in_no_time
async def test_T6_T43_a_server_runs_on_a_stream_of_any_kind() -> None:
    async with server_and_peer() as (websocket, peer):
        assert websocket.is_server
        assert not websocket.is_client
        await websocket.send_message("hello")
        assert await peer.read() == (FIN | TEXT, b"hello")


@in_no_time
async def test_T6_a_server_whose_client_sends_no_request_says_so() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with background() as nursery:
        await theirs.send_all(b"GET / HTTP/1.1\r\n")
        await theirs.aclose()
        with pytest.raises(HandshakeError):
            await wrap_server_stream(nursery, ours)


@on_loopback
async def test_T7_nursery_start_gives_the_server_once_it_listens() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, until_closed, HOST, 0, None)
        assert isinstance(server, WebSocketServer)
        port = server.port
        async with open_websocket(HOST, port, "/", use_ssl=False):
            assert len(nursery.child_tasks) == 1
        nursery.cancel_scope.cancel()
    with pytest.raises(HandshakeError):
        async with open_websocket(HOST, port, "/", use_ssl=False):
            raise AssertionError


@on_loopback
async def test_T7_handlers_run_in_the_nursery_that_is_given() -> None:
    async with (
        background() as handlers,
        serving(until_closed, handler_nursery=handlers) as server,
        open_websocket(HOST, server.port, "/", use_ssl=False),
    ):
        assert len(handlers.child_tasks) == 1


@on_loopback
async def test_T8_a_server_knows_its_port_and_its_listeners() -> None:
    one, two = (await trio.open_tcp_listeners(0, host=HOST))[0], MemoryListener()
    server = WebSocketServer(echo, [one])
    port = one.socket.getsockname()[1]
    assert server.port == port
    [endpoint] = server.listeners
    assert isinstance(endpoint, Endpoint)
    assert endpoint.url == f"ws://{HOST}:{port}"
    both = WebSocketServer(echo, [one, two])
    assert both.listeners[1] == "MemoryListener()"
    for server in (both, WebSocketServer(echo, [two])):
        with pytest.raises(RuntimeError):
            _ = server.port
    await one.aclose()


def test_T8_a_server_without_listeners_is_wrong() -> None:
    with pytest.raises(ValueError):
        WebSocketServer(echo, [])


@pytest.mark.parametrize(
    "limits",
    [{"message_queue_size": -1}, {"max_message_size": -1}],
    ids=str,
)
def test_T8_limits_that_cannot_be_right_raise_at_once(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        WebSocketServer(echo, [MemoryListener()], **limits)
    with pytest.raises(ValueError):
        trio.run(partial(serve_websocket, echo, HOST, 0, None, **limits))


@on_loopback
async def test_T9_a_request_tells_what_the_client_asks_for() -> None:
    seen: list[Any] = []

    async def handler(request: WebSocketRequest) -> None:
        seen.append((dict(request.headers)[b"x-test"], request.path))
        seen.append((request.proposed_subprotocols, request.local, request.remote))
        websocket = await request.accept(
            subprotocol="superchat", extra_headers=[(b"X-Answer", b"yes")]
        )
        seen.append(websocket.subprotocol)

    async with (
        serving(handler) as server,
        open_websocket(
            HOST,
            server.port,
            "/chat?a=b",
            use_ssl=False,
            subprotocols=("chat", "superchat"),
            extra_headers=[(b"X-Test", b"a value")],
        ) as websocket,
    ):
        assert websocket.subprotocol == "superchat"
        assert websocket.handshake_headers == ((b"x-answer", b"yes"),)
        port = server.port
    first, (subprotocols, local, remote), chosen = seen
    assert first == (b"a value", "/chat?a=b")
    assert (subprotocols, chosen) == (("chat", "superchat"), "superchat")
    assert (local.port, str(remote.address)) == (port, HOST)


@in_no_time
async def test_T9_a_request_can_be_accepted_once() -> None:
    async with both_ends() as (_, server):
        request = WebSocketRequest(server, server._websocket.request)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError):
            await request.accept()


@in_no_time
async def test_T10_a_connection_is_a_resource_with_a_name() -> None:
    async with both_ends() as (client, server):
        assert isinstance(client, trio.abc.AsyncResource)
        assert str(client) == f"client-{client._id}"
        assert str(server) == f"server-{server._id}"
        assert client._id != server._id
        async with client:
            assert client.closed is None
        assert reason_of(client) == (1000, "NORMAL_CLOSURE", None)
        assert reason_of(server) == (1000, "NORMAL_CLOSURE", None)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        *((1000, "NORMAL_CLOSURE"), (1001, "GOING_AWAY"), (1002, "PROTOCOL_ERROR")),
        *((1003, "UNSUPPORTED_DATA"), (1005, "NO_STATUS_RCVD"), (1006, "ABNORMAL_CLOSURE")),
        *((1007, "INVALID_FRAME_PAYLOAD_DATA"), (1008, "POLICY_VIOLATION")),
        *((1009, "MESSAGE_TOO_BIG"), (1010, "MANDATORY_EXT"), (1011, "INTERNAL_ERROR")),
        *((1012, "SERVICE_RESTART"), (1013, "TRY_AGAIN_LATER"), (1015, "TLS_HANDSHAKE_FAILED")),
        *((1004, "RFC_RESERVED"), (1016, "RFC_RESERVED"), (2999, "RFC_RESERVED")),
        *((3000, "IANA_RESERVED"), (3999, "IANA_RESERVED")),
        *((4000, "PRIVATE_RESERVED"), (4999, "PRIVATE_RESERVED")),
        *((0, "INVALID_CODE"), (999, "INVALID_CODE"), (5000, "INVALID_CODE")),
    ],
)
def test_T11_every_code_has_a_name(code: int, name: str) -> None:
    reason = CloseReason(code, "why")
    assert (reason.code, reason.name, reason.reason) == (code, name, "why")
    assert repr(reason) == f"CloseReason<code={code}, name={name}, reason=why>"


@pytest.mark.parametrize(
    ("address", "port", "is_ssl", "url"),
    [
        ("10.105.0.2", 80, False, "ws://10.105.0.2"),
        ("127.0.0.1", 8000, False, "ws://127.0.0.1:8000"),
        ("0.0.0.0", 443, True, "wss://0.0.0.0"),
        ("127.0.0.1", 443, False, "ws://127.0.0.1:443"),
        ("::1", 8000, False, "ws://[::1]:8000"),
        ("::", 443, True, "wss://[::]"),
        ("::1", 80, True, "wss://[::1]:80"),
    ],
)
def test_T12_an_endpoint_has_a_url(address: str, port: int, is_ssl: bool, url: str) -> None:
    endpoint = Endpoint(address, port, is_ssl)
    assert endpoint.url == url
    assert (str(endpoint.address), endpoint.port, endpoint.is_ssl) == (address, port, is_ssl)
    assert str(endpoint) == f'Endpoint(address="{address}", port={port}, is_ssl={is_ssl})'


def test_T13_the_exceptions_and_what_they_carry() -> None:
    for kind in (ConnectionTimeout, DisconnectionTimeout, ConnectionRejected):
        assert issubclass(kind, HandshakeError)
    assert not issubclass(ConnectionClosed, HandshakeError)
    closed = ConnectionClosed(CloseReason(1000, None))
    assert repr(closed) == (
        "ConnectionClosed<CloseReason<code=1000, name=NORMAL_CLOSURE, reason=None>>"
    )
    rejected = ConnectionRejected(404, ((b"a", b"b"),), b"gone")
    assert repr(rejected) == "ConnectionRejected<status_code=404>"
    assert (rejected.status_code, rejected.headers, rejected.body) == (
        404,
        ((b"a", b"b"),),
        b"gone",
    )


@pytest.mark.parametrize(
    "copied",
    [copy.copy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copied", "pickled"],
)
def test_T13_exceptions_can_be_copied(copied: Callable[[Any], Any]) -> None:
    assert copied(ConnectionClosed(CloseReason(1001, "bye"))).reason.reason == "bye"
    assert copied(ConnectionRejected(404, (), None)).status_code == 404
    for kind in (HandshakeError, ConnectionTimeout, DisconnectionTimeout):
        assert isinstance(copied(kind()), kind)


# Opening


@on_loopback
async def test_T20_open_on_entry_and_closed_on_exit() -> None:
    async with serving(until_closed) as server:
        async with open_websocket(HOST, server.port, "/", use_ssl=False) as websocket:
            assert websocket.closed is None
        assert reason_of(websocket) == (1000, "NORMAL_CLOSURE", None)


@on_loopback
async def test_T20_what_the_block_raises_leaves_it_as_it_is() -> None:
    context, cause, error = TypeError("context"), RuntimeError("cause"), ValueError("error")
    opened: list[WebSocketConnection] = []
    async with serving(until_closed) as server:
        with pytest.raises(ValueError) as info:  # noqa: PT012  (what leaves the block is the point)
            async with open_websocket(HOST, server.port, "/", use_ssl=False) as websocket:
                opened.append(websocket)
                try:
                    raise context
                except TypeError:
                    raise error from cause
        assert info.value is error
        assert (error.__cause__, error.__context__) == (cause, context)
        assert opened[0].closed is not None


@on_loopback
async def test_T20_cancelling_raises_what_the_block_raised() -> None:
    async with serving(until_closed) as server:
        raised: list[trio.Cancelled] = []
        opened: list[WebSocketConnection] = []
        with trio.CancelScope() as scope:
            with pytest.raises(trio.Cancelled) as info:  # noqa: PT012  (what leaves the block is the point)
                async with open_websocket(HOST, server.port, "/", use_ssl=False) as websocket:
                    opened.append(websocket)
                    scope.cancel()
                    try:
                        await trio.sleep_forever()
                    except trio.Cancelled as cancelled:
                        raised.append(cancelled)
                        raise
            assert info.value is raised[0]
            assert info.value.__context__ is None
        assert opened[0].closed is not None


@on_loopback
async def test_T20_an_error_is_not_lost_behind_a_cancellation() -> None:
    async with serving(until_closed) as server:
        with trio.CancelScope() as scope, pytest.raises(ValueError):  # noqa: PT012  (the same)
            async with open_websocket(HOST, server.port, "/", use_ssl=False):
                scope.cancel()
                raise ValueError


@on_loopback
async def test_T21_a_refused_connection_is_a_handshake_error_and_an_os_error() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    for expected in (HandshakeError, OSError):
        with pytest.raises(expected) as info:
            async with open_websocket(HOST, port, "/", use_ssl=False):
                raise AssertionError
        assert isinstance(info.value.__cause__, OSError)
    async with background() as nursery:
        with pytest.raises(OSError):
            await connect_websocket(nursery, HOST, port, "/", use_ssl=False)


async def failed_handshake(
    answer: Callable[[RawPeer], Awaitable[object]],
) -> HandshakeError:
    """How a client fails to open a connection to a server by hand."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        peer = RawPeer(theirs, client=False)
        await peer.read_head()
        await answer(peer)

    async with background() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(HandshakeError) as info:
            await wrap_client_stream(nursery, ours, "example.com", "/")
    return info.value


SWITCH = "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"


@in_no_time
async def test_T21_a_wrong_accept_header_is_a_handshake_error() -> None:
    error = await failed_handshake(
        lambda peer: peer.answer(*SWITCH, "Sec-WebSocket-Accept: c29tZXRoaW5nIGVsc2U=", "")
    )
    assert "Sec-WebSocket-Accept" in str(error)


@in_no_time
async def test_T21_an_extension_that_was_not_offered_is_a_handshake_error() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    peer = RawPeer(theirs, client=False)
    async with background() as nursery:
        nursery.start_soon(peer.shake, "Sec-WebSocket-Extensions: permessage-deflate")
        with pytest.raises(HandshakeError, match="extension"):
            await wrap_client_stream(nursery, ours, "example.com", "/")


@in_no_time
async def test_T21_an_interim_response_is_not_the_answer() -> None:
    """RFC 9110 section 15.2: the final one follows."""
    error = await failed_handshake(
        lambda peer: peer.answer(
            *("HTTP/1.1 103 Early Hints", "Link: </style.css>", ""),
            *("HTTP/1.1 403 Forbidden", "Content-Length: 0", ""),
        )
    )
    assert isinstance(error, ConnectionRejected)
    assert error.status_code == 403


@in_no_time
async def test_T21_a_redirection_is_a_rejection() -> None:
    error = await failed_handshake(
        lambda peer: peer.answer("HTTP/1.1 302 Found", "Location: /there", "Content-Length: 0", "")
    )
    assert isinstance(error, ConnectionRejected)
    assert (error.status_code, dict(error.headers)[b"location"]) == (302, b"/there")


@in_no_time
async def test_T21_a_server_that_hangs_up_ends_the_wait_at_once() -> None:
    began = trio.current_time()
    error = await failed_handshake(lambda peer: peer.stream.aclose())
    assert isinstance(error, OSError)
    assert trio.current_time() == began


@in_no_time
async def test_T22_headers_of_the_handshake_overwrite_those_that_are_given() -> None:
    given = {
        "Host": "elsewhere",
        "Upgrade": "h2c",
        "Connection": "close",
        "Sec-WebSocket-Key": "x",
        "Sec-WebSocket-Version": "8",
        "Sec-WebSocket-Accept": "x",
    }
    headers = [(name.encode(), value.encode()) for name, value in given.items()]
    async with client_and_peer(extra_headers=[*headers, (b"Origin", b"http://a.b")]) as (_, peer):
        lines = peer.head.split(b"\r\n")
        assert b"Origin: http://a.b" in lines
        assert not {b": ".join(pair) for pair in headers} & set(lines)
        for name in (b"host:", b"sec-websocket-version:", b"sec-websocket-key:"):
            assert sum(line.lower().startswith(name) for line in lines) == 1


# Limits


@in_no_time
async def test_T23_a_message_over_the_limit_ends_the_connection_with_1009() -> None:
    async with server_and_peer(max_message_size=10) as (websocket, peer):
        await peer.send((FIN | BINARY, bytes(10)), (FIN | BINARY, bytes(11)))
        # What came before it is not lost.
        assert await websocket.get_message() == bytes(10)
        code, reason = await closes(websocket.get_message)
        assert (code, "11" in str(reason)) == (1009, True)
        assert reason_of(websocket)[:2] == (1009, "MESSAGE_TOO_BIG")
        frame = await peer.read()
        assert frame is not None
        assert frame.payload.startswith(close_payload(1009))


@in_no_time
async def test_T23_text_is_measured_in_bytes() -> None:
    async with server_and_peer(max_message_size=10) as (websocket, peer):
        await peer.send((FIN | TEXT, ("é" * 5).encode()), (FIN | TEXT, ("é" * 8).encode()))
        assert await websocket.get_message() == "é" * 5
        assert (await closes(websocket.get_message))[0] == 1009


@in_no_time
async def test_T23_the_pieces_of_a_message_count_together() -> None:
    async with server_and_peer(max_message_size=10) as (websocket, peer):
        await peer.send((TEXT, b"123456"), (FIN | CONTINUATION, b"78901"))
        assert (await closes(websocket.get_message))[0] == 1009


@in_no_time
async def test_T23_inf_turns_the_limit_off() -> None:
    async with server_and_peer(max_message_size=math.inf) as (websocket, peer):
        await peer.send((FIN | BINARY, bytes(2**21)))
        assert await websocket.get_message() == bytes(2**21)


@in_no_time
async def test_T23_after_1009_the_stream_ends_though_the_peer_says_nothing() -> None:
    async with server_and_peer(max_message_size=10) as (websocket, peer):
        await peer.send((FIN | BINARY, bytes(11)))
        frames = await peer.read_all()
        assert [frame.head for frame in frames] == [CLOSE]
        assert await seconds_of(websocket.aclose) == 10
        with pytest.raises(trio.BrokenResourceError):
            await peer.send((FIN | TEXT, b"anybody there?"))


@in_no_time
async def test_T24_the_reader_pauses_with_one_message_in_its_hand() -> None:
    for size in (0, 1, 2, 5):
        async with server_and_peer(message_queue_size=size) as (websocket, peer):
            await peer.send(*((FIN | TEXT, b"%d" % i) for i in range(size)), (PING, b"before"))
            assert await peer.read() == (PONG, b"before")
            await peer.send((FIN | TEXT, b"in hand"), (PING, b"behind"))
            assert await is_stuck(peer.read)
            for i in range(size):
                assert await websocket.get_message() == str(i)
            if not size:
                assert await websocket.get_message() == "in hand"
            assert await peer.read() == (PONG, b"behind")


@in_no_time
async def test_T24_a_pause_keeps_the_answer_to_a_close_back() -> None:
    async with server_and_peer(message_queue_size=1) as (websocket, peer):
        await peer.send((FIN | TEXT, b"1"), (FIN | TEXT, b"2"), (CLOSE, close_payload(1000)))
        assert await is_stuck(peer.read)
        assert websocket.closed is None
        assert await websocket.get_message() == "1"
        assert await peer.read() == (CLOSE, close_payload(1000))
        assert websocket.closed is not None
        assert await websocket.get_message() == "2"


@in_no_time
async def test_T24_zero_is_a_rendezvous() -> None:
    """A message is handed over only when somebody waits; the next stays where it is."""
    async with server_and_peer(message_queue_size=0) as (websocket, peer):
        got: list[str | bytes] = []

        async def take() -> None:
            got.append(await websocket.get_message())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await trio.testing.wait_all_tasks_blocked()
            await peer.send((FIN | TEXT, b"1"), (PING, b"behind"), (FIN | TEXT, b"2"))
        assert got == ["1"]
        assert await peer.read() == (PONG, b"behind")
        await peer.send((PING, b"behind 2"))
        assert await is_stuck(peer.read)
        assert await websocket.get_message() == "2"
        assert await peer.read() == (PONG, b"behind 2")


@in_no_time
async def test_T24_inf_is_no_limit() -> None:
    async with server_and_peer(message_queue_size=math.inf) as (websocket, peer):
        await peer.send(*((FIN | TEXT, b"%d" % i) for i in range(3000)), (PING, b""))
        assert await peer.read() == (PONG, b"")
        assert [await websocket.get_message() for _ in range(3000)] == [*map(str, range(3000))]


def test_T24_looking_ahead_is_off_in_one_place() -> None:
    assert CONFIG.control_look_ahead == 0
    assert CONFIG.ping_interval == CONFIG.open_timeout == CONFIG.close_timeout == math.inf


def test_T24_looking_ahead_may_be_turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_websocket, "CONFIG", CONFIG.replace(control_look_ahead=1000))

    async def test() -> None:
        async with server_and_peer() as (websocket, peer):
            await peer.send((FIN | TEXT, b"1"), (FIN | TEXT, b"2"), (PING, b"behind"))
            assert await peer.read() == (PONG, b"behind")
            await peer.send((CLOSE, close_payload(1001)))
            assert await peer.read() == (CLOSE, close_payload(1001))
            assert [await websocket.get_message() for _ in range(2)] == ["1", "2"]

    in_no_time(test)()


class Noting(trio.abc.Stream):
    """A stream that notes how much each read asks for."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.asked: set[int | None] = set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self.asked.add(max_bytes)
        return await self.stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.stream.aclose()


@pytest.mark.parametrize(
    ("size", "most"), [(1, 1024), (4096, 4096), (100_000, 65_536), (None, 65_536)]
)
def test_T5_T6_receive_buffer_size_bounds_a_read(size: int | None, most: int) -> None:
    async def test() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        stream = Noting(ours)
        peer = RawPeer(theirs, client=True)
        async with background() as nursery:
            nursery.start_soon(peer.shake)
            request = await wrap_server_stream(nursery, stream, receive_buffer_size=size)
            websocket = await request.accept()
            await trio.testing.wait_all_tasks_blocked()
            await peer.send((FIN | BINARY, bytes(5000)))
            assert await websocket.get_message() == bytes(5000)
        assert max(size or 0 for size in stream.asked) == most

    in_no_time(test)()


@on_loopback
async def test_T1_T7_a_small_receive_buffer_works_on_sockets() -> None:
    async with (
        serving(echo, receive_buffer_size=1) as server,
        open_websocket(HOST, server.port, "/", use_ssl=False, receive_buffer_size=7) as websocket,
    ):
        await websocket.send_message("x" * 300)
        assert await websocket.get_message() == "x" * 300


# Time


@asynccontextmanager
async def mute_server() -> AsyncIterator[int]:
    """The port of a server that never says anything."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


@on_loopback
async def test_T25_connect_timeout_covers_the_handshake() -> None:
    async with mute_server() as port:
        began = trio.current_time()
        with pytest.raises(ConnectionTimeout):
            async with open_websocket(HOST, port, "/", use_ssl=False, connect_timeout=0.1):
                raise AssertionError
        assert 0.1 <= trio.current_time() - began < 5


@on_loopback
async def test_T25_connect_timeout_covers_tls() -> None:
    async with mute_server() as port:
        with pytest.raises(ConnectionTimeout):
            async with open_websocket_url(f"wss://{HOST}:{port}", connect_timeout=0.1):
                raise AssertionError


@on_loopback
async def test_T25_connect_timeout_covers_tcp() -> None:
    async def forever(*args: object) -> None:
        await trio.sleep_forever()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio, "open_tcp_stream", forever)
        with pytest.raises(ConnectionTimeout):
            async with open_websocket(HOST, 1, "/", use_ssl=False, connect_timeout=0.05):
                raise AssertionError


@on_loopback
async def test_T24_T25_a_server_that_does_not_read_the_close_costs_disconnect_timeout() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        await trio.sleep_forever()

    async with serving(handler, message_queue_size=0) as server:
        began = trio.current_time()
        with pytest.raises(DisconnectionTimeout):
            async with open_websocket(
                HOST, server.port, "/", use_ssl=False, disconnect_timeout=0.1
            ) as websocket:
                await websocket.send_message("in the way")
        assert 0.1 <= trio.current_time() - began < 5


@on_loopback
async def test_T20_T25_what_the_block_raised_counts_more_than_a_slow_close() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()
        await trio.sleep_forever()

    async with serving(handler, message_queue_size=0) as server:
        with pytest.raises(LookupError):  # noqa: PT012  (what leaves the block is the point)
            async with open_websocket(
                HOST, server.port, "/", use_ssl=False, disconnect_timeout=0.05
            ) as websocket:
                await websocket.send_message("in the way")
                raise LookupError


@on_loopback
async def test_T25_inf_turns_the_timeouts_off() -> None:
    async with (
        serving(until_closed, connect_timeout=math.inf, disconnect_timeout=math.inf) as server,
        open_websocket(
            HOST,
            server.port,
            "/",
            use_ssl=False,
            connect_timeout=math.inf,
            disconnect_timeout=math.inf,
        ) as websocket,
    ):
        await websocket.ping()


@in_no_time
async def test_T26_connect_timeout_ends_in_silence_and_the_handler_is_not_called() -> None:
    async def handler(request: WebSocketRequest) -> None:
        raise AssertionError

    async with serving_in_memory(handler, connect_timeout=3) as listener:
        for begun in (b"", b"GET / HTTP/1.1\r\nHost: a"):
            stream = listener.connect()
            began = trio.current_time()
            if begun:
                await stream.send_all(begun)
            assert await stream.receive_some() == b""
            assert trio.current_time() - began == 3


@in_no_time
async def test_T26_connect_timeout_does_not_cover_accept() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await trio.sleep(100)
        await request.accept()

    async with serving_in_memory(handler, connect_timeout=3) as listener:
        peer = RawPeer(listener.connect(), client=True)
        await peer.shake()
        assert peer.head.startswith(b"HTTP/1.1 101 ")


@in_no_time
async def test_T26_a_bad_request_is_answered_and_the_handler_is_not_called() -> None:
    async def handler(request: WebSocketRequest) -> None:
        raise AssertionError

    async with serving_in_memory(handler, connect_timeout=3) as listener:
        peer = RawPeer(listener.connect(), client=True)
        await peer.stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await peer.read_head()
        assert peer.head.startswith(b"HTTP/1.1 400 ")


@in_no_time
async def test_T27_disconnect_timeout_ends_in_silence() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.accept()

    async with serving_in_memory(handler, disconnect_timeout=3) as listener:
        peer = RawPeer(listener.connect(), client=True)
        await peer.shake()
        assert await peer.read() == (CLOSE, close_payload(1000))
        began = trio.current_time()
        assert await peer.read() is None
        assert trio.current_time() - began == 3


@in_no_time
async def test_T28_opening_without_a_timeout() -> None:
    async with background() as nursery:
        ours, _theirs = trio.testing.memory_stream_pair()
        assert await is_stuck(partial(wrap_client_stream, nursery, ours, "example.com", "/"), 1e6)
        ours, _theirs = trio.testing.memory_stream_pair()
        assert await is_stuck(partial(wrap_server_stream, nursery, ours), 1e6)


@in_no_time
async def test_T28_closing_without_a_timeout() -> None:
    async with client_and_peer() as (websocket, peer):
        assert await is_stuck(websocket.aclose, 1e6)
        # Cancelled, it leaves nothing open.
        assert await peer.read_all() == [(CLOSE, close_payload(1000))]


@in_no_time
async def test_T28_what_is_cancelled_while_it_opens_leaves_nothing() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        assert await is_stuck(partial(wrap_client_stream, nursery, ours, "example.com", "/"))
    assert (await theirs.receive_some()).startswith(b"GET / ")
    assert await theirs.receive_some() == b""


@on_loopback
async def test_T29_a_handler_that_raises_ends_its_own_connection_only() -> None:
    async def handler(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        while True:
            message = await websocket.get_message()
            if message == "raise":
                raise ValueError
            await websocket.send_message(message)

    with at_level(logging.CRITICAL):
        async with (
            serving(handler) as server,
            open_websocket(HOST, server.port, "/", use_ssl=False) as other,
            open_websocket(HOST, server.port, "/", use_ssl=False) as websocket,
        ):
            await websocket.send_message("raise")
            assert (await closes(websocket.get_message))[0] == 1011
            await other.send_message("still here?")
            assert await other.get_message() == "still here?"


@in_no_time
async def test_T29_a_handler_that_raises_before_it_accepts_hangs_up() -> None:
    async def handler(request: WebSocketRequest) -> None:
        raise ValueError

    with at_level(logging.CRITICAL):
        async with serving_in_memory(handler) as listener, trio.open_nursery() as nursery:
            with pytest.raises(HandshakeError):
                await wrap_client_stream(nursery, listener.connect(), "example.com", "/")


def test_T29_what_a_handler_raises_is_logged_unless_it_met_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(request: WebSocketRequest) -> None:
        websocket = await request.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(websocket.get_message)
            if request.path == "/wrong":
                raise ValueError

    async def test() -> None:
        async with serving_in_memory(handler) as listener, background() as nursery:
            for path in ("/", "/wrong"):
                websocket = await wrap_client_stream(nursery, listener.connect(), "a", path)
                await websocket.aclose()

    in_no_time(test)()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@contextmanager
def at_level(level: int) -> Iterator[None]:
    log = logging.getLogger("ws_trio")
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(logging.NOTSET)


@on_loopback
async def test_T30_no_host_and_no_port_may_give_several_listeners() -> None:
    async with background() as nursery:
        server = await nursery.start(serve_websocket, until_closed, None, 0, None)
        endpoints = server.listeners
        assert endpoints
        for endpoint in endpoints:
            assert isinstance(endpoint, Endpoint)
            host = "::1" if endpoint.address.version == 6 else HOST
            async with open_websocket(host, endpoint.port, "/", use_ssl=False) as websocket:
                await websocket.ping()


# Closing


@in_no_time
async def test_T31_what_came_before_the_remote_close_can_be_read() -> None:
    async with both_ends(message_queue_size=3) as (client, server):
        for i in range(3):
            await server.send_message(str(i))
        await server.aclose(4321, "bye")
        assert [await client.get_message() for _ in range(3)] == ["0", "1", "2"]
        assert await closes(client.get_message) == (4321, "bye")
        assert await closes(client.get_message) == (4321, "bye")


@in_no_time
async def test_T31_what_came_before_the_end_of_the_stream_can_be_read() -> None:
    async with server_and_peer(message_queue_size=3) as (websocket, peer):
        await peer.send((FIN | TEXT, b"1"), (FIN | TEXT, b"2"))
        await peer.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert reason_of(websocket) == (1006, "ABNORMAL_CLOSURE", None)
        assert [await websocket.get_message() for _ in range(2)] == ["1", "2"]
        assert await closes(websocket.get_message) == (1006, None)


@in_no_time
async def test_T31_a_close_and_the_end_at_once() -> None:
    async with client_and_peer() as (websocket, peer):
        await peer.send((CLOSE, close_payload(1000)))
        await peer.stream.aclose()
        assert await closes(websocket.get_message) == (1000, None)


@in_no_time
async def test_T32_a_local_close_drops_what_is_pending() -> None:
    async with both_ends(message_queue_size=3) as (client, server):
        await server.send_message("1")
        await server.send_message("2")
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()
        began = trio.current_time()
        assert await closes(client.get_message) == (1000, None)
        assert trio.current_time() == began


@in_no_time
async def test_T32_a_local_close_wakes_whoever_receives() -> None:
    async with client_and_peer() as (websocket, _), trio.open_nursery() as nursery:
        nursery.start_soon(closes, websocket.get_message)
        nursery.start_soon(closes, websocket.get_message)
        await trio.testing.wait_all_tasks_blocked()
        # The peer does not answer: they need not wait for that.
        with trio.move_on_after(1):
            await websocket.aclose()


@in_no_time
async def test_T33_after_a_close_everything_raises_and_closing_again_does_not() -> None:
    async with both_ends() as (client, server):
        await client.aclose(4000, "done")
        for websocket in (client, server):
            for call in (
                websocket.get_message,
                partial(websocket.send_message, "x"),
                partial(websocket.send_message, 1),  # type: ignore[arg-type]
                websocket.ping,
                websocket.pong,
            ):
                assert await closes(call) == (4000, "done")
            await websocket.aclose()
            await websocket.aclose(1001, "again")
            assert reason_of(websocket) == (4000, "PRIVATE_RESERVED", "done")


@in_no_time
async def test_T33_a_close_is_over_once_the_peer_has_answered() -> None:
    """It does not wait until the peer ends the stream, too."""
    async with client_and_peer() as (websocket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(websocket.aclose)
        assert await peer.read() == (CLOSE, close_payload(1000))
        assert reason_of(websocket) == (1000, "NORMAL_CLOSURE", None)
        await peer.send((CLOSE, close_payload(1000)))
        assert await peer.read() is None


@in_no_time
async def test_T33_while_it_is_closing_nothing_is_sent() -> None:
    async with client_and_peer() as (websocket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(websocket.aclose, 4000)
        await trio.testing.wait_all_tasks_blocked()
        for call in (partial(websocket.send_message, "x"), websocket.ping, websocket.pong):
            assert await closes(call) == (4000, None)
        await peer.send((CLOSE, close_payload(4000)))
        assert await peer.read_all() == [(CLOSE, close_payload(4000))]


@in_no_time
async def test_T33_a_server_ends_the_stream_once_it_has_answered_a_close() -> None:
    """RFC 6455 section 7.1.1: whatever its handler is doing, and whether the client goes on."""
    async with server_and_peer() as (websocket, peer):
        await peer.send((CLOSE, close_payload(1000)))
        assert await peer.read_all() == [(CLOSE, close_payload(1000))]
        assert reason_of(websocket) == (1000, "NORMAL_CLOSURE", None)


@in_no_time
async def test_T33_closing_what_the_peer_has_closed_does_not_wait() -> None:
    async with client_and_peer() as (websocket, peer):
        await peer.send((CLOSE, close_payload(1001)))
        assert await closes(websocket.get_message) == (1001, None)
        assert await seconds_of(websocket.aclose) == 0


@in_no_time
async def test_T33_a_code_that_only_names_an_end_may_be_passed_on() -> None:
    for code in (1005, 1006, 1015):
        async with both_ends() as (client, server):
            await client.aclose(code, "passed on")
            assert reason_of(server) == (1000, "NORMAL_CLOSURE", "passed on")


@in_no_time
async def test_T33_a_code_that_must_not_be_sent_closes_nothing() -> None:
    async with both_ends() as (client, _):
        with pytest.raises(ValueError):
            await client.aclose(999)
        await client.ping()


# Pings


@in_no_time
async def test_T34_a_ping_waits_for_its_pong() -> None:
    async with client_and_peer() as (websocket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(websocket.ping, b"mine")
        assert await peer.read() == (PING, b"mine")
        await peer.send((PONG, b"another"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        await peer.send((PONG, b"mine"))


@in_no_time
async def test_T34_a_ping_without_payload_has_32_random_bits() -> None:
    async with client_and_peer() as (websocket, peer), trio.open_nursery() as nursery:
        payloads = set()
        for _ in range(3):
            nursery.start_soon(websocket.ping)
            frame = await peer.read()
            assert frame is not None
            assert len(frame.payload) == 4
            payloads.add(frame.payload)
            await peer.send((PONG, frame.payload))
        assert len(payloads) == 3


@in_no_time
async def test_T34_a_ping_ends_when_the_connection_does() -> None:
    for how in ("end of stream", "remote close", "local close"):
        async with client_and_peer() as (websocket, peer), trio.open_nursery() as nursery:
            nursery.start_soon(closes, websocket.ping)
            nursery.start_soon(closes, partial(websocket.ping, b"another"))
            await trio.testing.wait_all_tasks_blocked()
            if how == "end of stream":
                await peer.stream.aclose()
            elif how == "remote close":
                await peer.send((CLOSE, close_payload(1000)))
            else:
                assert await is_stuck(websocket.aclose, 1)


@in_no_time
async def test_T35_a_pong_wakes_earlier_pings() -> None:
    async with client_and_peer() as (websocket, peer):
        woken: list[bytes] = []

        async def ping(payload: bytes) -> None:
            await websocket.ping(payload)
            woken.append(payload)

        async with trio.open_nursery() as nursery:
            for payload in (b"1", b"2", b"3"):
                nursery.start_soon(ping, payload)
                await peer.read()
            await peer.send((PONG, b"2"))
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(woken) == [b"1", b"2"]
            await peer.send((PONG, b"3"))


@in_no_time
async def test_T36_a_payload_in_flight_is_wrong() -> None:
    async with client_and_peer() as (websocket, peer), trio.open_nursery() as nursery:
        nursery.start_soon(websocket.ping, b"same")
        await peer.read()
        with pytest.raises(ValueError):
            await websocket.ping(b"same")
        await peer.send((PONG, b"same"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(websocket.ping, b"same")
        await peer.read()
        await peer.send((PONG, b"same"))


@in_no_time
async def test_T36_a_payload_is_free_again_after_a_cancelled_or_failed_ping() -> None:
    async with client_and_peer() as (websocket, peer):
        for _ in range(2):
            assert await is_stuck(partial(websocket.ping, b"cancelled"), 1)
            with pytest.raises(ValueError, match="125"):
                await websocket.ping(bytes(126))
        assert [await peer.read() for _ in range(2)] == [(PING, b"cancelled")] * 2


@in_no_time
async def test_T37_a_pong_that_nobody_asked_for() -> None:
    async with client_and_peer() as (websocket, peer):
        await websocket.pong(b"beat")
        await websocket.pong()
        assert [await peer.read() for _ in range(2)] == [(PONG, b"beat"), (PONG, b"")]
        with pytest.raises(ValueError):
            await websocket.pong(bytes(126))


# Messages


@in_no_time
async def test_T38_a_message_is_str_or_bytes() -> None:
    async with client_and_peer() as (websocket, peer):
        await websocket.send_message("text")
        await websocket.send_message(b"bytes")
        assert await peer.read() == (FIN | TEXT, b"text")
        assert await peer.read() == (FIN | BINARY, b"bytes")
        wrong: Any
        for wrong in (bytearray(b"x"), memoryview(b"x"), object(), None, 1, ["x"]):
            with pytest.raises(ValueError):
                await websocket.send_message(wrong)


@in_no_time
async def test_T38_a_message_waits_until_it_has_left() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    peer = RawPeer(theirs, client=False)
    async with background() as nursery:
        nursery.start_soon(peer.shake)
        websocket = await wrap_client_stream(nursery, ours, "example.com", "/")
        assert await is_stuck(partial(websocket.send_message, "x"))
        assert await peer.read() == (FIN | TEXT, b"x")


@in_no_time
async def test_T38_several_tasks_may_send_and_receive() -> None:
    async with both_ends() as (client, server):
        got: list[str | bytes] = []

        async def take() -> None:
            got.append(await server.get_message())

        async with trio.open_nursery() as nursery:
            for i in range(10):
                nursery.start_soon(take)
                nursery.start_soon(client.send_message, str(i))
        assert sorted(got, key=str) == [str(i) for i in range(10)]


@on_loopback
async def test_T38_a_message_into_a_stream_that_is_closed_raises() -> None:
    async with serving(until_closed) as server, background() as nursery:
        stream = await trio.open_tcp_stream(HOST, server.port)
        websocket = await wrap_client_stream(nursery, stream, HOST, "/")
        await stream.aclose()
        assert await closes(partial(websocket.send_message, "x")) == (1006, None)


# What a connection tells


@in_no_time
async def test_T39_the_headers_that_the_other_side_sent() -> None:
    async with client_and_peer() as (websocket, _):
        assert websocket.handshake_headers == ()
    ours, theirs = trio.testing.memory_stream_pair()
    peer = RawPeer(theirs, client=False)
    async with background() as nursery:
        nursery.start_soon(peer.shake, "X-Test: A Value", "Set-Cookie: a=b", "Set-Cookie: c=d")
        websocket = await wrap_client_stream(nursery, ours, "example.com", "/")
        assert websocket.handshake_headers == (
            (b"x-test", b"A Value"),
            (b"set-cookie", b"a=b"),
            (b"set-cookie", b"c=d"),
        )
    async with server_and_peer() as (websocket, _):
        assert dict(websocket.handshake_headers)[b"sec-websocket-version"] == b"13"


@in_no_time
async def test_T40_the_path_has_the_query_and_is_a_servers_once_it_accepts() -> None:
    async with client_and_peer() as (websocket, _):
        assert websocket.path == "/chat?a=b"
    ours, theirs = trio.testing.memory_stream_pair()
    async with background() as nursery:
        nursery.start_soon(RawPeer(theirs, client=True).shake)
        request = await wrap_server_stream(nursery, ours)
        assert (request.path, request._connection.path) == ("/chat", None)
        assert (await request.accept()).path == "/chat"


@in_no_time
async def test_T41_closed_is_none_while_open_and_set_while_closing() -> None:
    async with client_and_peer() as (websocket, peer), trio.open_nursery() as nursery:
        assert websocket.closed is None
        nursery.start_soon(websocket.aclose, 4000, "bye")
        await trio.testing.wait_all_tasks_blocked()
        assert reason_of(websocket) == (4000, "PRIVATE_RESERVED", "bye")
        assert websocket.closed is websocket.closed
        await peer.stream.aclose()


@in_no_time
async def test_T41_an_empty_close_frame_is_1005() -> None:
    async with server_and_peer() as (websocket, peer):
        await peer.send((CLOSE, b""))
        await closes(websocket.get_message)
        assert reason_of(websocket) == (1005, "NO_STATUS_RCVD", None)


@in_no_time
async def test_T41_a_violation_is_told_to_both_sides() -> None:
    async with server_and_peer() as (websocket, peer):
        await peer.send((RESERVED, b""))
        frame = await peer.read()
        assert frame is not None
        assert frame.payload.startswith(close_payload(1002))
        assert reason_of(websocket)[:2] == (1002, "PROTOCOL_ERROR")


@on_loopback
async def test_T42_a_rejection_tells_status_headers_and_body() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await request.reject(403, extra_headers=[(b"X-Why", b"because")], body=b"Go away")
        with pytest.raises(ConnectionClosed):
            await request.accept()

    async with serving(handler) as server:
        with pytest.raises(ConnectionRejected) as info:
            async with open_websocket(HOST, server.port, "/", use_ssl=False):
                raise AssertionError
    error = info.value
    assert (error.status_code, error.body) == (403, b"Go away")
    headers = dict(error.headers)
    assert (headers[b"x-why"], headers[b"content-length"]) == (b"because", b"7")


@in_no_time
async def test_T42_a_rejection_without_a_body() -> None:
    async def reject(nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
        request = await wrap_server_stream(nursery, stream)
        await request.reject(404)
        assert reason_of(request._connection)[:2] == (1006, "ABNORMAL_CLOSURE")

    ours, theirs = trio.testing.memory_stream_pair()
    async with background() as nursery:
        nursery.start_soon(reject, nursery, theirs)
        with pytest.raises(ConnectionRejected) as info:
            await wrap_client_stream(nursery, ours, "example.com", "/")
        assert (info.value.status_code, info.value.body) == (404, b"")


@on_loopback
async def test_T43_a_unix_socket_is_told_by_its_repr() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "socket")
        sock = trio.socket.socket(socket.AF_UNIX)
        await sock.bind(path)
        sock.listen()
        listener = trio.SocketListener(sock)
        server = WebSocketServer(until_closed, [listener])
        assert server.listeners == [repr(listener)]
        with pytest.raises(RuntimeError):
            _ = server.port
        async with background() as nursery:
            await nursery.start(server.run)
            stream = await trio.open_unix_socket(path)
            websocket = await wrap_client_stream(nursery, stream, "localhost", "/")
            assert websocket.local == websocket.remote == repr(stream)
            await websocket.aclose()


@in_no_time
async def test_T43_the_end_of_a_stream_that_is_closed_is_told_by_its_repr() -> None:
    one, other = socket.socketpair()
    other.close()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(one))
    await stream.aclose()
    async with trio.open_nursery() as nursery:
        with pytest.raises(HandshakeError):
            await wrap_client_stream(nursery, stream, "localhost", "/")


@in_no_time
async def test_T44_a_subprotocol_that_was_not_offered_leaves_the_request_usable() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with background() as nursery:
        nursery.start_soon(RawPeer(theirs, client=True).shake)
        request = await wrap_server_stream(nursery, ours)
        with pytest.raises(ValueError, match="offers none"):
            await request.accept(subprotocol="chat")
        assert (await request.accept()).subprotocol is None


@in_no_time
async def test_T45_the_heartbeat_of_the_manual() -> None:
    async def heartbeat(websocket: WebSocketConnection, seconds: float, interval: float) -> None:
        while True:
            with trio.fail_after(seconds):
                await websocket.ping()
            await trio.sleep(interval)

    async with client_and_peer() as (websocket, peer):
        began = trio.current_time()

        async def answer(times: int) -> None:
            for _ in range(times):
                frame = await peer.read()
                assert frame is not None
                await peer.send((PONG, frame.payload))

        with pytest.RaisesGroup(trio.TooSlowError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, 3)
                nursery.start_soon(heartbeat, websocket, 5, 1)
        assert trio.current_time() - began == 3 * 1 + 5


@in_no_time
async def test_T45_there_is_no_keepalive_but_one_of_your_own() -> None:
    async with client_and_peer() as (websocket, peer):
        assert await is_stuck(peer.read, 1e6)
        assert websocket.closed is None


@in_no_time
async def test_T46_a_cancelled_send_is_sent_whole_or_not_at_all() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    peer = RawPeer(theirs, client=False)
    async with background() as nursery:
        nursery.start_soon(peer.shake)
        websocket = await wrap_client_stream(nursery, ours, "example.com", "/")
        assert await is_stuck(partial(websocket.send_message, bytes(100_000)))
        assert await is_stuck(partial(websocket.send_message, "waits for its turn"))
        assert websocket.closed is None
        nursery.start_soon(websocket.send_message, "next")
        assert await peer.read() == (FIN | BINARY, bytes(100_000))
        assert await peer.read() == (FIN | TEXT, b"next")


@in_no_time
async def test_T46_a_cancelled_receive_takes_nothing() -> None:
    async with client_and_peer() as (websocket, peer):
        assert await is_stuck(websocket.get_message)
        await peer.send((FIN | TEXT, b"still here"))
        assert await websocket.get_message() == "still here"


@on_loopback
async def test_T7_T46_a_cancelled_server_leaves_nothing_behind() -> None:
    async with serving(until_closed) as server, background() as nursery:
        websocket = await connect_websocket(nursery, HOST, server.port, "/", use_ssl=False)
        endings = server.listeners
    assert endings
    assert websocket.closed is not None
    gc.collect()
