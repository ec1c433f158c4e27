"""An echo server and its clients: how programs begin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    async def echo(request: Any) -> None:
        websocket = await request.accept()
        while True:
            try:
                await websocket.send_message(await websocket.get_message())
            except trio_websocket.ConnectionClosed as closed:
                say(f"server: {closed.reason}")
                ended.release()
                break

    ended = trio.Semaphore(0)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(trio_websocket.serve_websocket, echo, "127.0.0.1", 0, ssl_context=None)
        )
        url = f"ws://127.0.0.1:{server.port}/echo?loud=1"
        async with trio_websocket.open_websocket_url(url) as websocket:
            say(f"client: {websocket.path}")
            for message in ("hello", "", "ünïcödé ☃", b"\x00\xff", "x" * 100_000):
                await websocket.send_message(message)
                echoed = await websocket.get_message()
                say(f"client: {type(echoed).__name__} of {len(echoed)}, {echoed == message}")
        say(f"client: {websocket.closed}")
        await ended.acquire()

        async with trio_websocket.open_websocket(
            "127.0.0.1", server.port, "/", use_ssl=False
        ) as websocket:
            await websocket.aclose(code=4000, reason="enough")
            try:
                await websocket.send_message("too late")
            except trio_websocket.ConnectionClosed as closed:
                say(f"client: {closed.reason}")
        await ended.acquire()
        nursery.cancel_scope.cancel()
