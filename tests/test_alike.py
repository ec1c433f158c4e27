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

import ws_anyio
import ws_asyncio
import ws_sync
import ws_trio

MODEL = ws_asyncio

ADAPTERS = [ws_trio, ws_sync, ws_anyio]

_STREAMS = "what connects two programs is a stream here, of which a socket is one"
_NURSERY = "tasks run in a nursery, which may be the caller's"
_GROUP = "tasks run in a task group, which may be the caller's"
_RESOURCE = "every resource of the runtime has it"
_TIMEOUT = "there is no scope around a call that could end it"

DIFFERENCES: dict[str, dict[str, str]] = {
    "ws_trio": {
        "connect has no sock": _STREAMS,
        "connect has stream": _STREAMS,
        "connect has nursery": _NURSERY,
        "accept has no sock": _STREAMS,
        "accept has stream": _STREAMS,
        "accept has nursery": _NURSERY,
        "reconnect has nursery": _NURSERY,
        "serve has no sockets": _STREAMS,
        "serve has listeners": _STREAMS,
        "serve has handler_nursery": _NURSERY,
        "Server.sockets is not there": _STREAMS,
        "Server.listeners is there": _STREAMS,
        "WebSocket.aclose is there": _RESOURCE,
    },
    "ws_sync": {
        "WebSocket.send has timeout": _TIMEOUT,
        "WebSocket.send also documents raises WebSocketTimeout": _TIMEOUT,
        "WebSocket.recv has timeout": _TIMEOUT,
        "WebSocket.recv also documents raises WebSocketTimeout": _TIMEOUT,
        "WebSocket.recv_streaming has timeout": _TIMEOUT,
        "WebSocket.recv_streaming also documents raises WebSocketTimeout": _TIMEOUT,
        "WebSocket.ping has timeout": _TIMEOUT,
        "WebSocket.ping also documents raises WebSocketTimeout": _TIMEOUT,
        "WebSocket.wait_closed has timeout": _TIMEOUT,
        "WebSocket.wait_closed also documents raises WebSocketTimeout": _TIMEOUT,
        "serve: max_connections is keyword-only, default 128": "a connection takes a thread",
    },
    "ws_anyio": {
        "connect has no sock": _STREAMS,
        "connect has stream": _STREAMS,
        "connect has task_group": _GROUP,
        "accept has no sock": _STREAMS,
        "accept has stream": _STREAMS,
        "accept has task_group": _GROUP,
        "reconnect has task_group": _GROUP,
        "serve has no sockets": _STREAMS,
        "serve has listeners": _STREAMS,
        "serve has handler_task_group": _GROUP,
        "Server.sockets is not there": _STREAMS,
        "Server.listeners is there": _STREAMS,
        "WebSocket.aclose is there": _RESOURCE,
    },
}
"""For each adapter, what differs from the model, and why."""

SECTION = re.compile(r"^\s*:(param \w+|returns|raises [\w, ]+|ivar \w+):", re.MULTILINE)


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
    if not inspect.isfunction(thing) and not inspect.isclass(thing):
        return {}
    if "Not public" in (inspect.getdoc(getattr(thing, "__init__", None)) or ""):
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
    yield from (f"{name} does not document {each}" for each in before if each not in after)
    yield from (f"{name} also documents {each}" for each in after if each not in before)
    common = [each for each in after if each in before]
    if common != [each for each in before if each in common]:
        yield f"{name} documents in another order"


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.__name__)
def test_the_adapters_are_alike(adapter: ModuleType) -> None:
    assert sorted(differences(MODEL, adapter)) == sorted(DIFFERENCES[adapter.__name__])


@pytest.mark.parametrize("adapter", [MODEL, *ADAPTERS], ids=lambda adapter: adapter.__name__)
def test_every_public_parameter_is_documented(adapter: ModuleType) -> None:
    missing = [
        f"{name}: {each}"
        for name, thing in things(adapter).items()
        for each in parameters(thing)
        if f"param {each}" not in sections(thing)
    ]
    assert missing == []


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
        (":raises ValueError: never.", "", ["verb does not document raises ValueError"]),
        ("def fact(self)", "def facts(self)", ["Thing.fact is not there", "Thing.facts is there"]),
        ("def verb(self, a)", "def verb(self, b)", ["Thing.verb has b", "Thing.verb has no a"]),
    ],
)
def test_a_difference_is_seen(old: str, new: str, found: list[str]) -> None:
    assert old in BASE
    assert sorted(differences(module(BASE), module(BASE.replace(old, new)))) == found
    assert list(differences(module(BASE), module(BASE))) == []
