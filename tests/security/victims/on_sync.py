"""A server and a client of ws_sync: ``server <certificate>`` or ``client <authority>``."""

from __future__ import annotations

import ssl
import sys
from functools import partial

from tests.security.victims import visits
from tests.security.victims.policy import CONFIG, FLOOD, MAX_CONNECTIONS, figures, say

from ws_sync import Server, WebSocket, connect, serve

servers: list[Server] = []


def handle(websocket: WebSocket) -> None:
    assert websocket.request is not None
    match websocket.request.target:
        case "/figures":
            connections = sum(len(server.connections) for server in servers)
            websocket.send(figures(tasks=0, connections=connections).to_json())
        case "/silent":
            websocket.wait_closed()
        case "/flood":
            while True:
                websocket.send(FLOOD)
        case _:
            for message in websocket:
                websocket.send(message)


def be_attacked(certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    listen = partial(serve, handle, "127.0.0.1", 0, config=CONFIG, max_connections=MAX_CONNECTIONS)
    with listen() as plain, listen(ssl=tls) as secure:
        servers.extend([plain, secure])
        say(plain=plain.port, secure=secure.port)
        plain.serve_forever()


def visit(url: str, tls: ssl.SSLContext | None) -> visits.Visit:
    with visits.recorded() as seen, connect(url, ssl=tls, config=CONFIG) as websocket:
        seen.open(websocket)
        for message in websocket:
            seen.messages += 1
            websocket.send(message)
    return seen


if __name__ == "__main__":
    _, role, certificate = sys.argv
    if role == "server":
        be_attacked(certificate)
    for url, tls in visits.asked_for(certificate):
        visits.tell(visit(url, tls))
