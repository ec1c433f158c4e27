"""Serving on anyio: how it starts and ends, and what may go wrong without ending it."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute
from tests.ws_anyio.streams import (
    MemoryListener,
    echo,
    give_up_after,
    serving,
    until,
)

from ws_anyio import Server, WebSocket, _serve, connect, serve
from wscore import Cause, HandshakeRejected, Response


async def is_served(url: str) -> None:
    async with connect(url) as client:
        await client.send("served?")
        assert await client.recv() == "served?"


async def dialled(listener: MemoryListener) -> None:
    async with connect("ws://host/", stream=listener.dial()) as client:
        await client.send("served?")
        assert await client.recv() == "served?"


# --------------------------------------------------------------------------- its beginning


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "127.0.0.1", "listeners": []},
        {"listeners": [], "unix_path": "socket"},
        {"port": 0, "open_timeout": 0},
        {"port": 0, "max_connections": 0},
    ],
)
def test_what_cannot_be_right_raises_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        serve(echo, **options)


async def test_a_server_may_be_started_in_a_task_group() -> None:
    async with anyio.create_task_group() as group:
        server: Server = await group.start(serve(echo, "127.0.0.1", 0))
        await is_served(f"ws://127.0.0.1:{server.port}/")
        await server.close()
        assert server.listeners == ()


async def test_a_server_knows_its_listeners_and_port() -> None:
    async with serving(echo) as (server, url):
        [listener] = server.listeners
        assert server.port == listener.extra(SocketAttribute.local_port)
        await is_served(url)
    with pytest.raises(ValueError, match="0 ports"):
        _ = server.port


async def test_a_server_accepts_from_the_callers_listeners() -> None:
    one = await anyio.create_tcp_listener(local_host="127.0.0.1")
    other = MemoryListener()
    port = one.extra(SocketAttribute.local_port)
    async with serve(echo, listeners=[one, other]) as server:
        assert server.port == port
        await is_served(f"ws://127.0.0.1:{port}/")
        await dialled(other)


async def test_an_address_in_use_raises_and_nothing_is_listened_on() -> None:
    async with serving(echo) as (server, _):
        with pytest.raises(OSError):
            async with serve(echo, ["::1", "127.0.0.1"], server.port):
                pass
        with pytest.raises(OSError):
            await anyio.connect_tcp("::1", server.port)


@pytest.mark.parametrize("turns", range(12))
async def test_a_server_that_is_given_up_leaves_no_listener(turns: int) -> None:
    """The test's runner sees what it leaves."""

    async def serve_for_ever() -> None:
        async with serve(echo, ["127.0.0.1", "::1"], 0) as server:
            await server.serve_forever()

    await give_up_after(turns, serve_for_ever)


async def test_a_cancelled_server_closes_every_listener_and_says_1001() -> None:
    listeners = [await anyio.create_tcp_listener(local_host="127.0.0.1") for _ in range(3)]
    ports = [listener.extra(SocketAttribute.local_port) for listener in listeners]
    found: list[WebSocket] = []
    async with anyio.create_task_group() as clients:
        async with anyio.create_task_group() as group:
            server: Server = await group.start(serve(echo, listeners=listeners))
            for port in ports:
                found.append(await connect(f"ws://127.0.0.1:{port}/", task_group=clients))  # noqa: PERF401
            await until(lambda: len(server.connections) == 3)
            group.cancel_scope.cancel()
        assert len(found) == 3
        for client in found:
            reason = await client.wait_closed()
            assert reason.close_received is not None
            assert reason.code == 1001
    for port in ports:
        with pytest.raises(OSError):
            await anyio.connect_tcp("127.0.0.1", port)


async def test_a_drain_that_is_cancelled_says_1001_too() -> None:
    async with serving(echo) as (server, url), connect(url) as client:
        await until(lambda: bool(server.connections))
        with anyio.move_on_after(0.01):
            await server.close(drain=1000)
        assert (await client.wait_closed()).code == 1001
        assert server.connections == set()


# ------------------------------------------------------------------------------- accepting


