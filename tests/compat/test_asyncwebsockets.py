"""The only place that proves the drop-in module for asyncwebsockets: a test or more for each row.

A row is an order of the design's list, A1 to A19; its number stands in the names of its tests.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from math import inf
from socket import socket
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, SocketStream
from anyio.streams.tls import TLSStream
from tests.adapters.runtimes.on_anyio import BACKENDS
from tests.compat.anyio_peers import (
    RawPeer,
    header,
    in_virtual_time,
    listening,
    on_both,
    read_head,
    send_request,
    shake_as_client,
    shake_as_server,
    until,
)
from tests.leaks import open_sockets
from tests.ws_anyio.streams import Watched, give_up_after, memory_pair
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
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from ws_anyio.compat import asyncwebsockets
from ws_anyio.compat.asyncwebsockets import Websocket
from ws_anyio.compat.asyncwebsockets.websocket import CONFIG
from wscore import (
    ConcurrencyError,
    ConnectionClosed,
    HandshakeRejected,
    InvalidURL,
    OpenTimeout,
)

ADDRESS = ("host", 8765)


@pytest.fixture
def authority_is_trusted(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The default context trusts the authority, as if the system did."""
    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        yield


async def echo(websocket: Websocket) -> None:
    async for event in websocket:
        if isinstance(event, Message):
            await websocket.send(event.data)


@asynccontextmanager
async def serving(
    handler: Callable[[Websocket], Awaitable[object]] = echo, **options: Any
) -> AsyncIterator[str]:
    """The URL of a server of ours."""

    async def handle(stream: SocketStream) -> None:
        async with asyncwebsockets.open_websocket_server(stream, **options) as websocket:
            await handler(websocket)

    async with listening(handle) as port:
        yield f"ws://127.0.0.1:{port}"


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[tuple[Websocket, RawPeer]]:
    """A client of ours, and its server played by hand."""
    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        websocket = await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/", **options)
        yield websocket, RawPeer(theirs, masked=False)


@asynccontextmanager
async def server(**options: Any) -> AsyncIterator[tuple[Websocket, RawPeer]]:
    """A server of ours, and its client played by hand."""
    ours, theirs = memory_pair()
    connected: list[Websocket] = []

    async def serve() -> None:
        connected.append(await asyncwebsockets.create_websocket_server(ours, **options))

    async with theirs:
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            await shake_as_client(theirs)
        yield connected[0], RawPeer(theirs, masked=True)


@asynccontextmanager
async def both() -> AsyncIterator[tuple[Websocket, Websocket]]:
    """A client and its server, both ours."""
    ours, theirs = memory_pair()
    connected: list[Websocket] = []

    async def serve() -> None:
        connected.append(await asyncwebsockets.create_websocket_server(theirs))

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        websocket = await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/")
        await until(lambda: bool(connected))
        yield websocket, connected[0]
        await websocket.close()
        await connected[0].close()


async def refused(filter: Any) -> tuple[BaseException, str]:  # noqa: A002
    """What our server raises, and what its client, who does not hang up, is told."""
    raised: list[BaseException] = []
    answers: list[str] = []

    async def serve() -> None:
        try:
            await asyncwebsockets.create_websocket_server(ours, filter=filter)
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(serve)
        answers.append(await shake_as_client(theirs, "Sec-WebSocket-Protocol: a, b\r\n"))
        await until(lambda: bool(raised))
    return raised[0], answers[0]


async def events_of(websocket: Websocket) -> list[Event]:
    return [event async for event in websocket]


# A1, open_websocket.


@on_both
async def test_A1_a_block_in_which_the_connection_is_open() -> None:
    async with serving() as url, asyncwebsockets.open_websocket(url) as websocket:
        assert isinstance(websocket, asyncwebsockets.Websocket)
        await websocket.send("hello")
        assert await websocket.next_event() == TextMessage("hello")


@on_both
async def test_A1_leaving_the_block_closes_the_connection() -> None:
    closed: list[Event] = []

    async def handler(websocket: Websocket) -> None:
        closed.append(await websocket.next_event())

    async with serving(handler) as url:
        async with asyncwebsockets.open_websocket(url):
            pass
        await until(lambda: bool(closed))
    assert closed == [CloseConnection(1000, "Connection closed")]


@on_both
async def test_A1_what_the_block_raises_comes_out_as_it_is_and_the_connection_is_closed() -> None:
    closed: list[Event] = []

    async def handler(websocket: Websocket) -> None:
        closed.append(await websocket.next_event())

    async with serving(handler) as url:
        with pytest.raises(LookupError, match="on purpose"):
            async with asyncwebsockets.open_websocket(url):
                raise LookupError("on purpose")
        await until(lambda: bool(closed))
    assert closed == [CloseConnection(1000, "Connection closed")]


@pytest.mark.parametrize(
    "headers", [{"X-One": "1"}, [("X-One", "1")], [(b"X-One", b"1")], (("X-One", "1"),)]
)
@on_both
async def test_A1_headers_are_added_to_the_request(headers: Any) -> None:
    requests: list[Request] = []

    async def look(request: Request) -> bool:
        requests.append(request)
        return True

    async with serving(filter=look) as url, asyncwebsockets.open_websocket(url, headers):
        assert (b"x-one", b"1") in requests[0].extra_headers


@on_both
async def test_A1_subprotocols_are_offered_in_order() -> None:
    requests: list[Request] = []

    async def look(request: Request) -> bool:
        requests.append(request)
        return True

    offered = ["one", "two"]
    async with serving(filter=look) as url, asyncwebsockets.open_websocket(url, None, offered):
        assert requests[0].subprotocols == offered


@on_both
async def test_A1_a_server_that_is_not_there_is_an_oserror() -> None:
    async with listening(echo_bytes) as port:
        pass
    with pytest.raises(OSError):
        async with asyncwebsockets.open_websocket(f"ws://127.0.0.1:{port}"):
            pass


