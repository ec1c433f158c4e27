"""The only place that runs scenarios on ws_trio, and fails if they leave anything behind."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
import trio
from tests.adapters.scenarios import Handler, Runtime, Scenario
from tests.leaks import AFTERMATH, PATIENCE, open_sockets

import ws_trio
from wscore import InvalidURL

T = TypeVar("T")


class Trio:
    """ws_trio and the run that is going on."""

    def serve(
        self, handler: Handler, **options: Any
    ) -> AbstractAsyncContextManager[ws_trio.Server]:
        if not options.keys() & {"host", "unix_path"}:
            options |= {"host": "127.0.0.1", "port": 0}
        return ws_trio.serve(handler, **options)

    def connect(self, url: str, **options: Any) -> AbstractAsyncContextManager[ws_trio.WebSocket]:
        if sock := options.pop("sock", None):
            options["stream"] = stream_of(sock)
        return ws_trio.connect(url, **options)

    def accept(
        self, sock: socket.socket, **options: Any
    ) -> AbstractAsyncContextManager[ws_trio.WebSocket]:
        return ws_trio.accept(stream_of(sock), **options)

    def broadcast(self, connections: Iterable[Any], message: Any) -> list[Any]:
        return [*ws_trio.broadcast(connections, message)]

    @asynccontextmanager
    async def reconnect(
        self, url: str, **options: Any
    ) -> AsyncIterator[AsyncIterator[ws_trio.WebSocket]]:
        connections: AsyncIterator[ws_trio.WebSocket] | None = None
        async with trio.open_nursery() as nursery:
            with suppress(InvalidURL):
                connections = ws_trio.reconnect(url, nursery=nursery, **options)
                yield connections
        if connections is None:
            raise InvalidURL

    def event(self) -> trio.Event:
        return trio.Event()

    @asynccontextmanager
    async def giving_up_after(self, seconds: float) -> AsyncIterator[None]:
        with trio.move_on_after(seconds):
            yield

    async def give_up_after_turns(
        self, function: Callable[[], Awaitable[object]], turns: int
    ) -> bool:
        returned = False

        async def run() -> None:
            nonlocal returned
            await function()
            returned = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        return not returned

    async def in_thread(self, function: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(function)

    async def together(self, *functions: Callable[[], Awaitable[object]]) -> None:
        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)


def stream_of(sock: socket.socket) -> trio.SocketStream:
    """The stream over a connected socket."""
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


def run_scenario(scenario: Scenario) -> None:
    """Run a scenario to its end."""
    runtime: Runtime = Trio()
    run(scenario, runtime)


def run(test: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Run a test; fail if it leaves a socket. Tasks do not outlive it, by trio's construction."""
    trio.run(_run_cleanly, test, *arguments)
    # What is garbage warns now, while the test that made it is still to blame.
    gc.collect()


async def _run_cleanly(test: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    # What trio opens for itself at first.
    await trio.to_thread.run_sync(int)
    sockets = open_sockets()
    with trio.fail_after(PATIENCE):
        await test(*arguments)
    with trio.move_on_after(AFTERMATH) as scope:
        # Nobody announces it.
        while open_sockets() - sockets:  # noqa: ASYNC110
            await trio.sleep(0.001)
    if scope.cancelled_caught:
        pytest.fail(f"left: sockets {open_sockets() - sockets}")
