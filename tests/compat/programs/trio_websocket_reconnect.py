"""A client that comes back: after a refusal, a rejection, and a server that closes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    visits = iter(range(4))

    async def moody(request: Any) -> None:
        visit = next(visits)
        if visit == 0:
            await request.reject(503, extra_headers=[(b"Retry-After", b"0")], body=b"too early")
            return
        websocket = await request.accept()
        await websocket.send_message(f"visit {visit}")
        if visit == 1:
            await websocket.aclose(1012, "restarting")
        elif visit == 3:
            await websocket.get_message()

    async def listen(url: str) -> None:
        delay = 0.001
        while True:
            try:
                async with trio_websocket.open_websocket_url(url) as websocket:
                    while True:
                        message = await websocket.get_message()
                        say(message)
                        if message == "visit 3":
                            return
            except trio_websocket.ConnectionRejected as rejection:
                retry_after = dict(rejection.headers)[b"retry-after"]
                say(f"rejected: {rejection.status_code}, {rejection.body!r}, {retry_after!r}")
            except trio_websocket.HandshakeError:
                say("refused")
                await nursery.start(serve)
            except trio_websocket.ConnectionClosed as closed:
                reason = closed.reason
                say(f"closed: {reason.code} {reason.name} {reason.reason}")
            await trio.sleep(delay)
            delay *= 2

    with trio.socket.socket() as free:
        await free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = partial(trio_websocket.serve_websocket, moody, "127.0.0.1", port, None)
    async with trio.open_nursery() as nursery:
        await listen(f"ws://127.0.0.1:{port}/")
        nursery.cancel_scope.cancel()