async def echo_bytes(stream: SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send(data)


@pytest.mark.parametrize("url", ["localhost:80", "//localhost/", "ftp://localhost/", "ws://"])
@on_both
async def test_A1_what_is_no_url_raises_before_anything_is_sent(url: str) -> None:
    with pytest.raises((InvalidURL, ValueError)):
        async with asyncwebsockets.open_websocket(url):
            pass


# A2, create_websocket.


@on_both
async def test_A2_whoever_creates_a_connection_closes_it() -> None:
    async with serving() as url:
        websocket = await asyncwebsockets.create_websocket(url)
        await websocket.send(b"hello")
        assert await websocket.next_event() == BytesMessage(b"hello")
        await websocket.close()
        assert await events_of(websocket) == []


@pytest.mark.parametrize(
    ("rest", "target"),
    [("", "/"), ("/", "/"), ("/chat", "/chat"), ("/a%20b?c=d&e", "/a%20b?c=d&e"), ("/a#b", "/a")],
)
@on_both
async def test_A2_the_request_has_the_path_and_query_of_the_url(rest: str, target: str) -> None:
    requests: list[Request] = []

    async def look(request: Request) -> bool:
        requests.append(request)
        return True

    async with serving(filter=look) as url, asyncwebsockets.open_websocket(url + rest):
        assert requests[0].target == target


@on_both
async def test_A2_http_means_ws() -> None:
    async with serving() as url:
        websocket = await asyncwebsockets.create_websocket(url.replace("ws:", "http:"))
        await websocket.close()


@pytest.mark.parametrize(("scheme", "secure"), [("wss", "context"), ("ws", "context")])
@on_both
async def test_A2_a_context_is_what_tls_is_verified_by(
    scheme: str, secure: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving_tls(server_tls) as port:
        url = f"{scheme}://localhost:{port}"
        websocket = await asyncwebsockets.create_websocket(url, client_tls)
        await websocket.send("secret")
        assert await websocket.next_event() == TextMessage("secret")
        await websocket.close()


@on_both
async def test_A2_false_is_no_tls_though_the_url_is_wss() -> None:
    async with serving() as url:
        websocket = await asyncwebsockets.create_websocket(url.replace("ws:", "wss:"), ssl=False)
        await websocket.close()


@on_both
async def test_A2_true_is_tls_though_the_url_is_ws(
    server_tls: ssl.SSLContext, authority_is_trusted: None
) -> None:
    async with serving_tls(server_tls) as port:
        url = f"ws://localhost:{port}"
        websocket = await asyncwebsockets.create_websocket(url, ssl=True)
        await websocket.close()


@on_both
async def test_A2_cancelled_it_leaves_nothing_behind() -> None:
    asked, ended = anyio.Event(), anyio.Event()

    async def never_answer(stream: SocketStream) -> None:
        async with stream:
            await read_head(stream)
            asked.set()
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        ended.set()

    async with listening(never_answer) as port, anyio.create_task_group() as group:
        group.start_soon(asyncwebsockets.create_websocket, f"ws://127.0.0.1:{port}")
        await asked.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await ended.wait()


@on_both
async def test_A2_many_at_once_in_a_loop_that_has_none_yet() -> None:
    async with serving() as url, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(_say_hello, url)


async def _say_hello(url: str) -> None:
    async with asyncwebsockets.open_websocket(url) as websocket:
        await websocket.send("hello")
        assert await websocket.next_event() == TextMessage("hello")


def test_A2_whoever_cancels_all_tasks_of_asyncio_can_go_on_with_the_loop() -> None:
    async def use() -> None:
        async with serving() as url:
            await _say_hello(url)

    with asyncio.Runner() as runner:
        runner.run(use())
        loop = runner.get_loop()
        tasks = asyncio.all_tasks(loop)
        assert tasks
        for task in tasks:
            task.cancel()
        runner.run(asyncio.sleep(0))
        runner.run(use())


# A3, a client on a stream.


@on_both
async def test_A3_a_client_on_a_stream_that_is_connected_already() -> None:
    async with listening(_serve_echo) as port:
        stream = await anyio.connect_tcp("127.0.0.1", port)
        address = ("127.0.0.1", port)
        async with asyncwebsockets.open_websocket_client(stream, address, "/") as websocket:
            await websocket.send("hello")
            assert await websocket.next_event() == TextMessage("hello")


async def _serve_echo(stream: ByteStream) -> None:
    async with asyncwebsockets.open_websocket_server(stream) as websocket:
        await echo(websocket)


@pytest.mark.parametrize(
    ("addr", "host"),
    [
        (("example.com", 8765), "example.com"),
        (["example.com"], "example.com"),
        ("example.com", "example.com"),
        (("::1", 8765, 0, 0), "[::1]"),
        (("fe80::1%eth0", 8765, 0, 2), "[fe80::1]"),
    ],
)
@on_both
async def test_A3_the_first_of_addr_is_the_host(addr: Any, host: str) -> None:
    ours, theirs = memory_pair()
    requests: list[str] = []

    async def serve() -> None:
        requests.append(await shake_as_server(theirs))

    async with theirs, anyio.create_task_group() as group:
        group.start_soon(serve)
        await asyncwebsockets.create_websocket_client(ours, addr, "/a?b")
    assert header(requests[0], "Host") == host
    assert requests[0].startswith("GET /a?b HTTP/1.1\r\n")


@on_both
async def test_A3_headers_and_subprotocols_go_with_the_request() -> None:
    ours, theirs = memory_pair()
    requests: list[str] = []

    async def serve() -> None:
        requests.append(await shake_as_server(theirs))

    async with theirs, anyio.create_task_group() as group:
        group.start_soon(serve)
        await asyncwebsockets.create_websocket_client(
            ours, ADDRESS, "/", [("X-One", "1")], ["one", "two"]
        )
    assert header(requests[0], "X-One") == "1"
    assert header(requests[0], "Sec-WebSocket-Protocol") == "one, two"


@on_both
async def test_A3_leaving_the_block_closes_the_connection() -> None:
    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        async with asyncwebsockets.open_websocket_client(ours, ADDRESS, "/"):
            pass
        assert await RawPeer(theirs, masked=False).read_close() == (1000, "Connection closed")


# A4, a server on a stream.


@on_both
async def test_A4_a_server_on_a_stream_closes_the_connection_on_leaving_the_block() -> None:
    ours, theirs = memory_pair()

    async def serve() -> None:
        async with asyncwebsockets.open_websocket_server(ours) as websocket:
            assert isinstance(websocket, asyncwebsockets.Websocket)

    async with theirs, anyio.create_task_group() as group:
        group.start_soon(serve)
        await shake_as_client(theirs)
        assert await RawPeer(theirs, masked=True).read_close() == (1000, "Connection closed")


@on_both
async def test_A4_what_the_block_raises_comes_out_as_it_is() -> None:
    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_client, theirs)
        with pytest.raises(LookupError, match="on purpose"):
            async with asyncwebsockets.open_websocket_server(ours):
                raise LookupError("on purpose")


@on_both
async def test_A4_a_handler_may_close_its_stream_itself() -> None:
    async def handle(stream: SocketStream) -> None:
        async with stream, asyncwebsockets.open_websocket_server(stream) as websocket:
            await websocket.send("hello")

    async with (
        listening(handle) as port,
        asyncwebsockets.open_websocket(f"ws://127.0.0.1:{port}") as websocket,
    ):
        assert await events_of(websocket) == [TextMessage("hello")]
        assert await websocket.next_event() == CloseConnection(1000, "Connection closed")


@on_both
async def test_A4_whoever_creates_a_server_closes_it() -> None:
    async with server() as (websocket, peer):
        await peer.send(FIN | TEXT, b"hello")
        assert await websocket.next_event() == TextMessage("hello")
        await websocket.close(1001)
        assert await peer.read_close() == (1001, "Connection closed")


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    ],
)
@on_both
async def test_A4_a_request_that_is_none_is_answered_and_raises(bad: bytes, status: int) -> None:
    ours, theirs = memory_pair()
    async with theirs:
        await theirs.send(bad)
        with pytest.raises(RemoteProtocolError) as caught:
            await asyncwebsockets.create_websocket_server(ours)
        assert (await read_head(theirs)).startswith(f"HTTP/1.1 {status} ")
    hint = caught.value.event_hint
    assert isinstance(hint, RejectConnection)
    assert hint.status_code == status


