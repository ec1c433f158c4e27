"""The only place that knows every row of what the drop-in modules have to do: none is untested."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROWS = {
    "trio_websocket": [f"T{i}" for i in (*range(1, 14), *range(20, 47))],
    "asyncwebsockets": [f"A{i}" for i in (*range(1, 6), *range(10, 20))],
    "aiohttp": [f"H{i}" for i in (*range(1, 5), *range(10, 23))],
    "websockets": [f"W{i}" for i in (*range(1, 6), *range(10, 18))],
}
"""The ids of the rows, for each library. ``pytest -k T35`` runs the tests of that row."""


def rows_tested_in(path: Path) -> set[str]:
    """The ids that stand in the names of this file's tests, as words of their own."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and node.name.startswith(("test_", "Test"))
    ]
    return {row for name in names for row in re.findall(r"(?<![A-Za-z0-9])[A-Z]\d+(?!\d)", name)}


@pytest.mark.parametrize("library", ROWS)
def test_every_row_has_a_test_that_is_found_by_its_id(library: str) -> None:
    tested = rows_tested_in(Path(__file__).with_name(f"test_{library}.py"))
    assert [row for row in ROWS[library] if row not in tested] == []


def test_no_test_is_of_a_row_that_is_none() -> None:
    rows = {row for each in ROWS.values() for row in each}
    for path in Path(__file__).parent.glob("test_*.py"):
        assert rows_tested_in(path) <= rows, path.name
