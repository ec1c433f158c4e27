"""The heartbeat of the manual: a ping now and then, and no patience with who does not answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio


async def heartbeat(websocket: Any, patience: float, interval: float) -> None:
    while True:
        with trio.fail_after(patience):
            await websocket.ping()
        await trio.sleep(interval)


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    async def count_down(request: Any) -> None:
        websocket = await request.accept()
        for left in (2, 1, 0):
            await trio.sleep(0.03)
            await websocket.send_message(f"{left} left")
        # From here on it does not take what comes: pongs stop, too.
        await trio.sleep_forever()

    async with trio.open_nursery() as servers:
        server = await servers.start(
            partial(
                trio_websocket.serve_websocket,
                *(count_down, "127.0.0.1", 0, None),
                message_queue_size=0,
            )
        )
        url = f"ws://127.0.0.1:{server.port}"
        try:
            async with (
                trio_websocket.open_websocket_url(url, disconnect_timeout=0.05) as websocket,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(heartbeat, websocket, 0.1, 0.02)
                for _ in range(3):
                    say(await websocket.get_message())
                await websocket.send_message("nobody takes this")
        except* trio.TooSlowError:
            say("no pong")
        servers.cancel_scope.cancel()
