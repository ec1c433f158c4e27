"""The only place that proves the documentation: its examples run, its drawing and lists are whole.

The Python blocks of a page run in order and share their names, as if pasted one after the other
into ``python -m asyncio``. What stands under ``if __name__ == "__main__"`` does not run.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import inspect
import math
import re
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from docs._ext import states

import ws_anyio
import ws_asyncio
import ws_sync
import ws_trio
import wscore
import wscore.testing
from wscore import TRANSITIONS, State
from wscore._close import FAILURES

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]
PAGES = sorted(ROOT.glob("docs/**/*.rst"))

RST_BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", re.MULTILINE)
MARKDOWN_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(page: Path) -> list[str]:
    """The Python blocks of a page, each padded so that line numbers are the page's."""
    text = page.read_text()
    pattern = MARKDOWN_BLOCK if page.suffix == ".md" else RST_BLOCK
    return [
        "\n" * text.count("\n", 0, found.start(1)) + textwrap.dedent(found[1])
        for found in pattern.finditer(text)
    ]


def run(blocks: list[str], page: Path) -> None:
    names: dict[str, Any] = {"__name__": page.stem}
    with asyncio.Runner() as runner:
        for block in blocks:
            code = compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)
            if inspect.iscoroutine(result):
                runner.run(result)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page", [page for page in [*READMES, *PAGES] if python_blocks(page)], ids=name_of
)
def test_the_programs_on_a_page_run(page: Path) -> None:
    run(python_blocks(page), page)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if ">>> " in page.read_text()], ids=name_of
)
def test_the_sessions_on_a_page_give_what_it_says(page: Path) -> None:
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 0
    assert failed == 0


def test_the_examples_in_docstrings_give_what_they_say() -> None:
    failed, tried = doctest.testmod(wscore.testing)
    assert tried > 0
    assert failed == 0


def test_a_program_that_fails_is_caught() -> None:
    with pytest.raises(AssertionError):
        run(["import asyncio", "await asyncio.sleep(0)\nassert False"], ROOT / "README.md")


@pytest.mark.parametrize(
    "module",
    [wscore, wscore.testing, ws_asyncio, ws_trio, ws_sync, ws_anyio],
    ids=lambda module: module.__name__,
)
def test_every_public_name_is_in_the_reference(module: Any) -> None:
    page = (ROOT / "docs/api.rst").read_text()
    names = [name for name in module.__all__ if not name.startswith("__")]
    missing = [name for name in names if f":: {module.__name__}.{name}\n" not in page]
    assert missing == []


@pytest.mark.parametrize("module", [ws_trio, ws_anyio], ids=lambda module: module.__name__)
def test_every_verb_that_is_inherited_is_in_the_reference(module: Any) -> None:
    page = (ROOT / "docs/api.rst").read_text()
    section = page.partition(f":: {module.__name__}.WebSocket\n")[2].partition("\n.. ")[0]
    verbs = {name for name in dir(wscore.CallerDriven) if not name.startswith("_")}
    listed = set(re.findall(r"^   \.\. automethod:: (\w+)$", section, re.MULTILINE))
    assert listed == (verbs - {*dir(wscore.Facts)}) | {"__aiter__"}


def test_every_member_of_a_connection_is_of_a_kind() -> None:
    page = (ROOT / "docs/embedding.rst").read_text()
    members = [name for name in dir(wscore.Connection) if not name.startswith("_")]
    assert [name for name in members if f"``{name}``" not in page] == []


def test_the_table_of_causes_has_each_with_who_is_behind_it_and_its_code() -> None:
    page = (ROOT / "docs/closing.rst").read_text()
    rows = re.findall(r"^   \* - ``(\w+)``\n     - (\w+)\n     - (\w+)\n", page, re.MULTILINE)
    table = {name: (by, code) for name, by, code in rows}
    assert table == {
        "CLOSED": ("local", "yours"),
        "PEER_CLOSED": ("peer", "theirs"),
        **{cause.name: (by.value, str(code.value)) for cause, (by, code) in FAILURES.items()},
    }
    assert set(table) == set(wscore.Cause.__members__)


def shown(field: str) -> str:
    """A field's default, as a person would write it."""
    value = getattr(wscore.Config(), field)
    match value:
        case wscore.Overflow():
            return f'``"{value.value}"``'
        case tuple() if value:
            return f"({', '.join(in_units(field, number) for number in value)})"
        case bool() | None | tuple():
            return str(value)
        case int() | float():
            return in_units(field, value)
    return "the system's"


def in_units(field: str, value: float) -> str:
    if value == math.inf:
        return "off"
    if field.endswith(("_timeout", "_interval", "_tolerance")):
        return f"{value:g} s"
    if field in ("max_queue", "max_fragments", "max_headers"):
        return f"{value:,}"
    return f"{value // 1024**2:g} MiB" if value >= 1024**2 else f"{value // 1024:g} KiB"


def test_the_table_of_policies_has_every_field_and_its_default() -> None:
    page = (ROOT / "docs/policies.rst").read_text()
    table = dict(re.findall(r"^   \* - ``(\w+)``\n     - (.+)$", page, re.MULTILINE))
    assert table == {each.name: shown(each.name) for each in fields(wscore.Config)}


# The drawing of the states.


def test_the_drawing_has_every_state_and_every_cause() -> None:
    drawing = states.draw(TRANSITIONS)
    for state in State:
        assert f">{state.name}</text>" in drawing
    for causes in TRANSITIONS.values():
        for cause in causes:
            assert f">{cause.replace(chr(39), '&#x27;')}</text>" in drawing


def test_a_new_cause_appears_in_the_drawing() -> None:
    edge = (State.OPEN, State.CLOSED)
    drawing = states.draw({**TRANSITIONS, edge: (*TRANSITIONS[edge], "a <new> cause")})
    assert ">a &lt;new&gt; cause</text>" in drawing


def test_an_edge_without_a_place_in_the_drawing_is_an_error() -> None:
    with pytest.raises(ValueError, match="CLOSED to OPEN"):
        states.draw({**TRANSITIONS, (State.CLOSED, State.OPEN): ("revived",)})


@pytest.mark.parametrize("edge", TRANSITIONS, ids=lambda edge: "-".join(s.value for s in edge))
def test_an_edge_that_is_gone_is_an_error(edge: tuple[State, State]) -> None:
    rest = {other: causes for other, causes in TRANSITIONS.items() if other != edge}
    with pytest.raises(ValueError, match=f"{edge[0].name} to {edge[1].name}"):
        states.draw(rest)


def test_a_cause_that_does_not_fit_is_an_error() -> None:
    edge = (State.CONNECTING, State.CLOSING)
    with pytest.raises(ValueError, match="no room"):
        states.draw({**TRANSITIONS, edge: ("a cause in far too many words",)})
