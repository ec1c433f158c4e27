"""The only place that proves who may import whom, and that no policy is without its page.

The rules are those of the design's "Who may import whom". Imports under ``if TYPE_CHECKING``
count like any other: what a module has to name, it knows.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import wscore

ROOT = Path(__file__).parents[1]
CORE = ROOT / "packages/wscore/src/wscore"

STANDARD_LIBRARY = {
    "__future__": "annotations as text",
    "base64": "handshake keys and Authorization",
    "binascii": "the error of a handshake key that is not base64",
    "codecs": "incremental UTF-8",
    "collections": "deque; collections.abc for types",
    "contextlib": "suppress",
    "contextvars": "the context in which a task of a connection begins",
    "dataclasses": "values",
    "enum": "closed sets of names",
    "hashlib": "Sec-WebSocket-Accept, for compat_websockets",
    "hmac": "passwords compared in constant time, for compat_websockets",
    "http": "reason phrases, for compat_websockets",
    "inspect": "whether what a hook returns is to be awaited",
    "itertools": "loops over iterators",
    "math": "inf",
    "os": "fresh bytes, and the fork that makes them stale; WSCORE_PURE",
    "re": "the grammar of a head",
    "string": "the alphabets of URLs",
    "struct": "frame headers",
    "types": "tracebacks, which context managers are given",
    "typing": "types",
    "urllib": "percent-encoding",
    "zlib": "permessage-deflate",
}
"""What wscore may import of the standard library, and what for."""

NARROWED = {
    "hashlib": {"sha1"},
    "hmac": {"compare_digest"},
    "http": {"HTTPStatus"},
    "inspect": {"isawaitable"},
    "os": {"urandom", "register_at_fork", "environ"},
    "types": {"TracebackType"},
    "urllib": {"parse"},
}
"""Modules of which wscore may use only these attributes."""

IMPURE_BUILTINS = {"__import__", "breakpoint", "eval", "exec", "input", "open", "print"}

HANDSHAKE_LIBRARIES = {"wsproto", "h11"}
HANDSHAKE = "_handshake"

LAYERS = (
    {"_lazy", "_log"},
    {"_close", "_config", "_entropy", "_errors", "_http", "_pings", "_stats", "_timers", "_url"},
    {"_arrival", "_pace", "_runtime", "_watch"},
    {"_backoff", "_destination", "_proxy"},
    {"_reconnecting"},
    {"_pure", "_codec"},
    {"_form"},
    {"_deflate", "_frames", "_handshake", "_inbox", "_outbox"},
    {"_connection"},
    {"_admission", "_answering", "_carrier", "_facts", "_receiving", "_sending"},
    {"_driving"},
    {"_caller_driven"},
    {"_opening"},
    {"_serving"},
    {"_broadcast"},
    {"__init__"},
    {"compat_websockets", "testing"},
)
"""Modules of wscore from the lowest to the highest; an import goes down or sideways."""

PUBLIC_ONLY = {"compat_websockets", "testing"}
"""Modules of wscore that see it as anybody does."""

FOR_COMPAT = {"wscore.compat_websockets"}
"""Modules of wscore besides wscore itself that an adapter's drop-in modules may import."""

RUNTIMES: dict[str, set[str]] = {
    "ws_asyncio": {"python_socks"},
    "ws_trio": {"trio", "python_socks"},
    "ws_sync": {"python_socks"},
    "ws_anyio": {"anyio", "python_socks"},
}
"""What an adapter may import besides wscore and the standard library."""

COMPAT: dict[str, set[str]] = {
    # Of trio the one thing that anyio does not have: a task outside of task groups.
    "ws_anyio.compat.asyncwebsockets": {"wsproto", "trio"},
}
"""What a drop-in module may import besides: what the original's programs are given of it."""


@dataclass(frozen=True)
class Import:
    """One name that an import statement brings in: ``from module import name``.

    ``name`` is None for a plain ``import module``.
    """

    module: str
    name: str | None

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import in a module of ``package``, with relative names made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: -node.level + 1 or None] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (Import(module, alias.name) for alias in node.names)


