"""Sending and receiving on asyncio: whose turn it is, and what cancelling leaves behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal

import pytest
from tests.ws_asyncio.peers import (
    BytesMessage,
    CloseConnection,
    Peer,
    Ping,
    Pong,
    TextMessage,
    both_ends,
    client_and_peer,
    echo,
    server_and_peer,
    turns,
    until,
)

from ws_asyncio import WebSocket, connect, serve
from wscore import Cause, ConnectionClosed, Deflate, Prepared, SendBufferFull, State

KIB = 1024
MIB = 1024 * 1024


async def fill(websocket: WebSocket) -> int:
    """Send until sending has to wait, to a peer that does not read; how many were accepted."""
    sent = 0
    async with asyncio.timeout(None) as timeout:
        while websocket._connection.can_send or websocket._in_flight == 0:
            await websocket.send(b"x" * 10_000)
            sent += 1
            if not websocket._connection.can_send:
                # Unless the kernel takes more, this is it.
                await turns()
        assert not timeout.expired()
    return sent


async def messages_from(peer: Peer) -> list[str | bytes]:
    """Every whole message up to the Close frame; wsproto raises at anything half-sent."""
    received: list[str | bytes] = []
    parts = b""
    async for event in peer.events():
        if isinstance(event, CloseConnection):
            assert parts == b""
            await peer.send(event.response())
            peer.end()
            break
        if isinstance(event, TextMessage):
            assert event.message_finished
            received.append(event.data)
        elif isinstance(event, BytesMessage):
            parts += event.data
            if event.message_finished:
                received.append(parts)
                parts = b""
    return received


# --------------------------------------------------------------------------- backpressure


async def test_the_send_buffer_is_bounded_against_a_peer_that_stopped_reading() -> None:
    async with client_and_peer() as (client, _):
        await fill(client)
        sending = [asyncio.create_task(client.send(b"y" * 10_000)) for _ in range(20)]
        await turns()
        assert not any(task.done() for task in sending)
        assert client.stats.send_buffer_high_water <= 64 * KIB + 10_002
        client.abort()
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            assert isinstance(outcome, ConnectionClosed)


async def test_a_transport_is_fed_half_a_mib_at_a_time_at_most() -> None:
    async with client_and_peer() as (client, _):
        await client.send(b"x" * 32 * MIB)
        await turns()
        assert client._transport is not None
        assert 0 < client._transport.get_write_buffer_size() <= 8 * 65 * KIB


async def test_senders_are_served_first_come_first_served() -> None:
    async with client_and_peer() as (client, peer):
        filled = await fill(client)
        order: list[int] = []

        async def send(number: int) -> None:
            await client.send(str(number))
            order.append(number)

        sending = []
        for number in range(10):
            sending.append(asyncio.create_task(send(number)))
            await asyncio.sleep(0)
        reading = asyncio.create_task(messages_from(peer))
        await asyncio.gather(*sending)
        await client.close()
        assert order == list(range(10))
        assert (await reading)[filled:] == [str(number) for number in range(10)]


async def test_nobody_overtakes_a_sender_whose_turn_has_come() -> None:
    async with client_and_peer() as (client, peer):
        filled = await fill(client)

        async def first_and_third() -> None:
            await client.send("first")
            # The second's turn has come, but it has not run yet; and this turn begins afresh,
            # since who is greedy queues anyway.
            client._fair_share.begin()
            await client.send("third")

        sending = asyncio.create_task(first_and_third())
        await asyncio.sleep(0)
        second = asyncio.create_task(client.send("second"))
        await turns()
        reading = asyncio.create_task(messages_from(peer))
        await asyncio.gather(sending, second)
        await client.close()
        assert (await reading)[filled:] == ["first", "second", "third"]


async def test_reading_rests_while_nobody_receives() -> None:
    async with client_and_peer() as (client, peer):
        writing = asyncio.create_task(peer.send(BytesMessage(data=b"x" * MIB)))
        await until(lambda: client._connection.can_receive)
        await writing
        writing = asyncio.create_task(peer.send(BytesMessage(data=b"x" * 32 * MIB)))
        await until(lambda: client._connection.want_read == 0)
        await turns(100)
        assert not writing.done()
        assert client.stats.bytes_received < 2 * MIB
        writing.cancel()


async def test_a_send_to_a_peer_that_stopped_reading_ends_by_send_timeout() -> None:
    async with client_and_peer(send_timeout=0.05) as (client, _):
        await fill(client)
        with pytest.raises(ConnectionClosed) as caught:
            await client.send(b"x")
        assert caught.value.reason.cause is Cause.SEND_TIMEOUT


@pytest.mark.parametrize("overflow", ["raise", "drop_newest", "drop_oldest", "close"])
async def test_senders_that_do_not_wait_do_not_wait(overflow: str) -> None:
    async with client_and_peer(overflow=overflow) as (client, _):  # type: ignore[arg-type]
        stopped = False
        for _i in range(500):
            sending = client.send(b"x" * 65536)
            try:
                # At most a turn of the loop, for fairness, and never until there is room.
                assert sending.send(None) is None
                sending.send(None)
            except StopIteration:
                continue
            except Exception:  # noqa: BLE001  (what it raises is the core's to test)
                stopped = True
                break
            sending.close()
            pytest.fail("send waited")
        assert stopped is (overflow in ("raise", "close"))


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest", "replace"])
async def test_senders_that_drop_what_a_stuck_peer_does_not_read_do_not_stop_the_loop(
    overflow: Literal["drop_newest", "drop_oldest", "replace"],
) -> None:
    """SECURITY 20; and the peer is found dead all the same."""

    async def send_forever(client: WebSocket) -> None:
        with suppress(SendBufferFull):
            while True:
                await client.send(b"x" * 1000)
        while True:
            await client.pong(b"there was no key to replace")

    async with client_and_peer(overflow=overflow, send_timeout=0.1) as (client, _):
        with pytest.raises(ConnectionClosed) as closed:
            await send_forever(client)
        assert closed.value.reason.cause is Cause.SEND_TIMEOUT


async def test_round_trip_times_are_finer_than_the_turns_of_the_loop() -> None:
    async with both_ends() as (client, _):
        times = [await client.ping() for _ in range(20)]
    assert all(time > 0 for time in times)


async def test_a_read_brings_no_more_than_the_core_wants() -> None:
    async with client_and_peer(max_queue=1, control_look_ahead=1000, read_size=1500) as (
        client,
        peer,
    ):
        handshake = client.stats.bytes_received
        await peer.send(BytesMessage(b"first"))
        await peer.send(BytesMessage(b"x" * 100_000))
        await until(lambda: client._connection.want_read == 0)
        first = len(b"first") + 2
        assert 1000 <= client.stats.bytes_received - handshake - first <= 1500
        assert await client.recv() == b"first"
        assert await client.recv() == b"x" * 100_000


async def test_what_left_the_transport_counts_before_its_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slow reader is not a stuck one, even if the transport has not called back since."""
    async with client_and_peer(send_timeout=5.0) as (client, _):
        await fill(client)
        held, transport, deadline = client._in_flight, client._transport, client._timer_at
        assert transport is not None
        assert held > 1000
        with monkeypatch.context() as patch:
            patch.setattr(client, "_transport", SlowTransport(transport, held - 1000))
            patch.setattr(client, "_now", lambda: deadline)
            client._on_time()
        assert client.state is State.OPEN


