"""What is trio's own: checkpoints, cancellation, nurseries, streams, and a clock of one's own."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from tests.adapters.runtimes.on_trio import run

from ws_trio import WebSocket, accept, connect, serve
from wscore import (
    Cause,
    Connection,
    ConnectionClosed,
    HandshakeError,
    OpenTimeout,
    Request,
    State,
)

URL = "ws://example.com/"


def on_trio(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test to its end; it may leave nothing behind."""

    def wrapped() -> None:
        run(test)

    wrapped.__name__ = test.__name__
    wrapped.__doc__ = test.__doc__
    return wrapped


def in_no_time(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on a clock that jumps ahead whenever everybody waits."""

    def wrapped() -> None:
        trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))
        gc.collect()

    wrapped.__name__ = test.__name__
    return wrapped


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


@asynccontextmanager
async def both_ends(**policy: Any) -> AsyncIterator[tuple[WebSocket, WebSocket]]:
    """Two ends of a pair of streams in memory."""
    ours, theirs = trio.testing.memory_stream_pair()
    ends: dict[str, WebSocket] = {}
    async with trio.open_nursery() as nursery:

        async def server() -> None:
            ends["server"] = await accept(theirs, nursery=nursery, **policy)

        nursery.start_soon(server)
        async with connect(URL, stream=ours, **policy) as client:
            await trio.testing.wait_all_tasks_blocked()
            yield client, ends["server"]
        nursery.cancel_scope.cancel()


# ------------------------------------------------------------------------- checkpoints


@on_trio
async def test_every_verb_is_a_checkpoint() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        verbs: list[Callable[[], Awaitable[object]]] = [
            lambda: client.send("one"),
            lambda: client.send(["t", "wo"]),
            client.recv,
            lambda: anext(client.recv_streaming()),
            client.ping,
            client.pong,
            client.close,
            client.close,
            client.wait_closed,
            client.aclose,
        ]
        for verb in verbs:
            with trio.testing.assert_checkpoints():
                await verb()


@on_trio
async def test_a_message_that_waits_already_is_received_with_a_checkpoint() -> None:
    async with both_ends() as (client, server):
        for text in ("one", "two"):
            await client.send(text)
        await trio.testing.wait_all_tasks_blocked()
        for text in ("one", "two"):
            with trio.testing.assert_checkpoints():
                assert await server.recv() == text


@on_trio
async def test_in_a_cancelled_scope_nothing_is_sent_nor_taken() -> None:
    async with both_ends() as (client, server):
        await server.send("waits")
        await trio.testing.wait_all_tasks_blocked()
        for verb in (lambda: client.send("x"), client.recv, client.ping, client.pong):
            with trio.CancelScope() as scope:
                scope.cancel()
                await verb()
            assert scope.cancelled_caught
        assert client.stats.messages_sent == 0
        assert client.stats.pings_sent == 0
        assert await client.recv() == "waits"


# ------------------------------------------------------------------------ cancellation


@on_trio
async def test_a_cancelled_block_aborts_the_connection() -> None:
    reasons = []

    async def handler(websocket: WebSocket) -> None:
        reasons.append(await websocket.wait_closed())

    async with serve(handler, "127.0.0.1", 0) as server:
        clients = []
        with trio.move_on_after(0.05):
            async with connect(f"ws://127.0.0.1:{server.port}/") as client:
                clients.append(client)
                await client.recv()
        assert [client.state for client in clients] == [State.CLOSED]
    assert len(reasons) == 1


@pytest.mark.parametrize(
    "raised", [LookupError("one"), ExceptionGroup("own", [LookupError()]), KeyboardInterrupt()]
)
def test_what_the_block_raises_comes_out_as_it_is(raised: BaseException) -> None:
    async def test() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            with pytest.raises(type(raised)) as caught:
                async with connect(f"ws://127.0.0.1:{server.port}/"):
                    raise raised
            assert caught.value is raised

    run(test)


@on_trio
async def test_what_a_verb_raises_comes_bare() -> None:
    with pytest.raises(HandshakeError):
        async with connect("ws://127.0.0.1:1/"):
            pass
    async with both_ends() as (client, server):
        server.abort()
        with pytest.raises(ConnectionClosed):
            await client.recv()


@on_trio
async def test_a_writer_that_is_cancelled_with_bytes_on_their_way_ends_the_connection() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        sending: list[WebSocket] = []

        async def client() -> None:
            websocket = await connect(URL, stream=ours, nursery=tasks)
            sending.append(websocket)
            await websocket.send(b"x" * 100_000)

        async with trio.open_nursery() as tasks:
            nursery.start_soon(client)
            server = await accept(theirs, nursery=nursery)
            await trio.testing.wait_all_tasks_blocked()
            server.abort()
            tasks.cancel_scope.cancel()
        assert sending[0].state is State.CLOSED


class Odd(trio.abc.Stream):
    """A stream that raises what streams do not."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("odd")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        raise LookupError("odd")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("odd")


@on_trio
async def test_a_stream_that_raises_something_odd_is_a_broken_one() -> None:
    with pytest.raises(HandshakeError) as caught:
        async with connect(URL, stream=Odd()):
            pass
    assert isinstance(caught.value.__cause__, LookupError)


@on_trio
async def test_a_stream_that_is_closed_already_is_a_broken_one() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    await stream.aclose()
    with pytest.raises(HandshakeError, match="ClosedResourceError"):
        async with connect(URL, stream=stream):
            raise AssertionError


@on_trio
async def test_a_handler_that_fails_while_it_is_cancelled_harms_nobody_else() -> None:
    async def handler(websocket: WebSocket) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise LookupError("on the way out")

    clients = []
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve(handler, "127.0.0.1", 0))
        clients.append(await connect(f"ws://127.0.0.1:{server.port}/", nursery=nursery))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [client.state for client in clients] == [State.CLOSED]


