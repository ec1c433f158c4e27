"""A client that stays connected: to a server that starts late, and once more to the next one."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Generator
from types import ModuleType
from typing import Any


def delays() -> Generator[float]:
    """Shorter than a person would choose."""
    while True:
        yield 0.005


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    logging.getLogger("websockets.client").setLevel(logging.CRITICAL)
    lines = []
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]

    async def client() -> None:
        attempts = websockets.connect(f"ws://127.0.0.1:{port}", reconnect_delays=delays)
        async for websocket in attempts:
            try:
                async for message in websocket:
                    lines.append(message)
                    if message == "enough":
                        return
            except websockets.ConnectionClosed as closed:
                lines.append(str(closed))

    async def greet(websocket: Any) -> None:
        await websocket.send("first")
        greeted.set()
        await websocket.wait_closed()

    async def end(websocket: Any) -> None:
        await websocket.send("enough")
        await websocket.wait_closed()

    greeted = asyncio.Event()
    staying = asyncio.create_task(client())
    await asyncio.sleep(0.02)
    async with websockets.serve(greet, "127.0.0.1", port) as server:
        await greeted.wait()
        server.close(code=1012, reason="update")
    async with websockets.serve(end, "127.0.0.1", port):
        await staying
    return lines
