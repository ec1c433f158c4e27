"""TLS on both sides: a context of one's own for the server's certificate and for its issuer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio
from tests.adapters import certificates


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    async def reverse(request: Any) -> None:
        websocket = await request.accept()
        say(f"server: {type(websocket.local).__name__}, TLS {websocket.local.is_ssl}")
        while True:
            message = await websocket.get_message()
            await websocket.send_message(message[::-1])

    async def quiet(request: Any) -> None:
        try:
            await reverse(request)
        except trio_websocket.ConnectionClosed:
            ended.set()

    ended = trio.Event()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                trio_websocket.serve_websocket,
                *(quiet, "127.0.0.1", 0, certificates.server_tls()),
            )
        )
        url = f"wss://localhost:{server.port}/"
        say(f"server: {server.listeners[0].url == f'wss://127.0.0.1:{server.port}'}")
        async with trio_websocket.open_websocket_url(url, certificates.client_tls()) as websocket:
            await websocket.send_message("desserts")
            say(f"client: {await websocket.get_message()}")
            say(f"client: TLS {websocket.remote.is_ssl}")
        say(f"client: {websocket.closed}")
        await ended.wait()
        nursery.cancel_scope.cancel()
