"""The contender ws-sync."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import ClassVar

from bench.contenders.ours import config
from bench.roles import play
from bench.threads import Handler, InThreads, Peer
from ws_sync import WebSocket, broadcast, connect, serve
from wscore import ConnectionClosed


class WsSync(InThreads):
    """In threads."""

    ended: ClassVar = (ConnectionClosed,)

    @contextmanager
    def listen(self, handle: Handler, *, deflate: bool) -> Iterator[int]:
        """Serve on a free port."""

        def handle_one(websocket: WebSocket) -> None:
            handle(Peer(websocket.send, websocket.recv, websocket))

        with serve(
            handle_one, "127.0.0.1", 0, max_connections=None, config=config(deflate=deflate)
        ) as server:
            yield server.port

    @contextmanager
    def connect(self, port: int, *, deflate: bool) -> Iterator[Peer]:
        """Connect to such a server."""
        url = f"ws://127.0.0.1:{port}"
        with connect(url, config=config(deflate=deflate)) as websocket:
            yield Peer(websocket.send, websocket.recv, websocket)

    def broadcast(self, audience: Collection[Peer], message: bytes) -> None:
        """Send a message to all of them."""
        broadcast([peer.connection for peer in audience], message)


if __name__ == "__main__":
    play(WsSync)