@on_both
async def test_A4_a_client_that_goes_away_first_is_the_end_of_the_stream() -> None:
    ours, theirs = memory_pair()
    await theirs.aclose()
    with pytest.raises(anyio.EndOfStream):
        await asyncwebsockets.create_websocket_server(ours)


# A5, Websocket.


@on_both
async def test_A5_start_client_returns_how_the_server_accepted() -> None:
    ours, theirs = memory_pair()
    websocket = asyncwebsockets.Websocket()
    extra = "Sec-WebSocket-Protocol: two\r\nX-One: 1\r\n"
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs, extra)
        event = await websocket.start_client(ours, ADDRESS, "/", subprotocols=["one", "two"])
        assert event == AcceptConnection("two", extra_headers=[(b"x-one", b"1")])


@on_both
async def test_A5_start_server_returns_what_the_client_asked_for() -> None:
    ours, theirs = memory_pair()
    websocket = asyncwebsockets.Websocket()
    extra = (
        "Sec-WebSocket-Protocol: one,two\r\nSec-WebSocket-Extensions: x; y=1, z\r\nX-One: 1\r\n"
    )
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_client, theirs, extra)
        event = await websocket.start_server(ours)
        assert (event.host, event.target) == ("example.com", "/chat?q=1")
        assert event.subprotocols == ["one", "two"]
        assert event.extensions == ["x; y=1", "z"]
        assert [name for name, _ in event.extra_headers] == [
            b"upgrade",
            b"connection",
            b"sec-websocket-version",
            b"sec-websocket-key",
            b"x-one",
        ]


@on_both
async def test_A5_raw_socket_is_the_socket_under_the_stream() -> None:
    async with serving() as url, asyncwebsockets.open_websocket(url) as websocket:
        raw = websocket.raw_socket
        assert f"ws://127.0.0.1:{raw.getpeername()[1]}" == url
        assert isinstance(raw, socket) or type(raw).__name__ == "TransportSocket"


@on_both
async def test_A5_a_stream_without_a_socket_has_none() -> None:
    async with client() as (websocket, _):
        with pytest.raises(anyio.TypedAttributeLookupError):
            _ = websocket.raw_socket


@on_both
async def test_A5_one_that_is_not_started_says_so() -> None:
    websocket = asyncwebsockets.Websocket()
    with pytest.raises(LocalProtocolError, match="start_client"):
        await websocket.send("hello")
    with pytest.raises(LocalProtocolError, match="start_client"):
        await websocket.next_event()
    with pytest.raises(LocalProtocolError, match="start_client"):
        _ = websocket.raw_socket
    await websocket.close()


