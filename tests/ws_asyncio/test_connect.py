"""Connecting on asyncio: every option, and every way not to get a connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.ws_asyncio.peers import Peer, echo, listening, turns, until

from ws_asyncio import connect, serve
from wscore import (
    BadHandshake,
    Config,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRejected,
    InvalidURL,
    OpenTimeout,
    State,
)

# -------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://example.com/", {}),
        ("ws://example.com/#fragment", {}),
        ("ws://example.com/", {"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}),
        ("ws://example.com/", {"server_hostname": "example.org"}),
        ("ws://example.com/", {"origin": "https://a", "headers": {"Origin": "https://b"}}),
        ("ws://example.com/", {"open_timeout": -1}),
        ("ws://example.com/", {"max_queue": 0}),
    ],
)
async def test_what_cannot_be_right_raises_at_once(url: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        connect(url, **options)


@pytest.mark.parametrize("options", [{"nonsense": 1}, {"headers": {"X": 1}}, {"overflow": None}])
async def test_what_is_of_the_wrong_type_raises_at_once(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        connect("ws://example.com/", **options)


async def test_a_url_that_is_none_raises_its_own_error() -> None:
    with pytest.raises(InvalidURL):
        connect("example.com")


async def test_a_socket_and_a_path_exclude_each_other() -> None:
    with socket.socket() as sock, pytest.raises(ValueError):
        connect("ws://example.com/", sock=sock, unix_path="socket")


async def test_a_connection_may_be_awaited_or_entered() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        websocket = await connect(url)
        assert websocket.state is State.OPEN
        assert websocket.remote_address == ("127.0.0.1", server.port)
        async with websocket as same, connect(url) as other:
            assert same is websocket
            assert other.local_address != websocket.local_address
        assert websocket.state is other.state is State.CLOSED
        assert websocket.remote_address == ("127.0.0.1", server.port)
        assert repr(websocket) == f"<WebSocket client closed, peer {websocket.remote_address}>"


async def test_keyword_arguments_change_the_config() -> None:
    config = Config(subprotocols=["a", "b"], max_queue=3)
    async with serve(echo, "127.0.0.1", 0, config=config) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with connect(url, config=config, subprotocols=["b"]) as websocket:
            assert websocket.subprotocol == "b"
            assert websocket._connection.config == config.replace(subprotocols=["b"])


async def test_a_user_name_in_the_url_becomes_basic_authentication() -> None:
    async with listening() as (listener, port):
        connecting = asyncio.ensure_future(_open(f"ws://user:p%40ss@127.0.0.1:{port}/a?b=c"))
        with await Peer.accept(listener) as peer:
            head = await peer.answer()
            assert head.startswith(b"GET /a?b=c HTTP/1.1\r\n")
            assert b"authorization: basic dxnlcjpwqhnz" in head.lower()
            (await connecting).abort()
            await turns()


async def _open(url: str, **options: Any) -> Any:
    return await connect(url, **options)


async def test_a_socket_of_the_callers_is_used_and_never_blocks_the_loop() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        assert sock.getblocking()
        address = sock.getsockname()
        async with connect("ws://example.com/", sock=sock) as websocket:
            assert websocket.local_address == address
            assert not sock.getblocking()
            await websocket.send("hello")
            assert await websocket.recv() == "hello"
            assert websocket.request is not None
            assert websocket.request.host == "example.com"


@pytest.mark.parametrize("secure", [False, True])
async def test_a_unix_socket_is_connected_to(
    secure: bool, tmp_path: Path, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    path = str(tmp_path / "socket")
    async with serve(echo, unix_path=path, ssl=server_tls if secure else None) as server:
        assert len(server.sockets) == 1
        url = "wss://localhost/" if secure else "ws://localhost/"
        options: dict[str, Any] = {"ssl": client_tls} if secure else {}
        async with connect(url, unix_path=path, **options) as websocket:
            await websocket.send("hello")
            assert await websocket.recv() == "hello"


# ------------------------------------------------------------------------------- failures


async def test_a_refused_connection_says_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(HandshakeInterrupted) as caught:
            await connect(f"ws://127.0.0.1:{unused.getsockname()[1]}/")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_name_that_nobody_has_says_so() -> None:
    with pytest.raises(HandshakeInterrupted) as caught:
        await connect("ws://nobody.invalid/")
    assert isinstance(caught.value.__cause__, socket.gaierror)


async def test_a_path_where_nobody_listens_says_so(tmp_path: Path) -> None:
    with pytest.raises(HandshakeInterrupted) as caught:
        await connect("ws://localhost/", unix_path=str(tmp_path / "nobody"))
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """A port whose queue is full: it never answers a SYN."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        while True:
            filler = socket.socket()
            filler.settimeout(0.05)
            fillers.append(filler)
            try:
                filler.connect(address)
            except TimeoutError:
                break
        try:
            yield address[1]
        finally:
            for filler in fillers:
                filler.close()


