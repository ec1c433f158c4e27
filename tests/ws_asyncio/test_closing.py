"""Closing on asyncio: from either side, at the worst moment, and against every kind of peer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Self

import pytest
from tests.ws_asyncio.peers import (
    VIOLATION,
    BytesMessage,
    CloseConnection,
    Ping,
    TextMessage,
    both_ends,
    client_and_peer,
    server_and_peer,
    turns,
    until,
)

from ws_asyncio import WebSocket
from wscore import Cause, CloseBy, CloseFrame, ConnectionClosed, State

MIB = 1024 * 1024


async def wait_closed(websocket: WebSocket) -> None:
    await websocket.wait_closed()


# -------------------------------------------------------------------------- the handshake


async def test_our_close_is_answered_and_the_server_ends_first() -> None:
    """RFC 6455 section 7.1.1."""
    async with client_and_peer() as (client, peer):
        closing = asyncio.create_task(client.close(4000, "because"))
        close = await peer.answer_close()
        assert (close.code, close.reason) == (4000, "because")
        await turns()
        assert not closing.done()
        peer.end()
        await closing
        assert (await client.wait_closed()).clean


async def test_the_peers_close_is_answered_in_kind() -> None:
    async with client_and_peer() as (client, peer):
        await peer.send(CloseConnection(code=4000, reason="because"))
        answer = await peer.receive(CloseConnection)
        assert (answer.code, answer.reason) == (4000, "because")
        peer.end()
        reason = await client.wait_closed()
        assert (reason.code, reason.by) == (4000, CloseBy.PEER)


async def test_a_server_that_has_both_close_frames_ends_at_once() -> None:
    async with server_and_peer(wait_closed) as (_, peer):
        await peer.send(CloseConnection(code=1000))
        assert await peer.read_to_end() == b"\x88\x02\x03\xe8"


async def test_a_close_goes_behind_what_was_sent_to_a_peer_that_reads_late() -> None:
    async with client_and_peer() as (client, peer):
        await client.send(b"x" * 8 * MIB)
        closing = asyncio.create_task(client.close())
        await turns()
        assert (await peer.receive(BytesMessage)).data == b"x" * 8 * MIB
        await peer.answer_close()
        peer.end()
        await closing
        assert (await client.wait_closed()).clean
        assert (await client.wait_closed()).unsent == 0


async def test_a_peer_that_has_ended_may_read_the_rest_and_the_transport_ends_once() -> None:
    """The last bytes leave, and nothing is left to wait for: no exception that nobody sees."""
    async with client_and_peer() as (client, peer):
        await client.send(b"x" * 8 * MIB)
        closing = asyncio.create_task(client.close())
        await turns()
        peer.end()
        await turns()
        assert len(await peer.read_to_end()) > 8 * MIB
        await closing
        assert (await client.wait_closed()).unsent == 0


@pytest.mark.parametrize("count", [1, 100])
async def test_every_violation_gets_its_close_frame(count: int) -> None:
    """SECURITY: unread input must not reset the connection and lose the Close frame."""
    for _ in range(20):
        async with server_and_peer(wait_closed) as (_, peer):
            await peer.write(VIOLATION * count + b"\x82\xfe\x40\x00" + b"x" * 50_000)
            assert (await peer.answer_close()).code == 1002


# ------------------------------------------------------------------- peers that do not play


async def test_close_timeout_bounds_a_peer_that_never_answers() -> None:
    async with client_and_peer(close_timeout=0.1) as (client, peer):
        before = time.monotonic()
        await client.close()
        assert 0.1 <= time.monotonic() - before < 5
        reason = await client.wait_closed()
        assert reason.close_sent == CloseFrame(1000, "")
        assert reason.close_received is None
        assert await peer.read_to_end() != b""


async def test_close_timeout_bounds_a_peer_that_never_reads() -> None:
    async with client_and_peer(close_timeout=0.1) as (client, _):
        await client.send(b"x" * 32 * MIB)
        await client.close()
        reason = await client.wait_closed()
        assert reason.close_sent is None
        assert reason.unsent == 1


async def test_close_timeout_bounds_a_peer_that_talks_on() -> None:
    async with client_and_peer(close_timeout=0.1) as (client, peer):
        closing = asyncio.create_task(client.close())

        async def talk() -> None:
            while True:
                await peer.send(Ping())
                await peer.send(TextMessage(data="blah"))
                await asyncio.sleep(0)

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await talk()
        await closing
        assert (await client.wait_closed()).unread > 0


async def test_close_timeout_bounds_a_client_that_stays_after_its_violation() -> None:
    async with server_and_peer(wait_closed, close_timeout=0.1) as (server, peer):
        await peer.write(VIOLATION)
        assert (await peer.receive(CloseConnection)).code == 1002
        await peer.read_to_end()
        await until(lambda: not server._tasks)


@pytest.mark.parametrize("full", [False, True])
async def test_the_end_of_the_stream_without_a_close_frame_is_told(full: bool) -> None:
    async with client_and_peer(max_queue=2) as (client, peer):
        expected = [str(i) for i in range(10 if full else 2)]
        for text in expected:
            await peer.send(TextMessage(data=text))
        peer.end()
        messages = aiter(client)
        assert [await anext(messages) for _ in expected] == expected
        with pytest.raises(ConnectionClosed) as caught:
            await anext(messages)
        assert (caught.value.code, caught.value.reason.cause) == (1006, Cause.EOF)
        assert await client.wait_closed() == client.close_reason


async def test_a_reset_is_told_with_its_error() -> None:
    async with client_and_peer() as (client, peer):
        peer.reset()
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.reason.cause is Cause.TRANSPORT_ERROR
        assert isinstance(caught.value.__cause__, ConnectionResetError)


LAST_WORDS = TextMessage(data="last"), TextMessage(data="words")


@pytest.mark.parametrize("key", [None, "key"])
async def test_last_words_are_received_whoever_meets_the_reset(key: str | None) -> None:
    """Who sends alone, or the transport: that writes what has a key, on uvloop a little later."""
    async with client_and_peer(overflow="replace") as (client, peer):
        peer.say_and_reset(*LAST_WORDS, CloseConnection(code=4000, reason="bye"))
        await client.send("too late", key=key)
        assert [await client.recv(), await client.recv()] == ["last", "words"]
        reason = await client.wait_closed()
        assert (reason.cause, reason.code, reason.reason) == (Cause.PEER_CLOSED, 4000, "bye")


@pytest.mark.parametrize("key", [None, "key"])
async def test_behind_last_words_without_a_close_frame_the_reset_is_told(key: str | None) -> None:
    async with client_and_peer(overflow="replace") as (client, peer):
        peer.say_and_reset(*LAST_WORDS)
        await client.send("too late", key=key)
        assert [await client.recv(), await client.recv()] == ["last", "words"]
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.reason.cause is Cause.TRANSPORT_ERROR
        assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize("number", [-1, None])
async def test_a_socket_that_its_transport_has_closed_is_not_read(number: int | None) -> None:
    """Its number may be another socket's by now."""
    async with client_and_peer() as (client, peer):
        transport = client._transport
        assert transport is not None
        client._transport = _Closed(transport, number)  # type: ignore[assignment]
        peer.say_and_reset(*LAST_WORDS)
        client._on_lost(ConnectionResetError("told by the transport"))
        assert client.stats.messages_received == 0
        transport.abort()
        with pytest.raises(ConnectionClosed):
            await client.recv()


