"""A client that asks a calculator in JSON, compressed, and meets what is not JSON."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from tests.compat.aiohttp_server import serving


async def calculate(request: web.Request) -> web.WebSocketResponse:
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        match message.json():
            case {"add": numbers}:
                await websocket.send_json({"sum": sum(numbers)})
            case {"speak": "bytes"}:
                await websocket.send_bytes(b'{"sum": 0}')
            case _:
                await websocket.send_str("what?")
    return websocket


async def main(aiohttp: Any) -> None:
    async with (
        serving(calculate) as url,
        aiohttp.ClientSession() as session,
        session.ws_connect(url, compress=15) as websocket,
    ):
        print("compressed:", websocket.compress, websocket.client_notakeover)
        await websocket.send_json({"add": [*range(1000)]})
        print(await websocket.receive_json())
        await websocket.send_json({"add": []}, dumps=lambda data: json.dumps(data, indent=2))
        print(await websocket.receive_json(loads=lambda text: [text]))
        await websocket.send_json({"speak": "bytes"})
        try:
            await websocket.receive_json()
        except TypeError as error:
            print(isinstance(error, aiohttp.WSMessageTypeError))
        await websocket.send_json_bytes(
            {"speak": "up"}, dumps=lambda data: json.dumps(data).encode()
        )
        try:
            await websocket.receive_json()
        except json.JSONDecodeError as error:
            print(error)
        await websocket.send_json({"add": [1, 2]})
        message = await websocket.receive()
        print(message.type.name, message.json()["sum"], repr(message.extra))
