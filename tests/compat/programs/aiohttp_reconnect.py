"""A client that connects again, whether the server refuses, closes, breaks off or is not there."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp import web
from tests.compat.aiohttp_server import serving


async def main(aiohttp: Any) -> None:
    visits = 0

    async def treat_badly(request: web.Request) -> web.StreamResponse:
        nonlocal visits
        visits += 1
        if visits == 1:
            return web.Response(status=503, headers={"Retry-After": "1"}, text="later")
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str(f"visit {visits}")
        if visits == 2:
            await websocket.close(code=1012, message=b"back soon")
        elif visits == 3:
            assert request.transport is not None
            await asyncio.sleep(0.05)
            request.transport.abort()
        else:
            await websocket.receive()
        return websocket

    async def stay(session: Any, urls: list[str]) -> None:
        while True:
            # The last one for good.
            url = urls.pop(0) if len(urls) > 1 else urls[0]
            try:
                async with session.ws_connect(url) as websocket:
                    async for message in websocket:
                        print("client:", message.data)
                        if message.data == "visit 4":
                            return
                    print("client: closed with", int(websocket.close_code), "again")
            except aiohttp.WSServerHandshakeError as error:
                print(
                    "client:", error.status, error.headers["retry-after"], error.message, "again"
                )
            except aiohttp.ClientConnectorError as error:
                print("client: not there,", isinstance(error.os_error, OSError), "again")

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        async with serving(treat_badly) as url, aiohttp.ClientSession() as session:
            await stay(session, [f"ws://127.0.0.1:{port}/", url])
