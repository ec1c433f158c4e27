"""WebSockets on streams of one's own, here in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import ModuleType

import trio
import trio.testing


async def main(trio_websocket: ModuleType, say: Callable[[str], None]) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        request = await trio_websocket.wrap_server_stream(nursery, stream)
        say(f"server: {request.path}, {dict(request.headers)[b'x-from']!r}")
        websocket = await request.accept()
        say(f"server: {websocket.remote == repr(stream)}")
        for number in range(3):
            await websocket.send_message(bytes([number]))
        await websocket.aclose(1000, "that was all")
        say(f"server: {websocket.closed}")

    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(serve, theirs)
        websocket = await trio_websocket.wrap_client_stream(
            *(nursery, ours, "example.com", "/numbers"),
            extra_headers=[(b"X-From", b"memory")],
            message_queue_size=math.inf,
        )
        await trio.testing.wait_all_tasks_blocked()
        # What came before the close can still be read.
        say(f"client: {websocket.closed}")
        for _ in range(3):
            say(f"client: {await websocket.get_message()!r}")
        for call in (websocket.get_message, partial(websocket.send_message, "?"), websocket.ping):
            try:
                await call()
            except trio_websocket.ConnectionClosed as closed:
                say(f"client: {closed.reason.code} {closed.reason.reason}")