@on_trio
async def test_the_clients_of_a_cancelled_server_hear_that_it_goes_away() -> None:
    async with trio.open_nursery() as nursery:
        tasks = await nursery.start(_serve_in_a_scope)
        scope, server = tasks
        async with connect(f"ws://127.0.0.1:{server.port}/") as client:
            await client.ping()
            scope.cancel()
            assert (await client.wait_closed()).code == 1001


async def _serve_in_a_scope(task_status: trio.TaskStatus[Any]) -> None:
    with trio.CancelScope() as scope:
        async with serve(echo, "127.0.0.1", 0) as server:
            task_status.started((scope, server))
            await trio.sleep_forever()


# --------------------------------------------------------------------------- nurseries


@on_trio
async def test_awaiting_needs_a_nursery() -> None:
    for opening in (connect(URL), accept(trio.testing.memory_stream_pair()[0])):
        with pytest.raises(TypeError, match="nursery"):
            await opening


@on_trio
async def test_a_connection_may_live_in_the_callers_nursery() -> None:
    async with serve(echo, "127.0.0.1", 0) as server, trio.open_nursery() as nursery:
        client = await connect(f"ws://127.0.0.1:{server.port}/", nursery=nursery)
        async with client:
            await client.send("hello")
            assert await client.recv() == "hello"
        assert client.state is State.CLOSED


@on_trio
async def test_a_server_may_be_started_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve(echo, "127.0.0.1", 0))
        async with connect(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        await server.close()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve(echo, "127.0.0.1", 0))
        nursery.cancel_scope.cancel()
    assert server.listeners == ()


@on_trio
async def test_a_server_whose_address_is_taken_says_so() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(OSError, match="use"):
            async with serve(echo, "127.0.0.1", server.port):
                pass


