"""The only place that compares ws_asyncio.compat.websockets with websockets itself, name by name.

What differs stands in a table, each with its reason; what stands there and does not differ fails.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import websockets

from ws_asyncio.compat import websockets as ours

MODULES = (
    "asyncio.client",
    "asyncio.server",
    "datastructures",
    "exceptions",
    "extensions.permessage_deflate",
    "frames",
    "http11",
    "typing",
)
"""Where websockets keeps public names, besides its own."""

NO_IO = "part of its Sans-I/O layer; ours is wscore.Connection"
INNER = "a step of its machinery that its classes leave open to view"
WERKZEUG = "needs werkzeug: let process_request look at request.path"
EXTENSION = "extensions of one's own are not taken; Config has the parameters of compression"
OWN = "says whose library it is"

DIFFERENCES: dict[str, str] = {
    "ClientProtocol": NO_IO,
    "ServerProtocol": NO_IO,
    "Frame": NO_IO,
    "Protocol(side)": NO_IO,
    "Protocol(state)": NO_IO,
    "Protocol(max_size)": NO_IO,
    "Protocol(logger)": NO_IO,
    "Protocol(websocket)": NO_IO,
    "Close.parse": NO_IO,
    "Close.serialize": NO_IO,
    "Request(_exception)": NO_IO,
    "Response(_exception)": NO_IO,
    "Router": WERKZEUG,
    "route": WERKZEUG,
    "unix_route": WERKZEUG,
    "PerMessageDeflate(compress_settings)": EXTENSION,
    "PerMessageDeflate.decode": EXTENSION,
    "PerMessageDeflate.encode": EXTENSION,
    "enable_client_permessage_deflate": EXTENSION,
    "enable_server_permessage_deflate": EXTENSION,
    "ClientPerMessageDeflateFactory.name": EXTENSION,
    "ClientPerMessageDeflateFactory.get_request_params": EXTENSION,
    "ClientPerMessageDeflateFactory.process_response_params": EXTENSION,
    "ServerPerMessageDeflateFactory.name": EXTENSION,
    "ServerPerMessageDeflateFactory.process_request_params": EXTENSION,
    "USER_AGENT": OWN,
    "SERVER": OWN,
    "connect(user_agent_header)": OWN,
    "serve(server_header)": OWN,
    "Server(create_server)": "made by serve(), never by hand",
    "Server(handler)": "made by serve(), never by hand",
    **{
        f"{kind}.{member}": NO_IO
        for kind, members in {
            "Protocol": (
                *("close_expected", "data_to_send", "discard", "events_received", "fail"),
                *("parse", "receive_data", "receive_eof", "recv_frame", "send_binary"),
                *("send_close", "send_continuation", "send_eof", "send_frame", "send_ping"),
                *("send_pong", "send_text"),
            ),
            "Request": ("exception", "parse", "serialize"),
            "Response": ("exception", "parse", "serialize"),
        }.items()
        for member in members
    },
    **{
        f"{kind}.{member}": INNER
        for kind in ("ClientConnection", "ServerConnection")
        for member in (
            *("acknowledge_pings", "connection_lost", "connection_made", "data_received"),
            *("drain", "eof_received", "handshake", "keepalive", "pause_writing"),
            *("process_event", "resume_writing", "send_context", "send_data"),
            *("set_connection_exc", "start_keepalive", "terminate_pending_pings"),
        )
    },
    **{
        f"connect.{member}": INNER
        for member in ("connect", "open_tcp_connection", "process_redirect")
    },
}
"""What differs, and why: a name, ``f(x)`` for a parameter, ``C.x`` for a member."""


def theirs() -> dict[str, Any]:
    """Every public name of websockets, with what it stands for."""
    names = [name for name in websockets.__all__ if name not in ("Router", "route", "unix_route")]
    found = {name: getattr(websockets, name) for name in names}
    for path in MODULES:
        module = importlib.import_module(f"websockets.{path}")
        found.update((name, getattr(module, name)) for name in module.__all__)
    # They exist whether or not werkzeug is installed.
    return {**found, **dict.fromkeys(("Router", "route", "unix_route"))}


NAMES = theirs()


def differences(name: str) -> Iterator[str]:
    """What differs between the two of that name."""
    original = NAMES[name]
    if not hasattr(ours, name):
        yield name
        return
    mine = getattr(ours, name)
    if inspect.isclass(original):
        yield from signatures(name, original, mine)
        for member in dir(original):
            if not member.startswith("_"):
                yield from members(f"{name}.{member}", original, mine, member)
    elif inspect.isfunction(original):
        yield from signatures(name, original, mine)
    elif isinstance(original, str) and original != mine:
        yield name


def members(place: str, original: type, mine: type, name: str) -> Iterator[str]:
    if not hasattr(mine, name):
        yield place
        return
    one, other = getattr(original, name), getattr(mine, name)
    if inspect.isfunction(one):
        yield from signatures(place, one, other)
        if kind_of(one) != kind_of(other):
            yield place
    elif isinstance(one, property) is not isinstance(other, property):
        yield place


def kind_of(function: Any) -> tuple[bool, bool]:
    return inspect.iscoroutinefunction(function), inspect.isasyncgenfunction(function)


def signatures(place: str, original: Any, mine: Any) -> Iterator[str]:
    one, other = parameters(original), parameters(mine)
    if [name for name in one if name in other] != [name for name in other if name in one]:
        yield f"{place}(order)"
    for name in one | other:
        if one.get(name) != other.get(name):
            yield f"{place}({name})"


def parameters(function: Any) -> dict[str, tuple[str, object]]:
    """The kind and the default of each parameter."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        # An exception without an __init__ of its own takes anything.
        return {}
    return {
        each.name: (each.kind.name, getattr(each.default, "__name__", each.default))
        for each in signature.parameters.values()
    }


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_differs_only_where_there_is_a_reason(name: str) -> None:
    assert [each for each in differences(name) if each not in DIFFERENCES] == []


