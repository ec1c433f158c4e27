"""The only place for what both sides do to open a connection, and where its tasks run."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any

import trio

from ._websocket import WebSocket

__all__ = ["Home", "Opening"]


class Opening:
    """A connection that opens when it is entered, or awaited with a nursery for its tasks."""

    _nursery: trio.Nursery | None
    _websocket: WebSocket
    _home: Home

    async def _open(self, nursery: trio.Nursery) -> WebSocket:
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, WebSocket]:
        if self._nursery is None:
            name = type(self).__name__
            raise TypeError(
                f"await {name}(...) needs nursery= for the connection's tasks; "
                f"or write async with {name}(...)"
            )
        return self._open(self._nursery).__await__()

    async def __aenter__(self) -> WebSocket:
        self._home = Home()
        nursery = await self._home.enter()
        try:
            self._websocket = await self._open(self._nursery or nursery)
        except BaseException:
            await self._home.leave()
            raise
        return self._websocket

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._websocket.__aexit__(exc_type, exc, traceback)
        finally:
            await self._home.leave()


class Home:
    """A nursery whose tasks raise nothing: it makes no group of what its caller raises."""

    def __init__(self) -> None:
        self._manager = trio.open_nursery()

    async def enter(self) -> trio.Nursery:
        self._nursery = await self._manager.__aenter__()
        return self._nursery

    async def leave(self) -> None:
        """Cancel the tasks, and wait until they are gone."""
        self._nursery.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(None, None, None)
        except BaseExceptionGroup:
            # That the caller is cancelled, said as nurseries say it.
            await trio.lowlevel.checkpoint_if_cancelled()
            raise
