"""Both directions at once: a thread that sends what there is to send, and one that receives."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any


def main(websockets: ModuleType) -> list[str]:
    """Run it with that library, and return what it prints."""
    lines: list[str] = []
    answers: queue.Queue[str | None] = queue.Queue()

    def handler(websocket: Any) -> None:
        def produce() -> None:
            while (answer := answers.get()) is not None:
                websocket.send(answer)

        producer = threading.Thread(target=produce)
        producer.start()
        for message in websocket:
            answers.put(message.upper())
        answers.put(None)
        producer.join()

    server = websockets.sync.server.serve(handler, "127.0.0.1", 0)
    with server, ThreadPoolExecutor() as run:
        serving = run.submit(server.serve_forever)
        uri = "ws://127.0.0.1:{1}".format(*server.socket.getsockname())
        with websockets.sync.client.connect(uri) as websocket:
            for word in ("one", "two", "three"):
                websocket.send(word)
            lines += [websocket.recv() for _ in range(3)]
        server.shutdown()
        serving.result()
    return lines
