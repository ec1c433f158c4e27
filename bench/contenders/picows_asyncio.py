"""The contender picows, by its API that is like that of websockets."""

# In the group "bench" alone; the same in pyproject.toml, for mypy.
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import ClassVar

from picows.websockets import ConnectionClosed, ServerConnection, broadcast, connect, serve

from bench.coroutines import Handler, OnAsyncio, Peer
from bench.roles import play


class Picows(OnAsyncio):
    """On asyncio or uvloop."""

    ended: ClassVar = (ConnectionClosed,)

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(websocket: ServerConnection) -> None:
            await handle(Peer(websocket.send, websocket.recv, websocket))

        compression = "deflate" if deflate else None
        async with serve(
            handle_one, "127.0.0.1", 0, compression=compression, max_size=None
        ) as server:
            (sock,) = server.sockets
            yield sock.getsockname()[1]

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
        broadcast((peer.connection for peer in audience), message)


if __name__ == "__main__":
    play(Picows)