class SlowTransport:
    """A transport whose buffer has shrunk; in all else the one that it stands for."""

    def __init__(self, transport: asyncio.Transport, size: int) -> None:
        self._transport = transport
        self._size = size

    def get_write_buffer_size(self) -> int:
        return self._size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


# --------------------------------------------------------------------------- cancellation


async def test_a_send_cancelled_while_it_waits_has_sent_nothing() -> None:
    async with client_and_peer() as (client, peer):
        filled = await fill(client)
        first = asyncio.create_task(client.send("first"))
        second = asyncio.create_task(client.send("second"))
        await turns()
        first.cancel()
        second.cancel()
        for task in (first, second):
            with pytest.raises(asyncio.CancelledError):
                await task
        reading = asyncio.create_task(messages_from(peer))
        await client.send("third")
        await client.close()
        received = await reading
        assert received[filled:] == ["third"]
        assert received[:filled] == [b"x" * 10_000] * filled


async def test_a_large_message_is_never_half_sent() -> None:
    async with client_and_peer() as (client, peer):
        sending = asyncio.create_task(client.send(b"x" * 4 * MIB))
        await turns()
        # Accepted whole: to cancel it now comes too late.
        assert sending.done()
        waiting = asyncio.create_task(client.send(b"y" * MIB))
        await turns()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        reading = asyncio.create_task(messages_from(peer))
        await client.close()
        assert await reading == [b"x" * 4 * MIB]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_source_that_is_cancelled_takes_the_connection_along_once_begun(
    begun: bool,
) -> None:
    async def source() -> AsyncIterator[str]:
        if begun:
            yield "a"
            yield "b"
        await asyncio.get_running_loop().create_future()

    async with both_ends() as (client, server):
        sending = asyncio.create_task(client.send(source()))
        await until(lambda: server._connection.can_receive_part or not begun)
        await turns()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        if begun:
            assert (await server.wait_closed()).code == 1011
        else:
            await client.send("good")
            assert await server.recv() == "good"


async def test_parts_cancelled_at_a_full_buffer_take_the_connection_along() -> None:
    async with client_and_peer() as (client, peer):
        sending = asyncio.create_task(client.send([b"x" * 10_000] * 10_000))
        await until(lambda: not client._connection.can_send)
        await turns()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        close = await peer_close(peer)
        assert close.code == 1011


async def peer_close(peer: Peer) -> CloseConnection:
    async for event in peer.events():
        if isinstance(event, CloseConnection):
            await peer.send(event.response())
            return event
    raise AssertionError("no Close frame")


