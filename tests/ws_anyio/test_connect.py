"""Opening connections on anyio: in whose task group, over which stream, and what an error says."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream
from tests.ws_anyio.streams import (
    MemoryListener,
    Odd,
    Watched,
    both_ends,
    echo,
    give_up_after,
    memory_pair,
    serving,
    until,
)

from ws_anyio import WebSocket, accept, connect, serve
from wscore import (
    CloseReason,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    InvalidURL,
    Response,
    State,
)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://host/", {}),
        ("ws://host/", {"server_hostname": "host"}),
        ("ws://host/", {"ssl": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}),
        ("ws://host/", {"open_timeout": 0}),
        ("ws://host/", {"stream": Odd(), "unix_path": "socket"}),
    ],
)
def test_what_cannot_be_right_raises_at_once(url: str, options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, InvalidURL)):
        connect(url, **options)


@pytest.mark.parametrize("opening", [connect("ws://host/"), accept(Odd())])
async def test_awaiting_without_a_task_group_says_what_is_missing(opening: Any) -> None:
    with pytest.raises(TypeError, match=r"needs task_group=.* or write async with"):
        await opening


async def test_a_plain_socket_is_no_stream() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TypeError, match="from_socket"):
        accept(ours)  # type: ignore[arg-type]


async def test_without_a_descriptor_to_spare_the_stream_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async with serving(echo) as (_, url):
        monkeypatch.setattr(os, "dup", fail)
        with pytest.raises(HandshakeInterrupted, match="Too many open files"):
            async with connect(url):
                pass


async def test_awaited_with_a_task_group_the_connection_outlives_the_call() -> None:
    async with serving(echo) as (_, url), anyio.create_task_group() as group:
        client = await connect(url, task_group=group)
        await client.send("hello")
        assert await client.recv() == "hello"
        await client.close()
        assert client.state is State.CLOSED


async def test_entered_with_a_task_group_it_is_closed_at_the_end_of_the_block() -> None:
    async with serving(echo) as (_, url), anyio.create_task_group() as group:
        async with connect(url, task_group=group) as client:
            assert await client.ping() >= 0
        assert client.state is State.CLOSED


async def test_a_task_group_that_is_cancelled_ends_its_connections_and_says_1001() -> None:
    clients: list[WebSocket] = []
    reasons: list[CloseReason] = []

    async def handler(websocket: WebSocket) -> None:
        reasons.append(await websocket.wait_closed())

    async with serving(handler) as (server, url):
        async with anyio.create_task_group() as group:
            clients.append(await connect(url, task_group=group))
            group.cancel_scope.cancel()
        assert clients[0].state is State.CLOSED
        await until(lambda: not server.connections)
        assert [reason.code for reason in reasons] == [1001]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_says_so_whatever_its_addresses(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(HandshakeInterrupted, match="ConnectionRefused") as caught:
        async with connect(f"ws://{host}:{port}/"):
            pass
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_path_where_nobody_listens_says_so(tmp_path: Path) -> None:
    with pytest.raises(HandshakeInterrupted) as caught:
        async with connect("ws://host/", unix_path=str(tmp_path / "socket")):
            pass
    assert isinstance(caught.value.__cause__, FileNotFoundError)


async def test_a_stream_that_is_closed_already_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await anyio.connect_tcp("127.0.0.1", listener.getsockname()[1])
        await stream.aclose()
        for url in ("ws://host/", "wss://host/"):
            with pytest.raises(HandshakeInterrupted) as caught:
                async with connect(url, stream=stream):
                    pass
            assert isinstance(caught.value.__cause__, anyio.ClosedResourceError)


async def test_what_an_odd_stream_raises_is_the_cause_of_the_end() -> None:
    with pytest.raises(HandshakeInterrupted) as caught:
        async with connect("ws://host/", stream=Odd()):
            pass
    assert isinstance(caught.value.__cause__, LookupError)
    with pytest.raises(HandshakeInterrupted) as caught:
        async with accept(Odd()):
            pass
    assert isinstance(caught.value.__cause__, LookupError)


async def test_a_stream_of_the_callers_is_closed_if_tls_fails() -> None:
    ours, theirs = memory_pair()
    await theirs.send(b"no TLS at all\n" * 10)
    watched = Watched(ours)
    with pytest.raises(HandshakeInterrupted) as caught:
        async with connect("wss://host/", stream=watched):
            pass
    assert isinstance(caught.value.__cause__, ssl.SSLError)
    assert watched.closed
    await theirs.aclose()


async def test_a_rejection_comes_out_bare() -> None:
    async with serving(echo, on_request=lambda _: Response(403)) as (_, url):
        with pytest.raises(HandshakeRejected):
            async with connect(url):
                pass
        async with anyio.create_task_group() as group:
            with pytest.raises(HandshakeRejected):
                await connect(url, task_group=group)


async def test_who_is_refused_on_a_stream_is_told_first() -> None:
    ours, theirs = memory_pair()
    async with anyio.create_task_group() as group:

        async def refuse() -> None:
            with pytest.raises(HandshakeRefused):
                async with accept(theirs, on_request=lambda _: Response(403, body="no")):
                    pass

        group.start_soon(refuse)
        with pytest.raises(HandshakeRejected) as caught:
            async with connect("ws://host/", stream=ours):
                pass
        assert caught.value.response.body == b"no"


async def test_refusing_can_be_given_up() -> None:
    """The client that is refused does not go away, and is cut off."""
    for turns in range(12):
        ours, theirs = memory_pair()
        watched = Watched(theirs)

        async def refuse(stream: ByteStream = watched) -> None:
            async with accept(stream, on_request=lambda _: Response(403)):
                pass

        await ours.send(b"GET / HTTP/1.1\r\n\r\n")
        await give_up_after(turns, refuse)
        assert watched.closed or turns == 0
        await ours.aclose()


@pytest.mark.parametrize("turns", range(12))
async def test_a_connect_that_is_given_up_leaves_nothing(
    turns: int, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:

        async def open_one() -> None:
            async with connect(f"wss://localhost:{server.port}/", ssl=client_tls) as client:
                await client.recv()

        await give_up_after(turns, open_one)
        await until(lambda: not server.connections)


async def test_tls_runs_over_any_stream(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    listener = MemoryListener()
    async with (
        serve(echo, listeners=[listener], ssl=server_tls),
        connect("wss://localhost/", stream=listener.dial(), ssl=client_tls) as client,
    ):
        await client.send(b"x" * 1_000_000)
        assert await client.recv() == b"x" * 1_000_000


async def test_a_stream_without_addresses_has_none() -> None:
    async with both_ends() as ends:
        for end in ends:
            assert (end.local_address, end.remote_address) == (None, None)
