"""The contender trio-websocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Final

import trio
from trio_websocket import ConnectionClosed, open_websocket_url, serve_websocket

from bench.coroutines import Handler, OnTrio, Peer
from bench.roles import play

UNLIMITED: Final = 2**40


class TrioWebsocket(OnTrio):
    """On trio."""

    ended: ClassVar = (ConnectionClosed,)
    deflates: ClassVar = False

    @asynccontextmanager
    async def listen(self, handle: Handler, *, deflate: bool) -> AsyncIterator[int]:
        """Serve on a free port."""

        async def handle_one(request: Any) -> None:
            websocket = await request.accept()
            await handle(Peer(websocket.send_message, websocket.get_message, websocket))

        serving = partial(
            serve_websocket, handle_one, "127.0.0.1", 0, None, max_message_size=UNLIMITED
        )
        async with trio.open_nursery() as nursery:
            server: Any = await nursery.start(serving)
            yield server.port
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def connect(self, port: int, *, deflate: bool) -> AsyncIterator[Peer]:
        """Connect to such a server."""
        async with open_websocket_url(
            f"ws://127.0.0.1:{port}", max_message_size=UNLIMITED
        ) as websocket:
            yield Peer(websocket.send_message, websocket.get_message, websocket)


if __name__ == "__main__":
    play(TrioWebsocket)
