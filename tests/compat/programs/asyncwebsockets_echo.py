"""A server that says everything back, and a client that says three things and goodbye."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from wsproto.events import BytesMessage, TextMessage


async def main(asyncwebsockets: Any) -> None:
    async def echo(stream: SocketStream) -> None:
        async with asyncwebsockets.open_websocket_server(stream) as websocket:
            async for event in websocket:
                await websocket.send(event.data)
        print("server: closed")

    async def talk(url: str) -> None:
        async with asyncwebsockets.open_websocket(url) as websocket:
            for data in ("hello", b"\0\1\2", "goodbye"):
                await websocket.send(data)
            async for event in websocket:
                if isinstance(event, TextMessage):
                    print("client: text", event.data)
                elif isinstance(event, BytesMessage):
                    print("client: bytes", [*event.data])
                if event.data == "goodbye":
                    await websocket.close(1000, reason="Thank you!")

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, echo)
        await talk(f"ws://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/")
        await anyio.wait_all_tasks_blocked()
        server.cancel_scope.cancel()