@on_trio
async def test_handlers_may_run_in_the_callers_nursery() -> None:
    parents = []

    async def handler(websocket: WebSocket) -> None:
        parents.append(trio.lowlevel.current_task().parent_nursery)

    async with (
        trio.open_nursery() as nursery,
        serve(handler, "127.0.0.1", 0, handler_nursery=nursery) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        await client.wait_closed()
    assert parents == [nursery]


@on_trio
async def test_a_listener_of_ones_own_is_served() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with (
        serve(echo, listeners=[listener]) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        await client.send("hello")
        assert await client.recv() == "hello"


# ---------------------------------------------------------- any stream, and any clock


@on_trio
async def test_any_stream_will_do() -> None:
    async with both_ends(max_message_size=2**21) as (client, server):
        await client.send(b"x" * 2**20)
        assert await server.recv() == b"x" * 2**20
        await client.close(4000, "bye")
        assert (await server.wait_closed()).reason == "bye"


async def silence(stream: trio.abc.Stream) -> None:
    """Read, and say nothing."""
    try:
        while await stream.receive_some():
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # Its other end was closed with something still to read.
        return


@in_no_time
async def test_open_timeout_passes_in_virtual_time() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(silence, theirs)
        with pytest.raises(OpenTimeout):
            async with connect(URL, stream=ours, open_timeout=1000):
                pass
        assert trio.current_time() - began == pytest.approx(1000)
        await theirs.aclose()


@in_no_time
async def test_a_hook_runs_within_open_timeout() -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def hook(_: Request) -> None:
        await trio.sleep(5000)

    async with trio.open_nursery() as nursery:

        async def server() -> None:
            with pytest.raises(OpenTimeout):
                async with accept(theirs, on_request=hook, open_timeout=1000):
                    pass

        nursery.start_soon(server)
        with pytest.raises(HandshakeError):
            async with connect(URL, stream=ours, open_timeout=2000):
                pass
        assert trio.current_time() < 1100


@in_no_time
async def test_keepalive_and_idle_timeout_pass_in_virtual_time() -> None:
    async with both_ends(ping_interval=20, idle_timeout=3600) as (client, server):
        began = trio.current_time()
        reason = await server.wait_closed()
        assert trio.current_time() - began == pytest.approx(3600, abs=1)
        assert Cause.IDLE_TIMEOUT in (reason.cause, (await client.wait_closed()).cause)
        assert client.stats.pings_sent > 100


@in_no_time
async def test_a_silent_peer_is_given_up_in_virtual_time() -> None:
    async with both_ends(ping_interval=20, ping_timeout=30, close_timeout=100) as (client, server):
        # The server's end stops to read and to write: it vanished.
        assert server._carrier is not None
        await server._carrier.close()
        with pytest.raises(ConnectionClosed):
            await client.recv()


@in_no_time
async def test_close_timeout_passes_in_virtual_time() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_accept_and_be_silent, theirs)
        async with connect(URL, stream=ours, close_timeout=500) as client:
            began = trio.current_time()
            await client.close()
            assert trio.current_time() - began == pytest.approx(500, abs=1)
        assert client.close_reason is not None
        assert client.close_reason.close_received is None


async def _accept_and_be_silent(stream: trio.abc.Stream) -> None:
    connection = Connection.server(now=0)
    while connection.request is None:
        connection.receive_data(await stream.receive_some(), now=0)
    connection.respond(now=0)
    await stream.send_all(b"".join(connection.data_to_send()))
    await silence(stream)


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """A listener to which those streams come."""

    def __init__(self, *streams: trio.abc.Stream) -> None:
        self._streams = [*streams]

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self._streams:
            await trio.sleep_forever()
        return self._streams.pop()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@in_no_time
async def test_a_server_may_be_closed_before_it_began() -> None:
    async with serve(echo, listeners=[Listener()]) as server:
        began = trio.current_time()
        await server.close(drain=300)
        assert trio.current_time() == began


@in_no_time
async def test_a_drain_passes_in_virtual_time() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.wait_closed()

    ours, theirs = trio.testing.memory_stream_pair()
    async with (
        serve(handler, listeners=[Listener(theirs)]) as server,
        connect(URL, stream=ours) as client,
    ):
        began = trio.current_time()
        await server.close(drain=300)
        assert trio.current_time() - began == pytest.approx(300, abs=1)
        assert (await client.wait_closed()).code == 1001


@in_no_time
async def test_a_handler_that_does_not_return_is_cancelled_in_the_end() -> None:
    ended = []

    async def handler(websocket: WebSocket) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    ours, theirs = trio.testing.memory_stream_pair()
    async with (
        serve(handler, listeners=[Listener(theirs)], close_timeout=100) as server,
        connect(URL, stream=ours),
    ):
        began = trio.current_time()
        await server.close()
    assert [end - began for end in ended] == [pytest.approx(200, abs=1)]
