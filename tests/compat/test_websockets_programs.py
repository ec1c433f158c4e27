"""The only place that runs programs for websockets on it and on ws_asyncio.compat.websockets.

One import is all that changes; what they print must be the same. And one library's clients get
along with the other's servers.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import websockets
from tests.adapters.runtimes.on_asyncio import run

from ws_asyncio.compat import websockets as ours

PROGRAMS = (
    *("authentication", "counter", "heartbeat", "hello"),
    *("producer", "reconnect", "routing", "streaming"),
)

LIBRARIES = {"websockets": websockets, "ours": ours}


@pytest.fixture(autouse=True)
def _as_loud_as_before() -> Iterator[None]:
    """A program may choose what its library logs."""
    logger = logging.getLogger("websockets.client")
    level = logger.level
    yield
    logger.setLevel(level)


def output_of(program: str, library: ModuleType) -> list[str]:
    module = importlib.import_module(f"tests.compat.programs.websockets_{program}")
    lines: list[str] = []

    async def main() -> None:
        lines.extend(await module.main(library))

    run(main(), asyncio.new_event_loop)
    return lines


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_the_same(name: str) -> None:
    outputs = {library: output_of(name, LIBRARIES[library]) for library in LIBRARIES}
    assert outputs["ours"] == outputs["websockets"] != []


@pytest.mark.parametrize(("one", "other"), [("ours", "websockets"), ("websockets", "ours")])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_one_librarys_client_gets_along_with_the_others_server(
    one: str, other: str, compression: str | None
) -> None:
    client, server = LIBRARIES[one], LIBRARIES[other]
    ends: list[tuple[int, str]] = []
    messages: list[Any] = ["", "é" * 100_000, b"", bytes(100_000), ["a", "", "b"], [b"a", b"b"]]

    async def echo(websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message)
            await (await websocket.ping())
        ends.append((websocket.close_code, websocket.close_reason))

    async def main() -> None:
        options: dict[str, Any] = {"compression": compression}
        async with server.serve(echo, "127.0.0.1", 0, subprotocols=["chat"], **options) as serving:
            uri = "ws://127.0.0.1:{1}".format(*serving.sockets[0].getsockname())
            async with client.connect(uri, subprotocols=["chat"], **options) as websocket:
                for message in messages:
                    await websocket.send(message)
                    whole = message[0][:0].join(message) if isinstance(message, list) else message
                    assert await websocket.recv() == whole
                assert await (await websocket.ping()) > 0
                assert websocket.subprotocol == "chat"
                extensions = websocket.response.headers.get("Sec-WebSocket-Extensions", "")
                assert extensions.startswith("permessage-deflate") is (compression is not None)
                await websocket.close(1001, "bye")
                ends.append((websocket.close_code, websocket.close_reason))

    run(main(), asyncio.new_event_loop)
    assert ends == [(1001, "bye")] * 2
