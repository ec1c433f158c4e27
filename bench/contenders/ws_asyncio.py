"""The contender ws-asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import ClassVar

from bench.contenders.ours import config
from bench.coroutines import Handler, OnAsyncio, Peer
from bench.roles import play
from ws_asyncio import WebSocket, broadcast, connect, serve
from wscore import ConnectionClosed


class WsAsyncio(OnAsyncio):
    """On asyncio or uvloop."""

    ended: ClassVar = (ConnectionClosed,)

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(websocket: WebSocket) -> None:
            await handle(Peer(websocket.send, websocket.recv, websocket))

        async with serve(handle_one, "127.0.0.1", 0, config=config(deflate=deflate)) as server:
            yield server.port

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        url = f"ws://127.0.0.1:{port}"
        async with connect(url, config=config(deflate=deflate)) as websocket:
            yield Peer(websocket.send, websocket.recv, websocket)

    async def broadcast(self, audience: Collection[Peer], message: bytes) -> None:
        """Send a message to all of them."""
        broadcast((peer.connection for peer in audience), message)


if __name__ == "__main__":
    play(WsAsyncio)
