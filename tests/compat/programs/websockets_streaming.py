"""Messages in parts: sent as they are made, received as they come, and too big ones refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []
    turn = asyncio.Event()

    async def tell(websocket: Any) -> None:
        async def words() -> AsyncIterator[str]:
            for word in ("once ", "upon ", "a time"):
                yield word
                await turn.wait()
                turn.clear()

        await websocket.send(words())
        await websocket.send([b"\x00", b"\x01"])
        await websocket.send("é".encode(), text=True)
        await websocket.send("too big " * 10)
        await websocket.wait_closed()

    async with websockets.serve(tell, "127.0.0.1", 0) as server:
        uri = "ws://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with websockets.connect(uri, max_size=64) as websocket:
            async for word in websocket.recv_streaming():
                lines.append(word)
                turn.set()
            lines.append(repr(await websocket.recv()))
            lines.append(repr(await websocket.recv(decode=False)))
            try:
                await websocket.recv()
            except websockets.ConnectionClosedError as closed:
                lines.append(f"{closed.sent.code} {type(closed.__cause__).__name__}")
    return lines
