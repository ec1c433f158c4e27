"""Who is still there: latencies, timeouts, and a peer that hangs."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    def echo(websocket: Any) -> None:
        for message in websocket:
            websocket.send(message)

    with websockets.sync.server.serve(echo, "127.0.0.1", 0) as server, ThreadPoolExecutor() as run:
        serving = run.submit(server.serve_forever)
        uri = "ws://127.0.0.1:{1}".format(*server.socket.getsockname())
        with websockets.sync.client.connect(uri, ping_interval=0.01) as websocket:
            lines.append(f"answered: {websocket.ping().wait(10)}, {websocket.ping('x').wait(10)}")
            lines.append(f"in less than a second: {0 < websocket.latency < 1}")
            try:
                websocket.recv(timeout=0.03)
            except TimeoutError:
                lines.append("nothing came, and the connection is as good as before")
            websocket.send("still there?")
            lines.append(websocket.recv(10))
            lines.append(f"closed: {websocket.wait_closed(0.01)}")
        lines.append(f"closed: {websocket.wait_closed(0.01)}")
        server.shutdown()
        serving.result()

    with socket.create_server(("127.0.0.1", 0)) as hangs:
        uri = "ws://127.0.0.1:{1}".format(*hangs.getsockname())
        try:
            websockets.sync.client.connect(uri, open_timeout=0.03)
        except TimeoutError:
            lines.append("it hangs")
    return lines
