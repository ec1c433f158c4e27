"""Serving on asyncio: listening, the hook, handlers, and the end of a server."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.ws_asyncio.peers import (
    REQUEST,
    VIOLATION,
    CloseConnection,
    Peer,
    both_ends,
    client_and_peer,
    echo,
    server_and_peer,
    turns,
    until,
)

from ws_asyncio import RequestHook, Server, WebSocket, connect, serve
from wscore import (
    Accept,
    Config,
    HandshakeRejected,
    Request,
    Response,
    State,
)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, bool]]:
    """The level of each line of the adapter's log, and whether it has a traceback."""
    return [
        (record.levelno, record.exc_info is not None)
        for record in caplog.records
        if record.name == "ws_asyncio"
    ]


@pytest.fixture(autouse=True)
def _see_every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="ws_asyncio")


# ------------------------------------------------------------------------------ listening


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"port": 0, "unix_path": "socket"},
        {"host": "127.0.0.1", "sockets": []},
        {"sockets": [], "unix_path": "socket"},
        {"port": 0, "open_timeout": 0},
    ],
)
async def test_what_cannot_be_right_raises_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        serve(echo, **options)


async def test_a_server_may_be_awaited_and_knows_its_port() -> None:
    server = await serve(echo, "127.0.0.1", 0)
    assert server.port == server.sockets[0].getsockname()[1] > 0
    async with connect(f"ws://127.0.0.1:{server.port}/") as client:
        await client.ping()
        assert len(server.connections) == 1
        await server.close()
    assert server.sockets == ()
    assert server.connections == set()
    with pytest.raises(ValueError):
        _ = server.port
    await server.close()


async def test_a_server_listens_on_the_callers_sockets() -> None:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [sock.getsockname()[1] for sock in sockets]
    async with serve(echo, sockets=sockets, config=Config(subprotocols=["a"])) as server:
        for port in ports:
            async with connect(f"ws://127.0.0.1:{port}/", subprotocols=["a"]) as client:
                assert client.subprotocol == "a"
        with pytest.raises(ValueError, match="2 ports"):
            _ = server.port


async def test_a_server_that_cannot_listen_on_all_sockets_listens_on_none() -> None:
    good, bad = socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)
    port = good.getsockname()[1]
    with bad, pytest.raises(ValueError):
        await serve(echo, sockets=[good, bad])
    with pytest.raises(ConnectionRefusedError):
        await Peer.dial(port)


async def test_an_address_in_use_raises() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(OSError):
            await serve(echo, "127.0.0.1", server.port)


async def test_serve_forever_ends_with_the_server_closed() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        serving = asyncio.create_task(server.serve_forever())
        async with connect(f"ws://127.0.0.1:{server.port}/") as client:
            serving.cancel()
            assert (await client.wait_closed()).code == 1001
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert server.sockets == ()


async def test_serve_forever_returns_when_the_server_is_closed_elsewhere() -> None:
    server = await serve(echo, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve_forever())
    await turns()
    await server.close()
    await serving


# ------------------------------------------------------------------------------- the hook


@asynccontextmanager
async def asked(hook: RequestHook, **policy: Any) -> AsyncIterator[str]:
    async with serve(echo, "127.0.0.1", 0, on_request=hook, **policy) as server:
        yield f"ws://127.0.0.1:{server.port}/"


async def rejection(url: str) -> Response:
    with pytest.raises(HandshakeRejected) as caught:
        await connect(url, subprotocols=["offered"])
    return caught.value.response


@pytest.mark.parametrize("answer", [None, Accept("offered"), Accept(headers={"X-A": "b"})])
async def test_a_hook_may_be_a_function_or_a_coroutine(answer: Accept | None) -> None:
    async def coroutine(request: Request) -> Accept | None:
        await asyncio.sleep(0)
        return answer

    for hook in (coroutine, lambda _: answer):
        async with asked(hook) as url, connect(url, subprotocols=["offered"]) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            assert client.subprotocol == (answer.subprotocol if answer else None)


