"""The only place that runs programs on asyncwebsockets and on the drop-in module for it."""

from __future__ import annotations

import gc
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.adapters.runtimes.on_anyio import BACKENDS
from tests.leaks import PATIENCE

from ws_anyio.compat import asyncwebsockets

PROGRAMS = sorted(Path(__file__).parent.glob("programs/asyncwebsockets_*.py"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_says_the_same(
    path: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = import_module(f"tests.compat.programs.{path.stem}")

    async def run(module: Any) -> None:
        with anyio.fail_after(PATIENCE):
            await program.main(module)

    # The original leaves generators and sockets to the garbage collector.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        anyio.run(run, import_module("asyncwebsockets"), backend=backend)
        gc.collect()
    said = capsys.readouterr().out
    assert said
    anyio.run(run, asyncwebsockets, backend=backend)
    assert capsys.readouterr().out == said


def test_there_are_programs() -> None:
    assert PROGRAMS
