"""Files over one connection: a text with the name, a binary message, a receipt for each."""

from __future__ import annotations

import hashlib
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from wsproto.events import BytesMessage, TextMessage

FILES = {"empty": b"", "small": b"\0\1\2", "large": bytes(range(256)) * 1000}


async def main(asyncwebsockets: Any) -> None:
    async def receive(stream: SocketStream) -> None:
        websocket = await asyncwebsockets.create_websocket_server(stream)
        name = None
        async for event in websocket:
            if isinstance(event, TextMessage):
                name = event.data
            elif isinstance(event, BytesMessage):
                print("server:", name, len(event.data))
                await websocket.send(hashlib.sha256(event.data).hexdigest())
        await websocket.close()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, receive)
        address = ("127.0.0.1", listener.extra(SocketAttribute.local_port))
        stream = await anyio.connect_tcp(*address)
        async with asyncwebsockets.open_websocket_client(stream, address, "/files") as websocket:
            for name, data in FILES.items():
                await websocket.send(name)
                await websocket.send(data)
                async for event in websocket:
                    print("client:", name, event.data == hashlib.sha256(data).hexdigest())
                    break
        await anyio.wait_all_tasks_blocked()
        server.cancel_scope.cancel()
