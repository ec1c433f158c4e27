"""A room in which everybody hears everything; two come, one leaves, the other talks on."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from tests.compat.aiohttp_server import serving


async def main(aiohttp: Any) -> None:
    room: dict[web.WebSocketResponse, str] = {}

    async def say(text: str) -> None:
        for websocket in [*room]:
            await websocket.send_str(text)

    async def visit(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        name = request.query["name"]
        room[websocket] = name
        await say(f"{name} is here")
        async for message in websocket:
            await say(f"{name}: {message.data}")
        del room[websocket]
        await say(f"{name} is gone")
        return websocket

    async def hear(websocket: Any, name: str) -> None:
        print(f"{name} hears: {await websocket.receive_str()}")

    async with (
        serving(visit) as url,
        aiohttp.ClientSession(url) as session,
        session.ws_connect("room", params={"name": "Ann"}) as ann,
    ):
        await hear(ann, "Ann")
        async with session.ws_connect("room", params={"name": "Bob & Co"}) as bob:
            await hear(bob, "Bob")
            await hear(ann, "Ann")
            await bob.send_str("hello")
            await hear(bob, "Bob")
            await hear(ann, "Ann")
        await hear(ann, "Ann")
        await ann.send_str("anybody?")
        await hear(ann, "Ann")