async def test_a_hook_may_refuse(caplog: pytest.LogCaptureFixture) -> None:
    async with asked(lambda _: Response(401, {"WWW-Authenticate": "Basic"}, b"who?")) as url:
        response = await rejection(url)
    assert (response.status, response.body) == (401, b"who?")
    assert response.headers["WWW-Authenticate"] == "Basic"
    assert lines(caplog) == [(logging.INFO, False)]


@pytest.mark.parametrize("wrong", [True, 403, "no", Accept("not offered"), Response(101)])
async def test_a_hook_that_answers_nonsense_is_a_500(
    wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with asked(lambda _: wrong) as url:
        assert (await rejection(url)).status == 500
    assert lines(caplog) == [(logging.ERROR, True), (logging.INFO, False)]


async def test_a_hook_that_raises_is_a_500_and_reveals_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def times_out(request: Request) -> None:
        raise TimeoutError("of its own")

    async def loses_another_connection(request: Request) -> None:
        async with client_and_peer() as (websocket, peer):
            peer.reset()
            await websocket.recv()

    async def trips_over_something_cancelled(request: Request) -> None:
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    def fails(request: Request) -> None:
        raise LookupError("secret")

    hooks: list[RequestHook] = [
        times_out,
        loses_another_connection,
        trips_over_something_cancelled,
        fails,
    ]
    for hook in hooks:
        caplog.clear()
        async with asked(hook) as url:
            response = await rejection(url)
            assert response.status == 500
            assert b"secret" not in response.body
        assert lines(caplog) == [(logging.ERROR, True), (logging.INFO, False)]


async def test_a_hook_runs_within_open_timeout(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = False

    async def hook(request: Request) -> None:
        nonlocal cancelled
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled = True

    async with serve(echo, "127.0.0.1", 0, on_request=hook, open_timeout=0.05) as server:
        with await Peer.dial(server.port) as peer:
            await peer.write(REQUEST)
            assert await peer.read_to_end() == b""
    assert cancelled
    assert lines(caplog) == [(logging.INFO, False)]


async def test_a_hook_that_is_out_of_time_accepts_nothing_however_late_other_timers_are() -> None:
    async def hook(request: Request) -> None:
        for websocket in server._tasks.values():
            assert websocket._timer is not None
            websocket._timer.cancel()
        await asyncio.get_running_loop().create_future()

    async with serve(echo, "127.0.0.1", 0, on_request=hook, open_timeout=0.05) as server:
        with await Peer.dial(server.port) as peer:
            await peer.write(REQUEST)
            assert await peer.read_to_end() == b""


async def test_a_client_that_leaves_while_the_hook_runs_is_not_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = asyncio.Event()

    async def hook(request: Request) -> None:
        await go.wait()

    async with serve(echo, "127.0.0.1", 0, on_request=hook) as server:
        with await Peer.dial(server.port) as peer:
            await peer.write(REQUEST)
            await until(lambda: any(_requested(server)))
            peer.reset()
            await until(lambda: all(ws.state is State.CLOSED for ws in server._tasks.values()))
        go.set()
        await until(lambda: not server._tasks)
    assert lines(caplog) == [(logging.INFO, False)]


def _requested(server: Server) -> list[bool]:
    return [websocket.request is not None for websocket in server._tasks.values()]


async def test_frames_behind_the_request_wait_for_the_hook() -> None:
    async with asked(lambda _: None) as url:
        port = int(url.rpartition(":")[2].strip("/"))
        with await Peer.dial(port) as peer:
            await peer.write(REQUEST + b"\x81\x81\0\0\0\0!")
            await peer.read_head()
            assert await peer.read() == b"\x81\x01!"


# ------------------------------------------------------------------------------- handlers


async def test_a_handler_that_raises_ends_its_own_connection_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(websocket: WebSocket) -> None:
        if await websocket.recv() == "fail":
            raise LookupError("found a bug")
        await echo(websocket)

    async with serve(handler, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with connect(url) as bystander, connect(url) as client:
            await bystander.send("begin")
            await client.send("fail")
            reason = await client.wait_closed()
            assert (reason.code, reason.reason) == (1011, "internal error")
            await bystander.send("hello")
            assert await bystander.recv() == "hello"
    assert lines(caplog) == [(logging.ERROR, True)]
    assert "found a bug" in caplog.text


async def test_a_handler_may_leave_the_end_of_its_connection_to_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.recv()

    async with serve(handler, "127.0.0.1", 0) as server, connect(f"ws://127.0.0.1:{server.port}/"):
        pass
    assert lines(caplog) == []


async def test_a_task_group_may_leave_the_end_of_its_connection_to_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(websocket: WebSocket) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(websocket.recv())

    async with serve(handler, "127.0.0.1", 0) as server, connect(f"ws://127.0.0.1:{server.port}/"):
        pass
    assert lines(caplog) == []


async def test_a_task_group_that_fails_with_the_end_of_its_connection_is_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(websocket: WebSocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("found a bug")

    async def handler(websocket: WebSocket) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail(websocket))
            group.create_task(websocket.recv())

    async with serve(handler, "127.0.0.1", 0) as server, connect(f"ws://127.0.0.1:{server.port}/"):
        pass
    assert lines(caplog) == [(logging.ERROR, True)]


async def test_a_handler_that_trips_over_something_cancelled_has_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(_: WebSocket) -> None:
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    async with (
        serve(handler, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        assert (await client.wait_closed()).code == 1011
    assert lines(caplog) == [(logging.ERROR, True)]


async def test_the_end_of_another_connection_is_a_handlers_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(websocket: WebSocket) -> None:
        async with client_and_peer() as (upstream, peer):
            peer.reset()
            await upstream.recv()

    async with (
        serve(handler, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        assert (await client.wait_closed()).code == 1011
    assert lines(caplog) == [(logging.ERROR, True)]


async def test_the_end_of_another_connection_in_a_block_closes_this_one_with_1011() -> None:
    async with both_ends() as (client, server):
        async with client_and_peer() as (upstream, peer):
            peer.reset()
            with pytest.raises(Exception) as caught:
                async with client:
                    await upstream.recv()
        assert caught.type.__name__ == "ConnectionClosed"
        assert (await server.wait_closed()).code == 1011


async def test_a_handler_may_close_the_server(caplog: pytest.LogCaptureFixture) -> None:
    finished: list[str] = []

    async with serve(lambda websocket: handler(websocket), "127.0.0.1", 0) as server:

        async def handler(websocket: WebSocket) -> None:
            if await websocket.recv() == "shut down":
                await server.close()
            finished.append("handler")

        url = f"ws://127.0.0.1:{server.port}/"
        async with connect(url) as bystander, connect(url) as client:
            await client.send("shut down")
            assert (await client.wait_closed()).code == 1001
            assert (await bystander.wait_closed()).code == 1001
    assert finished == ["handler"]
    assert lines(caplog) == []


# ---------------------------------------------------------------------------- misbehaviour


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"nonsense\r\n\r\n", b"GET /", b""]
)
async def test_a_bad_request_is_a_line_without_a_traceback(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        with await Peer.dial(server.port) as peer:
            await peer.write(data)
            peer.end()
            answer = await peer.read_to_end()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        await until(lambda: not server._tasks)
    assert lines(caplog) == [(logging.INFO, False)]


@pytest.mark.parametrize("way", ["violation", "reset", "end", "close code"])
async def test_an_end_that_is_not_normal_is_a_line_without_a_traceback(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with server_and_peer(echo) as (server, peer):
        if way == "violation":
            await peer.write(VIOLATION)
            assert (await peer.answer_close()).code == 1002
        elif way == "reset":
            peer.reset()
        elif way == "end":
            peer.end()
        else:
            await peer.send(CloseConnection(code=4000, reason="no"))
            await peer.read_to_end()
        if way == "violation":
            peer.end()
        await until(lambda: not server._tasks)
    assert lines(caplog) == [(logging.INFO, False)]


async def test_half_a_request_ends_with_open_timeout(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(echo, "127.0.0.1", 0, open_timeout=0.05) as server:
        with await Peer.dial(server.port) as peer:
            await peer.write(REQUEST[:40])
            assert await peer.read_to_end() == b""
    assert lines(caplog) == [(logging.INFO, False)]


async def test_a_refused_client_that_stays_is_let_go_within_close_timeout() -> None:
    async with serve(
        echo, "127.0.0.1", 0, on_request=lambda _: Response(403), close_timeout=0.1
    ) as server:
        with await Peer.dial(server.port) as peer:
            await peer.write(REQUEST)
            assert (await peer.read_to_end()).startswith(b"HTTP/1.1 403 ")
            await until(lambda: not server._tasks)


async def test_storms_of_resets_leave_the_server_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        for i in range(60):
            with await Peer.dial(server.port) as peer:
                await peer.write(REQUEST[: i * 4])
                peer.reset()
        async with connect(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        await until(lambda: not server._tasks)
    assert set(lines(caplog)) <= {(logging.INFO, False)}
    assert len(lines(caplog)) <= 60


# -------------------------------------------------------------------------------- the end


async def test_a_bad_code_closes_nothing() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        await client.ping()
        with pytest.raises(ValueError):
            await server.close(1005)
        await client.send("hello")
        assert await client.recv() == "hello"
        assert server.sockets


async def test_code_and_reason_of_the_end_can_be_chosen() -> None:
    async with (
        serve(echo, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        await client.ping()
        await server.close(1012, "back soon")
        reason = await client.wait_closed()
        assert (reason.code, reason.reason) == (1012, "back soon")


async def test_a_server_closes_under_load() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.port}/"

        async def flood() -> int:
            async with connect(url) as client:
                try:
                    while True:
                        await client.send(b"x" * 65536)
                        await client.recv()
                except Exception:  # noqa: BLE001  (how it ends is looked at below)
                    return (await client.wait_closed()).code

        floods = [asyncio.create_task(flood()) for _ in range(10)]
        await until(lambda: len(server.connections) == 10)
        await server.close()
        assert server._tasks == {}
        assert await asyncio.gather(*floods) == [1001] * 10


async def test_a_server_that_closes_gives_up_handshakes_under_way() -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        with await Peer.dial(server.port) as peer:
            await peer.write(REQUEST[:40])
            await until(lambda: len(server._tasks) == 1)
            await server.close()
            assert await peer.read_to_end() == b""


async def test_what_is_accepted_while_the_server_closes_is_not_served(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    served: list[WebSocket] = []

    async def handler(websocket: WebSocket) -> None:
        served.append(websocket)

    async with serve(handler, "127.0.0.1", 0, ssl=server_tls) as server:
        loop = asyncio.get_running_loop()
        accepted = socket.create_connection(("127.0.0.1", server.port))
        with accepted:
            accepted.setblocking(False)
            # The server has accepted it when its answer to the first bytes of TLS is there.
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = client_tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            await loop.sock_sendall(accepted, outgoing.read())
            incoming.write(await loop.sock_recv(accepted, 65536))
            await server.close()
            tls.do_handshake()
            tls.write(REQUEST)
            await loop.sock_sendall(accepted, outgoing.read())
            # Long before open_timeout.
            async with asyncio.timeout(5):
                with suppress(ConnectionResetError):
                    while await loop.sock_recv(accepted, 65536):
                        pass
    assert served == []


async def test_handlers_that_do_not_return_are_cancelled() -> None:
    cancelled = False

    async def handler(websocket: WebSocket) -> None:
        nonlocal cancelled
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled = True
            raise

    async with (
        serve(handler, "127.0.0.1", 0, close_timeout=0.05) as server,
        connect(f"ws://127.0.0.1:{server.port}/") as client,
    ):
        await client.ping()
        async with asyncio.timeout(2):
            await server.close()
        assert cancelled
        assert (await client.wait_closed()).code == 1001


async def test_a_close_of_the_server_that_is_cancelled_aborts_what_runs() -> None:
    async def handler(websocket: WebSocket) -> None:
        await asyncio.get_running_loop().create_future()

    async with server_and_peer(handler) as (server, peer):
        closing = asyncio.create_task(server.close())
        await turns()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await peer.read_to_end()
        await until(lambda: not server._tasks)