@on_both
async def test_A5_one_that_is_started_is_not_started_again() -> None:
    ours, theirs = memory_pair()
    async with client() as (websocket, _), ours, theirs:
        with pytest.raises(LocalProtocolError, match="started already"):
            await websocket.start_client(ours, ADDRESS, "/")
        with pytest.raises(LocalProtocolError, match="started already"):
            await websocket.start_server(theirs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_A5_what_is_forgotten_ends_with_the_loop(backend: str) -> None:
    sockets = open_sockets()

    async def forget() -> None:
        async with serving() as url:
            await asyncwebsockets.create_websocket(url)

    anyio.run(forget, backend=backend)
    assert open_sockets() <= sockets


def test_A5_the_modules_are_the_originals() -> None:
    assert asyncwebsockets.websocket.Websocket is Websocket
    assert asyncwebsockets.client.open_websocket is asyncwebsockets.open_websocket
    assert asyncwebsockets.server.open_websocket_server is asyncwebsockets.open_websocket_server


# A10, receiving.


@on_both
async def test_A10_iterating_gives_whole_messages() -> None:
    async with server() as (websocket, peer):
        await peer.send(TEXT, b"he")
        await peer.send(CONTINUATION, b"l\xc3")
        await peer.send(FIN | CONTINUATION, b"\xb6")
        await peer.send(FIN | BINARY, b"\0")
        await peer.send(FIN | TEXT)
        await peer.send(CLOSE, close_payload(1000))
        messages = [event async for event in websocket if isinstance(event, Message)]
    assert messages == [TextMessage("helö"), BytesMessage(b"\0"), TextMessage("")]
    assert all(message.frame_finished and message.message_finished for message in messages)
    assert [type(message.data) for message in messages] == [str, bytes, str]


@pytest.mark.parametrize("payload", [b"", close_payload(1000), close_payload(4001, "why")])
@on_both
async def test_A10_iterating_ends_when_the_peer_closes_with_whatever_code(payload: bytes) -> None:
    async with client() as (websocket, peer):
        await peer.send(CLOSE, payload)
        assert await events_of(websocket) == []
        assert await events_of(websocket) == []
        assert (await peer.read()).payload == payload


@on_both
async def test_A10_next_event_tells_of_the_end_what_iterating_does_not() -> None:
    async with client() as (websocket, peer):
        await peer.send(FIN | TEXT, b"last")
        await peer.send(CLOSE, close_payload(4001, "why"))
        assert await websocket.next_event() == TextMessage("last")
        assert await websocket.next_event() == CloseConnection(4001, "why")
        assert await websocket.next_event() == CloseConnection(4001, "why")


@on_both
async def test_A10_what_came_before_the_peer_closed_is_all_received() -> None:
    async with client() as (websocket, peer):
        for i in range(200):
            await peer.send(FIN | TEXT, f"{i}".encode())
        await peer.send(CLOSE, close_payload(1000))
        assert await events_of(websocket) == [TextMessage(f"{i}") for i in range(200)]


@on_both
async def test_A10_a_ping_is_answered_though_nobody_receives() -> None:
    async with client() as (_, peer):
        await peer.send(PING, b"there?")
        assert await peer.read() == (PONG, b"there?")


@on_both
async def test_A10_iterating_gives_pings_and_pongs_too_each_in_its_place() -> None:
    async with server() as (websocket, peer):
        await peer.send(PING, b"a")
        await peer.send(TEXT, b"he")
        await peer.send(PING, b"b")
        await peer.send(FIN | CONTINUATION, b"llo")
        await peer.send(PONG, b"c")
        await peer.send(CLOSE, close_payload(1000))
        received = await events_of(websocket)
        assert received == [Ping(b"a"), Ping(b"b"), TextMessage("hello"), Pong(b"c")]
        assert [await peer.read() for _ in "ab"] == [(PONG, b"a"), (PONG, b"b")]


@on_both
async def test_A10_a_ping_wakes_who_waits_for_an_event() -> None:
    async with client() as (websocket, peer), anyio.create_task_group() as group:
        received: list[Event] = []

        async def receive() -> None:
            received.append(await websocket.next_event())

        group.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        await peer.send(PING, b"there?")
        await until(lambda: bool(received))
        assert received == [Ping(b"there?")]


@on_both
async def test_A10_a_flood_of_pings_that_nobody_receives_costs_nothing() -> None:
    async with client() as (websocket, peer):
        for _ in range(1000):
            await peer.send(PING, bytes(125))
            assert (await peer.read()).head == PONG
        await peer.send(CLOSE, close_payload(1000))
        assert len(await events_of(websocket)) < 40


@on_both
async def test_A10_the_manuals_name_of_a_binary_message() -> None:
    async with server() as (websocket, peer):
        await peer.send(FIN | BINARY, b"\0")
        assert isinstance(await websocket.next_event(), asyncwebsockets.ByteMessage)


@on_both
async def test_A10_an_end_of_stream_without_a_close_frame_is_raised() -> None:
    async with client() as (websocket, peer):
        await peer.send(FIN | TEXT, b"last")
        await peer.stream.send_eof()
        received = []
        with pytest.raises(anyio.EndOfStream):  # noqa: PT012
            async for event in websocket:
                received.append(event)  # noqa: PERF401
        assert received == [TextMessage("last")]


@on_both
async def test_A10_a_stream_that_breaks_is_raised() -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        websocket = await asyncwebsockets.create_websocket_client(watched, ADDRESS, "/")
        watched.odd = True
        await websocket.send("hello")
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await websocket.next_event()
        assert isinstance(caught.value.__cause__, ConnectionClosed)


@pytest.mark.parametrize(
    ("head", "payload", "code"), [(RESERVED, b"", 1002), (FIN | TEXT, b"\xff", 1007)]
)
@on_both
async def test_A10_a_peer_that_breaks_the_rules_is_the_end_and_is_told(
    head: int, payload: bytes, code: int
) -> None:
    async with client() as (websocket, peer):
        await peer.send(FIN | TEXT, b"good")
        await peer.send(head, payload)
        assert await events_of(websocket) == [TextMessage("good")]
        event = await websocket.next_event()
        assert isinstance(event, CloseConnection)
        assert event.code == code
        assert (await peer.read_close())[0] == code


@on_both
async def test_A10_one_task_at_a_time_receives() -> None:
    async with client() as (websocket, _), anyio.create_task_group() as group:
        group.start_soon(websocket.next_event)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ConcurrencyError):
            await websocket.next_event()
        group.cancel_scope.cancel()


@on_both
async def test_A10_whoever_is_cancelled_while_receiving_has_taken_nothing() -> None:
    async with client() as (websocket, peer):
        for turns in range(10):
            await give_up_after(turns, websocket.next_event)
        await peer.send(FIN | TEXT, b"first")
        assert await websocket.next_event() == TextMessage("first")


# A11, sending.


