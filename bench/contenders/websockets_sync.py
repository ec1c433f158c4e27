"""The contender websockets, its form for threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from websockets import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from bench.roles import play
from bench.threads import Handler, InThreads, Peer


class WebsocketsSync(InThreads):
    """In threads."""

    ended: ClassVar = (ConnectionClosed,)

    @contextmanager
    def listen(self, handle: Handler, *, deflate: bool) -> Iterator[int]:
        """Serve on a free port."""

        def handle_one(websocket: ServerConnection) -> None:
            handle(Peer(websocket.send, websocket.recv, websocket))

        compression = "deflate" if deflate else None
        with serve(handle_one, "127.0.0.1", 0, compression=compression, max_size=None) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.socket.getsockname()[1]

    @contextmanager
    def connect(self, port: int, *, deflate: bool) -> Iterator[Peer]:
        """Connect to such a server."""
        compression = "deflate" if deflate else None
        with connect(
            f"ws://127.0.0.1:{port}", compression=compression, max_size=None, proxy=None
        ) as websocket:
            yield Peer(websocket.send, websocket.recv, websocket)


if __name__ == "__main__":
    play(WebsocketsSync)
