"""A handler that consumes and produces at the same time, until either is done."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []
    orders: asyncio.Queue[str] = asyncio.Queue()

    async def consume(websocket: Any) -> None:
        async for message in websocket:
            await orders.put(message)

    async def produce(websocket: Any) -> None:
        while (order := await orders.get()) != "stop":
            await websocket.send(order.upper())
        await websocket.close(4001, "you said so")

    async def handler(websocket: Any) -> None:
        tasks = [asyncio.create_task(each(websocket)) for each in (consume, produce)]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        uri = "ws://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with websockets.connect(uri) as websocket:
            for order in ("tea", "cake", "stop"):
                await websocket.send(order)
            try:
                while True:
                    lines.append(await websocket.recv())
            except websockets.ConnectionClosedError as closed:
                lines.append(str(closed))
    return lines
