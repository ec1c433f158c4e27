"""The only place that runs programs for websockets on it and on ws_asyncio.compat.websockets.

One import is all that changes; what they print must be the same.
"""

from __future__ import annotations

import asyncio
import importlib
from types import ModuleType

import pytest
import websockets
from tests.adapters.runtimes.on_asyncio import run

from ws_asyncio.compat import websockets as ours

PROGRAMS = (
    *("authentication", "counter", "heartbeat", "hello"),
    *("producer", "reconnect", "routing", "streaming"),
)

LIBRARIES = {"websockets": websockets, "ours": ours}


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