def core_modules(source: str) -> set[str]:
    """The modules of wscore that one of its modules imports; ``__init__`` for public names."""
    found = set()
    for each in imports(source, "wscore"):
        if each.top != "wscore":
            continue
        if each.module != "wscore":
            found.add(each.module.split(".")[1])
        elif each.name is not None and each.name in set().union(*LAYERS):
            found.add(each.name)
        else:
            found.add("__init__")
    return found


def core_violations(name: str, source: str, public: Collection[str]) -> list[str]:
    """What breaks rules 1 and 2 in the module ``name`` of wscore."""
    found = [*impurities(source)]
    for each in imports(source, "wscore"):
        if each.top in HANDSHAKE_LIBRARIES:
            if name != HANDSHAKE:
                found.append(f"imports {each.module}: only {HANDSHAKE} may")
        elif each.top == "wscore":
            if name in PUBLIC_ONLY and (each.module != "wscore" or each.name not in public):
                found.append(f"imports {each.module}.{each.name}, which is not public")
        elif each.top not in STANDARD_LIBRARY:
            found.append(f"imports {each.module}")
    return [*found, *upward_imports(name, source)]


def impurities(source: str) -> Iterator[str]:
    """Uses of what modules on the list, or builtins, offer and wscore must not touch."""
    aliases = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head, _, tail = alias.name.partition(".")
                aliases[alias.asname or head] = head
                if head in NARROWED and tail and tail not in NARROWED[head]:
                    yield f"imports {alias.name}"
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            head, _, tail = node.module.partition(".")
            names = {tail} if tail else {alias.name for alias in node.names}
            if head in NARROWED and not names <= NARROWED[head]:
                yield f"imports {node.module}.{'/'.join(sorted(names))}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id in IMPURE_BUILTINS:
            yield f"uses {node.id}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            head = aliases.get(node.value.id, "")
            if head in NARROWED and node.attr not in NARROWED[head]:
                yield f"uses {head}.{node.attr}"


def upward_imports(name: str, source: str) -> Iterator[str]:
    """Imports of modules of wscore that stand higher than the module ``name``."""
    allowed: set[str] = set()
    for layer in LAYERS:
        allowed |= layer
        if name in layer:
            yield from (f"imports {each}, upwards" for each in core_modules(source) - allowed)
            return
    yield f"{name} stands in no layer: give it one in LAYERS"


def adapter_violations(package: str, source: str, public: Collection[str]) -> list[str]:
    """What breaks rule 3 in a module of an adapter; ``package`` may be a subpackage."""
    adapter, _, subpackage = package.partition(".")
    allowed = {adapter, *sys.stdlib_module_names, *RUNTIMES[adapter], *COMPAT.get(package, ())}
    found = []
    for each in imports(source, package):
        if subpackage.startswith("compat") and each.module in FOR_COMPAT:
            continue
        if each.top == "wscore":
            if each.module != "wscore" or each.name not in public:
                what = each.module + (f".{each.name}" if each.name else "")
                found.append(f"imports {what}: write from wscore import a public name")
        elif each.top not in allowed:
            found.append(f"imports {each.module}")
    return found


def project_of(package: str) -> Path:
    return ROOT / "packages" / package.replace("_", "-")


# The rules hold.


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.stem)
def test_wscore_imports_downwards_and_only_what_is_pure(path: Path) -> None:
    assert core_violations(path.stem, path.read_text(), wscore.__all__) == []


def test_no_two_modules_of_wscore_import_each_other() -> None:
    graph = {path.stem: core_modules(path.read_text()) for path in CORE.glob("*.py")}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)


def test_the_table_of_runtimes_names_every_adapter() -> None:
    packages = {path.parent.name for path in ROOT.glob("packages/*/src/*/__init__.py")}
    assert packages == {"wscore", *RUNTIMES}


@pytest.mark.parametrize("adapter", RUNTIMES)
def test_an_adapter_imports_public_names_and_its_own_runtime(adapter: str) -> None:
    sources = project_of(adapter) / "src"
    found = {}
    for path in sorted(sources.rglob("*.py")):
        package = ".".join(path.parent.relative_to(sources).parts)
        if violations := adapter_violations(package, path.read_text(), wscore.__all__):
            found[str(path.relative_to(ROOT))] = violations
    assert found == {}


