"""The only place for what both sides do to open a connection, and where its tasks run."""

from __future__ import annotations

from collections.abc import Generator
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled

from ._stream import Wire
from ._websocket import WebSocket

__all__ = ["Home", "Opening"]


class Opening:
    """A connection that opens when it is entered, or awaited with a task group for its tasks."""

    _task_group: TaskGroup | None
    _websocket: WebSocket
    _home: Home

    async def _open(self, task_group: TaskGroup) -> WebSocket:
        raise NotImplementedError

    def __await__(self) -> Generator[Any, Any, WebSocket]:
        if self._task_group is None:
            name = type(self).__name__
            raise TypeError(
                f"await {name}(...) needs task_group= for the connection's tasks; "
                f"or write async with {name}(...)"
            )
        return self._open(self._task_group).__await__()

    def _start(self, websocket: WebSocket, stream: Wire, task_group: TaskGroup) -> None:
        """Carry the connection over the stream; in our own task group it is always closed."""
        ours = self._task_group is None
        carry = websocket._carry if ours else websocket._carry_until_cancelled
        task_group.start_soon(carry, stream)

    async def __aenter__(self) -> WebSocket:
        self._home = Home()
        task_group = await self._home.enter()
        try:
            self._websocket = await self._open(self._task_group or task_group)
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
    """A task group whose tasks raise nothing: it makes no group of what its caller raises."""

    def __init__(self) -> None:
        self._manager = anyio.create_task_group()

    async def enter(self) -> TaskGroup:
        return await self._manager.__aenter__()

    async def leave(self) -> None:
        """Cancel the tasks, and wait until they are gone."""
        self._manager.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(None, None, None)
        except BaseExceptionGroup:
            # That the caller is cancelled, said as task groups say it.
            await checkpoint_if_cancelled()
            raise
