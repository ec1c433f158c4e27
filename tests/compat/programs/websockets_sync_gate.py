"""Who gets in: paths, a health check, credentials and subprotocols."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []
    guard = websockets.sync.server.basic_auth("the back room", ("ada", "secret"))

    def process_request(connection: Any, request: Any) -> Any:
        if request.path == "/health":
            return connection.respond(HTTPStatus.OK, "OK\n")
        if request.path == "/private":
            return guard(connection, request)
        return None

    def handler(websocket: Any) -> None:
        who = getattr(websocket, "username", "somebody")
        websocket.send(f"{who} at {websocket.request.path} speaks {websocket.subprotocol}")

    server = websockets.sync.server.serve(
        handler, "127.0.0.1", 0, process_request=process_request, subprotocols=["chat", "talk"]
    )
    with server, ThreadPoolExecutor() as run:
        serving = run.submit(server.serve_forever)
        port = server.socket.getsockname()[1]
        for place in ("127.0.0.1:{}/", "ada:secret@127.0.0.1:{}/private", "127.0.0.1:{}/private"):
            try:
                with websockets.sync.client.connect(
                    f"ws://{place.format(port)}", subprotocols=["talk"]
                ) as websocket:
                    lines.append(websocket.recv())
            except websockets.exceptions.InvalidStatus as error:
                challenge = error.response.headers["WWW-Authenticate"]
                lines.append(f"{error.response.status_code} {challenge}")
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/health")
        response = connection.getresponse()
        lines.append(f"{response.status} {response.read()!r}")
        connection.close()
        server.shutdown()
        serving.result()
    return lines
