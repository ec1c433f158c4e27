"""The only place that runs scenarios on ws_anyio, and fails if they leave anything behind."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, SocketStream, UNIXSocketStream
from tests.adapters.scenarios import Handler, Runtime, Scenario
from tests.leaks import AFTERMATH, PATIENCE, open_sockets

import ws_anyio
from wscore import InvalidURL

T = TypeVar("T")

BACKENDS = ("asyncio", "trio")


class Anyio:
    """ws_anyio and the run that is going on."""

    def serve(
        self, handler: Handler, **options: Any
    ) -> AbstractAsyncContextManager[ws_anyio.Server]:
        if not options.keys() & {"host", "unix_path"}:
            options |= {"host": "127.0.0.1", "port": 0}
        return ws_anyio.serve(handler, **options)

    @asynccontextmanager
    async def connect(self, url: str, **options: Any) -> AsyncIterator[ws_anyio.WebSocket]:
        if sock := options.pop("sock", None):
            options["stream"] = await stream_of(sock)
        async with ws_anyio.connect(url, **options) as websocket:
            yield websocket

    @asynccontextmanager
    async def accept(
        self, sock: socket.socket, **options: Any
    ) -> AsyncIterator[ws_anyio.WebSocket]:
        async with ws_anyio.accept(await stream_of(sock), **options) as websocket:
            yield websocket

    def broadcast(self, connections: Iterable[Any], message: Any) -> list[Any]:
        return [*ws_anyio.broadcast(connections, message)]

    @asynccontextmanager
    async def reconnect(
        self, url: str, **options: Any
    ) -> AsyncIterator[AsyncIterator[ws_anyio.WebSocket]]:
        connections: AsyncIterator[ws_anyio.WebSocket] | None = None
        async with anyio.create_task_group() as group:
            with suppress(InvalidURL):
                connections = ws_anyio.reconnect(url, task_group=group, **options)
                yield connections
        if connections is None:
            raise InvalidURL

    def event(self) -> anyio.Event:
        return anyio.Event()

    @asynccontextmanager
    async def giving_up_after(self, seconds: float) -> AsyncIterator[None]:
        with anyio.move_on_after(seconds):
            yield

    async def give_up_after_turns(
        self, function: Callable[[], Awaitable[object]], turns: int
    ) -> bool:
        returned = False

        async def run() -> None:
            nonlocal returned
            await function()
            returned = True

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        return not returned

    async def in_thread(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function)

    async def together(self, *functions: Callable[[], Awaitable[object]]) -> None:
        async with anyio.create_task_group() as group:
            for function in functions:
                group.start_soon(_run, function)


async def _run(function: Callable[[], Awaitable[object]]) -> None:
    await function()


async def stream_of(sock: socket.socket) -> ByteStream:
    """The stream over a connected socket."""
    if sock.family == socket.AF_UNIX:
        return await UNIXSocketStream.from_socket(sock)
    return await SocketStream.from_socket(sock)


def run_scenario(scenario: Scenario, backend: str) -> None:
    """Run a scenario to its end."""
    runtime: Runtime = Anyio()
    run(scenario, runtime, backend=backend)


def run(test: Callable[..., Awaitable[None]], *arguments: Any, backend: str) -> None:
    """Run a test; fail if it leaves a task or a socket."""
    anyio.run(_run_cleanly, test, *arguments, backend=backend)
    # What is garbage warns now, while the test that made it is still to blame.
    gc.collect()


async def _run_cleanly(test: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    # What trio opens for itself at first.
    await anyio.to_thread.run_sync(int)
    sockets = open_sockets()
    with anyio.fail_after(PATIENCE):
        await test(*arguments)
    with anyio.move_on_after(AFTERMATH) as scope:
        # Nobody announces it.
        while open_sockets() - sockets:  # noqa: ASYNC110
            await anyio.sleep(0.001)
    if scope.cancelled_caught:
        pytest.fail(f"left: sockets {open_sockets() - sockets}")
