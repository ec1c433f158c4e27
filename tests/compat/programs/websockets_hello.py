"""A server that greets by name, and a client that asks it to: the first page of the manual."""

from __future__ import annotations

from types import ModuleType
from typing import Any


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    async def hello(websocket: Any) -> None:
        name = await websocket.recv()
        lines.append(f"< {name}")
        await websocket.send(f"Hello {name}!")

    async with websockets.serve(hello, "127.0.0.1", 0) as server:
        _, port = server.sockets[0].getsockname()
        async with websockets.connect(f"ws://127.0.0.1:{port}") as websocket:
            await websocket.send("Grace")
            lines.append(f"> {await websocket.recv()}")
            try:
                await websocket.recv()
            except websockets.ConnectionClosedOK as closed:
                lines.append(str(closed))
        lines.append(f"{websocket.close_code} {websocket.close_reason!r}")
    return lines
