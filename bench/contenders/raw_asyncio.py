"""The limit on asyncio and uvloop: transports alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Final, cast

from bench.coroutines import Handler, OnAsyncio, Peer
from bench.roles import play

MOST_UNREAD: Final = 2**20

# One for all: what is read is copied out at once, and a fresh 256 KiB costs more than a read.
SCRATCH: Final = memoryview(bytearray(256 * 1024))


class Stream(asyncio.BufferedProtocol):
    """A transport as a stream; one task at a time may read, one may write."""

    transport: asyncio.Transport

    def __init__(self, handle: Handler | None) -> None:
        self._handle: Final = handle
        self._received: Final[deque[bytes]] = deque()
        self._unread = 0
        self._ended = False
        self._reader: asyncio.Future[None] | None = None
        self._writable: Final = asyncio.Event()
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Write, and wait while the transport is full."""
        self.transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()
        if self._ended:
            raise EOFError

    async def receive(self) -> bytes:
        """Read what there is."""
        if not self._received:
            if self._ended:
                raise EOFError
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
            if not self._received:
                raise EOFError
        data = self._received.popleft()
        self._unread -= len(data)
        if not self._received:
            self.transport.resume_reading()
        return data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by inheritance.
        self.transport = cast("asyncio.Transport", transport)
        if self._handle:
            self._task = asyncio.ensure_future(self._handle(Peer(self.send, self.receive)))

    def get_buffer(self, sizehint: int) -> memoryview:
        return SCRATCH

    def buffer_updated(self, nbytes: int) -> None:
        self._received.append(bytes(SCRATCH[:nbytes]))
        self._unread += nbytes
        if self._unread > MOST_UNREAD:
            self.transport.pause_reading()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._writable.set()
        self._wake()

    def _wake(self) -> None:
        if self._reader and not self._reader.done():
            self._reader.set_result(None)


class Raw(OnAsyncio):
    """On asyncio or uvloop."""

    deflates: ClassVar = False
    streams: ClassVar = True

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: Stream(handle), "127.0.0.1", 0) as server:
            (sock,) = server.sockets
            yield sock.getsockname()[1]

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: Stream(None), "127.0.0.1", port)
        yield Peer(stream.send, stream.receive)
        stream.transport.close()


if __name__ == "__main__":
    play(Raw)