@pytest.mark.parametrize(
    ("data", "head", "payload"),
    [
        ("hellö", FIN | TEXT, "hellö".encode()),
        (b"\0\xff", FIN | BINARY, b"\0\xff"),
        (bytearray(b"\0"), FIN | BINARY, b"\0"),
        (memoryview(b"\0"), FIN | BINARY, b"\0"),
        ("", FIN | TEXT, b""),
    ],
)
@on_both
async def test_A11_text_goes_as_text_and_bytes_as_binary(
    data: Any, head: int, payload: bytes
) -> None:
    async with client() as (websocket, peer):
        await websocket.send(data)
        assert await peer.read() == (head, payload)


@on_both
async def test_A11_a_message_in_parts() -> None:
    async with client() as (websocket, peer):
        await websocket.send("one ", final=False)
        await websocket.send("two ", False)
        await websocket.send("three")
        await websocket.send(b"\0", final=False)
        await websocket.send(b"\1", final=True)
        await websocket.send("whole")
        assert [await peer.read() for _ in range(6)] == [
            (TEXT, b"one "),
            (CONTINUATION, b"two "),
            (FIN | CONTINUATION, b"three"),
            (BINARY, b"\0"),
            (FIN | CONTINUATION, b"\1"),
            (FIN | TEXT, b"whole"),
        ]


@on_both
async def test_A11_the_parts_of_a_message_are_of_one_type() -> None:
    async with client() as (websocket, peer):
        await websocket.send("one ", final=False)
        with pytest.raises(TypeError):
            await websocket.send(b"two")
        await websocket.send("two")
        assert await peer.read() == (TEXT, b"one ")
        assert await peer.read() == (FIN | CONTINUATION, b"two")


@pytest.mark.parametrize("data", [3, None, ["a"], object()])
@on_both
async def test_A11_what_is_neither_text_nor_bytes_is_not_sent(data: Any) -> None:
    async with client() as (websocket, peer):
        for final in (True, False):
            with pytest.raises(TypeError):
                await websocket.send(data, final)
        await websocket.send("hello")
        assert await peer.read() == (FIN | TEXT, b"hello")


@on_both
async def test_A11_the_manuals_names_for_sending_and_for_the_class() -> None:
    assert asyncwebsockets.ClientWebsocket is asyncwebsockets.Websocket
    async with client() as (websocket, peer):
        await websocket.send_message("hello")
        assert await peer.read() == (FIN | TEXT, b"hello")


@on_both
async def test_A11_many_tasks_send_and_no_two_messages_mix() -> None:
    sent = [letter * 100_000 for letter in "abcdefgh"]
    async with both() as (ours, theirs), anyio.create_task_group() as group:
        for message in sent:
            group.start_soon(ours.send, message)
        received = [await theirs.next_event() for _ in sent]
        messages = [event.data for event in received if isinstance(event, TextMessage)]
        assert sorted(messages) == sent


# A12, closing.


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ((), 1000, "Connection closed"),
        ((1000,), 1000, "Connection closed"),
        ((1001, "gone"), 1001, "gone"),
        ((3000, ""), 3000, ""),
        ((4999, None), 4999, ""),
        ((1005, "x"), 1000, "x"),
        ((1006, "x"), 1000, "x"),
        ((1015, "x"), 1000, "x"),
        ((1000, "é" * 100), 1000, "é" * 61),
    ],
)
@on_both
async def test_A12_code_and_reason_are_sent(arguments: Any, code: int, reason: str) -> None:
    async with client() as (websocket, peer):
        await websocket.close(*arguments)
        assert await peer.read_close() == (code, reason)


@on_both
async def test_A12_by_the_names_of_the_manual() -> None:
    async with client() as (websocket, peer):
        await websocket.close(1000, reason="Thank you!")
        assert await peer.read_close() == (1000, "Thank you!")


@pytest.mark.parametrize("code", [0, 999, 1004, 1016, 2999, 5000, 70000])
@on_both
async def test_A12_a_code_that_must_not_be_sent_is_not(code: int) -> None:
    async with client() as (websocket, peer):
        with pytest.raises(ValueError, match=str(code)):
            await websocket.close(code)
        await websocket.close()
        assert await peer.read_close() == (1000, "Connection closed")


@in_virtual_time
async def test_A12_close_does_not_wait_for_an_answer() -> None:
    async with client() as (websocket, peer):
        began = anyio.current_time()
        await websocket.close()
        assert anyio.current_time() == began
        assert await peer.read_close() == (1000, "Connection closed")


@on_both
async def test_A12_what_was_sent_before_goes_out_first() -> None:
    async with both() as (ours, theirs), anyio.create_task_group() as group:
        group.start_soon(_send_and_close, ours)
        received = await events_of(theirs)
        assert received == [TextMessage("a" * 1_000_000), TextMessage("b")]


async def _send_and_close(websocket: Websocket) -> None:
    await websocket.send("a" * 1_000_000)
    await websocket.send("b")
    await websocket.close()


@on_both
async def test_A12_closing_again_is_harmless() -> None:
    async with client() as (websocket, peer):
        await websocket.close(1001, "first")
        await websocket.close(1002, "second")
        await websocket.close()
        assert await peer.read_close() == (1001, "first")
        with pytest.raises(anyio.EndOfStream):
            await peer.read()


@on_both
async def test_A12_behind_its_close_frame_the_stream_ends() -> None:
    frames = []

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await shake_as_server(stream)
            frames.extend(await RawPeer(stream, masked=False).read_to_end())

    async with listening(handle) as port:
        async with asyncwebsockets.open_websocket(f"ws://127.0.0.1:{port}") as websocket:
            await websocket.send("hello")
        await until(lambda: bool(frames))
    assert frames == [(FIN | TEXT, b"hello"), (CLOSE, close_payload(1000, "Connection closed"))]


@in_virtual_time
async def test_A12_a_peer_that_does_not_answer_is_left_behind_the_callers_back() -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        websocket = await asyncwebsockets.create_websocket_client(watched, ADDRESS, "/")
        await websocket.close()
        await anyio.sleep(CONFIG.close_timeout - 1)
        assert not watched.closed
        await anyio.sleep(1.1)
        assert watched.closed