async def test_running_out_of_descriptors_ends_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_serve, "_ACCEPT_PAUSE", 0)
    full = OSError(errno.EMFILE, "Too many open files")
    # A listener of several says it as a group.
    listener = MemoryListener(full, ExceptionGroup("several", [full, full]))
    async with serve(echo, listeners=[listener]):
        await dialled(listener)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all("Too many open files" in record.message for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)


async def test_a_connection_that_is_gone_before_it_is_accepted_is_nothing_to_speak_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = MemoryListener(*[OSError(errno.ECONNABORTED, "gone")] * 5)
    async with serve(echo, listeners=[listener]):
        await dialled(listener)
    assert caplog.records == []


async def test_a_listener_that_somebody_closes_ends_no_connection() -> None:
    one, other = MemoryListener(), MemoryListener()
    async with (
        serve(echo, listeners=[one, other]),
        connect("ws://host/", stream=one.dial()) as client,
    ):
        await client.ping()
        await one.aclose()
        await client.send("still here")
        assert await client.recv() == "still here"
        await dialled(other)


async def test_storms_of_resets_leave_the_server_alone() -> None:
    async with serving(echo) as (server, url):

        def storm() -> None:
            for _ in range(100):
                with socket.create_connection(("127.0.0.1", server.port)) as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        await anyio.to_thread.run_sync(storm)
        await is_served(url)


@pytest.mark.parametrize("turns", range(8))
async def test_what_is_accepted_while_the_server_closes_is_not_waited_for(turns: int) -> None:
    async with anyio.create_task_group() as group:
        listener = MemoryListener()
        streams = []
        async with serve(echo, listeners=[listener], handler_task_group=group):
            await anyio.wait_all_tasks_blocked()
            streams = [listener.dial() for _ in range(3)]
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
        with anyio.fail_after(1):
            for stream in streams:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
                await stream.aclose()


# -------------------------------------------------------------------------------- handlers


def failures(caplog: pytest.LogCaptureFixture) -> list[BaseException]:
    """What was logged as the failure of a handler, with its traceback."""
    found = []
    for record in caplog.records:
        if record.levelno == logging.ERROR:
            assert record.name == "ws_anyio"
            assert record.exc_info is not None
            assert record.exc_info[1] is not None
            found.append(record.exc_info[1])
    return found


async def test_a_handler_that_raises_ends_its_own_connection_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = LookupError("on purpose")

    async def handler(websocket: WebSocket) -> None:
        if await websocket.recv() == "fail":
            raise error
        await echo(websocket)

    async with serving(handler) as (_, url), connect(url) as other:
        await other.send("go on")
        async with connect(url) as client:
            await client.send("fail")
            assert (await client.wait_closed()).code == 1011
        await other.send("still here")
        assert await other.recv() == "still here"
    assert failures(caplog) == [error]


async def test_a_handler_may_leave_the_end_of_its_connection_to_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def alone(websocket: WebSocket) -> None:
        while True:
            await websocket.recv()

    async def in_a_group(websocket: WebSocket) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(alone, websocket)
            group.start_soon(anyio.sleep_forever)

    for handler in (alone, in_a_group):
        async with serving(handler) as (server, url):
            async with connect(url):
                pass
            await until(lambda server=server: not server.connections)  # type: ignore[misc]
    assert caplog.records == []


async def test_the_end_of_another_connection_is_a_handlers_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo) as (_, other_url):

        async def handler(_: WebSocket) -> None:
            async with connect(other_url) as other:
                await other.close()
                await other.recv()

        async with serving(handler) as (_, url), connect(url) as client:
            assert (await client.wait_closed()).code == 1011
    assert len(failures(caplog)) == 1


async def test_a_handler_that_trips_over_something_cancelled_has_failed(
    caplog: pytest.LogCaptureFixture, backend: str
) -> None:
    """Such as a future of asyncio's; trio lets nobody make one."""

    async def handler(websocket: WebSocket) -> None:
        if await websocket.recv() == "fail" and backend == "asyncio":
            raise anyio.get_cancelled_exc_class()
        raise LookupError

    async with serving(handler) as (_, url):
        for _ in range(2):
            async with connect(url) as client:
                await client.send("fail")
                assert (await client.wait_closed()).code == 1011
    assert len(failures(caplog)) == 2


