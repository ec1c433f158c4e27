"""The only place that compares ws_sync.compat.websockets with websockets' threads, name by name.

What differs stands in a table, each with its reason; what stands there and does not differ fails.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from ws_asyncio.compat import websockets as on_asyncio
from ws_sync.compat import websockets as ours

MODULES = ("sync.client", "sync.connection", "sync.router", "sync.server")
"""Where websockets keeps the names of its threaded form."""

SHARED = ("datastructures", "exceptions", "frames", "http11", "typing")
"""Where it keeps those that know no runtime."""

NO_IO = "part of its Sans-I/O layer; ours is wscore.Connection"
INNER = "a step of its machinery that its classes leave open to view"
WERKZEUG = "needs werkzeug: let process_request look at request.path"
OWN = "says whose library it is"
MADE = "made by serve(), never by hand"

DIFFERENCES: dict[str, str] = {
    "SERVER": OWN,
    "USER_AGENT": OWN,
    "Frame": NO_IO,
    "Router": WERKZEUG,
    "route": WERKZEUG,
    "unix_route": WERKZEUG,
    "connect(user_agent_header)": OWN,
    "reconnect(user_agent_header)": OWN,
    "serve(server_header)": OWN,
    "Server(sock)": MADE,
    "Server(logger)": MADE,
    "Server(core)": MADE,
    "Server.SHUTDOWN_POLLING_INTERVAL": INNER,
    **{
        f"{kind}.{member}": INNER
        for kind in ("ClientConnection", "Connection", "ServerConnection")
        for member in (
            *("acknowledge_pings", "close_socket", "keepalive", "maybe_raise_legacy_warning"),
            *("process_event", "recv_bufsize", "recv_events", "send_context", "send_data"),
            *("set_connection_exc", "start_keepalive", "terminate_pending_pings"),
        )
    },
    "ClientConnection.handshake": INNER,
    "ServerConnection.handshake": INNER,
    **{
        f"reconnect.{member}": INNER
        for member in ("enable_tls", "open_connection", "open_socket", "process_redirect")
    },
}
"""What differs, and why: a name, ``f(x)`` for a parameter, ``C.x`` for a member."""


def names_of(paths: tuple[str, ...]) -> dict[str, Any]:
    """The public names of some modules of websockets, with what they stand for."""
    found: dict[str, Any] = {}
    for path in paths:
        if path == "sync.router":
            # They exist whether or not werkzeug is installed.
            found.update(dict.fromkeys(("Router", "route", "unix_route")))
        else:
            module = importlib.import_module(f"websockets.{path}")
            found.update((name, getattr(module, name)) for name in module.__all__)
    return found


NAMES = names_of(MODULES)


def differences(name: str) -> Iterator[str]:
    """What differs between the two of that name."""
    original = NAMES[name]
    if not hasattr(ours, name):
        yield name
        return
    mine = getattr(ours, name)
    yield from signatures(name, original, mine)
    if inspect.isclass(original):
        for member in dir(original):
            if not member.startswith("_"):
                yield from members(f"{name}.{member}", original, mine, member)


def differs(name: str, value: object) -> bool:
    return not hasattr(ours, name) or (isinstance(value, str) and getattr(ours, name) != value)


def members(place: str, original: type, mine: type, name: str) -> Iterator[str]:
    if not hasattr(mine, name):
        yield place
        return
    one, other = getattr(original, name), getattr(mine, name)
    if inspect.isfunction(one):
        yield from signatures(place, one, other)
    elif isinstance(one, property) is not isinstance(other, property):
        yield place


def signatures(place: str, original: Any, mine: Any) -> Iterator[str]:
    one, other = parameters(original), parameters(mine)
    if [name for name in one if name in other] != [name for name in other if name in one]:
        yield f"{place}(order)"
    for name in one | other:
        if one.get(name) != other.get(name):
            yield f"{place}({name})"


def parameters(function: Any) -> dict[str, tuple[str, object]]:
    """The kind and the default of each parameter."""
    return {
        each.name: (each.kind.name, getattr(each.default, "__name__", each.default))
        for each in inspect.signature(function).parameters.values()
    }


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_differs_only_where_there_is_a_reason(name: str) -> None:
    assert [each for each in differences(name) if each not in DIFFERENCES] == []


def test_what_is_said_to_differ_does() -> None:
    found = {each for name in NAMES for each in differences(name)}
    found |= {name for name, value in names_of(SHARED).items() if differs(name, value)}
    assert sorted(DIFFERENCES.keys() - found) == []


@pytest.mark.parametrize("name", sorted(names_of(SHARED)))
def test_what_knows_no_runtime_is_what_the_asyncio_form_has(name: str) -> None:
    """There it is compared with websockets."""
    if name not in DIFFERENCES:
        assert getattr(ours, name) == getattr(on_asyncio, name)


@pytest.mark.parametrize("name", ["ClientConnection", "Connection", "ServerConnection"])
def test_a_connection_is_what_it_is_there(name: str) -> None:
    assert [each.__name__ for each in getattr(ours, name).__mro__] == [
        each.__name__ for each in NAMES[name].__mro__
    ]


@pytest.mark.parametrize("path", ["sync.client", "sync.connection", "sync.server"])
def test_a_name_is_found_where_it_is_there(path: str) -> None:
    module: Any = ours
    for part in path.split("."):
        module = getattr(module, part)
    names = importlib.import_module(f"websockets.{path}").__all__
    assert [name for name in names if not hasattr(module, name)] == []


def test_everything_public_is_imported_by_an_asterisk() -> None:
    missing = [name for name in NAMES if hasattr(ours, name) and name not in ours.__all__]
    assert missing == []
