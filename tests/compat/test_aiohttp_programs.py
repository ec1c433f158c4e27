"""The only place that runs programs on aiohttp and on the drop-in module for it."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp as original
import pytest
from tests.adapters.runtimes.on_asyncio import run
from tests.leaks import PATIENCE

from ws_asyncio.compat import aiohttp

PROGRAMS = sorted(Path(__file__).parent.glob("programs/aiohttp_*.py"))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_says_the_same(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = import_module(f"tests.compat.programs.{path.stem}")

    async def run_on(module: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            await program.main(module)

    said = []
    for module in (original, aiohttp):
        run(run_on(module), asyncio.new_event_loop)
        said.append(capsys.readouterr().out)
    assert said[0]
    assert said[1] == said[0]


def test_there_are_programs() -> None:
    assert PROGRAMS