def test_what_is_said_to_differ_does() -> None:
    found = {each for name in NAMES for each in differences(name)}
    assert sorted(DIFFERENCES.keys() - found) == []


@pytest.mark.parametrize(
    "name", sorted(name for name in NAMES if inspect.isclass(NAMES[name]) and hasattr(ours, name))
)
def test_a_class_is_what_it_is_there(name: str) -> None:
    """Exceptions have the same bases, by name, and so do enumerations and values."""
    if name.endswith(("Connection", "Factory")):
        # Theirs is an asyncio.Protocol, and their factories are of an extension.
        bases = {each.__name__ for each in NAMES[name].__mro__}
        assert bases & {"Protocol", "ClientExtensionFactory", "ServerExtensionFactory"}
        return
    assert [each.__name__ for each in getattr(ours, name).__mro__] == [
        each.__name__ for each in NAMES[name].__mro__
    ]


@pytest.mark.parametrize("name", ["State", "Side", "Opcode", "CloseCode"])
def test_an_enumeration_has_the_same_members(name: str) -> None:
    original, mine = NAMES[name].__members__, getattr(ours, name).__members__
    assert {key: int(value) for key, value in mine.items()} == {
        key: int(value) for key, value in original.items()
    }


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("InvalidURI", ("uri", "why")),
        ("InvalidProxy", ("url", "why")),
        ("InvalidMethod", ("POST",)),
        ("InvalidProtocol", ("HTTP/1.0",)),
        ("InvalidHeader", ("Name",)),
        ("InvalidHeader", ("Name", "")),
        ("InvalidHeader", ("Name", "value")),
        ("InvalidHeaderFormat", ("Name", "expected token", "a=|", 3)),
        ("InvalidHeaderValue", ("Name", "value")),
        ("InvalidOrigin", ("https://example.com",)),
        ("InvalidOrigin", (None,)),
        ("InvalidUpgrade", ("Upgrade", "h2c")),
        ("DuplicateParameter", ("a",)),
        ("InvalidParameterName", ("a",)),
        ("InvalidParameterValue", ("a", None)),
        ("InvalidParameterValue", ("a", "")),
        ("InvalidParameterValue", ("a", "b")),
        ("PayloadTooBig", (10, 5)),
        ("PayloadTooBig", (None, 5)),
        ("PayloadTooBig", (10, 5, 3)),
        ("TooManyFragments", (3,)),
        ("InvalidState", ("text",)),
        ("ConcurrencyError", ("text",)),
    ],
)
def test_an_exception_made_by_hand_has_the_same_attributes_and_text(
    name: str, arguments: tuple[Any, ...]
) -> None:
    original, mine = NAMES[name](*arguments), getattr(ours, name)(*arguments)
    assert str(mine) == str(original)
    assert vars(mine) == vars(original)


CLOSES = [None, (1000, ""), (1001, "bye"), (1005, ""), (2999, ""), (3456, "x"), (4000, "y")]


@pytest.mark.parametrize("received", CLOSES)
@pytest.mark.parametrize("sent", CLOSES)
@pytest.mark.parametrize("order", [True, False])
def test_connection_closed_has_the_same_attributes_and_text(
    received: tuple[int, str] | None, sent: tuple[int, str] | None, order: bool
) -> None:
    known = order if received and sent else None

    def closed(module: Any) -> Any:
        frames = (close and module.Close(*close) for close in (received, sent))
        return module.ConnectionClosedError(*frames, known)

    original, mine = closed(websockets), closed(ours)
    assert str(mine) == str(original)
    assert vars(mine).keys() == vars(original).keys()
    assert mine.rcvd_then_sent is original.rcvd_then_sent


def test_headers_behave_the_same() -> None:
    def behaviour(kind: Any) -> list[object]:
        headers = kind([("A", "1"), ("b", "2")], a="3")
        headers["C"] = "4"
        copy = headers.copy()
        del copy["a"]
        return [
            *(str(headers), repr(headers), headers.serialize(), list(headers), len(headers)),
            *(headers.get_all("A"), list(headers.raw_items()), "a" in headers, headers.get("x")),
            *(str(copy), copy == kind(B="2", c="4"), copy == {"b": "2"}, bool(kind())),
        ]

    assert behaviour(ours.Headers) == behaviour(websockets.Headers)
