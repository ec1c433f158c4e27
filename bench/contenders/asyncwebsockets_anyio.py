"""The contender asyncwebsockets."""

# In the group "bench" alone; the same in pyproject.toml, for mypy.
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import anyio
import anyio.abc
from asyncwebsockets import open_websocket, open_websocket_server
from wsproto.utilities import LocalProtocolError

from bench.coroutines import Handler, OnAnyio, Peer
from bench.roles import play


class Asyncwebsockets(OnAnyio):
    """On anyio, over asyncio or trio."""

    ended: ClassVar = (
        anyio.EndOfStream,
        anyio.BrokenResourceError,
        anyio.ClosedResourceError,
        LocalProtocolError,
    )
    deflates: ClassVar = False

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(stream: anyio.abc.SocketStream) -> None:
            # Opening and closing raise as well, and would end the server.
            with suppress(OSError, *self.ended):
                async with open_websocket_server(stream) as websocket:
                    await handle(peer_of(websocket))

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, handle_one)
            yield listener.extra(anyio.abc.SocketAttribute.local_port)
            group.cancel_scope.cancel()

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        async with open_websocket(f"ws://127.0.0.1:{port}") as websocket:
            yield peer_of(websocket)


def peer_of(websocket: Any) -> Peer:
    events = websocket.__aiter__()

    async def receive() -> bytes:
        async for event in events:
            data: bytes = event.data
            return data
        raise EOFError

    return Peer(websocket.send, receive, websocket)


if __name__ == "__main__":
    play(Asyncwebsockets)
