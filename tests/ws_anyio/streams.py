"""The only place for streams and listeners without sockets, and for two ends that use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, Listener, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream
from anyio.streams.stapled import StapledByteStream
from tests.wscore.rawpeer import REQUEST

from ws_anyio import WebSocket, accept, connect, serve
from wscore import Config, Connection


def memory_pair(size: float = 1000) -> tuple[ByteStream, ByteStream]:
    """The two ends of a stream, which holds so many sends in each direction."""
    to_b, from_a = anyio.create_memory_object_stream[bytes](size)
    to_a, from_b = anyio.create_memory_object_stream[bytes](size)
    return _stapled(to_b, from_b), _stapled(to_a, from_a)


def _stapled(sender: Any, receiver: MemoryObjectReceiveStream[bytes]) -> ByteStream:
    return StapledByteStream(sender, BufferedByteReceiveStream(receiver))


class Watched(ByteStream):
    """A stream that notes what it is given, and can be told to misbehave from then on.

    :ivar sizes: of all that was sent.
    :ivar stuck: take nothing more.
    :ivar odd: raise what no stream should.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.sizes: list[int] = []
        self.stuck = False
        self.odd = False
        self.closed = False
        self._stream = stream

    async def send(self, item: bytes) -> None:
        self.sizes.append(len(item))
        if self.odd:
            raise LookupError("on purpose")
        if self.stuck:
            await anyio.sleep_forever()
        await self._stream.send(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(max_bytes)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        self.closed = True
        await self._stream.aclose()


class Odd(ByteStream):
    """A stream that is broken in a way that no stream should be."""

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        raise LookupError("on purpose")

    async def send_eof(self) -> None:
        raise LookupError("on purpose")

    async def aclose(self) -> None:
        raise LookupError("on purpose")


class MemoryListener(Listener[ByteStream]):
    """Accepts whoever dials; before that, raises what it is told to.

    :ivar errors: what accepting raises, one after the other.
    """

    def __init__(self, *errors: Exception) -> None:
        self.errors = [*errors]
        self._dialled, self._waiting = anyio.create_memory_object_stream[ByteStream](1000)

    def dial(self) -> ByteStream:
        """The client's end of a new connection."""
        ours, theirs = memory_pair()
        self._dialled.send_nowait(theirs)
        return ours

    async def serve(
        self, handler: Callable[[ByteStream], Any], task_group: TaskGroup | None = None
    ) -> None:
        assert task_group is not None
        if self.errors:
            raise self.errors.pop(0)
        with suppress(anyio.EndOfStream):
            while True:
                task_group.start_soon(handler, await self._waiting.receive())
        raise anyio.ClosedResourceError

    async def aclose(self) -> None:
        self._dialled.close()
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError):
            while True:
                await self._waiting.receive_nowait().aclose()
        self._waiting.close()
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def both_ends(
    stream: ByteStream | None = None, other: ByteStream | None = None, **policy: Any
) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """The client's and the server's end of a connection, over streams in memory or the given."""
    if stream is None or other is None:
        stream, other = memory_pair()
    async with anyio.create_task_group() as group:
        servers: list[WebSocket] = []

        async def answer() -> None:
            servers.append(await accept(other, task_group=group, **policy))

        group.start_soon(answer)
        client = await connect("ws://host/", stream=stream, task_group=group, **policy)
        await until(lambda: bool(servers))
        yield client, servers[0]
        group.cancel_scope.cancel()


@asynccontextmanager
async def client_and_stream(**options: Any) -> AsyncIterator[tuple[WebSocket, ByteStream]]:
    """A client of ours, and the other end of its stream, which says nothing more of itself."""
    ours, theirs = memory_pair()
    async with anyio.create_task_group() as group:
        found: list[WebSocket] = []

        async def open_client() -> None:
            found.append(await connect("ws://host/", stream=ours, task_group=group, **options))

        group.start_soon(open_client)
        await answer_by_hand(theirs)
        await until(lambda: bool(found))
        yield found[0], theirs
        group.cancel_scope.cancel()
    await theirs.aclose()


async def answer_by_hand(stream: ByteStream) -> None:
    """Be the server of a handshake (RFC 6455 section 4.2.2)."""
    connection = Connection.server(Config(), now=0)
    connection.receive_data(await stream.receive(), now=0)
    connection.respond(None, now=0)
    await stream.send(b"".join(connection.data_to_send()))


async def ask_by_hand(stream: ByteStream) -> bytes:
    """Be the client of a handshake; returns the answer's head."""
    await stream.send(REQUEST)
    return await stream.receive()


async def until(ready: Callable[[], bool]) -> None:
    """Let others run until it is so."""
    while not ready():
        await anyio.wait_all_tasks_blocked()


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


async def give_up_after(turns: int, function: Callable[[], Awaitable[object]]) -> None:
    """Cancel a function after so many turns of the loop."""
    async with anyio.create_task_group() as group:
        group.start_soon(_run, function)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def _run(function: Callable[[], Awaitable[object]]) -> None:
    await function()


@asynccontextmanager
async def serving(
    handler: Callable[[WebSocket], Awaitable[object]], **options: Any
) -> AsyncIterator[tuple[Any, str]]:
    """A server on a free port, and its URL."""
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        yield server, f"ws://127.0.0.1:{server.port}/"
