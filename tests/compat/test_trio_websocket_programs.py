"""The only place that runs programs on trio-websocket and on the drop-in module, side by side."""

from __future__ import annotations

import gc
import warnings
from importlib import import_module
from pathlib import Path

import pytest
import trio

PROGRAMS = [path.stem for path in Path(__file__).parent.glob("programs/trio_websocket_*.py")]

PATIENCE = 20.0
"""In seconds: a program that takes longer hangs."""


def said_on(library: str, program: str) -> list[str]:
    """What a program says when it has imported this."""
    said: list[str] = []
    main = import_module(f"tests.compat.programs.{program}").main

    async def in_time() -> None:
        with trio.fail_after(PATIENCE):
            await main(import_module(library), said.append)

    trio.run(in_time)
    return said


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_a_program_does_the_same_on_both(program: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        expected = said_on("trio_websocket", program)
        # Sockets that it leaves open are not for the next test to find.
        gc.collect()
    assert expected
    assert said_on("ws_trio.compat.trio_websocket", program) == expected


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 10