@in_virtual_time
async def test_A12_a_peer_that_takes_nothing_is_waited_for_until_close_timeout() -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        websocket = await asyncwebsockets.create_websocket_client(watched, ADDRESS, "/")
        watched.stuck = True
        await websocket.send("hello")
        began = anyio.current_time()
        await websocket.close()
        assert anyio.current_time() - began == CONFIG.close_timeout


@on_both
async def test_A12_the_peers_close_is_answered_at_once() -> None:
    async with client() as (_, peer):
        await peer.send(CLOSE, close_payload(1001, "bye"))
        assert await peer.read_close() == (1001, "bye")


@on_both
async def test_A12_in_the_middle_of_a_message_the_close_frame_goes_all_the_same() -> None:
    async with client() as (websocket, peer):
        await websocket.send("begun", final=False)
        await websocket.close()
        assert await peer.read() == (TEXT, b"begun")
        assert await peer.read_close() == (1000, "Connection closed")


@on_both
async def test_A12_iterating_ends_after_a_close_of_ones_own() -> None:
    async with client() as (websocket, _):
        await websocket.close(1001, "enough")
        assert await events_of(websocket) == []
        assert await websocket.next_event() == CloseConnection(1001, "enough")


@on_both
async def test_A12_closing_ends_the_wait_of_who_iterates() -> None:
    async with client() as (websocket, _), anyio.create_task_group() as group:
        group.start_soon(events_of, websocket)
        await anyio.wait_all_tasks_blocked()
        await websocket.close()


# A13, TLS.


@asynccontextmanager
async def serving_tls(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def handle(stream: SocketStream) -> None:
        # A client that does not like the certificate hangs up.
        async with stream:
            with suppress(ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
                secure = await TLSStream.wrap(
                    stream, server_side=True, ssl_context=context, standard_compatible=False
                )
                await _serve_echo(secure)

    async with listening(handle) as port:
        yield port


@on_both
async def test_A13_wss_verifies_the_certificate(server_tls: ssl.SSLContext) -> None:
    async with serving_tls(server_tls) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with asyncwebsockets.open_websocket(f"wss://localhost:{port}"):
                pass


@on_both
async def test_A13_wss_verifies_the_name(
    server_tls: ssl.SSLContext, authority_is_trusted: None
) -> None:
    async with serving_tls(server_tls) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncwebsockets.create_websocket(f"wss://127.0.0.1:{port}")


@on_both
async def test_A13_wss_needs_nothing_else_for_a_certificate_that_is_good(
    server_tls: ssl.SSLContext, authority_is_trusted: None
) -> None:
    async with serving_tls(server_tls) as port:
        await _say_hello(f"wss://localhost:{port}")


@on_both
async def test_A13_true_verifies_too(server_tls: ssl.SSLContext) -> None:
    async with serving_tls(server_tls) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncwebsockets.create_websocket(f"ws://localhost:{port}", ssl=True)


@on_both
async def test_A13_a_tls_stream_that_is_cut_off_is_an_end_of_stream(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def handle(stream: SocketStream) -> None:
        secure = await TLSStream.wrap(stream, server_side=True, ssl_context=server_tls)
        await shake_as_server(secure)
        await stream.aclose()

    async with listening(handle) as port:
        url = f"wss://localhost:{port}"
        websocket = await asyncwebsockets.create_websocket(url, client_tls)
        with pytest.raises(anyio.EndOfStream):
            await websocket.next_event()


# A14, filters.


@pytest.mark.parametrize(
    ("answer", "subprotocol"),
    [
        (True, "a"),
        ("a", "a"),
        ("b", "b"),
        (AcceptConnection(), None),
        (AcceptConnection("b"), "b"),
    ],
)
@on_both
async def test_A14_a_filter_accepts(answer: Any, subprotocol: str | None) -> None:
    async def accept(request: Request) -> Any:
        return answer

    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(asyncwebsockets.create_websocket_server, ours, accept)
        head = await shake_as_client(theirs, "Sec-WebSocket-Protocol: a, b\r\n")
        assert head.startswith("HTTP/1.1 101 ")
        if subprotocol is None:
            assert "Sec-WebSocket-Protocol" not in head
        else:
            assert header(head, "Sec-WebSocket-Protocol") == subprotocol


@on_both
async def test_A14_an_accept_event_may_have_headers() -> None:
    async def accept(request: Request) -> AcceptConnection:
        return AcceptConnection(extra_headers=[(b"X-One", b"1")])

    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(asyncwebsockets.create_websocket_server, ours, accept)
        assert header(await shake_as_client(theirs), "X-One") == "1"


@pytest.mark.parametrize(("offer", "agreed"), [("", None), ("a, b", "a"), ("b", "b")])
@on_both
async def test_A14_without_a_filter_the_first_subprotocol_is_accepted(
    offer: str, agreed: str | None
) -> None:
    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(asyncwebsockets.create_websocket_server, ours)
        extra = f"Sec-WebSocket-Protocol: {offer}\r\n" if offer else ""
        head = await shake_as_client(theirs, extra)
        assert ("Sec-WebSocket-Protocol" in head) == (agreed is not None)
        if agreed is not None:
            assert header(head, "Sec-WebSocket-Protocol") == agreed


@pytest.mark.parametrize("answer", [False, None, "", 0])
@on_both
async def test_A14_a_filter_refuses_with_anything_false(answer: Any) -> None:
    async def refuse(request: Request) -> Any:
        return answer

    error, head = await refused(refuse)
    assert isinstance(error, ConnectionError)
    assert error.args == ("Not accepted", RejectConnection(400))
    assert head.startswith("HTTP/1.1 400 ")


@on_both
async def test_A14_a_filter_refuses_with_an_event() -> None:
    rejection = RejectConnection(403, [(b"X-One", b"1")])

    async def refuse(request: Request) -> RejectConnection:
        return rejection

    error, head = await refused(refuse)
    assert isinstance(error, ConnectionError)
    assert error.args == ("Not accepted", rejection)
    assert head.startswith("HTTP/1.1 403 ")
    assert header(head, "X-One") == "1"


@on_both
async def test_A14_a_filter_sees_the_request() -> None:
    seen: list[Request] = []

    async def look(request: Request) -> bool:
        seen.append(request)
        return False

    await refused(look)
    assert isinstance(seen[0], Request)
    assert (seen[0].host, seen[0].target) == ("example.com", "/chat?q=1")
    assert seen[0].subprotocols == ["a", "b"]


@on_both
async def test_A14_what_a_filter_raises_is_raised_and_the_client_is_told() -> None:
    async def stumble(request: Request) -> bool:
        raise LookupError("on purpose")

    error, head = await refused(stumble)
    assert isinstance(error, LookupError)
    assert head.startswith("HTTP/1.1 500 ")


@pytest.mark.parametrize("answer", ["c", AcceptConnection("c"), 3, CloseConnection(1000)])
@on_both
async def test_A14_an_answer_that_makes_no_sense_is_raised_and_the_client_is_told(
    answer: Any,
) -> None:
    async def confuse(request: Request) -> Any:
        return answer

    error, head = await refused(confuse)
    assert isinstance(error, LocalProtocolError)
    assert head.startswith("HTTP/1.1 500 ")


@on_both
async def test_A14_a_filter_that_is_cancelled_ends_the_connection() -> None:
    async def ponder(request: Request) -> bool:
        await anyio.sleep_forever()
        return True

    ours, theirs = memory_pair()
    async with theirs:
        await send_request(theirs)
        with anyio.move_on_after(0.01):
            await asyncwebsockets.create_websocket_server(ours, ponder)
        with pytest.raises(anyio.EndOfStream):
            await theirs.receive()


# A15, a client that is rejected.


@on_both
async def test_A15_a_rejection_is_a_connection_error_with_the_event() -> None:
    async def refuse(request: Request) -> RejectConnection:
        return RejectConnection(403, [(b"X-One", b"1")])

    async def handle(stream: SocketStream) -> None:
        with pytest.raises(ConnectionError, match="Not accepted"):
            await asyncwebsockets.create_websocket_server(stream, refuse)

    async with listening(handle) as port:
        with pytest.raises(ConnectionError, match="Failed to establish a connection") as caught:
            await asyncwebsockets.create_websocket(f"ws://127.0.0.1:{port}")
    event = caught.value.args[1]
    assert isinstance(event, RejectConnection)
    assert event.status_code == 403
    assert (b"x-one", b"1") in event.headers
    assert isinstance(caught.value.__cause__, HandshakeRejected)


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "503 Later"])
@in_virtual_time
async def test_A15_a_rejection_is_raised_at_once_though_its_body_does_not_come(
    status: str,
) -> None:
    ours, theirs = memory_pair()
    async with theirs:
        answer = f"HTTP/1.1 {status}\r\nLocation: /\r\nContent-Length: 1000\r\n\r\n"
        await theirs.send(answer.encode())
        with pytest.raises(ConnectionError) as caught:
            await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/")
    assert caught.value.args[1].status_code == int(status[:3])


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: bm9uc2Vuc2U=\r\n\r\n",
    ],
)
@on_both
async def test_A15_an_answer_that_makes_no_sense_is_a_protocol_error(answer: bytes) -> None:
    ours, theirs = memory_pair()
    async with theirs:
        await theirs.send(answer)
        with pytest.raises(RemoteProtocolError):
            await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/")


