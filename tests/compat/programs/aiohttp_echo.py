"""A client that says three things, hears them back, and is told to close."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from tests.compat.aiohttp_server import serving


async def echo(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        if message.data == "close":
            await websocket.close(code=4000, message=b"as you wish")
        elif message.type is web.WSMsgType.TEXT:
            await websocket.send_str(f"{message.data}, you say")
        else:
            await websocket.send_bytes(message.data[::-1])
    print("server: closed")
    return websocket


async def main(aiohttp: Any) -> None:
    async with (
        serving(echo) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(url) as websocket,
    ):
        await websocket.send_str("hello")
        await websocket.send_bytes(b"\0\1\2")
        async for message in websocket:
            if message.type is aiohttp.WSMsgType.TEXT:
                print("client: text", message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                print("client: bytes", [*message.data])
                await websocket.send_str("close")
        print("client:", websocket.closed, websocket.close_code, websocket.exception())
        print("client:", *await websocket.receive())
