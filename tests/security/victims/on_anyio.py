"""A server and a client of ws_anyio: ``server <certificate>`` or ``client <authority>``.

The last argument names the backend.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from functools import partial

import anyio
import trio
from tests.security.victims import visits
from tests.security.victims.policy import CONFIG, FLOOD, MAX_CONNECTIONS, figures, say

from ws_anyio import Server, WebSocket, connect, serve

servers: list[Server] = []


async def handle(websocket: WebSocket) -> None:
    assert websocket.request is not None
    match websocket.request.target:
        case "/figures":
            connections = sum(len(server.connections) for server in servers)
            tasks = count_tasks()
            await websocket.send(figures(tasks=tasks, connections=connections).to_json())
        case "/silent":
            await websocket.wait_closed()
        case "/flood":
            while True:
                await websocket.send(FLOOD)
        case _:
            async for message in websocket:
                await websocket.send(message)


def count_tasks() -> int:
    if backend == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


async def be_attacked(certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    listen = partial(serve, handle, "127.0.0.1", 0, config=CONFIG, max_connections=MAX_CONNECTIONS)
    async with listen() as plain, listen(ssl=tls) as secure:
        servers.extend([plain, secure])
        say(plain=plain.port, secure=secure.port)
        await plain.serve_forever()


async def visit(url: str, tls: ssl.SSLContext | None) -> visits.Visit:
    with visits.recorded() as seen:
        async with connect(url, ssl=tls, config=CONFIG) as websocket:
            seen.open(websocket)
            async for message in websocket:
                seen.messages += 1
                await websocket.send(message)
    return seen


if __name__ == "__main__":
    _, role, certificate, backend = sys.argv
    if role == "server":
        anyio.run(be_attacked, certificate, backend=backend)
    for url, tls in visits.asked_for(certificate):
        visits.tell(anyio.run(visit, url, tls, backend=backend))
