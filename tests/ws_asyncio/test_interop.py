"""Our client against the servers of others, and their clients against ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import aiohttp.web
import pytest
import websockets.asyncio.client
import websockets.asyncio.server
import websockets.exceptions
from tests.ws_asyncio.peers import echo
from websockets.http11 import Request as TheirRequest
from websockets.http11 import Response as TheirResponse

from ws_asyncio import WebSocket, connect, serve
from wscore import Accept, CloseReason, ConnectionClosed, HandshakeRejected, Request, Response

MIB = 1024 * 1024

MESSAGES: list[str | bytes] = [
    "",
    b"",
    "text",
    "ünïcödé ✓ 🎈",
    b"\x00\xff",
    "x" * 70_000,
    "x" * MIB,
    bytes(range(256)) * (MIB // 256),
]

COMPRESSION = [None, "deflate"]

Closes = list[tuple[int | None, str]]


# ------------------------------------------------------------------------- their servers


@asynccontextmanager
async def websockets_server(closes: Closes, *, compression: Any) -> AsyncIterator[str]:
    async def handler(connection: websockets.asyncio.server.ServerConnection) -> None:
        try:
            async for message in connection:
                if message == "fragments":
                    await connection.send(["a" * 100, "b" * 100, "c" * 100])
                elif message == "close":
                    await connection.close(4001, "you asked")
                elif message == "ping":
                    await (await connection.ping())
                    await connection.send("ponged")
                elif message == "cookie":
                    assert connection.request is not None
                    await connection.send(connection.request.headers["Cookie"])
                else:
                    await connection.send(message)
        finally:
            await connection.wait_closed()
            closes.append((connection.close_code, connection.close_reason or ""))

    def refuse(
        connection: websockets.asyncio.server.ServerConnection, request: TheirRequest
    ) -> TheirResponse | None:
        return connection.respond(404, "nothing here\n") if request.path == "/no" else None

    async with websockets.asyncio.server.serve(
        handler,
        "127.0.0.1",
        0,
        compression=compression,
        # Its own choice would insist on one.
        select_subprotocol=lambda _, offered: next(
            (one for one in offered if one == "chat"), None
        ),
        process_request=refuse,
        logger=_quiet(),
    ) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _quiet() -> logging.Logger:
    logger = logging.getLogger("websockets.tests")
    logger.setLevel(logging.CRITICAL)
    return logger


@asynccontextmanager
async def aiohttp_server(closes: Closes, *, compression: Any) -> AsyncIterator[str]:
    async def handler(request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        websocket = aiohttp.web.WebSocketResponse(
            protocols=["chat"], compress=bool(compression), max_msg_size=2 * MIB
        )
        await websocket.prepare(request)
        async for message in websocket:
            if message.data == "fragments":
                # It has no way to send them.
                await websocket.send_str("a" * 100 + "b" * 100 + "c" * 100)
            elif message.data == "close":
                await websocket.close(code=4001, message=b"you asked")
            elif message.data == "ping":
                await websocket.ping(b"payload")
                await websocket.send_str("ponged")
            elif message.data == "cookie":
                await websocket.send_str(request.headers["Cookie"])
            elif message.type is aiohttp.WSMsgType.TEXT:
                await websocket.send_str(message.data)
            else:
                await websocket.send_bytes(message.data)
        closes.append((websocket.close_code, ""))
        return websocket

    async def refuse(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=404, text="nothing here\n")

    application = aiohttp.web.Application()
    application.add_routes([aiohttp.web.get("/", handler), aiohttp.web.get("/no", refuse)])
    runner = aiohttp.web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


SERVERS = {"websockets": websockets_server, "aiohttp": aiohttp_server}


@asynccontextmanager
async def our_client(
    theirs: str, closes: Closes | None = None, *, compression: Any = None, **options: Any
) -> AsyncIterator[WebSocket]:
    server: AbstractAsyncContextManager[str] = SERVERS[theirs](
        [] if closes is None else closes, compression=compression
    )
    async with server as url, connect(f"{url}/", compression=compression, **options) as client:
        yield client


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("theirs", SERVERS)
async def test_our_clients_messages_are_echoed(theirs: str, compression: Any) -> None:
    """Twice: with compression the second time is in the context of the first."""
    async with our_client(theirs, compression=compression) as client:
        for message in MESSAGES * 2:
            await client.send(message)
            assert await client.recv() == message
        compressed = client.stats.payload_bytes_received < client.stats.message_bytes_received
        assert compressed is (compression is not None)


@pytest.mark.parametrize("compression", COMPRESSION)
@pytest.mark.parametrize("theirs", SERVERS)
async def test_our_client_and_fragments(theirs: str, compression: Any) -> None:
    async with our_client(theirs, compression=compression) as client:
        await client.send(["one", "", "two" * 1000])
        assert await client.recv() == "one" + "two" * 1000
        await client.send("fragments")
        assert await client.recv() == "a" * 100 + "b" * 100 + "c" * 100
        await client.send([b"one", b"two"])
        parts = [part async for part in client.recv_streaming()]
        assert b"".join(parts) == b"onetwo"  # type: ignore[arg-type]


@pytest.mark.parametrize("theirs", SERVERS)
async def test_our_client_pings_and_is_pinged(theirs: str) -> None:
    async with our_client(theirs) as client:
        assert await client.ping() >= 0
        await client.send("ping")
        assert await client.recv() == "ponged"
        assert client.stats.pings_received == 1


@pytest.mark.parametrize("theirs", SERVERS)
async def test_our_client_closes(theirs: str) -> None:
    closes: Closes = []
    async with our_client(theirs, closes) as client:
        await client.close(4000, "because")
        assert (await client.wait_closed()).clean
    assert [code for code, _ in closes] == [4000]
    assert [reason for _, reason in closes] in (["because"], [""])


@pytest.mark.parametrize("theirs", SERVERS)
async def test_our_client_is_closed(theirs: str) -> None:
    async with our_client(theirs) as client:
        await client.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert (caught.value.code, caught.value.reason.reason) == (4001, "you asked")
        assert (await client.wait_closed()).clean


@pytest.mark.parametrize("theirs", SERVERS)
async def test_our_clients_headers_and_subprotocols(theirs: str) -> None:
    headers = {"Cookie": "a=b; c=d"}
    async with our_client(theirs, headers=headers, subprotocols=["other", "chat"]) as client:
        assert client.subprotocol == "chat"
        await client.send("cookie")
        assert await client.recv() == "a=b; c=d"


@pytest.mark.parametrize("theirs", SERVERS)
async def test_our_client_is_rejected(theirs: str) -> None:
    async with SERVERS[theirs]([], compression=None) as url:
        with pytest.raises(HandshakeRejected) as caught:
            await connect(f"{url}/no")
    response = caught.value.response
    assert (response.status, response.body) == (404, b"nothing here\n")


# ------------------------------------------------------------------------- their clients


@asynccontextmanager
async def our_server(reasons: list[CloseReason], *, compression: Any = None) -> AsyncIterator[str]:
    async def handler(websocket: WebSocket) -> None:
        try:
            async for message in websocket:
                if message == "fragments":
                    await websocket.send(["a" * 100, "b" * 1000, "c" * 100])
                elif message == "close":
                    await websocket.close(4001, "you asked")
                elif message == "ping":
                    assert await websocket.ping() >= 0
                    await websocket.send("ponged")
                else:
                    await websocket.send(message)
        finally:
            reasons.append(await websocket.wait_closed())

    def hook(request: Request) -> Accept | Response:
        if request.path == "/no":
            return Response(404, body="nothing here\n")
        assert request.headers.get("Cookie", "a=b") == "a=b"
        subprotocol = "chat" if "chat" in request.subprotocols else None
        return Accept(subprotocol, {"Set-Cookie": "c=d"})

    async with serve(
        handler, "127.0.0.1", 0, compression=compression, subprotocols=["chat"], on_request=hook
    ) as server:
        yield f"ws://127.0.0.1:{server.port}"


@pytest.mark.parametrize("compression", COMPRESSION)
async def test_websockets_client_and_our_server(compression: Any) -> None:
    reasons: list[CloseReason] = []
    async with (
        our_server(reasons, compression=compression) as url,
        websockets.asyncio.client.connect(
            f"{url}/",
            compression=compression,
            subprotocols=[websockets.Subprotocol("chat")],
            additional_headers={"Cookie": "a=b"},
            max_size=2 * MIB,
        ) as client,
    ):
        assert client.subprotocol == "chat"
        assert client.response is not None
        assert client.response.headers["Set-Cookie"] == "c=d"
        for message in MESSAGES * 2:
            await client.send(message)
            assert await client.recv() == message
        await client.send(["one", "two" * 1000])
        assert await client.recv() == "one" + "two" * 1000
        await client.send("fragments")
        parts = [part async for part in client.recv_streaming()]
        assert [len(part) for part in parts] == [100, 1000, 100]
        await (await client.ping())
        await client.send("ping")
        assert await client.recv() == "ponged"
        await client.close(4000, "because")
    assert [(reason.code, reason.reason, reason.clean) for reason in reasons] == [
        (4000, "because", True)
    ]


async def test_websockets_client_is_closed_and_rejected() -> None:
    reasons: list[CloseReason] = []
    async with our_server(reasons) as url:
        async with websockets.asyncio.client.connect(f"{url}/") as client:
            await client.send("close")
            with pytest.raises(websockets.exceptions.ConnectionClosedError):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4001, "you asked")
        with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
            await websockets.asyncio.client.connect(f"{url}/no")
        assert caught.value.response.status_code == 404
        assert caught.value.response.body == b"nothing here\n"
    assert [reason.clean for reason in reasons] == [True]


@pytest.mark.parametrize("compression", COMPRESSION)
async def test_aiohttp_client_and_our_server(compression: Any) -> None:
    reasons: list[CloseReason] = []
    async with (
        our_server(reasons, compression=compression) as url,
        aiohttp.ClientSession(cookies={"a": "b"}) as session,
        session.ws_connect(
            f"{url}/",
            compress=15 if compression else 0,
            protocols=["chat"],
            max_msg_size=2 * MIB,
        ) as client,
    ):
        assert client.protocol == "chat"
        for message in MESSAGES * 2:
            if isinstance(message, str):
                await client.send_str(message)
                assert await client.receive_str() == message
            else:
                await client.send_bytes(message)
                assert await client.receive_bytes() == message
        await client.send_str("fragments")
        assert await client.receive_str() == "a" * 100 + "b" * 1000 + "c" * 100
        await client.ping(b"payload")
        await client.send_str("ping")
        assert await client.receive_str() == "ponged"
        await client.close(code=4000, message=b"because")
    assert [(reason.code, reason.reason, reason.clean) for reason in reasons] == [
        (4000, "because", True)
    ]


async def test_aiohttp_client_is_closed_and_rejected() -> None:
    reasons: list[CloseReason] = []
    async with our_server(reasons) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/") as client:
            await client.send_str("close")
            message = await client.receive()
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert (message.data, message.extra) == (4001, "you asked")
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{url}/no")
        assert caught.value.status == 404
    assert [reason.clean for reason in reasons] == [True]


async def test_many_of_their_clients_at_once() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.port}/"

        async def talk(number: int) -> None:
            async with websockets.asyncio.client.connect(url) as client:
                for i in range(20):
                    await client.send(f"{number}: {i}")
                    assert await client.recv() == f"{number}: {i}"

        await asyncio.gather(*map(talk, range(20)))
