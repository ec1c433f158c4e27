"""Clients that lose patience: with a message, with a server that lost its voice, with closing."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from tests.compat.aiohttp_server import serving


async def listen(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse(autoping=request.path == "/alive")
    await websocket.prepare(request)

    async def answer() -> None:
        # Only who receives answers pings meanwhile.
        await asyncio.sleep(0.1)
        await websocket.send_str("hello")

    async with asyncio.TaskGroup() as answers:
        async for message in websocket:
            if message.data == "hello":
                answers.create_task(answer())
            elif message.data == b"mine":
                await websocket.send_str(f"{message.type.name} {message.data.decode()}")
                await websocket.pong(message.data)
    return websocket


async def main(aiohttp: Any) -> None:
    async with serving(listen) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}alive") as websocket:
            try:
                await websocket.receive(timeout=0.05)
            except TimeoutError:
                print("nothing came, and it goes on:", websocket.closed)
            await websocket.send_str("hello")
            print(await websocket.receive_str())

        async with session.ws_connect(f"{url}alive", heartbeat=0.03) as websocket:
            await websocket.send_str("hello")
            print(await websocket.receive_str())

        async with session.ws_connect(f"{url}dead", heartbeat=0.04) as websocket:
            message = await websocket.receive()
            print(message.type.name, isinstance(message.data, aiohttp.ServerTimeoutError))
            print(message.data)
            print(websocket.closed, int(websocket.close_code))
            print(websocket.exception() is message.data)

        async with session.ws_connect(f"{url}mine", autoping=False) as websocket:
            await websocket.ping(b"mine")
            print(*await websocket.receive())
            print(*await websocket.receive())
