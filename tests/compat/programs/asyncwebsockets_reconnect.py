"""A client that connects again, whether the server refuses, closes or just goes away."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream


async def main(asyncwebsockets: Any) -> None:
    visits = 0

    async def treat_badly(stream: SocketStream) -> None:
        nonlocal visits
        visits += 1
        if visits == 1:
            # It goes away in the middle of the handshake.
            await stream.receive()
            await stream.aclose()
            return

        async def let_in(_: object) -> bool:
            return visits != 2

        try:
            async with asyncwebsockets.open_websocket_server(stream, let_in) as websocket:
                await websocket.send(f"visit {visits}")
                if visits == 3:
                    await websocket.close(1001)
                    return
                async for event in websocket:
                    await websocket.send(event.data)
        except ConnectionError:
            await stream.aclose()

    async def stay(url: str) -> None:
        while True:
            try:
                async with asyncwebsockets.open_websocket(url) as websocket:
                    async for event in websocket:
                        print("client:", event.data)
                        if event.data == "visit 4":
                            return
                print("client: closed, again")
            except (ConnectionError, anyio.EndOfStream) as error:
                print("client:", type(error).__name__, "again")
            await anyio.sleep(0.01)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, treat_badly)
        await stay(f"ws://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/")
        await anyio.wait_all_tasks_blocked()
        server.cancel_scope.cancel()
