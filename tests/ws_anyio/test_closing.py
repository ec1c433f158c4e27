"""Closing on anyio: what is still said under cancellation, and that everything ends."""

from __future__ import annotations

import ssl
from typing import Any

import anyio
import pytest
from tests.ws_anyio.streams import (
    MemoryListener,
    Watched,
    both_ends,
    echo,
    memory_pair,
    serving,
    until,
)

from ws_anyio import WebSocket, connect, serve
from wscore import Cause, CloseFrame, CloseReason, ConnectionClosed, State

# ---------------------------------------------------------------------- what a block raises


@pytest.mark.parametrize(
    "error",
    [LookupError(), ExceptionGroup("mine", [LookupError()]), KeyboardInterrupt(), SystemExit()],
    ids=repr,
)
@pytest.mark.parametrize("own", [True, False], ids=["own", "callers"])
async def test_what_a_block_raises_comes_out_as_it_is(error: BaseException, own: bool) -> None:
    async with serving(echo) as (_, url), anyio.create_task_group() as group:
        caught: BaseException | None = None
        try:
            async with connect(url, task_group=None if own else group):
                raise error
        except BaseException as raised:  # noqa: BLE001  (compared below)
            caught = raised
        assert caught is error
        try:
            async with serve(echo, "127.0.0.1", 0):
                raise error
        except BaseException as raised:  # noqa: BLE001  (compared below)
            caught = raised
        assert caught is error


async def test_the_end_of_the_connection_comes_out_of_the_block_bare() -> None:
    async with serving(lambda websocket: websocket.close(4000)) as (_, url):
        with pytest.raises(ConnectionClosed):
            async with connect(url) as client:
                await client.recv()


# ------------------------------------------------------------------------ under cancellation


async def closed_by(body: Any, **options: Any) -> CloseReason:
    """What the server sees of a client whose block is cancelled, on streams in memory."""
    reasons: list[CloseReason] = []

    async def handler(websocket: WebSocket) -> None:
        reasons.append(await websocket.wait_closed())

    listener = MemoryListener()
    async with serve(handler, listeners=[listener]) as server:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                options = dict.fromkeys(options, group)

                async def cancel() -> None:
                    await until(lambda: bool(server.connections))
                    scope.cancel()

                group.start_soon(cancel)
                async with connect("ws://host/", stream=listener.dial(), **options) as client:
                    await body(client)
        assert scope.cancelled_caught
        await until(lambda: bool(reasons))
    return reasons[0]


@pytest.mark.parametrize("options", [{}, {"task_group": True}], ids=["own", "callers"])
async def test_a_block_that_is_cancelled_says_close(options: dict[str, Any]) -> None:
    reason = await closed_by(lambda client: client.recv(), **options)
    assert reason.close_received == CloseFrame(1000, "")


async def test_a_task_group_in_the_block_that_is_cancelled_says_close_too() -> None:
    async def body(client: WebSocket) -> None:
        async with anyio.create_task_group() as inner:
            inner.start_soon(client.recv)
            inner.start_soon(anyio.sleep_forever)

    reason = await closed_by(body)
    assert reason.close_received == CloseFrame(1000, "")


async def test_who_shields_a_close_from_cancellation_closes_cleanly() -> None:
    async def body(client: WebSocket) -> None:
        try:
            await client.recv()
        finally:
            with anyio.CancelScope(shield=True):
                await client.close(4001, "mine")
            assert (await client.wait_closed()).clean

    reason = await closed_by(body)
    assert reason.close_received == CloseFrame(4001, "mine")
    assert reason.clean


async def test_a_close_that_is_given_up_goes_on_by_itself() -> None:
    async with both_ends() as (client, server):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.close(4000)
        assert scope.cancelled_caught
        assert (await client.wait_closed()).clean
        assert (await server.wait_closed()).code == 4000


async def test_a_block_that_is_cancelled_waits_for_nobody_who_takes_nothing(
    virtual_time: None,
) -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with both_ends(watched, theirs) as (client, _):
        watched.stuck = True
        await client.send("stuck")
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
        with anyio.CancelScope() as scope:
            async with client:
                scope.cancel()
        assert anyio.current_time() == began
        assert client.state is State.CLOSED


# -------------------------------------------------------------------------------- the stream


class Slow(Watched):
    """A stream that never closes by itself."""

    async def aclose(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await super().aclose()


async def test_a_stream_that_does_not_close_is_let_go_at_close_timeout(
    virtual_time: None,
) -> None:
    ours, theirs = memory_pair()
    slow = Slow(ours)
    async with both_ends(slow, theirs, close_timeout=5) as (client, _):
        began = anyio.current_time()
        await client.close()
        assert anyio.current_time() - began == pytest.approx(5)
        assert (await client.wait_closed()).clean
        assert slow.closed


class Unclosable(Watched):
    """A stream that can neither be ended nor closed without an error."""

    async def send_eof(self) -> None:
        raise LookupError("on purpose")

    async def aclose(self) -> None:
        await super().aclose()
        raise LookupError("on purpose")


async def test_what_a_stream_raises_when_it_is_closed_harms_nobody() -> None:
    ours, theirs = memory_pair()
    async with both_ends(Unclosable(ours), Unclosable(theirs)) as (client, server):
        await client.close(4000)
        assert (await client.wait_closed()).clean
        assert (await server.wait_closed()).code == 4000


async def test_what_a_stream_raises_later_wakes_whoever_waits() -> None:
    ours, theirs = memory_pair()
    watched = Watched(ours)
    async with both_ends(watched, theirs) as (client, server):
        errors: list[ConnectionClosed] = []

        async def wait(verb: Any) -> None:
            with pytest.raises(ConnectionClosed) as caught:
                await verb()
            errors.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(wait, client.recv)
            group.start_soon(wait, server.recv)
            await anyio.wait_all_tasks_blocked()
            watched.odd = True
            await client.send("x")
        ours_ended = next(error for error in errors if error.reason.cause is not Cause.EOF)
        assert ours_ended.reason.cause is Cause.TRANSPORT_ERROR
        assert isinstance(ours_ended.__cause__, LookupError)


async def test_an_abort_is_prompt_and_says_nothing() -> None:
    async with both_ends() as (client, server):
        client.abort()
        assert (await client.wait_closed()).cause is Cause.ABORTED
        assert (await server.wait_closed()).cause is Cause.EOF


async def test_both_sides_close_over_tls_though_it_cannot_end_one_side(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.recv()
        # A violation makes us end our side first, where the stream can.
        await websocket.close(4000)

    listener = MemoryListener()
    async with (
        serve(handler, listeners=[listener], ssl=server_tls),
        connect("wss://localhost/", stream=listener.dial(), ssl=client_tls) as client,
    ):
        await client.send("go")
        assert (await client.wait_closed()).clean
