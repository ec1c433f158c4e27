"""The peers of ws_anyio; the last argument names the backend."""

from __future__ import annotations

import sys
from contextlib import suppress

import anyio

from autobahn import CONFIG
from ws_anyio import WebSocket, connect, serve
from wscore import ConnectionClosed


async def echo(websocket: WebSocket) -> None:
    # Whatever the suite does to the connection may come in the middle of an answer.
    with suppress(ConnectionClosed):
        async for message in websocket:
            await websocket.send(message)


async def server() -> None:
    async with serve(echo, "127.0.0.1", 0, config=CONFIG) as listening:
        print(f"ws://127.0.0.1:{listening.port}", flush=True)
        await listening.serve_forever()


async def client(url: str, agent: str) -> None:
    async with connect(f"{url}/getCaseCount") as websocket:
        count = int(await websocket.recv())
    for case in range(1, count + 1):
        async with connect(f"{url}/runCase?case={case}&agent={agent}", config=CONFIG) as websocket:
            await echo(websocket)
    async with connect(f"{url}/updateReports?agent={agent}") as websocket:
        await websocket.wait_closed()


if __name__ == "__main__":
    if sys.argv[1] == "client":
        url, agent, backend = sys.argv[2:]
        anyio.run(client, url, agent, backend=backend)
    else:
        anyio.run(server, backend=sys.argv[2])
