"""A room in which everybody hears everything; two come, one leaves, the other talks on."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream


async def main(asyncwebsockets: Any) -> None:
    room: dict[Any, str] = {}

    async def say(text: str) -> None:
        for websocket in [*room]:
            await websocket.send(text)

    async def visit(stream: SocketStream) -> None:
        async with asyncwebsockets.open_websocket_server(stream) as websocket:
            try:
                async for event in websocket:
                    if websocket in room:
                        await say(f"{room[websocket]}: {event.data}")
                    else:
                        room[websocket] = event.data
                        await say(f"{event.data} is here")
            finally:
                name = room.pop(websocket)
                await say(f"{name} is gone")

    async def hear(websocket: Any, name: str, count: int) -> None:
        async for event in websocket:
            print(f"{name} hears: {event.data}")
            count -= 1
            if not count:
                return

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, visit)
        url = f"ws://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/"
        async with asyncwebsockets.open_websocket(url) as ann:
            await ann.send("Ann")
            await hear(ann, "Ann", 1)
            async with asyncwebsockets.open_websocket(url) as bob:
                await bob.send("Bob")
                await hear(bob, "Bob", 1)
                await hear(ann, "Ann", 1)
                await bob.send("hello")
                await hear(bob, "Bob", 1)
                await hear(ann, "Ann", 1)
            await hear(ann, "Ann", 1)
            await ann.send("anybody?")
            await hear(ann, "Ann", 1)
        await anyio.wait_all_tasks_blocked()
        server.cancel_scope.cancel()
