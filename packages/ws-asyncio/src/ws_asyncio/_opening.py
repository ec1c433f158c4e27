"""The only place for what both sides do to open a connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from ._websocket import WebSocket

__all__ = ["Opening", "within_open_timeout"]


class Opening:
    """A connection that opens when it is awaited or entered; leaving closes it."""

    _websocket: WebSocket

    async def _open(self) -> WebSocket:
        raise NotImplementedError

    def __await__(self) -> Generator[Any, None, WebSocket]:
        return self._open().__await__()

    async def __aenter__(self) -> WebSocket:
        self._websocket = await self._open()
        return self._websocket

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._websocket.__aexit__(exc_type, exc, traceback)


@asynccontextmanager
async def within_open_timeout(websocket: WebSocket) -> AsyncIterator[None]:
    """Get as far as a transport; what goes wrong on the way is the connection's to tell."""
    connection = websocket._connection
    deadline = connection.deadline
    timeout = asyncio.timeout_at(None if deadline == math.inf else deadline)
    try:
        async with timeout:
            yield
    except OSError as error:
        # TimeoutError is one, too: the deadline's, or the network's own.
        if timeout.expired():
            connection.handle_timeout(now=max(deadline, websocket._now()))
        websocket._on_lost(error)
