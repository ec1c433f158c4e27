"""The limit on anyio: its socket streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import anyio
import anyio.abc

from bench.coroutines import Handler, OnAnyio, Peer
from bench.roles import play


class Raw(OnAnyio):
    """On anyio, over asyncio or trio."""

    ended: ClassVar = (anyio.EndOfStream, anyio.BrokenResourceError)
    deflates: ClassVar = False
    streams: ClassVar = True

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(stream: anyio.abc.SocketStream) -> None:
            async with stream:
                await handle(Peer(stream.send, stream.receive))

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, handle_one)
            yield listener.extra(anyio.abc.SocketAttribute.local_port)
            group.cancel_scope.cancel()

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            yield Peer(stream.send, stream.receive)


if __name__ == "__main__":
    play(Raw)
