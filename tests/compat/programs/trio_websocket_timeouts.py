"""Timeouts: of the library's own for opening and closing, and trio's for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    async def slow(request: Any) -> None:
        websocket = await request.accept()
        await websocket.get_message()
        await trio.sleep_forever()

    async def mute(stream: trio.abc.Stream) -> None:
        await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, mute, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        try:
            async with trio_websocket.open_websocket(
                "127.0.0.1", port, "/", use_ssl=False, connect_timeout=0.05
            ):
                say("open")
        except trio_websocket.HandshakeError as error:
            say(f"opening: {error!r}")
        nursery.cancel_scope.cancel()
    try:
        async with trio_websocket.open_websocket("127.0.0.1", port, "/", use_ssl=False):
            say("open")
    except trio_websocket.HandshakeError as error:
        say(f"refused: {isinstance(error.__cause__, OSError)}")

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                trio_websocket.serve_websocket,
                *(slow, "127.0.0.1", 0, None),
                message_queue_size=0,
                connect_timeout=0.2,
                disconnect_timeout=math.inf,
            )
        )
        # A client that never says what it wants.
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            say(f"idle visitor: {await stream.receive_some()!r}")

        began = trio.current_time()
        try:
            async with trio_websocket.open_websocket(
                "127.0.0.1", server.port, "/", use_ssl=False, disconnect_timeout=0.1
            ) as websocket:
                with trio.move_on_after(0.05) as scope:
                    await websocket.get_message()
                say(f"waited in vain: {scope.cancelled_caught}")
                for message in ("taken", "in hand", "behind it"):
                    await websocket.send_message(message)
        except trio_websocket.DisconnectionTimeout as error:
            say(f"closing: {error!r}, {0.15 <= trio.current_time() - began < 1}")
        nursery.cancel_scope.cancel()
