"""Pings and pongs by hand, and a reader that pauses when its queue is full."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import trio
import trio.lowlevel


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    connections: list[Any] = []
    up = trio.Event()

    async def wait(request: Any) -> None:
        connections.append(await request.accept())
        up.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(trio_websocket.serve_websocket, wait, "127.0.0.1", 0, None)
        )
        client = await trio_websocket.connect_websocket(
            *(nursery, "127.0.0.1", server.port, "/"), use_ssl=False
        )
        await up.wait()
        [peer] = connections
        await client.pong(b"I am here")
        for payload in (None, b"", b"one", b"one"):
            await client.ping(payload)
        say("every ping was answered")

        # One message waits, the next is in the reader's hand: that is the end of its patience.
        for number in range(2):
            await client.send_message(str(number))
        with trio.move_on_after(0.05) as scope:
            await client.ping(b"behind")
        say(f"no pong while nobody receives: {scope.cancelled_caught}")
        try:
            async with trio.open_nursery() as pings:
                pings.start_soon(client.ping, b"same")
                await trio.lowlevel.checkpoint()
                await client.ping(b"same")
        except* ValueError:
            say("a ping with this payload is in flight")
        say(f"{await peer.get_message()} {await peer.get_message()}")
        await client.ping(b"now")
        say("answered again")
        nursery.cancel_scope.cancel()
