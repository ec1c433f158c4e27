"""One task that sends and one that receives, in a nursery of the caller's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    async def sum_up(request: Any) -> None:
        websocket = await request.accept()
        total = 0
        while (message := await websocket.get_message()) != "end":
            total += int(message)
            await websocket.send_message(f"{message} makes {total}")
        await websocket.aclose(1001, f"{total} in all")

    async def send(websocket: Any) -> None:
        for number in range(1, 101):
            await websocket.send_message(str(number))
        await websocket.send_message("end")

    async def receive(websocket: Any) -> None:
        received = []
        while True:
            try:
                received.append(await websocket.get_message())
            except trio_websocket.ConnectionClosed as closed:
                say(f"{len(received)} messages, at last {received[-1]!r}")
                say(repr(closed))
                return

    async with trio.open_nursery() as servers:
        server = await servers.start(
            partial(trio_websocket.serve_websocket, sum_up, "127.0.0.1", 0, None)
        )
        async with trio.open_nursery() as nursery:
            websocket = await trio_websocket.connect_websocket_url(
                nursery, f"ws://127.0.0.1:{server.port}/", message_queue_size=10
            )
            say(f"{websocket.is_client} {websocket.is_server} {websocket.closed}")
            say(f"to our server: {websocket.remote.url == server.listeners[0].url}")
            nursery.start_soon(send, websocket)
            nursery.start_soon(receive, websocket)
        async with trio.open_nursery() as nursery:
            websocket = await trio_websocket.connect_websocket(
                nursery, "127.0.0.1", server.port, "/", use_ssl=False
            )
            await websocket.aclose()
            await websocket.aclose()
            say(repr(websocket.closed))
        servers.cancel_scope.cancel()