async def test_open_timeout_bounds_a_connect_that_nobody_answers() -> None:
    async with black_hole() as port:
        with pytest.raises(OpenTimeout) as caught:
            await connect(f"ws://127.0.0.1:{port}/", open_timeout=0.05)
    assert caught.value.seconds == 0.05


@pytest.mark.parametrize("secure", [False, True])
async def test_open_timeout_bounds_a_server_that_never_speaks(
    secure: bool, client_tls: ssl.SSLContext
) -> None:
    async with listening() as (_, port):
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}/"
        options: dict[str, Any] = {"ssl": client_tls} if secure else {}
        with pytest.raises(OpenTimeout):
            await connect(url, open_timeout=0.05, **options)


async def test_open_timeout_bounds_an_answer_that_trickles() -> None:
    async with listening() as (listener, port):
        connecting = asyncio.ensure_future(_open(f"ws://127.0.0.1:{port}/", open_timeout=0.1))
        with await Peer.accept(listener) as peer:
            await peer.write(b"HTTP/1.1 101 ")
            while not connecting.done():
                try:
                    await peer.write(b"x")
                except OSError:
                    break
                await asyncio.sleep(0.001)
            with pytest.raises(OpenTimeout):
                await connecting


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", BadHandshake),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", HandshakeRejected),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", BadHandshake),
        (b"HTTP/1.1 404 Not Found\r\n\r\nuntil the end of the stream", HandshakeRejected),
        (b"HTTP/1.1 1", HandshakeInterrupted),
        (b"", HandshakeInterrupted),
    ],
)
async def test_another_answer_than_101_is_reported_as_what_it_is(
    answer: bytes, error: type[HandshakeError]
) -> None:
    async with listening() as (listener, port):
        connecting = asyncio.ensure_future(_open(f"ws://127.0.0.1:{port}/"))
        with await Peer.accept(listener) as peer:
            await peer.read_head()
            await peer.write(answer)
            peer.end()
            with pytest.raises(error) as caught:
                await connecting
        if isinstance(caught.value, HandshakeRejected):
            assert answer.endswith(caught.value.response.body)
            assert caught.value.response.body


async def test_a_reset_during_the_handshake_says_so() -> None:
    async with listening() as (listener, port):
        connecting = asyncio.ensure_future(_open(f"ws://127.0.0.1:{port}/"))
        with await Peer.accept(listener) as peer:
            await peer.read_head()
            peer.reset()
            with pytest.raises(HandshakeInterrupted) as caught:
                await connecting
    assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_a_socket_that_is_no_stream_raises_and_is_closed() -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with pytest.raises(ValueError):
        await connect("ws://example.com/", sock=sock)
    assert sock.fileno() == -1


async def test_a_socket_of_the_callers_is_closed_if_tls_fails(server_tls: ssl.SSLContext) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        with pytest.raises(HandshakeInterrupted):
            await connect("wss://localhost/", sock=sock)
        await until(lambda: sock.fileno() == -1)


# --------------------------------------------------------------------------- cancellation


@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize("secure", [False, True])
async def test_a_cancelled_connect_leaves_nothing_behind(
    turn: int, secure: bool, client_tls: ssl.SSLContext
) -> None:
    """That nothing is left, every test here proves."""
    async with listening() as (_, port):
        url = f"{'wss' if secure else 'ws'}://127.0.0.1:{port}/"
        options: dict[str, Any] = {"ssl": client_tls} if secure else {}
        connecting = asyncio.ensure_future(_open(url, **options))
        await turns(turn)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


async def test_a_connect_cancelled_after_its_request_hangs_up() -> None:
    async with listening() as (listener, port):
        connecting = asyncio.ensure_future(_open(f"ws://127.0.0.1:{port}/"))
        with await Peer.accept(listener) as peer:
            await peer.read_head()
            connecting.cancel()
            # Long before open_timeout.
            async with asyncio.timeout(5):
                assert await peer.read_to_end() == b""
        assert connecting.cancelled()