async def test_a_recv_cancelled_when_its_message_is_there_leaves_it() -> None:
    async with both_ends() as (client, server):
        receiving = asyncio.create_task(server.recv())
        await turns()
        # In the same turn as the message that wakes it.
        server._loop.call_soon(receiving.cancel)
        frame = b"\x81\x81\0\0\0\0!"
        server._on_data(memoryview(frame))
        with pytest.raises(asyncio.CancelledError):
            await receiving
        assert await server.recv() == "!"
        await client.send("next")
        assert await server.recv() == "next"


async def test_a_stream_of_parts_cancelled_while_it_waits_discards_the_rest() -> None:
    async with server_and_peer(parked := Parked()) as (_, peer):
        server = await parked.websocket()
        await peer.send(TextMessage(data="begun", message_finished=False))
        got: list[object] = []

        async def receive() -> None:
            async for part in server.recv_streaming():
                got.append(part)  # noqa: PERF401  (what came before the end counts)

        receiving = asyncio.create_task(receive())
        await until(lambda: got == ["begun"])
        await turns()
        receiving.cancel()
        await asyncio.wait([receiving])
        assert receiving.cancelled()
        await peer.send(TextMessage(data="rest"))
        await peer.send(TextMessage(data="next"))
        assert await server.recv() == "next"


async def test_a_ping_that_is_cancelled_frees_its_payload() -> None:
    async with client_and_peer() as (client, peer):
        pinging = asyncio.create_task(client.ping(b"payload"))
        await peer.receive(Ping)
        with pytest.raises(ValueError):
            await client.ping(b"payload")
        pinging.cancel()
        await asyncio.wait([pinging])
        again = asyncio.create_task(client.ping(b"payload"))
        await peer.receive(Ping)
        await peer.send(Pong(payload=b"payload"))
        assert await again >= 0


@pytest.mark.parametrize("verb", ["recv", "ping", "wait_closed"])
async def test_a_cancelled_verb_leaves_a_connection_that_works(verb: str) -> None:
    async with both_ends() as (client, server):
        task = asyncio.ensure_future(getattr(client, verb)())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await client.send("hello")
        assert await server.recv() == "hello"
        await server.send("hello")
        assert await client.recv() == "hello"
        assert client._waiters == {}


class Parked:
    """A handler that leaves its connection to the test."""

    def __init__(self) -> None:
        self._met: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()

    async def __call__(self, websocket: WebSocket) -> None:
        self._met.set_result(websocket)
        await websocket.wait_closed()

    async def websocket(self) -> WebSocket:
        return await self._met


# ------------------------------------------------------------------------------- fairness


async def in_the_meantime(busy: Callable[[], Awaitable[object]], url: str) -> int:
    """How often another connection is served while this goes on."""
    async with connect(url) as other:
        task = asyncio.ensure_future(busy())
        served = 0
        while not task.done():
            await other.send("x")
            assert await other.recv() == "x"
            served += 1
        await task
        return served


async def test_a_loop_that_sends_lets_others_live() -> None:
    async def drain(websocket: WebSocket) -> None:
        async for message in websocket:
            if len(message) < 100:
                await websocket.send(message)

    async with serve(drain, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with connect(url) as client:

            async def flood() -> None:
                for _ in range(6000):
                    await client.send(b"x" * 4096)

            assert await in_the_meantime(flood, url) >= 20


async def test_a_flood_of_messages_does_not_starve_others() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with connect(url) as client:

            async def send() -> None:
                for _ in range(200):
                    await client.send(b"x" * 64 * KIB)

            async def flood() -> None:
                sending = asyncio.create_task(send())
                for _ in range(200):
                    await client.recv()
                await sending

            assert await in_the_meantime(flood, url) >= 10


async def test_messages_that_inflate_enormously_are_taken_a_few_at_a_time() -> None:
    """SECURITY: yield after each large message or 64 KiB of work."""
    bomb = Prepared(b"\0" * MIB, compression=Deflate())
    taken = 0

    async def swallow(websocket: WebSocket) -> None:
        nonlocal taken
        async for _ in websocket:
            taken += 1

    async with serve(swallow, "127.0.0.1", 0, compression="deflate") as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with connect(url, compression="deflate") as client:
            for _ in range(50):
                await client.send(bomb)
            most, before = 0, taken
            while taken < 50:
                await asyncio.sleep(0)
                most, before = max(most, taken - before), taken
            assert most <= 2


async def test_a_closed_transport_is_not_written_to(caplog: pytest.LogCaptureFixture) -> None:
    async with client_and_peer() as (client, peer):
        peer.reset()

        async def talk() -> None:
            for _ in range(1000):
                await client.send("x")
            await client.recv()

        with pytest.raises(ConnectionClosed):
            await talk()
        assert client.state is State.CLOSED
        assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_a_cancelled_recv_keeps_nothing_alive() -> None:
    class Local:
        """Something that a handler has."""

    held: list[weakref.ref[Local]] = []
    async with client_and_peer() as (client, _):

        async def receive() -> None:
            local = Local()
            held.append(weakref.ref(local))
            await client.recv()

        gc.disable()
        try:
            task = asyncio.create_task(receive())
            await asyncio.sleep(0)
            task.cancel("enough")
            await asyncio.wait([task])
            assert task.cancelled()
            del task
            assert held[0]() is None
        finally:
            gc.enable()
