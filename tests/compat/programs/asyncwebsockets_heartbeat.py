"""A client that asks for a sign of life, and gives up on a server that has none in time."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream


async def main(asyncwebsockets: Any) -> None:
    async def answer_three_times(stream: SocketStream) -> None:
        async with asyncwebsockets.open_websocket_server(stream) as websocket:
            answered = 0
            async for event in websocket:
                answered += 1
                if answered <= 3:
                    await websocket.send(event.data)

    async def next_data(websocket: Any) -> object:
        async for event in websocket:
            return event.data
        return None

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, answer_three_times)
        url = f"ws://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/"
        async with asyncwebsockets.open_websocket(url) as websocket:
            try:
                for beat in range(5):
                    await websocket.send(str(beat))
                    with anyio.fail_after(0.25):
                        print("beat", await next_data(websocket))
            except TimeoutError:
                print("no sign of life")
        await anyio.wait_all_tasks_blocked()
        server.cancel_scope.cancel()
