"""Send a message and print what comes back: ``python examples/echo_client.py [url]``."""

from __future__ import annotations

import asyncio
import sys

from ws_asyncio import connect


async def main(url: str) -> None:
    async with connect(url) as websocket:
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if sys.argv[1:] else "ws://127.0.0.1:8765/"))