@on_both
async def test_A15_a_server_that_hangs_up_is_the_end_of_the_stream() -> None:
    ours, theirs = memory_pair()
    await theirs.aclose()
    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
        await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/")


# A16, Host.


@on_both
async def test_A16_host_has_no_port() -> None:
    requests: list[str] = []

    async def handle(stream: SocketStream) -> None:
        async with stream:
            requests.append(await shake_as_server(stream))
            await RawPeer(stream, masked=False).read_to_end()

    async with (
        listening(handle) as port,
        asyncwebsockets.open_websocket(f"ws://127.0.0.1:{port}"),
    ):
        assert header(requests[0], "Host") == "127.0.0.1"


# A17, no limits, no timeouts.


@on_both
async def test_A17_a_message_of_30_megabytes_is_received() -> None:
    async def handle(stream: SocketStream) -> None:
        async with stream:
            await shake_as_server(stream)
            peer = RawPeer(stream, masked=False)
            await peer.send(FIN | BINARY, bytes(30_000_000))
            await peer.read_to_end()

    async with (
        listening(handle) as port,
        asyncwebsockets.open_websocket(f"ws://127.0.0.1:{port}") as websocket,
    ):
        event = await websocket.next_event()
        assert isinstance(event, BytesMessage)
        assert len(event.data) == 30_000_000


@in_virtual_time
async def test_A17_an_opening_handshake_may_take_for_ever() -> None:
    ours, theirs = memory_pair()

    async def answer_late() -> None:
        await anyio.sleep(50_000)
        await shake_as_server(theirs)

    async with theirs, anyio.create_task_group() as group:
        group.start_soon(answer_late)
        await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/")


@in_virtual_time
async def test_A17_a_client_may_take_for_ever_to_ask() -> None:
    ours, theirs = memory_pair()

    async def ask_late() -> None:
        await anyio.sleep(50_000)
        await shake_as_client(theirs)

    async with theirs, anyio.create_task_group() as group:
        group.start_soon(ask_late)
        await asyncwebsockets.create_websocket_server(ours)


@in_virtual_time
async def test_A17_a_silent_peer_is_not_pinged_and_not_closed() -> None:
    async with client() as (websocket, peer):
        await anyio.sleep(50_000)
        await websocket.send("still here")
        assert await peer.read() == (FIN | TEXT, b"still here")


@in_virtual_time
async def test_A17_sending_waits_for_ever_for_a_peer_that_takes_nothing() -> None:
    ours, theirs = memory_pair(size=1)
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        websocket = await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/")
        with anyio.move_on_after(50_000) as scope:
            while True:
                await websocket.send("a" * 100_000)
        assert scope.cancelled_caught
        assert (await RawPeer(theirs, masked=False).read()).payload == b"a" * 100_000


