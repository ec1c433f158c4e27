"""A server in a thread that greets by name, and a client that asks it to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    def hello(websocket: Any) -> None:
        name = websocket.recv()
        lines.append(f"< {name}")
        websocket.send(f"Hello {name}!")

    with (
        websockets.sync.server.serve(hello, "127.0.0.1", 0) as server,
        ThreadPoolExecutor() as run,
    ):
        serving = run.submit(server.serve_forever)
        _, port = server.socket.getsockname()
        with websockets.sync.client.connect(f"ws://127.0.0.1:{port}") as websocket:
            websocket.send("Grace")
            lines.append(f"> {websocket.recv()}")
            try:
                websocket.recv()
            except websockets.exceptions.ConnectionClosedOK as closed:
                lines.append(str(closed))
        lines.append(f"{websocket.close_code} {websocket.close_reason!r}")
        server.shutdown()
        serving.result()
    return lines
