"""A chat room: who reads too slowly delays nobody. ``python examples/chat.py [port]``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from ws_asyncio import WebSocket, serve
from wscore import ConnectionClosed, Prepared

members: set[WebSocket] = set()


async def tell_everyone(message: str | bytes) -> None:
    prepared = Prepared(message)  # Encoded once, however many they are.
    for member in list(members):
        with suppress(ConnectionClosed):  # Its own handler notices.
            await member.send(prepared)


async def chat(websocket: WebSocket) -> None:
    members.add(websocket)
    try:
        async for message in websocket:
            await tell_everyone(message)
    finally:
        members.discard(websocket)


async def main(port: int) -> None:
    async with serve(chat, "127.0.0.1", port, overflow="drop_oldest") as server:
        print(f"Listening on ws://127.0.0.1:{server.port}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 8765))
