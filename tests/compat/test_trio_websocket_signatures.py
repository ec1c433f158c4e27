"""The only place that holds the drop-in module for trio-websocket against trio-websocket itself.

Every public name, its parameters, bases and public members; what differs stands in a table with
its reason, and a difference that is gone fails, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest

from ws_trio.compat import trio_websocket as ours

real: Any = import_module("trio_websocket")

DIFFERENCES = {
    "CONFIG": "only ours: the policy of every connection, in one place",
}

VALUES: dict[str, Callable[[Any], Any]] = {
    "CloseReason": lambda module: module.CloseReason(4000, "why"),
    "ConnectionClosed": lambda module: module.ConnectionClosed(module.CloseReason(1000, None)),
    "ConnectionRejected": lambda module: module.ConnectionRejected(404, ((b"a", b"b"),), b"gone"),
    "ConnectionTimeout": lambda module: module.ConnectionTimeout(),
    "DisconnectionTimeout": lambda module: module.DisconnectionTimeout(),
    "Endpoint": lambda module: module.Endpoint("::1", 8000, is_ssl=True),
    "HandshakeError": lambda module: module.HandshakeError(),
}
"""A value of each class that a program may make, or gets with no more than an exception."""


def public(owner: Any) -> list[str]:
    names = (name for name in dir(owner) if not name.startswith("_"))
    return [name for name in names if not inspect.ismodule(getattr(owner, name))]


def described(thing: Any) -> Iterator[str]:
    """What a program that uses it may notice, as lines."""
    yield type(thing).__name__ if not callable(thing) else "callable"
    if inspect.isclass(thing):
        yield f"bases: {', '.join(base.__name__ for base in thing.__mro__)}"
    if inspect.iscoroutinefunction(thing):
        yield "to be awaited"
    # What is built in may have no signature, which is then neither's to choose.
    with suppress(ValueError, TypeError):
        for parameter in inspect.signature(thing).parameters.values():
            yield f"{parameter.kind.description} {parameter.name} = {parameter.default!r}"


def surface(module: Any, names: Iterable[str]) -> dict[str, list[str]]:
    """Every public name, and every public member of a class, with what may be noticed of it."""
    found = {}
    for name in names:
        thing = getattr(module, name)
        found[name] = [*described(thing)]
        if inspect.isclass(thing):
            for member in public(thing):
                found[f"{name}.{member}"] = [*described(inspect.getattr_static(thing, member))]
    return found


REAL, OURS = surface(real, public(real)), surface(ours, ours.__all__)


@pytest.mark.parametrize("name", sorted(REAL.keys() | OURS.keys()))
def test_a_name_is_the_same_or_differs_for_a_reason(name: str) -> None:
    if name in DIFFERENCES:
        assert REAL.get(name) != OURS.get(name), "it differs no more: take it off the table"
    else:
        assert OURS.get(name) == REAL.get(name)


def test_the_table_has_names_only() -> None:
    assert DIFFERENCES.keys() <= REAL.keys() | OURS.keys()


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_the_same(name: str) -> None:
    one, other = VALUES[name](real), VALUES[name](ours)
    assert public(other) == public(one)
    assert (repr(other), str(other)) == (repr(one), str(one))
    for attribute in public(one):
        expected = getattr(one, attribute)
        if not callable(expected):
            assert repr(getattr(other, attribute)) == repr(expected)


@pytest.mark.parametrize("code", [*range(999, 1017), 2999, 3000, 3999, 4000, 4999, 5000])
def test_a_code_has_the_same_name(code: int) -> None:
    assert ours.CloseReason(code, None).name == real.CloseReason(code, None).name


def test_every_value_that_a_program_makes_is_compared() -> None:
    made = {name for name, lines in REAL.items() if is_value(lines)}
    assert made | {"CloseReason", "Endpoint"} == VALUES.keys()


def is_value(lines: list[str]) -> bool:
    return any("Exception" in line for line in lines if line.startswith("bases: "))
