"""Every deadline on anyio, in virtual time: it fires when it should, and not before."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from tests.ws_anyio.streams import (
    MemoryListener,
    Watched,
    answer_by_hand,
    ask_by_hand,
    both_ends,
    client_and_stream,
    echo,
    memory_pair,
    until,
)
from tests.wscore.rawpeer import FIN, TEXT, frame

from ws_anyio import WebSocket, accept, connect, serve
from wscore import Cause, HandshakeRejected, OpenTimeout


class Watch:
    """How much time a block takes."""

    def __enter__(self) -> Watch:
        self._began = anyio.current_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = anyio.current_time() - self._began

    def shows(self, seconds: float) -> bool:
        return self.seconds == pytest.approx(seconds, abs=0.001)


async def test_open_timeout_bounds_a_client_whose_server_says_nothing(virtual_time: None) -> None:
    ours, theirs = memory_pair()
    with Watch() as watch, pytest.raises(OpenTimeout):
        async with connect("ws://host/", stream=ours, open_timeout=7):
            pass
    assert watch.shows(7)
    await theirs.aclose()


async def test_open_timeout_bounds_a_tls_handshake(virtual_time: None) -> None:
    ours, theirs = memory_pair()
    with Watch() as watch, pytest.raises(OpenTimeout):
        async with connect("wss://host/", stream=ours, open_timeout=7):
            pass
    assert watch.shows(7)
    await theirs.aclose()


async def test_open_timeout_bounds_a_server_whose_client_says_nothing(virtual_time: None) -> None:
    ours, theirs = memory_pair()
    with Watch() as watch, pytest.raises(OpenTimeout):
        async with accept(theirs, open_timeout=7):
            pass
    assert watch.shows(7)
    await ours.aclose()


async def test_open_timeout_bounds_an_answer_that_trickles(virtual_time: None) -> None:
    ours, theirs = memory_pair()

    async def trickle(stream: ByteStream) -> None:
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" * 100:
            await anyio.sleep(1)
            try:
                await stream.send(bytes((byte,)))
            except anyio.BrokenResourceError:
                break
        await stream.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(trickle, theirs)
        with Watch() as watch, pytest.raises(OpenTimeout):
            async with connect("ws://host/", stream=ours, open_timeout=7.5):
                pass
        assert watch.shows(7.5)


async def test_open_timeout_bounds_a_hook(virtual_time: None) -> None:
    async def hook(_: object) -> None:
        await anyio.sleep_forever()

    ours, theirs = memory_pair()
    await ask_quietly(ours)
    with Watch() as watch, pytest.raises(OpenTimeout):
        async with accept(theirs, on_request=hook, open_timeout=7):
            pass
    assert watch.shows(7)
    await ours.aclose()


async def ask_quietly(stream: ByteStream) -> None:
    """Send a request and leave the answer unread."""
    with anyio.move_on_after(0):
        await ask_by_hand(stream)


async def test_close_timeout_bounds_a_peer_that_does_not_answer(virtual_time: None) -> None:
    async with client_and_stream(close_timeout=7) as (client, _):
        with Watch() as watch:
            await client.close()
        assert watch.shows(7)
        assert not (await client.wait_closed()).clean


async def test_close_timeout_bounds_a_peer_that_talks_on(virtual_time: None) -> None:
    async with client_and_stream(close_timeout=7) as (client, stream):

        async def talk() -> None:
            while True:
                await anyio.sleep(1)
                await stream.send(frame(FIN | TEXT, b"and another thing", masked=False))

        async with anyio.create_task_group() as group:
            group.start_soon(talk)
            with Watch() as watch:
                await client.close()
            assert watch.shows(7)
            group.cancel_scope.cancel()


async def test_close_timeout_bounds_a_stream_that_takes_nothing(virtual_time: None) -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with both_ends(watched, theirs, close_timeout=7) as (client, _):
        watched.stuck = True
        await client.send("stuck")
        with Watch() as watch:
            await client.close()
        assert watch.shows(7)


async def test_a_peer_that_answers_no_ping_is_given_up(virtual_time: None) -> None:
    async with client_and_stream(ping_interval=20, ping_timeout=7, close_timeout=1) as (client, _):
        with Watch() as watch:
            reason = await client.wait_closed()
        assert reason.cause is Cause.PING_TIMEOUT
        assert watch.shows(20 + 7 + 1)


async def test_a_peer_that_answers_pings_is_kept(virtual_time: None) -> None:
    async with both_ends(ping_interval=20, ping_timeout=7) as (client, server):
        await anyio.sleep(1000)
        await client.send("still here")
        assert await server.recv() == "still here"
        assert client.stats.pings_sent >= 49


async def test_a_stream_that_takes_nothing_is_given_up(virtual_time: None) -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with both_ends(watched, theirs, send_timeout=7) as (client, _):
        watched.stuck = True
        await client.send("stuck")
        with Watch() as watch:
            reason = await client.wait_closed()
        assert reason.cause is Cause.SEND_TIMEOUT
        assert watch.shows(7)


async def test_an_idle_connection_is_closed(virtual_time: None) -> None:
    async with both_ends(idle_timeout=50) as (client, server):
        with Watch() as watch:
            reason = await client.wait_closed()
        assert watch.shows(50)
        assert {reason.cause, (await server.wait_closed()).cause} & {Cause.IDLE_TIMEOUT}


async def test_a_deadline_that_moves_earlier_is_kept(virtual_time: None) -> None:
    """The timer sleeps until the next ping when close() wants it earlier."""
    async with client_and_stream(ping_interval=1000, close_timeout=7) as (client, _):
        await anyio.wait_all_tasks_blocked()
        with Watch() as watch:
            await client.close()
        assert watch.shows(7)


async def test_timeouts_may_be_off(virtual_time: None) -> None:
    never = float("inf")
    options: dict[str, Any] = {
        "open_timeout": never,
        "close_timeout": never,
        "send_timeout": never,
        "ping_interval": never,
    }
    async with both_ends(**options) as (client, server):
        await anyio.sleep(80_000)
        await client.send("still here")
        assert await server.recv() == "still here"
        await client.close()


# --------------------------------------------------------------------------------- servers


async def test_a_drain_takes_no_longer_than_it_may(virtual_time: None) -> None:
    listener = MemoryListener()
    async with (
        serve(echo, listeners=[listener]) as server,
        connect("ws://host/", stream=listener.dial()) as client,
    ):
        await until(lambda: bool(server.connections))
        with Watch() as watch:
            await server.close(1012, "restart", drain=50)
        assert watch.shows(50)
        reason = await client.wait_closed()
        assert (reason.code, reason.reason) == (1012, "restart")


async def test_a_drain_ends_when_the_last_handler_returns(virtual_time: None) -> None:
    async def handler(websocket: WebSocket) -> None:
        await anyio.sleep(20)

    listener = MemoryListener()
    async with (
        serve(handler, listeners=[listener]) as server,
        connect("ws://host/", stream=listener.dial()) as client,
    ):
        await until(lambda: bool(server.connections))
        with Watch() as watch:
            await server.close(1012, drain=50)
        assert watch.shows(20)
        assert (await client.wait_closed()).code == 1012


async def test_who_comes_while_the_server_drains_is_refused(virtual_time: None) -> None:
    listener = MemoryListener()
    async with (
        serve(echo, listeners=[listener]) as server,
        connect("ws://host/", stream=listener.dial()),
        anyio.create_task_group() as group,
    ):
        await until(lambda: bool(server.connections))

        async def drain() -> None:
            await server.close(drain=50)

        group.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(HandshakeRejected) as caught:
            async with connect("ws://host/", stream=listener.dial()):
                pass
        assert caught.value.response.status == 503


async def test_a_second_close_cuts_a_drain_short(virtual_time: None) -> None:
    listener = MemoryListener()
    async with (
        serve(echo, listeners=[listener]) as server,
        connect("ws://host/", stream=listener.dial()),
        anyio.create_task_group() as group,
    ):
        await until(lambda: bool(server.connections))

        async def drain() -> None:
            await server.close(drain=1000)

        with Watch() as watch:
            group.start_soon(drain)
            await anyio.sleep(5)
            await server.close()
        assert watch.shows(5)


async def test_handlers_that_do_not_return_are_cancelled(virtual_time: None) -> None:
    cancelled = anyio.Event()

    async def handler(_: WebSocket) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    listener = MemoryListener()
    async with (
        serve(handler, listeners=[listener], close_timeout=7) as server,
        connect("ws://host/", stream=listener.dial()),
    ):
        await until(lambda: bool(server.connections))
        with Watch() as watch:
            await server.close()
        assert watch.shows(14)
        assert cancelled.is_set()


async def test_a_client_that_is_refused_and_stays_is_let_go(virtual_time: None) -> None:
    listener = MemoryListener()
    async with serve(echo, listeners=[listener], close_timeout=7) as server:
        stream = listener.dial()
        with Watch() as watch:
            await stream.send(b"GET / HTTP/1.1\r\n\r\n")
            assert (await stream.receive()).startswith(b"HTTP/1.1 400 ")
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
            # Nobody announces it, and time has to pass.
            while server._lives:  # noqa: ASYNC110
                await anyio.sleep(0.5)
        assert 6 < watch.seconds <= 7.5
        await stream.aclose()


async def test_the_handshake_by_hand_is_one(virtual_time: None) -> None:
    """What these tests rest on: the peers played by hand open connections."""
    ours, theirs = memory_pair()
    async with anyio.create_task_group() as group:
        group.start_soon(answer_by_hand, theirs)
        assert (await ask_by_hand(ours)).startswith(b"HTTP/1.1 101 ")
    await ours.aclose()
    await theirs.aclose()