class _Closed:
    """A transport that has closed its socket.

    :param number: what the socket gives for its own; None: there is no socket.
    """

    def __init__(self, transport: asyncio.Transport, number: int | None) -> None:
        self._transport = transport
        self._number = number

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def get_extra_info(self, name: str) -> Self | None:
        assert name == "socket"
        return None if self._number is None else self

    def fileno(self) -> int:
        assert self._number is not None
        return self._number


@pytest.mark.parametrize("verb", ["recv", "ping", "wait_closed"])
async def test_a_reset_wakes_whoever_waits(verb: str) -> None:
    async with client_and_peer() as (client, peer):
        waiting = asyncio.ensure_future(getattr(client, verb)())
        await turns()
        peer.reset()
        if verb == "wait_closed":
            assert (await waiting).by is CloseBy.TRANSPORT
        else:
            with pytest.raises(ConnectionClosed):
                await waiting


async def test_a_peer_that_ended_its_side_is_still_told_goodbye() -> None:
    async with client_and_peer() as (client, peer):
        peer.end()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (await client.wait_closed()).by is CloseBy.TRANSPORT
        assert await peer.read_to_end() == b""


async def test_a_peer_that_ended_its_side_still_gets_an_answer() -> None:
    async def handler(websocket: WebSocket) -> None:
        await until(lambda: websocket._connection.want_read == 0)
        await websocket.send("answer")
        assert await websocket.recv() == "question"

    async with server_and_peer(handler) as (_, peer):
        await peer.send(TextMessage(data="question"))
        peer.end()
        assert (await peer.receive(TextMessage)).data == "answer"


