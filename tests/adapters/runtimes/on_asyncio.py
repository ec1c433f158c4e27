"""The only place that runs scenarios on ws_asyncio, and fails if they leave anything behind."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
import uvloop
from tests.adapters.scenarios import Handler, Runtime, Scenario
from tests.leaks import AFTERMATH, PATIENCE, open_sockets

import ws_asyncio

T = TypeVar("T")

NewLoop = Callable[[], asyncio.AbstractEventLoop]

LOOPS: dict[str, NewLoop] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Asyncio:
    """ws_asyncio and the event loop that runs."""

    def serve(
        self, handler: Handler, **options: Any
    ) -> AbstractAsyncContextManager[ws_asyncio.Server]:
        if not options.keys() & {"host", "unix_path"}:
            options |= {"host": "127.0.0.1", "port": 0}
        return ws_asyncio.serve(handler, **options)

    def connect(
        self, url: str, **options: Any
    ) -> AbstractAsyncContextManager[ws_asyncio.WebSocket]:
        return ws_asyncio.connect(url, **options)

    def accept(
        self, sock: socket.socket, **options: Any
    ) -> AbstractAsyncContextManager[ws_asyncio.WebSocket]:
        return ws_asyncio.accept(sock, **options)

    def broadcast(self, connections: Iterable[Any], message: Any) -> list[Any]:
        return [*ws_asyncio.broadcast(connections, message)]

    @asynccontextmanager
    async def reconnect(
        self, url: str, **options: Any
    ) -> AsyncIterator[AsyncIterator[ws_asyncio.WebSocket]]:
        yield ws_asyncio.reconnect(url, **options)

    def event(self) -> asyncio.Event:
        return asyncio.Event()

    @asynccontextmanager
    async def giving_up_after(self, seconds: float) -> AsyncIterator[None]:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                yield

    async def give_up_after_turns(
        self, function: Callable[[], Awaitable[object]], turns: int
    ) -> bool:
        task = asyncio.create_task(_run(function))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    async def in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.to_thread(function)

    async def together(self, *functions: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.TaskGroup() as group:
            for function in functions:
                group.create_task(_run(function))


async def _run(function: Callable[[], Awaitable[object]]) -> None:
    await function()


def run_scenario(scenario: Scenario, new_loop: NewLoop) -> None:
    """Run a scenario to its end."""
    runtime: Runtime = Asyncio()

    async def test() -> None:
        await scenario(runtime)

    run(test(), new_loop)


def run(test: Coroutine[Any, Any, None], new_loop: NewLoop) -> None:
    """Run a test; fail if it leaves a task or a socket, or an exception that nobody saw."""
    unseen: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
        runner.run(_run_cleanly(test))
    # What is garbage warns now, while the test that made it is still to blame.
    gc.collect()
    assert not unseen, f"exceptions that nobody saw: {unseen}"


async def _run_cleanly(test: Coroutine[Any, Any, None]) -> None:
    sockets = open_sockets()
    async with asyncio.timeout(PATIENCE):
        await test
    try:
        async with asyncio.timeout(AFTERMATH):
            # Nobody announces it.
            while _left_tasks() or open_sockets() - sockets:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    except TimeoutError:
        pytest.fail(f"left: {_left_tasks()}, sockets {open_sockets() - sockets}")


def _left_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}
