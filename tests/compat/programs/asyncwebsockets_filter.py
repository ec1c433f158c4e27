"""A server that lets in who knows the word, and chooses how to speak; clients of three kinds."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from wsproto.events import AcceptConnection, RejectConnection, Request


async def main(asyncwebsockets: Any) -> None:
    async def choose(request: Request) -> object:
        print("asked for", request.target, request.subprotocols)
        if request.target != "/sesame":
            return False
        if (b"authorization", b"Bearer me") not in request.extra_headers:
            return RejectConnection(401, [(b"WWW-Authenticate", b"Bearer")])
        if "json" in request.subprotocols:
            return "json"
        return AcceptConnection(extra_headers=[(b"X-Hint", b"speak json")])

    async def handle(stream: SocketStream) -> None:
        try:
            async with asyncwebsockets.open_websocket_server(stream, filter=choose) as websocket:
                await websocket.send("welcome")
                async for _ in websocket:
                    pass
        except ConnectionError as error:
            print("server:", error.args[0], error.args[1].status_code)

    async def visit(port: int, path: str, headers: Any = None, subprotocols: Any = None) -> None:
        address = ("127.0.0.1", port)
        stream = await anyio.connect_tcp(*address)
        websocket = asyncwebsockets.Websocket()
        outcome: tuple[object, ...] = ()
        try:
            accepted = await websocket.start_client(stream, address, path, headers, subprotocols)
        except ConnectionError as error:
            await stream.aclose()
            outcome = error.args[0], error.args[1].status_code
        else:
            async for event in websocket:
                outcome = accepted.subprotocol, accepted.extra_headers, event.data
                await websocket.close()
        # What the server has to say comes first.
        await anyio.wait_all_tasks_blocked()
        print("client:", *outcome)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, handle)
        port = listener.extra(SocketAttribute.local_port)
        me = [("Authorization", "Bearer me")]
        await visit(port, "/elsewhere")
        await visit(port, "/sesame")
        await visit(port, "/sesame", me)
        await visit(port, "/sesame", me, ["xml", "json"])
        server.cancel_scope.cancel()
