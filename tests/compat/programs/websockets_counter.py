"""Shared state: everybody who is connected may change a counter, and all see it, by broadcast."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    users: set[Any] = set()
    value = 0

    def tell(**what: object) -> None:
        websockets.broadcast(users, json.dumps(what))

    async def counter(websocket: Any) -> None:
        nonlocal value
        users.add(websocket)
        try:
            tell(users=len(users))
            await websocket.send(json.dumps({"value": value}))
            async for message in websocket:
                value += {"plus": 1, "minus": -1}[json.loads(message)["action"]]
                tell(value=value)
        finally:
            users.remove(websocket)
            tell(users=len(users))

    lines = []
    async with websockets.serve(counter, "127.0.0.1", 0) as server:
        uri = "ws://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with websockets.connect(uri) as first:
            lines += [await first.recv(), await first.recv()]
            async with websockets.connect(uri) as second:
                lines += [await second.recv(), await second.recv(), await first.recv()]
                for action in ("plus", "plus", "minus"):
                    await second.send(json.dumps({"action": action}))
                    lines += [await first.recv(), await second.recv()]
            lines.append(await first.recv())
    return lines
