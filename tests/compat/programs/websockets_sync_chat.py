"""A room: whatever one says goes to all who are there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines = []

    def chat(websocket: Any) -> None:
        for message in websocket:
            websockets.sync.server.broadcast(server.connections, message)

    with websockets.sync.server.serve(chat, "127.0.0.1", 0) as server, ThreadPoolExecutor() as run:
        serving = run.submit(server.serve_forever)
        uri = "ws://127.0.0.1:{1}".format(*server.socket.getsockname())
        with ExitStack() as stack:
            people = [
                stack.enter_context(websockets.sync.client.connect(uri, legacy=True))
                for _ in range(3)
            ]
            for person in people:
                # Who is answered has been let in.
                person.ping().wait()
            people[0].send("hello all")
            lines += [person.recv(timeout=10) for person in people]
            people.pop().close()
            people[1].send("one has left")
            lines += [person.recv(timeout=10) for person in people]
        server.shutdown()
        serving.result()
    return lines