async def test_what_a_handler_raises_while_it_is_cancelled_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def trip() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("in the cleanup")

    async def handler(_: WebSocket) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(trip)
            await anyio.sleep_forever()

    async with (
        anyio.create_task_group() as group,
        serving(handler, handler_task_group=group, close_timeout=0.05) as (server, url),
        connect(url) as client,
    ):
        await until(lambda: bool(server.connections))
        await server.close()
        assert (await client.wait_closed()).code == 1001
    [failure] = failures(caplog)
    assert isinstance(failure, ExceptionGroup)
    assert [type(each) for each in failure.exceptions] == [LookupError]


async def test_handlers_run_in_the_callers_task_group_and_end_with_it() -> None:
    running: list[WebSocket] = []

    async def handler(websocket: WebSocket) -> None:
        running.append(websocket)
        await anyio.sleep_forever()

    async with (
        anyio.create_task_group() as group,
        serving(handler, handler_task_group=group) as (server, url),
        connect(url) as client,
    ):
        await until(lambda: bool(running))
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            assert (await client.wait_closed()).cause is Cause.EOF
            assert server.connections == set()


async def test_a_handler_may_close_the_server() -> None:
    async def handler(websocket: WebSocket) -> None:
        assert await websocket.recv() == "close"
        await servers[0].close()

    servers: list[Server] = []
    async with serving(handler) as (server, url):
        servers.append(server)
        async with connect(url) as client, connect(url) as other:
            await client.send("close")
            assert (await client.wait_closed()).code == 1001
            assert (await other.wait_closed()).code == 1001
        await server.serve_forever()


# ------------------------------------------------------------------------------------ hooks


async def test_a_hook_that_raises_is_a_500_and_reveals_nothing(
    caplog: pytest.LogCaptureFixture, backend: str
) -> None:
    errors: list[type[BaseException]] = [LookupError]
    if backend == "asyncio":
        errors.append(anyio.get_cancelled_exc_class())

    async def hook(_: object) -> Response:
        raise errors.pop()

    async with serving(echo, on_request=hook) as (_, url):
        while errors:
            with pytest.raises(HandshakeRejected) as caught:
                async with connect(url):
                    pass
            assert caught.value.response.status == 500
            assert b"Error" not in (caught.value.response.body or b"")
    assert failures(caplog)


async def test_a_hook_of_a_drain_that_raises_is_logged_and_the_drain_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def on_drain(_: WebSocket) -> None:
        raise LookupError

    async def handler(websocket: WebSocket) -> None:
        await websocket.recv()

    async with serving(handler, on_drain=on_drain) as (server, url), connect(url) as client:
        await until(lambda: bool(server.connections))
        async with anyio.create_task_group() as group:

            async def drain() -> None:
                await server.close(1012, drain=100)

            group.start_soon(drain)
            await anyio.wait_all_tasks_blocked()
            await client.send("finish")
        assert (await client.wait_closed()).code == 1012
    assert len(failures(caplog)) == 1


async def test_what_clients_do_wrong_is_a_line_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ws_anyio")
    listener = MemoryListener()
    async with serve(echo, listeners=[listener]):
        stream = listener.dial()
        await stream.send(b"nonsense\r\n\r\n")
        await until(lambda: bool(caplog.records))
        await stream.aclose()
    [record] = caplog.records
    assert (record.name, record.levelno, record.exc_info) == ("ws_anyio", logging.INFO, None)


async def test_a_server_that_closes_gives_up_handshakes_under_way() -> None:
    listener = MemoryListener()
    async with serve(echo, listeners=[listener]) as server:
        stream = listener.dial()
        await stream.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: bool(server._lives))
        await server.close()
        assert server._lives == {}
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        await stream.aclose()
