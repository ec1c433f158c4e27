"""Three ways to say who one is: a password in the URI, a token in a header, a first message."""

from __future__ import annotations

import asyncio
import http
from types import ModuleType
from typing import Any


async def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    async def whoami(websocket: Any) -> None:
        await websocket.send(websocket.username)

    passwords = websockets.basic_auth(realm="demo", credentials=[("ann", "pw"), ("bob", "12")])
    async with websockets.serve(whoami, "127.0.0.1", 0, process_request=passwords) as server:
        where = "127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        for user in ("ann:pw@", "bob:34@", ""):
            try:
                async with websockets.connect(f"ws://{user}{where}") as websocket:
                    lines.append(await websocket.recv())
            except websockets.InvalidStatus as error:
                response = error.response
                lines.append(f"{error}: {response.headers['WWW-Authenticate']}")

    def check_token(connection: Any, request: Any) -> object:
        if request.headers.get("Authorization") == "Bearer secret":
            connection.username = "carol"
            return None
        return connection.respond(http.HTTPStatus.FORBIDDEN, "no such token\n")

    async with websockets.serve(whoami, "127.0.0.1", 0, process_request=check_token) as server:
        uri = "ws://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        for token in ("secret", "guess"):
            headers = {"Authorization": f"Bearer {token}"}
            try:
                async with websockets.connect(uri, additional_headers=headers) as websocket:
                    lines.append(await websocket.recv())
            except websockets.InvalidStatus as error:
                lines.append(f"{error.response.status_code} {error.response.body.decode()!r}")

    async def first_message(websocket: Any) -> None:
        try:
            said = await asyncio.wait_for(websocket.recv(), 0.15)
        except TimeoutError:
            said = None
        if said != "secret":
            await websocket.close(websockets.CloseCode.POLICY_VIOLATION, "who are you?")
            return
        await websocket.send("welcome")

    async with websockets.serve(first_message, "127.0.0.1", 0) as server:
        uri = "ws://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        for message in ("secret", "guess", None):
            async with websockets.connect(uri) as websocket:
                if message is not None:
                    await websocket.send(message)
                try:
                    lines.append(await websocket.recv())
                except websockets.ConnectionClosed as closed:
                    lines.append(f"{closed.rcvd.code} {closed.rcvd.reason}")
    return lines