async def test_a_peer_that_vanishes_is_noticed_by_keepalive() -> None:
    async with client_and_peer(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05) as ends:
        client, _ = ends
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.reason.cause is Cause.PING_TIMEOUT
        await client.wait_closed()


# -------------------------------------------------------------------- at the worst moment


async def test_a_close_while_sending_waits_ends_the_send() -> None:
    async with client_and_peer(close_timeout=0.1) as (client, _):
        await client.send(b"x" * 32 * MIB)
        sending = asyncio.create_task(client.send("waits"))
        await turns()
        assert not sending.done()
        await client.close()
        with pytest.raises(ConnectionClosed):
            await sending


async def test_a_close_while_parts_are_sent_ends_them() -> None:
    go = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield "a"
        yield "b"
        await go.wait()
        yield "c"

    async with both_ends() as (client, server):
        sending = asyncio.create_task(client.send(source()))
        await until(lambda: server._connection.can_receive_part)
        await client.close()
        go.set()
        with pytest.raises(ConnectionClosed):
            await sending
        assert (await server.wait_closed()).unread == 1


async def test_a_close_with_a_full_queue_drops_and_counts_it() -> None:
    async with client_and_peer(max_queue=2) as (client, peer):
        for i in range(10):
            await peer.send(TextMessage(data=str(i)))
        await until(lambda: client._connection.can_receive)
        closing = asyncio.create_task(client.close())
        await peer.answer_close()
        peer.end()
        await closing
        assert (await client.wait_closed()).unread == 10
        with pytest.raises(ConnectionClosed):
            await client.recv()


async def test_keep_unread_keeps_what_was_received_before_the_close() -> None:
    async with both_ends(keep_unread=True) as (client, server):
        await client.send("kept")
        await until(lambda: server._connection.can_receive)
        await server.close()
        assert await server.recv() == "kept"
        with pytest.raises(ConnectionClosed):
            await server.recv()


async def test_a_peers_close_behind_a_full_queue_is_answered() -> None:
    async with client_and_peer(max_queue=2) as (client, peer):
        for i in range(10):
            await peer.send(TextMessage(data=str(i)))
        await peer.send(CloseConnection(code=1000))
        await peer.receive(CloseConnection)
        peer.end()
        assert (await client.wait_closed()).clean
        assert [message async for message in client] == [str(i) for i in range(10)]


async def test_a_close_that_is_cancelled_goes_on_by_itself() -> None:
    async with client_and_peer() as (client, peer):
        closing = asyncio.create_task(client.close())
        await turns()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert client.state is State.CLOSING
        await peer.answer_close()
        peer.end()
        assert (await client.wait_closed()).clean


async def test_a_block_that_is_cancelled_closes_its_connection() -> None:
    async with client_and_peer() as (client, peer):

        async def block() -> None:
            async with client:
                await client.recv()

        task = asyncio.create_task(block())
        await turns()
        task.cancel()
        await peer.answer_close()
        peer.end()
        await asyncio.wait([task])
        assert task.cancelled()
        assert client.state is State.CLOSED


async def test_an_abort_drops_what_is_queued_and_counts_it() -> None:
    async with client_and_peer() as (client, peer):
        await client.send(b"x" * 32 * MIB)
        client.abort()
        reason = await client.wait_closed()
        assert (reason.cause, reason.unsent) == (Cause.ABORTED, 1)
        await peer.read_to_end()


class _Refusing:
    """A transport whose peer has gone without anybody having noticed yet."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def write_eof(self) -> None:
        raise OSError("not connected any more")


async def test_a_peer_that_is_gone_before_its_stream_is_ended_raises_nothing() -> None:
    async def handler(websocket: WebSocket) -> None:
        transport = websocket._transport
        assert transport is not None
        websocket._transport = _Refusing(transport)  # type: ignore[assignment]
        with pytest.raises(ConnectionClosed):
            await websocket.recv()

    async with server_and_peer(handler) as (_, peer):
        await peer.write(VIOLATION)
        assert (await peer.answer_close()).code == 1002
        peer.end()


async def test_every_connection_of_many_is_closed_cleanly() -> None:
    """SECURITY: no Close frame is lost."""

    async def one() -> None:
        async with both_ends() as (client, server):
            await asyncio.gather(client.send("x"), server.send("y"))
            await client.close()
            assert (await client.wait_closed()).clean
            assert (await server.wait_closed()).clean

    for _ in range(10):
        await asyncio.gather(*(one() for _ in range(10)))
