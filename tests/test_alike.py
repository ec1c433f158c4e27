"""The only place that proves that the adapters have the same names, parameters and docstrings.

ws_asyncio is the model, for no other reason than that it came first. What may differ stands in
:data:`DIFFERENCES`, each with its reason; what stands there and does not differ is an error, too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import ws_asyncio

MODEL = ws_asyncio

ADAPTERS: list[ModuleType] = []

DIFFERENCES: dict[str, dict[str, str]] = {}
"""For each adapter, what differs from the model, and why."""

SECTION = re.compile(r"^\s*:(param \w+|returns|raises|ivar \w+)\b", re.MULTILINE)


def members(cls: type) -> dict[str, Any]:
    """What a class offers to everybody, wherever it inherits it from."""
    found = {
        name: inspect.getattr_static(cls, name)
        for name in dir(cls)
        if not name.startswith("_") or name in ("__aiter__", "__iter__")
    }
    # A loop is the same verb in either colour.
    return {name.replace("__iter__", "__aiter__"): member for name, member in found.items()}


def parameters(thing: Any) -> dict[str, str]:
    """Parameters, each with its kind and default."""
    if not callable(thing):
        return {}
    found = inspect.signature(thing).parameters.values()
    return {
        each.name: f"{each.kind.description}, default {default(each)}"
        for each in found
        if each.name != "self"
    }


def default(parameter: inspect.Parameter) -> object:
    return "none" if parameter.default is parameter.empty else parameter.default


def sections(thing: Any) -> list[str]:
    """The fields of a docstring, in order."""
    return SECTION.findall(inspect.getdoc(thing) or "")


def things(module: ModuleType) -> dict[str, Any]:
    """Everything public, by its dotted name."""
    found = {}
    for name in module.__all__:
        thing = getattr(module, name)
        found[name] = thing
        if inspect.isclass(thing):
            found |= {f"{name}.{member}": each for member, each in members(thing).items()}
    return found


def differences(model: ModuleType, other: ModuleType) -> Iterator[str]:
    """What the other one has more, less or otherwise, a line each."""
    theirs, ours = things(model), things(other)
    yield from (f"{name} is not there" for name in theirs.keys() - ours.keys())
    yield from (f"{name} is there" for name in ours.keys() - theirs.keys())
    for name in theirs.keys() & ours.keys():
        before, after = parameters(theirs[name]), parameters(ours[name])
        yield from (f"{name} has no {each}" for each in before.keys() - after.keys())
        yield from (f"{name} has {each}" for each in after.keys() - before.keys())
        for each in before.keys() & after.keys():
            if before[each] != after[each]:
                yield f"{name}: {each} is {after[each]}"
        if [each for each in before if each in after] != [
            each for each in after if each in before
        ]:
            yield f"{name}: the order of its parameters"
        yield from differing_sections(name, theirs[name], ours[name], before.keys() ^ after.keys())


def differing_sections(name: str, model: Any, other: Any, apart: set[str]) -> Iterator[str]:
    """Fields of the docstrings, but for those of parameters that only one has."""
    only = {f"param {each}" for each in apart}
    before = [each for each in sections(model) if each not in only]
    after = [each for each in sections(other) if each not in only]
    if before != after:
        yield f"{name} documents {', '.join(after) or 'nothing'}, not {', '.join(before)}"


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__)
def test_the_adapters_are_alike(adapter: ModuleType) -> None:
    assert sorted(differences(MODEL, adapter)) == sorted(DIFFERENCES[adapter.__name__])


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__)
def test_every_public_parameter_is_documented(adapter: ModuleType) -> None:
    for name, thing in things(adapter).items():
        documented = {each.removeprefix("param ") for each in sections(thing)}
        missing = parameters(thing).keys() - documented
        # One parameter is said by the sentence that describes the verb.
        assert len(missing) <= 0 or not documented, f"{name}: {missing}"


# The comparison sees what it is there for.


def module(source: str) -> ModuleType:
    made = ModuleType("made")
    exec(source, made.__dict__)
    return made


BASE = '''
__all__ = ["Thing", "verb"]
def verb(a, *, b=1):
    """Do.

    :param a: this.
    :raises ValueError: never.
    """
class Thing:
    @property
    def fact(self): ...
    def verb(self, a): ...
'''


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            '"Thing", ',
            "",
            ["Thing is not there", "Thing.fact is not there", "Thing.verb is not there"],
        ),
        ("def verb(a, *, b=1)", "def verb(a, *, b=2)", ["verb: b is keyword-only, default 2"]),
        ("def verb(a, *, b=1)", "def verb(a, *, b=1, c=1)", ["verb has c"]),
        ("def verb(a, *, b=1)", "def verb(a)", ["verb has no b"]),
        (
            "def verb(a, *, b=1)",
            "def verb(*, a, b=1)",
            ["verb: a is keyword-only, default none"],
        ),
        (":raises ValueError: never.", "", ["verb documents param a, not param a, raises"]),
        ("def fact(self)", "def facts(self)", ["Thing.fact is not there", "Thing.facts is there"]),
        ("def verb(self, a)", "def verb(self, b)", ["Thing.verb has b", "Thing.verb has no a"]),
    ],
)
def test_a_difference_is_seen(old: str, new: str, found: list[str]) -> None:
    assert old in BASE
    assert sorted(differences(module(BASE), module(BASE.replace(old, new)))) == found
    assert list(differences(module(BASE), module(BASE))) == []