@pytest.mark.parametrize("adapter", RUNTIMES)
def test_an_adapter_requires_the_core_of_its_own_series(adapter: str) -> None:
    project = tomllib.loads((project_of(adapter) / "pyproject.toml").read_text())["project"]
    series = wscore.__version__.rpartition(".")[0]
    assert f"wscore~={series}.0" in project["dependencies"]


def test_every_policy_is_named_on_its_page() -> None:
    page = (ROOT / "docs/policies.rst").read_text()
    missing = [each.name for each in fields(wscore.Config) if f"``{each.name}``" not in page]
    assert not missing, f"not in docs/policies.rst: {', '.join(missing)}"


# The checks catch what they are there for.


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import asyncio",
        "from asyncio import sleep",
        "import logging as log",
        "import urllib.request",
        "from urllib import request",
        "from urllib.request import urlopen",
        "import random",
        "import wsproto",
        "from h11 import Connection",
        "import os; os.getpid()",
        "import os as system; system.getpid()",
        "from os import getpid",
        "import os.path",
        "import trio",
        "import ws_asyncio",
        "def f():\n    import time",
        "if TYPE_CHECKING:\n    import time",
        "__import__('time')",
        "open('/etc/hosts')",
        "print('hello')",
    ],
)
def test_what_is_not_pure_is_caught(source: str) -> None:
    assert core_violations("_frames", source, public=[]) != []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("_frames", "from ._connection import State"),
        ("_frames", "from wscore._connection import State"),
        ("_frames", "from . import _connection"),
        ("_frames", "from . import Connection"),
        ("_frames", "import wscore._connection"),
        ("_frames", "if TYPE_CHECKING:\n    from ._connection import State"),
        ("_errors", "from ._frames import Frame"),
        ("_connection", "from .testing import Pair"),
        ("testing", "from ._connection import Connection"),
        ("testing", "from . import _connection"),
        ("testing", "from . import Secret"),
        ("testing", "import wscore"),
        ("_leftovers", "import math"),
    ],
)
def test_an_import_upwards_or_past_the_public_names_is_caught(name: str, source: str) -> None:
    assert core_violations(name, source, public=["Connection"]) != []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("_frames", "import math, zlib"),
        ("_frames", "from collections.abc import Callable"),
        ("_frames", "from ._config import Config"),
        ("_frames", "from . import _close"),
        ("_inbox", "from ._frames import Frame"),
        ("_handshake", "import h11\nfrom wsproto.utilities import generate_accept_token"),
        ("_entropy", "import os\nos.register_at_fork(after_in_child=f)\nos.urandom(4)"),
        ("_url", "from urllib.parse import quote"),
        ("_url", "import urllib.parse\nurllib.parse.quote('')"),
        ("_connection", "from ._outbox import Outbox"),
        ("__init__", "from ._connection import Connection"),
        ("testing", "from . import Connection"),
        ("testing", "from wscore import Connection"),
    ],
)
def test_what_is_allowed_inside_wscore_is_not_caught(name: str, source: str) -> None:
    assert core_violations(name, source, public=["Connection"]) == []


@pytest.mark.parametrize(
    "source",
    [
        "import wscore",
        "import wscore._frames",
        "from wscore._frames import Frame",
        "from wscore import _frames",
        "from wscore import Secret",
        "from wscore.testing import Pair",
        "from wscore.compat_websockets import State",
        "import trio",
        "import wsproto",
        "from ws_trio import connect",
    ],
)
def test_what_an_adapter_must_not_know_is_caught(source: str) -> None:
    assert adapter_violations("ws_asyncio", source, public=["Connection"]) != []


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("ws_asyncio", "import asyncio, ssl, socket, time, logging"),
        ("ws_asyncio", "from wscore import Connection"),
        ("ws_asyncio", "from ._websocket import WebSocket"),
        ("ws_asyncio", "from . import _connect"),
        ("ws_asyncio.compat", "from .._websocket import WebSocket"),
        ("ws_asyncio.compat", "from .. import connect"),
        ("ws_asyncio.compat", "import wscore.compat_websockets as shared"),
        ("ws_asyncio.compat", "from wscore.compat_websockets import State"),
        ("ws_anyio.compat.asyncwebsockets", "import wsproto.events\nimport trio"),
    ],
)
def test_what_an_adapter_is_made_of_is_not_caught(package: str, source: str) -> None:
    assert adapter_violations(package, source, public=["Connection"]) == []
