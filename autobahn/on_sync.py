"""The peers of ws_sync."""

from __future__ import annotations

import sys
from contextlib import suppress

from autobahn import CONFIG
from ws_sync import WebSocket, connect, serve
from wscore import ConnectionClosed


def echo(websocket: WebSocket) -> None:
    # Whatever the suite does to the connection may come in the middle of an answer.
    with suppress(ConnectionClosed):
        for message in websocket:
            websocket.send(message)


def server() -> None:
    with serve(echo, "127.0.0.1", 0, config=CONFIG) as listening:
        print(f"ws://127.0.0.1:{listening.port}", flush=True)
        listening.serve_forever()


def client(url: str, agent: str) -> None:
    with connect(f"{url}/getCaseCount") as websocket:
        count = int(websocket.recv())
    for case in range(1, count + 1):
        with connect(f"{url}/runCase?case={case}&agent={agent}", config=CONFIG) as websocket:
            echo(websocket)
    with connect(f"{url}/updateReports?agent={agent}") as websocket:
        websocket.wait_closed()


if __name__ == "__main__":
    if sys.argv[1] == "client":
        client(*sys.argv[2:])
    else:
        server()
