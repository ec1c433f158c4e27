"""A client that comes back, whether the server refuses it, closes or is not there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines: list[str] = []
    answers = iter([HTTPStatus.SERVICE_UNAVAILABLE, None, None, HTTPStatus.FORBIDDEN])

    def delays() -> Iterator[float]:
        while True:
            lines.append("waits")
            yield 0.01

    def process_request(connection: Any, _: Any) -> Any:
        status = next(answers)
        return None if status is None else connection.respond(status, "no\n")

    def once(websocket: Any) -> None:
        websocket.send("hello")

    server = websockets.sync.server.serve(once, "127.0.0.1", 0, process_request=process_request)
    with server, ThreadPoolExecutor() as run:
        serving = run.submit(server.serve_forever)
        uri = "ws://127.0.0.1:{1}".format(*server.socket.getsockname())
        try:
            for websocket in websockets.sync.client.reconnect(uri, reconnect_delays=delays):
                lines += websocket
        except websockets.exceptions.InvalidStatus as error:
            lines.append(str(error))
        server.shutdown()
        serving.result()
    try:
        with websockets.sync.client.connect(uri):
            pass
    except ConnectionRefusedError:
        lines.append("nobody listens")
    return lines
