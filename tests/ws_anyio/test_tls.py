"""TLS on anyio: that its own way of closing holds nothing up, and that a cut is no end."""

from __future__ import annotations

import ssl

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from tests.ws_anyio.streams import MemoryListener, ask_by_hand, echo, until
from tests.wscore.rawpeer import CLOSE, frame

from ws_anyio import WebSocket, connect, serve
from wscore import Cause, CloseReason, HandshakeInterrupted


class Ends:
    """A handler that notes how its connections end."""

    def __init__(self) -> None:
        self.reasons: list[CloseReason] = []

    async def __call__(self, websocket: WebSocket) -> None:
        self.reasons.append(await websocket.wait_closed())


async def by_hand(stream: ByteStream, tls: ssl.SSLContext) -> TLSStream:
    """The client's end over TLS, with its handshake done, which then says what it is told to."""
    secured = await TLSStream.wrap(stream, hostname="localhost", ssl_context=tls)
    assert (await ask_by_hand(secured)).startswith(b"HTTP/1.1 101 ")
    return secured


async def test_a_stream_that_is_cut_is_not_an_end(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    listener, ends = MemoryListener(), Ends()
    async with serve(ends, listeners=[listener], ssl=server_tls):
        secured = await by_hand(listener.dial(), client_tls)
        await secured.transport_stream.aclose()
        await until(lambda: bool(ends.reasons))
    assert ends.reasons[0].cause is Cause.TRANSPORT_ERROR
    assert ends.reasons[0].code == 1006


async def test_a_stream_that_is_cut_behind_both_close_frames_was_closed_cleanly(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    listener, ends = MemoryListener(), Ends()
    async with serve(ends, listeners=[listener], ssl=server_tls):
        secured = await by_hand(listener.dial(), client_tls)
        await secured.send(frame(CLOSE, b"\x03\xe8", masked=True))
        assert await secured.receive() == frame(CLOSE, b"\x03\xe8", masked=False)
        await secured.transport_stream.aclose()
        await until(lambda: bool(ends.reasons))
    assert ends.reasons[0].clean


async def test_who_never_answers_close_notify_is_let_go_at_close_timeout(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, virtual_time: None
) -> None:
    listener, ends = MemoryListener(), Ends()
    async with serve(ends, listeners=[listener], ssl=server_tls, close_timeout=7):
        secured = await by_hand(listener.dial(), client_tls)
        began = anyio.current_time()
        await secured.send(frame(CLOSE, b"\x03\xe8", masked=True))
        assert await secured.receive() == frame(CLOSE, b"\x03\xe8", masked=False)
        while not ends.reasons:  # noqa: ASYNC110  (nobody announces it)
            await anyio.sleep(0.1)
        assert anyio.current_time() - began == pytest.approx(7, abs=0.2)
        assert ends.reasons[0].clean
        await anyio.aclose_forcefully(secured)


async def test_who_stays_after_a_violation_is_let_go_at_close_timeout(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, virtual_time: None
) -> None:
    """TLS cannot end one direction: the Close frame goes out, the rest waits."""
    listener, ends = MemoryListener(), Ends()
    async with serve(ends, listeners=[listener], ssl=server_tls, close_timeout=7):
        secured = await by_hand(listener.dial(), client_tls)
        began = anyio.current_time()
        await secured.send(frame(0x83, masked=True))
        assert (await secured.receive())[0] == CLOSE
        while not ends.reasons:  # noqa: ASYNC110  (nobody announces it)
            await anyio.sleep(0.1)
        assert anyio.current_time() - began == pytest.approx(7, abs=1.2)
        assert ends.reasons[0].cause is Cause.PROTOCOL_ERROR
        await anyio.aclose_forcefully(secured)


async def test_older_tls_works_too(server_tls: ssl.SSLContext, authority: trustme.CA) -> None:
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    authority.configure_trust(older)
    async with (
        serve(echo, "127.0.0.1", 0, ssl=server_tls) as server,
        connect(f"wss://localhost:{server.port}/", ssl=older) as client,
    ):
        await client.send("hello")
        assert await client.recv() == "hello"


async def test_the_default_context_verifies(server_tls: ssl.SSLContext) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        with pytest.raises(HandshakeInterrupted) as caught:
            async with connect(f"wss://localhost:{server.port}/"):
                pass
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_a_tls_client_on_a_plain_port_is_let_go(client_tls: ssl.SSLContext) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(HandshakeInterrupted) as caught:
            async with connect(f"wss://localhost:{server.port}/", ssl=client_tls):
                pass
    assert isinstance(caught.value.__cause__, ssl.SSLError)
