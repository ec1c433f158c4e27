"""The limit on trio: sockets alone."""

from __future__ import annotations

import mmap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import ClassVar, Final

import trio

from bench.coroutines import Handler, OnTrio, Peer
from bench.roles import play

READ: Final = 256 * 1024


class Raw(OnTrio):
    """On trio."""

    ended: ClassVar = (trio.BrokenResourceError,)
    deflates: ClassVar = False
    streams: ClassVar = True

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(stream: trio.SocketStream) -> None:
            await handle(peer_of(stream))

        async with trio.open_nursery() as nursery:
            serving = partial(trio.serve_tcp, handle_one, 0, host="127.0.0.1")
            listeners: list[trio.SocketListener] = await nursery.start(serving)
            yield listeners[0].socket.getsockname()[1]
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            yield peer_of(stream)


def peer_of(stream: trio.SocketStream) -> Peer:
    # A fresh 256 KiB for each read costs more than the read. Of a map, only what is used is there.
    scratch = memoryview(mmap.mmap(-1, READ))
    sock = stream.socket

    async def receive() -> bytes:
        size = await sock.recv_into(scratch)
        if not size:
            raise EOFError
        return bytes(scratch[:size])

    return Peer(stream.send_all, receive)


if __name__ == "__main__":
    play(Raw)
