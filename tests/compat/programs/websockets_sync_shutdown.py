"""A server that is restarted: it says so to who is there, and waits for their handlers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    def handler(websocket: Any) -> None:
        try:
            websocket.recv()
        except websockets.exceptions.ConnectionClosed as closed:
            lines.append(f"handler: {closed}")

    server = websockets.sync.server.serve(handler, "127.0.0.1", 0)
    with server, ThreadPoolExecutor() as run:
        serving = run.submit(server.serve_forever)
        uri = "ws://127.0.0.1:{1}".format(*server.socket.getsockname())
        with websockets.sync.client.connect(uri, legacy=True) as websocket:
            event, either = websocket.ping(), websocket.ping(ack_on_close=True)
            lines.append(f"answered: {event.wait(10)}, {either.wait(10)}")
            server.shutdown(code=1012, reason="back soon")
            lines.append("shut down")
            try:
                websocket.recv()
            except websockets.exceptions.ConnectionClosed as closed:
                lines.append(f"client: {closed}")
            lines.append(f"{type(websocket.protocol.close_exc).__name__} {websocket.state.name}")
        serving.result()
    return lines
