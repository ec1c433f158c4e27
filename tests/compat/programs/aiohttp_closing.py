"""Who closes, and what each side learns of it: client, server, another task, nobody in time."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from tests.compat.aiohttp_server import serving


async def main(aiohttp: Any) -> None:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        match request.path:
            case "/bye":
                await websocket.send_str("last words")
                await websocket.close(code=4001, message=b"why")
            case "/deaf":
                await asyncio.sleep(0.2)
            case _:
                print("server:", *await websocket.receive())
        return websocket

    def state(websocket: Any) -> str:
        code = websocket.close_code
        return f"{websocket.closed} {None if code is None else int(code)}"

    async with serving(handle) as url, aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as websocket:
            print("mine:", await websocket.close(code=4000, message=b"enough"), state(websocket))
            print("again:", await websocket.close(), state(websocket))
            print("then:", *await websocket.receive())
            try:
                await websocket.send_str("too late")
            except ConnectionResetError as error:
                print("then:", isinstance(error, aiohttp.ClientError))

        async with session.ws_connect(f"{url}bye") as websocket:
            for _ in range(4):
                print("theirs:", *await websocket.receive(), state(websocket))

        async with session.ws_connect(f"{url}bye", autoclose=False) as websocket:
            for _ in range(2):
                print("theirs:", *await websocket.receive(), state(websocket))
            print("mine, too:", await websocket.close(), state(websocket))

        async with session.ws_connect(url) as websocket:
            receiving = asyncio.create_task(websocket.receive())
            await asyncio.sleep(0)
            print("another task's:", await websocket.close(), *await receiving)

        patience = aiohttp.ClientWSTimeout(ws_close=0.05)
        async with session.ws_connect(f"{url}deaf", timeout=patience) as websocket:
            print("in vain:", await websocket.close(), state(websocket))
            print("in vain:", isinstance(websocket.exception(), TimeoutError))
