"""Send back whatever comes: ``python examples/echo_server.py [port]``."""

from __future__ import annotations

import asyncio
import sys

from ws_asyncio import WebSocket, serve


async def echo(websocket: WebSocket) -> None:
    async for message in websocket:
        await websocket.send(message)


async def main(port: int) -> None:
    async with serve(echo, "127.0.0.1", port) as server:
        print(f"Listening on ws://127.0.0.1:{server.port}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 8765))
