"""Paths, subprotocols and a health check on one server, on a Unix socket and on TCP."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    def process_request(connection: Any, request: Any) -> object:
        if request.path == "/healthz":
            return connection.respond(200, "OK\n")
        if not request.path.startswith("/rooms/"):
            return connection.respond(404, f"nothing at {request.path}\n")
        return None

    async def room(websocket: Any) -> None:
        name = websocket.request.path.removeprefix("/rooms/")
        await websocket.send(f"{name} speaks {websocket.subprotocol}")

    options = {"process_request": process_request, "subprotocols": ["v2", "v1"]}
    async with websockets.serve(room, "127.0.0.1", 0, **options) as server:
        host, port = server.sockets[0].getsockname()
        for path, subprotocols in (
            ("rooms/blue", ["v1"]),
            ("rooms/red", ["v1", "v2"]),
            ("rooms/red", ["v3"]),
            ("elsewhere", ["v1"]),
        ):
            uri = f"ws://{host}:{port}/{path}"
            try:
                async with websockets.connect(uri, subprotocols=subprotocols) as websocket:
                    lines.append(await websocket.recv())
            except websockets.InvalidStatus as error:
                lines.append(f"{path}: {error.response.status_code}")
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        lines.append(f"{answer.split()[1]!r} {answer.splitlines()[-1]!r}")
        writer.close()
        await writer.wait_closed()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "socket"
        async with websockets.unix_serve(room, place, **options):
            uri = "ws://localhost/rooms/local"
            async with websockets.unix_connect(place, uri, subprotocols=["v2"]) as websocket:
                lines.append(await websocket.recv())
    return lines
