"""Plain sockets on asyncio, whose loop says again and again that there is something to read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Any, Generic, TypeVar, cast

import pytest
import trio
from tests.adapters.runtimes.on_anyio import run
from tests.wscore.rawpeer import PING, TEXT, frame

from ws_anyio._stream import OnLoop, OnSocket, carrier_of
from ws_anyio._websocket import WebSocket
from wscore import Config, Connection, Role

T = TypeVar("T")

FIN = 0x80


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, which never waits, and the peer's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


Pair = tuple[socket.socket, socket.socket]


on_asyncio = partial(run, backend="asyncio")
"""Runs a test to its end there."""


def server_on(sock: socket.socket) -> tuple[WebSocket, OnLoop]:
    """An open connection, and what is to carry it."""
    connection = Connection.upgraded(Role.SERVER, now=asyncio.get_running_loop().time())
    websocket = WebSocket(connection)
    carrier = carrier_of(sock, connection, websocket._now)
    assert isinstance(carrier, OnLoop)
    return websocket, carrier


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_the_loop_is_told_once_for_many_reads(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        ours, theirs = pair
        websocket, carrier = server_on(ours)
        loop = asyncio.get_running_loop()
        told: list[int] = []
        add_reader = loop.add_reader

        def note(number: int, *arguments: Any) -> None:
            told.append(number)
            add_reader(number, *arguments)

        monkeypatch.setattr(loop, "add_reader", note)
        for text in (b"one", b"two", b"three"):
            reading = asyncio.create_task(carrier.read())
            await turns()
            theirs.send(frame(FIN | TEXT, text, masked=True))
            assert await reading
            assert await websocket.recv() == text.decode()
        assert told == [ours.fileno()]
        await carrier.abort()

    on_asyncio(test)


def test_what_nobody_reads_does_not_keep_the_loop_busy(pair: Pair) -> None:
    async def test() -> None:
        ours, theirs = pair
        websocket, carrier = server_on(ours)
        loop = asyncio.get_running_loop()
        reading = asyncio.create_task(carrier.read())
        await turns()
        theirs.send(frame(FIN | TEXT, b"one", masked=True))
        assert await reading
        theirs.send(frame(FIN | TEXT, b"two", masked=True))
        await asyncio.sleep(0.01)
        # The loop was told to say it no more; who reads next gets it all the same.
        assert not loop.remove_reader(ours.fileno())
        await carrier.read()
        assert [await websocket.recv(), await websocket.recv()] == ["one", "two"]
        await carrier.abort()

    on_asyncio(test)


def test_a_read_that_is_cancelled_when_something_came_has_handed_it_over(pair: Pair) -> None:
    async def test() -> None:
        ours, theirs = pair
        websocket, carrier = server_on(ours)
        carried = asyncio.create_task(websocket._run(carrier))
        receiving = asyncio.create_task(websocket.recv())
        await turns(9)
        theirs.send(frame(FIN | PING, b"?", masked=True) + frame(FIN | TEXT, b"one", masked=True))
        while not websocket.stats.bytes_received:
            # It is the loop that reads, and the receiver goes on in the next turn.
            carrier._on_readable()
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        # What follows from it was done.
        assert theirs.recv(100) == frame(FIN | 0xA, b"?", masked=False)
        assert await websocket.recv() == "one"
        websocket.abort()
        await carried
        await websocket._drop(carrier)

    on_asyncio(test)


class CancelledWhereItWaits(Generic[T]):
    """Awaits something, and cancels the task when that waits for the so-manieth time: by its own
    ``cancel()``, which is not anyio's and passes every shield.

    :ivar waits: how often it has waited.
    """

    def __init__(self, function: Callable[[], Awaitable[T]], at: int) -> None:
        self._function = function
        self._at = at
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, T]:
        waiting = self._function().__await__()
        step: Callable[[], Any] = partial(next, waiting)
        while True:
            try:
                awaited = step()
            except StopIteration as end:
                return cast("T", end.value)
            self.waits += 1
            if self.waits == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield awaited
                step = partial(next, waiting)
            except BaseException as error:  # noqa: BLE001  (it is thrown on)
                step = partial(waiting.throw, error)


async def receive_and_be_cancelled(at: int, early: bool, answers: bool, config: Config) -> int:
    """Receive what comes, some of it alone and some together, and go on once after a cancel.

    :param early: whether to begin before there is anything.
    :returns: how often it waited before that.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection.upgraded(Role.SERVER, config, now=asyncio.get_running_loop().time())
    websocket = WebSocket(connection)
    carrier = carrier_of(ours, connection, websocket._now)
    carried = asyncio.create_task(websocket._run(carrier))
    await turns()
    said = ["one", "two", "three", "four", "five"]
    received: list[Any] = []

    def say(*texts: str) -> None:
        theirs.send(b"".join(frame(FIN | TEXT, text.encode(), masked=True) for text in texts))

    async def receive() -> None:
        while len(received) < len(said):
            received.append(await websocket.recv())
            if answers:
                await websocket.send("thanks")

    cancelled = CancelledWhereItWaits(receive, at)

    async def be_cancelled() -> None:
        await cancelled

    with theirs:
        if not early:
            say(said[0])
            websocket._let_read()
            await turns()
        task = asyncio.create_task(be_cancelled())
        await turns()
        if early:
            say(said[0])
            await turns()
        say(*said[1:])
        await asyncio.wait([task])
        assert task.cancelled() is (cancelled.waits >= at)
        async with asyncio.timeout(5):
            await receive()
        assert received == said
        websocket.abort()
        await carried
        await websocket._drop(carrier)
    return cancelled.waits


