"""A chat room: what one says, everybody hears."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    room: set[Any] = set()

    async def broadcast(message: str) -> None:
        async with trio.open_nursery() as nursery:
            for websocket in room:
                nursery.start_soon(websocket.send_message, message)

    async def talk(request: Any) -> None:
        name = request.path.rpartition("/")[2]
        websocket = await request.accept()
        room.add(websocket)
        await broadcast(f"{name} is here")
        try:
            while True:
                await broadcast(f"{name}: {await websocket.get_message()}")
        except trio_websocket.ConnectionClosed:
            room.remove(websocket)
            await broadcast(f"{name} went away")

    async def hear(name: str, websocket: Any, times: int) -> None:
        for _ in range(times):
            say(f"{name} hears {await websocket.get_message()!r}")

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(trio_websocket.serve_websocket, talk, "localhost", 0, None)
        )
        url = f"{server.listeners[0].url}/rooms"
        async with trio_websocket.open_websocket_url(f"{url}/ann") as ann:
            await hear("ann", ann, 1)
            async with trio_websocket.open_websocket_url(f"{url}/bob") as bob:
                await hear("ann", ann, 1)
                await hear("bob", bob, 1)
                for speaker, text in ((bob, "Good morning"), (ann, "Hello")):
                    await speaker.send_message(text)
                    await hear("ann", ann, 1)
                    await hear("bob", bob, 1)
            await hear("ann", ann, 1)
        nursery.cancel_scope.cancel()