def test_A17_what_is_off() -> None:
    assert {
        CONFIG.open_timeout,
        CONFIG.send_timeout,
        CONFIG.idle_timeout,
        CONFIG.message_timeout,
        CONFIG.ping_interval,
        CONFIG.max_message_size,
        CONFIG.max_fragment_size,
        CONFIG.max_fragments,
    } == {inf}


@on_both
async def test_A17_another_config_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncwebsockets.websocket, "CONFIG", CONFIG.replace(max_message_size=1000))
    async with client() as (websocket, peer):
        await peer.send(FIN | BINARY, bytes(1001))
        event = await websocket.next_event()
        assert isinstance(event, CloseConnection)
        assert event.code == 1009


@on_both
async def test_A17_another_config_has_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncwebsockets.websocket, "CONFIG", CONFIG.replace(open_timeout=0.02))

    async def never_answer(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream):
                await stream.receive()
                await stream.receive()

    async with listening(never_answer) as port:
        url = f"ws://127.0.0.1:{port}"
        with pytest.raises(TimeoutError) as caught:
            await asyncwebsockets.create_websocket(url)
    assert isinstance(caught.value, OpenTimeout)


# A18, sending on what is closed.


@pytest.mark.parametrize(
    "error", [LocalProtocolError, ConnectionClosed, anyio.ClosedResourceError]
)
@on_both
async def test_A18_sending_after_closing_raises(error: type[Exception]) -> None:
    async with client() as (websocket, _):
        await websocket.close(1001, "enough")
        with pytest.raises(error):
            await websocket.send("too late")
        with pytest.raises(error):
            await websocket.send("too late", final=False)


@on_both
async def test_A18_the_error_tells_who_closed_and_why() -> None:
    async with client() as (websocket, _):
        await websocket.close(1001, "enough")
        with pytest.raises(asyncwebsockets.WebsocketClosed, match=r"1001 .*enough") as caught:
            await websocket.send("too late")
        assert caught.value.reason.code == 1001


@on_both
async def test_A18_sending_after_learning_that_the_peer_closed_raises() -> None:
    async with client() as (websocket, peer):
        await peer.send(CLOSE, close_payload(1000))
        assert await events_of(websocket) == []
        with pytest.raises(LocalProtocolError):
            await websocket.send("too late")


@on_both
async def test_A18_answering_a_message_whose_sender_has_closed_meanwhile_is_no_error() -> None:
    async with server() as (websocket, peer):
        await peer.send(FIN | TEXT, b"question")
        await peer.send(CLOSE, close_payload(1000))
        assert await peer.read_close() == (1000, "")
        await echo(websocket)


@in_virtual_time
async def test_A18_whoever_never_receives_learns_by_sending_that_the_peer_closed() -> None:
    async with client() as (websocket, peer):
        await peer.send(CLOSE, close_payload(1000))
        await peer.read_close()
        await websocket.send("nobody gets this")
        await anyio.sleep(CONFIG.close_timeout)
        with pytest.raises(LocalProtocolError):
            await websocket.send("too late")


@on_both
async def test_A18_sending_on_a_stream_that_ended_raises() -> None:
    async with client() as (websocket, peer):
        await peer.stream.aclose()
        with pytest.raises(anyio.EndOfStream):
            await websocket.next_event()
        with pytest.raises(anyio.BrokenResourceError):
            await websocket.send("too late")


# A19, cancelling.


@on_both
async def test_A19_a_cancelled_send_never_leaves_half_a_frame() -> None:
    ours, theirs = memory_pair(size=1)
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        websocket = await asyncwebsockets.create_websocket_client(ours, ADDRESS, "/")
        sent = []
        for i in range(20):
            with anyio.move_on_after(0.005):
                await websocket.send(f"{i} " * 50_000)
                sent.append(i)
        assert len(sent) < 20
        group.start_soon(websocket.send, "last")
        peer = RawPeer(theirs, masked=False)
        for i in sent:
            assert await peer.read() == (FIN | TEXT, f"{i} ".encode() * 50_000)
        assert await peer.read() == (FIN | TEXT, b"last")


@on_both
async def test_A19_a_send_cancelled_on_a_socket_leaves_whole_frames_only() -> None:
    cancelled = anyio.Event()
    received: list[bytes] = []

    async def handle(stream: SocketStream) -> None:
        async with stream:
            await shake_as_server(stream)
            await cancelled.wait()
            frames = await RawPeer(stream, masked=False).read_to_end()
            received.extend(payload for _, payload in frames)

    async with listening(handle) as port:
        async with asyncwebsockets.open_websocket(f"ws://127.0.0.1:{port}") as websocket:
            with anyio.move_on_after(0.05) as scope:
                while True:
                    await websocket.send(bytes(1_000_000))
            assert scope.cancelled_caught
            cancelled.set()
            await websocket.send(b"last")
        await until(lambda: bool(received))
    *_, last, close = received
    assert last == b"last"
    assert close == close_payload(1000, "Connection closed")


@on_both
async def test_A19_a_cancelled_close_is_said_all_the_same() -> None:
    async with client() as (websocket, peer):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await websocket.close(1001, "hurry")
        assert await peer.read_close() == (1001, "hurry")


@on_both
async def test_A19_leaving_a_block_by_being_cancelled_closes_the_connection() -> None:
    ours, theirs = memory_pair()
    async with theirs, anyio.create_task_group() as group:
        group.start_soon(shake_as_server, theirs)
        with anyio.CancelScope() as scope:
            async with asyncwebsockets.open_websocket_client(ours, ADDRESS, "/"):
                scope.cancel()
                await anyio.sleep_forever()
        assert await RawPeer(theirs, masked=False).read_close() == (1000, "Connection closed")


def test_every_name_is_documented() -> None:
    for name in asyncwebsockets.__all__:
        assert inspect.getdoc(getattr(asyncwebsockets, name))
