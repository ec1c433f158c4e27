"""The contender aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from aiohttp import ClientError, ClientSession, WSMessageTypeError, web

from bench.coroutines import Handler, OnAsyncio, Peer
from bench.roles import play


class Aiohttp(OnAsyncio):
    """On asyncio or uvloop."""

    # What comes at the end is a message of another type than bytes.
    ended: ClassVar = (ClientError, WSMessageTypeError)

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(request: web.Request) -> web.WebSocketResponse:
            websocket = web.WebSocketResponse(compress=deflate, max_msg_size=0)
            await websocket.prepare(request)
            await handle(Peer(websocket.send_bytes, websocket.receive_bytes, websocket))
            return websocket

        app = web.Application()
        app.router.add_get("/", handle_one)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        async with (
            ClientSession() as session,
            session.ws_connect(
                f"ws://127.0.0.1:{port}", compress=15 if deflate else 0, max_msg_size=0
            ) as websocket,
        ):
            yield Peer(websocket.send_bytes, websocket.receive_bytes, websocket)


if __name__ == "__main__":
    play(Aiohttp)
