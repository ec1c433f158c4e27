"""TLS on asyncio: whom it trusts, and that its own way of closing holds nothing up."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme
from tests.ws_asyncio.peers import REQUEST, Peer, echo, listening, until

from ws_asyncio import Server, WebSocket, connect, serve
from wscore import Cause, HandshakeInterrupted, OpenTimeout

MIB = 1024 * 1024


@asynccontextmanager
async def serving(tls: ssl.SSLContext, **options: Any) -> AsyncIterator[tuple[Server, str]]:
    async with serve(echo, "127.0.0.1", 0, ssl=tls, **options) as server:
        yield server, f"wss://localhost:{server.port}/"


@asynccontextmanager
async def connected(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, **options: Any
) -> AsyncIterator[WebSocket]:
    async with (
        serving(server_tls, **options) as (_, url),
        connect(url, ssl=client_tls, **options) as client,
    ):
        yield client


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("size", [0, 100, MIB])
async def test_messages_pass(
    size: int, compression: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with connected(server_tls, client_tls, compression=compression) as client:
        for message in ("x" * size, b"x" * size):
            await client.send(message)
            assert await client.recv() == message
        assert client.stats.frames_sent == 2


async def test_floods_pass_in_both_directions(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with connected(server_tls, client_tls) as client:

        async def send() -> None:
            for i in range(100):
                await client.send(i.to_bytes(4, "big") * 16_384)

        sending = asyncio.create_task(send())
        for i in range(100):
            assert await client.recv() == i.to_bytes(4, "big") * 16_384
        await sending


async def test_older_tls_works_too(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(context)
    async with connected(server_tls, context) as client:
        await client.send("hello")
        assert await client.recv() == "hello"


# ---------------------------------------------------------------------------- not trusted


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    server_tls: ssl.SSLContext,
) -> None:
    """The default context verifies."""
    async with serving(server_tls) as (_, url):
        with pytest.raises(HandshakeInterrupted) as caught:
            await connect(url)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_a_certificate_for_another_name_is_refused(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(server_tls) as (server, url):
        for wrong in (
            connect(f"wss://127.0.0.1:{server.port}/", ssl=client_tls),
            connect(url, ssl=client_tls, server_hostname="example.com"),
        ):
            with pytest.raises(HandshakeInterrupted) as caught:
                await wrong
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        right = connect(
            f"wss://127.0.0.1:{server.port}/", ssl=client_tls, server_hostname="localhost"
        )
        async with right as client:
            await client.ping()


async def test_a_plain_client_on_a_tls_port_is_let_go(server_tls: ssl.SSLContext) -> None:
    async with serving(server_tls) as (server, _):
        with pytest.raises(HandshakeInterrupted):
            await connect(f"ws://127.0.0.1:{server.port}/")


async def test_a_tls_client_on_a_plain_port_is_let_go(client_tls: ssl.SSLContext) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(HandshakeInterrupted) as caught:
            await connect(f"wss://localhost:{server.port}/", ssl=client_tls)
        assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_open_timeout_bounds_the_tls_handshake_of_a_server(
    server_tls: ssl.SSLContext,
) -> None:
    async with serving(server_tls, open_timeout=0.1) as (server, _):
        with await Peer.dial(server.port) as peer:
            assert await peer.read_to_end() == b""


async def test_open_timeout_bounds_the_tls_handshake_of_a_client(
    client_tls: ssl.SSLContext,
) -> None:
    async with listening() as (listener, port):
        connecting = asyncio.ensure_future(_open(port, client_tls, open_timeout=0.1))
        with await Peer.accept(listener) as peer:
            await peer.read()
            with pytest.raises(OpenTimeout):
                await connecting


async def _open(port: int, tls: ssl.SSLContext, **options: Any) -> WebSocket:
    return await connect(f"wss://localhost:{port}/", ssl=tls, **options)


@pytest.mark.parametrize("seconds", [float("inf"), 1e9])
async def test_timeouts_may_be_off(
    seconds: float, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    options = {"open_timeout": seconds, "close_timeout": seconds}
    async with connected(server_tls, client_tls, **options) as client:
        await client.send("hello")
        assert await client.recv() == "hello"


# -------------------------------------------------------------------------------- closing


@pytest.mark.parametrize("who", ["client", "server", "both"])
async def test_a_close_is_prompt_on_both_sides(
    who: str, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    met: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        met.set_result(websocket)
        await websocket.wait_closed()

    async with serve(handler, "127.0.0.1", 0, ssl=server_tls) as server:
        client = await connect(f"wss://localhost:{server.port}/", ssl=client_tls)
        other = await met
        async with asyncio.timeout(1):
            closers = {"client": [client], "server": [other], "both": [client, other]}[who]
            await asyncio.gather(*(websocket.close() for websocket in closers))
            for websocket in (client, other):
                assert (await websocket.wait_closed()).clean


async def test_a_close_goes_behind_what_was_sent(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    received: list[int] = []

    async def handler(websocket: WebSocket) -> None:
        received.extend([len(message) async for message in websocket])

    async with serve(handler, "127.0.0.1", 0, ssl=server_tls) as server:
        async with connect(f"wss://localhost:{server.port}/", ssl=client_tls) as client:
            for _ in range(5):
                await client.send(b"x" * MIB)
        assert (await client.wait_closed()).clean
    assert received == [MIB] * 5


class TLSPeer:
    """A TLS client by hand, which says nothing that it is not told to say."""

    def __init__(self, tls: ssl.SSLContext, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def _flush(self) -> None:
        await self._loop.sock_sendall(self._sock, self._outgoing.read())

    async def _more(self) -> None:
        data = await self._loop.sock_recv(self._sock, 65536)
        assert data
        self._incoming.write(data)

    async def upgrade(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._more()
        await self.write(REQUEST)
        assert (await self.read()).startswith(b"HTTP/1.1 101 ")

    async def write(self, data: bytes) -> None:
        self._tls.write(data)
        await self._flush()

    async def read(self) -> bytes:
        """Some bytes; none at the end that TLS says (close_notify)."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                await self._more()
            except ssl.SSLZeroReturnError:
                return b""

    async def end_of_tcp(self) -> None:
        try:
            while await self._loop.sock_recv(self._sock, 65536):
                pass
        except ConnectionResetError:
            pass


