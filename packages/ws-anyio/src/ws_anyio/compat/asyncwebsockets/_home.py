"""The only place for the tasks of connections that belong to nobody's task group.

``create_websocket`` is awaited with nothing to run in, and its connection answers pings whoever
reads. So there is one task group for each event loop, in a task that ends with it; the tasks of
a connection in it end with the connection.
"""

from __future__ import annotations

import asyncio
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import RunVar, current_token

__all__ = ["home"]


class _Home:
    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.ready: Final = anyio.Event()
        self.group: Final = anyio.create_task_group()

    def open(self) -> None:
        """Start the task. anyio has none outside of task groups; both of its backends have."""
        loop = current_token().native_token
        if isinstance(loop, asyncio.AbstractEventLoop):
            # The loop itself does not keep its tasks alive.
            self.task = loop.create_task(self._keep())
        else:
            from trio.lowlevel import spawn_system_task

            spawn_system_task(self._keep)

    async def _keep(self) -> None:
        try:
            async with self.group:
                self.ready.set()
                await anyio.sleep_forever()
        finally:
            # Whoever cancels every task of asyncio may go on with the loop.
            _homes.set(None)


_homes: Final[RunVar[_Home | None]] = RunVar("ws_anyio.compat.asyncwebsockets", None)


async def home() -> TaskGroup:
    """The task group of this event loop; cancelled when the loop ends."""
    place = _homes.get()
    if place is None:
        place = _Home()
        _homes.set(place)
        place.open()
    await place.ready.wait()
    return place.group
