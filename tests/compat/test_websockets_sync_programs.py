"""The only place that runs programs on websockets and on ws_sync.compat.websockets, with threads.

One import is all that changes; what they print must be the same.
"""

from __future__ import annotations

import importlib
import threading
from types import ModuleType
from typing import Any

import pytest
import websockets

from ws_sync.compat import websockets as ours

PROGRAMS = ("chat", "gate", "heartbeat", "hello", "producer", "reconnect", "shutdown", "streaming")


# It imports them when somebody asks for a name of theirs.
importlib.import_module("websockets.sync.client")
importlib.import_module("websockets.sync.server")


def output_of(program: str, library: ModuleType) -> list[str]:
    module = importlib.import_module(f"tests.compat.programs.websockets_sync_{program}")
    lines: list[str] = module.main(library)
    return lines


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_the_same(name: str) -> None:
    assert output_of(name, ours) == output_of(name, websockets) != []


@pytest.mark.parametrize(
    ("client", "server"),
    [(ours, websockets), (websockets, ours)],
    ids=["ours to theirs", "theirs to ours"],
)
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_one_librarys_client_gets_along_with_the_others_server(
    client: Any, server: Any, compression: str | None
) -> None:
    messages: list[Any] = ["", "é" * 100_000, b"", bytes(100_000), ["a", "", "b"], [b"a", b"b"]]
    ends: list[tuple[int, str]] = []

    def echo(websocket: Any) -> None:
        for message in websocket:
            websocket.send(message)
            websocket.ping()
        ends.append((websocket.close_code, websocket.close_reason))

    options: dict[str, Any] = {"compression": compression, "subprotocols": ["chat"]}
    with server.sync.server.serve(echo, "127.0.0.1", 0, **options) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        uri = "ws://127.0.0.1:{1}".format(*serving.socket.getsockname())
        with client.sync.client.connect(uri, **options) as websocket:
            for message in messages:
                websocket.send(message)
                whole = message[0][:0].join(message) if isinstance(message, list) else message
                assert websocket.recv() == whole
            assert websocket.ping().wait(10)
            assert websocket.subprotocol == "chat"
            extensions = websocket.response.headers.get("Sec-WebSocket-Extensions", "")
            assert extensions.startswith("permessage-deflate") is (compression is not None)
            websocket.close(1001, "bye")
            ends.append((websocket.close_code, websocket.close_reason))
        serving.shutdown()
        thread.join()
    assert ends == [(1001, "bye")] * 2
