"""Sending and receiving on anyio: checkpoints, how a stream is fed, and what cancelling leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio.testing
from tests.ws_anyio.streams import (
    Watched,
    both_ends,
    client_and_stream,
    give_up_after,
    memory_pair,
    until,
)
from tests.wscore.rawpeer import CLOSE, FIN, TEXT, frame

from ws_anyio import WebSocket
from wscore import Cause, ConnectionClosed, State

KIB = 1024
MIB = 1024 * 1024

Verb = Callable[[WebSocket], Awaitable[object]]


async def _one_part(websocket: WebSocket) -> object:
    return await anext(websocket.recv_streaming())


VERBS: dict[str, Verb] = {
    "send": lambda websocket: websocket.send("x"),
    "send_in_parts": lambda websocket: websocket.send(["a", "b"]),
    "recv": lambda websocket: websocket.recv(),
    "iteration": lambda websocket: anext(aiter(websocket)),
    "recv_streaming": _one_part,
    "ping": lambda websocket: websocket.ping(),
    "pong": lambda websocket: websocket.pong(),
    "close": lambda websocket: websocket.close(),
    "aclose": lambda websocket: websocket.aclose(),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
async def test_every_verb_is_a_checkpoint_though_it_need_not_wait(
    verb: Verb, virtual_time: None
) -> None:
    async with both_ends() as (client, server):
        await server.send("one")
        await until(lambda: client.stats.messages_received == 1)
        with trio.testing.assert_checkpoints():
            await verb(client)


async def test_waiting_for_an_end_that_was_is_a_checkpoint(virtual_time: None) -> None:
    async with both_ends() as (client, _):
        await client.close()
        for verb in (client.wait_closed, client.close, client.aclose):
            with trio.testing.assert_checkpoints():
                await verb()


@pytest.mark.parametrize("verb", ["send", "recv", "recv_streaming", "pong", "ping"])
async def test_a_verb_that_is_cancelled_already_does_nothing(verb: str) -> None:
    async with both_ends() as (client, server):
        await server.send("one")
        await until(lambda: client.stats.messages_received == 1)
        sent = client.stats.frames_sent
        with anyio.CancelScope() as scope:
            scope.cancel()
            await VERBS[verb](client)
        assert scope.cancelled_caught
        await anyio.wait_all_tasks_blocked()
        assert client.stats.frames_sent == sent
        assert await client.recv() == "one"
        assert client.state is State.OPEN


# ------------------------------------------------------------------------- how it is carried


async def test_any_stream_carries_messages_of_any_size_in_both_directions() -> None:
    async with both_ends(*memory_pair(0)) as ends:

        async def send(websocket: WebSocket) -> None:
            for size in (0, 1, 70_000, MIB):
                await websocket.send(b"x" * size)

        async def receive(websocket: WebSocket) -> None:
            for size in (0, 1, 70_000, MIB):
                assert await websocket.recv() == b"x" * size

        async with anyio.create_task_group() as group:
            for end in ends:
                group.start_soon(send, end)
                group.start_soon(receive, end)


async def test_a_stream_is_fed_64_kib_at_a_time_or_little_more() -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with both_ends(watched, theirs) as (client, server):
        await client.send(b"x" * MIB)
        assert await server.recv() == b"x" * MIB
    assert max(watched.sizes) <= 65 * KIB


async def test_a_read_brings_no_more_than_the_core_wants() -> None:
    async with client_and_stream(max_queue=1, control_look_ahead=1000, read_size=1500) as (
        client,
        stream,
    ):
        handshake = client.stats.bytes_received
        first = frame(FIN | TEXT, b"first", masked=False)
        await stream.send(first)
        await stream.send(frame(FIN | TEXT, b"x" * 50_000, masked=False))
        await until(lambda: client._connection.want_read == 0)
        assert 1000 <= client.stats.bytes_received - handshake - len(first) <= 1500
        assert await client.recv() == "first"
        assert await client.recv() == "x" * 50_000


async def test_the_send_buffer_is_bounded_against_a_stream_that_takes_nothing() -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with both_ends(watched, theirs, max_send_buffer=(20 * KIB, 0)) as (client, _):
        watched.stuck = True
        accepted = 0
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def send() -> None:
                    nonlocal accepted
                    while True:
                        await client.send(b"x" * KIB)
                        accepted += 1

                group.start_soon(send)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert 10 < accepted < 25
        assert client.state is State.OPEN


async def test_senders_are_served_first_come_first_served() -> None:
    async with both_ends(*memory_pair(0), max_queue=1, max_send_buffer=KIB) as (client, server):
        order: list[int] = []

        async def send(number: int) -> None:
            await client.send(number.to_bytes(1, "big") * 100 * KIB)
            order.append(number)

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(send, number)
                await anyio.wait_all_tasks_blocked()
            received = [(await server.recv())[0] for _ in range(5)]
            assert received == [*range(5)]
        assert order == [*range(5)]


async def test_a_reply_goes_out_before_a_failure_that_is_met_behind_it() -> None:
    async with client_and_stream() as (client, stream):
        await stream.send(frame(FIN | TEXT, b"good", masked=False) + b"\x83\x00")
        assert await client.recv() == "good"
        await client.send("reply")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        said = await stream.receive(11) + await stream.receive(1)
        assert said[:2] == bytes((FIN | TEXT, 0x80 | len("reply")))
        assert said[11] == CLOSE


# -------------------------------------------------------------------------------- cancelling


@pytest.mark.parametrize("verb", ["recv", "iteration", "recv_streaming", "ping", "wait_closed"])
async def test_a_verb_given_up_at_any_point_leaves_a_connection_that_works(verb: str) -> None:
    verbs: dict[str, Any] = {**VERBS, "wait_closed": lambda websocket: websocket.wait_closed()}
    async with both_ends() as (client, server):
        for turns in range(8):
            await give_up_after(turns, lambda: verbs[verb](client))
            await client.send("there")
            assert await server.recv() == "there"
            await server.send("back")
            assert await client.recv() == "back"


async def test_a_send_given_up_while_it_waits_has_sent_nothing() -> None:
    async with both_ends(*memory_pair(0), max_queue=1, max_send_buffer=KIB) as (client, server):
        sent: list[int] = []

        async def send(number: int) -> None:
            await client.send(number.to_bytes(4, "big") * 8 * KIB)
            sent.append(number)

        for number in range(40):
            # Sooner or later none of them gets through any more.
            await give_up_after(number % 7, lambda number=number: send(number))  # type: ignore[misc]
        assert client.state is State.OPEN

        received: list[int] = []

        async def receive() -> None:
            while (message := await server.recv()) != "end":
                assert isinstance(message, bytes)
                assert len(set(zip(*[iter(message)] * 4, strict=True))) == 1
                received.append(int.from_bytes(message[:4], "big"))

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await client.send("end")
        assert received == sent


async def test_parts_given_up_once_begun_take_the_connection_along() -> None:
    async with both_ends() as (client, server):

        async def source() -> AsyncIterator[str]:
            yield "a"
            yield "b"
            await anyio.sleep_forever()

        async def send() -> None:
            await client.send(source())

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        assert client.close_reason is not None
        assert client.close_reason.cause is Cause.SEND_INTERRUPTED
        assert (await server.wait_closed()).code == 1011


async def test_the_rest_of_a_message_is_discarded_at_once_if_its_parts_are_closed() -> None:
    async with client_and_stream() as (client, stream):
        await stream.send(frame(TEXT, b"begun", masked=False))
        parts: Any = client.recv_streaming()
        assert await anext(parts) == "begun"
        await parts.aclose()
        assert [part async for part in parts] == []
        rest = frame(FIN, b"rest", masked=False)
        await stream.send(rest + frame(FIN | TEXT, b"next", masked=False))
        assert await client.recv() == "next"


async def test_a_connection_aborted_in_the_middle_of_a_frame_says_nothing_more() -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with both_ends(watched, theirs) as (client, server):
        watched.stuck = True
        await client.send(b"x" * MIB)
        with anyio.move_on_after(0):
            await client.aclose()
        await client.wait_closed()
        assert watched.closed
        # The handshake, and the part of the frame that got stuck.
        assert len(watched.sizes) == 2
        reason = await server.wait_closed()
        assert reason.cause is Cause.EOF
        with pytest.raises(ConnectionClosed):
            await server.recv()