async def test_a_peer_that_never_answers_close_notify_is_let_go_within_close_timeout(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serving(server_tls, close_timeout=0.1) as (server, _):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            peer = TLSPeer(client_tls, sock)
            await peer.upgrade()
            await peer.write(b"\x88\x80\0\0\0\0")
            assert await peer.read() == b"\x88\x00"
            assert await peer.read() == b""
            await peer.end_of_tcp()
            await until(lambda: not server._tasks)


async def test_a_peer_that_stays_after_its_violation_is_let_go_within_close_timeout(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """TLS cannot end one direction: the Close frame goes out, the rest waits."""
    async with serving(server_tls, close_timeout=0.1) as (server, _):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            peer = TLSPeer(client_tls, sock)
            await peer.upgrade()
            await peer.write(b"\x83\x80\0\0\0\0")
            assert (await peer.read()).startswith(b"\x88")
            await peer.end_of_tcp()
            await until(lambda: not server._tasks)


async def test_a_stream_that_is_cut_is_not_a_close(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    ended: asyncio.Future[Cause] = asyncio.get_running_loop().create_future()

    async def handler(websocket: WebSocket) -> None:
        ended.set_result((await websocket.wait_closed()).cause)

    async with serve(handler, "127.0.0.1", 0, ssl=server_tls) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            await TLSPeer(client_tls, sock).upgrade()
        assert await ended in (Cause.EOF, Cause.TRANSPORT_ERROR)
