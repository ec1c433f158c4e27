"""The contender websockets, its trio form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import ClassVar

import trio
from websockets import ConnectionClosed
from websockets.trio.client import connect
from websockets.trio.server import Server, ServerConnection, broadcast, serve

from bench.coroutines import Handler, OnTrio, Peer
from bench.roles import play


class WebsocketsTrio(OnTrio):
    """On trio."""

    ended: ClassVar = (ConnectionClosed,)

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(websocket: ServerConnection) -> None:
            await handle(Peer(websocket.send, websocket.recv, websocket))

        compression = "deflate" if deflate else None
        serving = partial(
            serve, handle_one, 0, host="127.0.0.1", compression=compression, max_size=None
        )
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serving)
            yield server.listeners[0].socket.getsockname()[1]
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        compression = "deflate" if deflate else None
        async with connect(
            f"ws://127.0.0.1:{port}", compression=compression, max_size=None, proxy=None
        ) as websocket:
            yield Peer(websocket.send, websocket.recv, websocket)

    async def broadcast(self, audience: Collection[Peer], message: bytes) -> None:
        """Send a message to all of them."""
        await broadcast([peer.connection for peer in audience], message)


if __name__ == "__main__":
    play(WebsocketsTrio)
