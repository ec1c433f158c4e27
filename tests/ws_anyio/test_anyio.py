"""What is anyio's own: any byte stream, task groups, both event loops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
import trio.testing
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.stapled import StapledByteStream
from tests.adapters.runtimes.on_anyio import BACKENDS, run

from ws_anyio import WebSocket, accept, connect, serve
from wscore import ConnectionClosed, HandshakeError, State

URL = "ws://example.com/"


@pytest.fixture(params=BACKENDS)
def on_anyio(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a test to its end, on either event loop; it may leave nothing behind."""
    return partial(run, backend=request.param)


OnAnyio = Callable[[Callable[[], Awaitable[None]]], None]


class Pipe:
    """Bytes that go one way, in memory."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[bytes](1000)
        self._rest = b""

    async def send(self, item: bytes) -> None:
        await self._send.send(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = self._rest or await self._receive.receive()
        self._rest = data[max_bytes:]
        return data[:max_bytes]

    async def send_eof(self) -> None:
        self._send.close()

    async def aclose(self) -> None:
        self._send.close()
        self._receive.close()

    @property
    def extra_attributes(self) -> dict[Any, Any]:
        return {}

    def extra(self, attribute: Any, default: object = None) -> Any:
        return default


def stream_pair() -> tuple[ByteStream, ByteStream]:
    one, other = Pipe(), Pipe()
    ends: list[Any] = [StapledByteStream(one, other), StapledByteStream(other, one)]  # type: ignore[arg-type]
    return ends[0], ends[1]


@asynccontextmanager
async def both_ends(**policy: Any) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    ours, theirs = stream_pair()
    ends: list[WebSocket] = []
    met = anyio.Event()

    async def be_the_server(group: TaskGroup) -> None:
        ends.append(await accept(theirs, task_group=group, **policy))
        met.set()

    async with anyio.create_task_group() as group:
        group.start_soon(be_the_server, group)
        async with connect(URL, stream=ours, **policy) as client:
            await met.wait()
            yield client, ends[0]
        group.cancel_scope.cancel()


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


def test_any_byte_stream_will_do(on_anyio: OnAnyio) -> None:
    async def test() -> None:
        async with both_ends() as (client, server):
            await client.send(b"x" * 2**20)
            assert await server.recv() == b"x" * 2**20
            assert client.local_address is None
            assert await client.ping() >= 0
            await client.close(4000, "bye")
            assert (await server.wait_closed()).reason == "bye"

    on_anyio(test)


def test_awaiting_needs_a_task_group(on_anyio: OnAnyio) -> None:
    async def test() -> None:
        ours, theirs = stream_pair()
        for opening in (connect(URL, stream=ours), accept(theirs)):
            with pytest.raises(TypeError, match="task_group"):
                await opening
        await ours.aclose()

    on_anyio(test)


def test_a_server_may_be_started_in_a_task_group(on_anyio: OnAnyio) -> None:
    async def test() -> None:
        async with anyio.create_task_group() as group:
            server = await group.start(serve(echo, "127.0.0.1", 0))
            client = await connect(f"ws://127.0.0.1:{server.port}/", task_group=group)
            async with client:
                await client.send("hello")
                assert await client.recv() == "hello"
            await server.close()
        servers = []
        async with anyio.create_task_group() as group:
            servers.append(await group.start(serve(echo, "127.0.0.1", 0)))
            group.cancel_scope.cancel()
        assert [each.listeners for each in servers] == [()]

    on_anyio(test)


@pytest.mark.parametrize(
    "raised", [LookupError("one"), ExceptionGroup("own", [LookupError()])], ids=["one", "group"]
)
def test_what_the_block_raises_comes_out_as_it_is(on_anyio: OnAnyio, raised: Exception) -> None:
    async def test() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            with pytest.raises(type(raised)) as caught:
                async with connect(f"ws://127.0.0.1:{server.port}/"):
                    raise raised
            assert caught.value is raised

    on_anyio(test)


def test_what_a_verb_raises_comes_bare(on_anyio: OnAnyio) -> None:
    async def test() -> None:
        with pytest.raises(HandshakeError):
            async with connect("ws://127.0.0.1:1/"):
                pass
        async with both_ends() as (client, server):
            server.abort()
            with pytest.raises(ConnectionClosed):
                await client.recv()

    on_anyio(test)


def test_a_cancelled_block_aborts_the_connection(on_anyio: OnAnyio) -> None:
    async def test() -> None:
        clients = []
        async with serve(echo, "127.0.0.1", 0) as server:
            with anyio.move_on_after(0.05):
                async with connect(f"ws://127.0.0.1:{server.port}/") as client:
                    clients.append(client)
                    await client.recv()
        assert [client.state for client in clients] == [State.CLOSED]

    on_anyio(test)


def test_every_verb_is_a_checkpoint() -> None:
    async def test() -> None:
        async with both_ends() as (client, server):
            await server.send("one")
            await trio.testing.wait_all_tasks_blocked()
            verbs: list[Callable[[], Awaitable[object]]] = [
                lambda: client.send("one"),
                lambda: client.send(["t", "wo"]),
                client.recv,
                client.ping,
                client.pong,
                client.close,
                client.wait_closed,
                client.aclose,
            ]
            for verb in verbs:
                with trio.testing.assert_checkpoints():
                    await verb()

    run(test, backend="trio")