@pytest.mark.parametrize("max_queue", [1, 2, 16])
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("early", [True, False])
def test_no_message_is_lost_to_asyncios_own_cancel_wherever_it_comes(
    early: bool, answers: bool, max_queue: int
) -> None:
    config = Config(max_queue=max_queue)
    at = 1
    while asyncio.run(receive_and_be_cancelled(at, early, answers, config)) >= at:
        at += 1
    assert at > 2


@pytest.mark.parametrize("error", [ConnectionResetError, MemoryError])
def test_what_reading_raises_is_for_who_reads(pair: Pair, error: type[Exception]) -> None:
    async def test() -> None:
        ours, _ = pair
        _, carrier = server_on(ours)

        def fail() -> bool:
            raise error

        carrier._take_in = fail  # type: ignore[method-assign]
        reading = asyncio.create_task(carrier.read())
        await turns()
        carrier._on_readable()
        with pytest.raises(error):
            await reading
        await carrier.abort()

    on_asyncio(test)


@pytest.mark.parametrize("how", ["interrupt_read", "abort"])
def test_who_reads_can_be_called_back(pair: Pair, how: str) -> None:
    async def test() -> None:
        ours, theirs = pair
        _, carrier = server_on(ours)
        reading = asyncio.create_task(carrier.read())
        await turns()
        if how == "abort":
            await carrier.abort()
            assert ours.fileno() < 0
            assert theirs.recv(1) == b""
        else:
            carrier.interrupt_read()
            # Nothing is read for somebody who is not there.
            theirs.send(frame(FIN | TEXT, b"one", masked=True))
            carrier._on_readable()
        assert not await reading
        carrier.interrupt_read()
        await carrier.abort()

    on_asyncio(test)


def test_what_is_closed_already_is_no_socket_to_watch(pair: Pair) -> None:
    async def test() -> None:
        ours, _ = pair
        ours.close()
        connection = Connection.upgraded(Role.SERVER, now=0.0)
        carrier = carrier_of(ours, connection, WebSocket(connection)._now)
        assert type(carrier) is OnSocket
        with pytest.raises((ValueError, OSError)):
            await carrier.read()

    on_asyncio(test)


async def be_carried_by_anyio(sock: socket.socket) -> None:
    connection = Connection.upgraded(Role.SERVER, now=0.0)
    carrier = carrier_of(sock, connection, WebSocket(connection)._now)
    assert type(carrier) is OnSocket
    await carrier.abort()


@pytest.mark.parametrize("within_asyncio", [True, False])
def test_on_trio_the_loop_of_asyncio_is_not_asked(pair: Pair, within_asyncio: bool) -> None:
    async def run_trio() -> None:
        trio.run(be_carried_by_anyio, pair[0])

    if within_asyncio:
        asyncio.run(run_trio())
    else:
        run(be_carried_by_anyio, pair[0], backend="trio")


def test_a_loop_that_does_not_watch_sockets_is_not_asked(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        loop = type(asyncio.get_running_loop())
        monkeypatch.setattr(loop, "add_reader", asyncio.AbstractEventLoop.add_reader)
        try:
            await be_carried_by_anyio(pair[0])
        finally:
            monkeypatch.undo()

    on_asyncio(test)
