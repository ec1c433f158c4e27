"""The only place that holds the drop-in module for asyncwebsockets against asyncwebsockets itself.

Every public name, its parameters and public members; what differs stands in a table with its
reason, and a difference that is gone fails, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from ws_anyio.compat import asyncwebsockets

ORIGINAL = "asyncwebsockets"
OURS = asyncwebsockets.__name__
MODULES = ("", ".client", ".server", ".websocket")

DIFFERENCES = {
    "ByteMessage": "only ours: the manual has it",
    "ClientWebsocket": "only ours: the manual has it",
    "WebsocketClosed": "only ours: what sending after the end raises, a LocalProtocolError, too",
    ".websocket.ByteMessage": "as above",
    ".websocket.CONFIG": "only ours: every policy, in one place",
    ".websocket.ClientWebsocket": "as above",
    ".websocket.Filter": "only ours: a type",
    ".websocket.WebsocketClosed": "as above",
    "Websocket.next_event": "only ours: the README has it",
    "Websocket.send_message": "only ours: the manual has it",
}


def names_of(module: ModuleType) -> list[str]:
    """What is imported from it: as it says, or else what it defines."""
    if hasattr(module, "__all__"):
        names: list[str] = module.__all__
        return [name for name in names if not inspect.ismodule(getattr(module, name))]
    return [
        name
        for name, thing in vars(module).items()
        if getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_")
    ]


def described(thing: Any) -> list[str]:
    """What a program that uses it may notice."""
    if not inspect.isroutine(thing) and not inspect.isclass(thing):
        return [type(thing).__name__]
    lines = ["a class" if inspect.isclass(thing) else "a function"]
    if inspect.iscoroutinefunction(thing):
        lines.append("to be awaited")
    parameters = inspect.signature(thing).parameters.values()
    return lines + [
        f"{each.kind.description} {each.name} = {each.default!r}" for each in parameters
    ]


def surface(package: str) -> Iterator[tuple[str, list[str]]]:
    """Every public name of every module, and every public member of the class."""
    for suffix in MODULES:
        module = import_module(package + suffix)
        for name in names_of(module):
            yield f"{suffix}.{name}" if suffix else name, described(getattr(module, name))
    websocket = import_module(package).Websocket
    for name in dir(websocket):
        if not name.startswith("_"):
            yield f"Websocket.{name}", described(inspect.getattr_static(websocket, name))


REAL, COMPAT = dict(surface(ORIGINAL)), dict(surface(OURS))


@pytest.mark.parametrize("name", sorted(REAL.keys() | COMPAT.keys()))
def test_a_name_is_the_same_or_differs_for_a_reason(name: str) -> None:
    if name in DIFFERENCES:
        assert REAL.get(name) != COMPAT.get(name), "it differs no more: take it off the table"
    else:
        assert COMPAT.get(name) == REAL.get(name)


def test_the_table_has_names_only() -> None:
    assert DIFFERENCES.keys() <= REAL.keys() | COMPAT.keys()


def test_both_are_compared() -> None:
    assert {"open_websocket", ".client.open_websocket", "Websocket.send"} <= REAL.keys()
    assert import_module(ORIGINAL).Websocket is not asyncwebsockets.Websocket
