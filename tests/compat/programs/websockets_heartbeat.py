"""Who is still there: latencies, deadlines of one's own, and a peer that hangs."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    async def echo(websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0, ping_interval=0.01) as server:
        uri = "ws://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with websockets.connect(uri, ping_interval=0.01) as websocket:
            latency = await (await websocket.ping())
            lines.append(f"answered in less than a second: {0 < latency < 1}")
            try:
                async with asyncio.timeout(0.03):
                    await websocket.recv()
            except TimeoutError:
                lines.append("nothing came, and the connection is as good as before")
            await websocket.send("still there?")
            lines.append(await websocket.recv())
            lines.append(f"latency is known: {websocket.latency > 0}")

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await gone.wait()
        writer.close()

    gone = asyncio.Event()
    listener = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with listener:
        uri = "ws://127.0.0.1:{1}".format(*listener.sockets[0].getsockname())
        try:
            await websockets.connect(uri, open_timeout=0.03)
        except TimeoutError as error:
            lines.append(str(error))
        gone.set()
    return lines
