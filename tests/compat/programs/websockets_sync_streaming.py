"""Messages in parts: sent as they are made, received as they come, and too big ones refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []
    turn = threading.Semaphore(0)

    def tell(websocket: Any) -> None:
        def words() -> Iterator[str]:
            for word in ("once ", "upon ", "a time"):
                yield word
                turn.acquire()

        websocket.send(words())
        websocket.send([b"\x00", b"\x01"])
        websocket.send("é".encode(), text=True)
        websocket.send("too big " * 10)
        websocket.wait_closed()

    with websockets.sync.server.serve(tell, "127.0.0.1", 0) as server, ThreadPoolExecutor() as run:
        serving = run.submit(server.serve_forever)
        uri = "ws://127.0.0.1:{1}".format(*server.socket.getsockname())
        with websockets.sync.client.connect(uri, max_size=64) as websocket:
            for word in websocket.recv_streaming():
                lines.append(repr(word))
                turn.release()
            lines.append(repr(websocket.recv()))
            lines.append(repr(websocket.recv(decode=False)))
            try:
                websocket.recv()
            except websockets.exceptions.ConnectionClosedError as closed:
                lines.append(f"{closed.sent.code} {type(closed.__cause__).__name__}")
        server.shutdown()
        serving.result()
    return lines
