"""Runs the table of scenarios on asyncio and uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
from tests.adapters.scenarios import SCENARIOS, Handler, Runtime, Scenario

import ws_asyncio


class Asyncio:
    """ws_asyncio and the event loop that runs."""

    def serve(
        self, handler: Handler, **options: Any
    ) -> AbstractAsyncContextManager[ws_asyncio.Server]:
        return ws_asyncio.serve(handler, "127.0.0.1", 0, **options)

    def connect(
        self, url: str, **options: Any
    ) -> AbstractAsyncContextManager[ws_asyncio.WebSocket]:
        return ws_asyncio.connect(url, **options)

    def event(self) -> asyncio.Event:
        return asyncio.Event()

    @asynccontextmanager
    async def giving_up_after(self, seconds: float) -> AsyncIterator[None]:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                yield

    async def together(self, *functions: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.TaskGroup() as group:
            for function in functions:
                group.create_task(_run(function))


async def _run(function: Callable[[], Awaitable[object]]) -> None:
    await function()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_on_asyncio(scenario: Scenario) -> None:
    runtime: Runtime = Asyncio()
    await scenario(runtime)
