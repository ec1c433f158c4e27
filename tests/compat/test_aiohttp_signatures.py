"""The only place that holds the drop-in module for aiohttp against aiohttp itself.

Every public name, its bases, parameters, values and members; what differs stands in a table with
its reason, and a difference that is gone fails, too.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import aiohttp as original
import pytest

from ws_asyncio.compat import aiohttp

HTTP = """
    AsyncIterablePayload BadContentDispositionHeader BadContentDispositionParam BodyPartReader
    BufferedReaderPayload BytesIOPayload BytesPayload ChainMapProxy ClientHandlerType
    ClientMiddlewareType ClientPayloadError ClientRequest ClientResponse ContentTypeError CookieJar
    DataQueue DigestAuthMiddleware DummyCookieJar EMPTY_PAYLOAD ETag EofStream FlowControlDataQueue
    FormData HttpVersion HttpVersion10 HttpVersion11
    IOBasePayload JsonPayload MultipartReader MultipartWriter PAYLOAD_REGISTRY Payload StreamReader
    StringIOPayload StringPayload TextIOPayload UploadAbortedError UploadTracker
    content_disposition_filename get_payload hdrs parse_content_disposition payload_type request
    streamer
    ClientSession.ATTRS ClientSession.auto_decompress ClientSession.cookie_jar ClientSession.delete
    ClientSession.get ClientSession.head ClientSession.json_serialize ClientSession.options
    ClientSession.patch ClientSession.post ClientSession.put ClientSession.raise_for_status
    ClientSession.request ClientSession.requote_redirect_url ClientSession.skip_auto_headers
    ClientSession.version
"""

POOL = """
    AddrInfoType AsyncResolver DefaultResolver NamedPipeConnector SocketFactoryType
    ThreadedResolver
    BaseConnector.allowed_protocol_schema_set BaseConnector.connect BaseConnector.force_close
    BaseConnector.limit BaseConnector.limit_per_host
    TCPConnector.allowed_protocol_schema_set TCPConnector.clear_dns_cache TCPConnector.connect
    TCPConnector.family TCPConnector.force_close TCPConnector.limit TCPConnector.limit_per_host
    TCPConnector.use_dns_cache
    UnixConnector.allowed_protocol_schema_set UnixConnector.connect UnixConnector.force_close
    UnixConnector.limit UnixConnector.limit_per_host
"""

TRACING = ["ClientSession.trace_configs"] + [
    name for name in original.__all__ if name.startswith("Trace")
]

DIFFERENCES = {
    **dict.fromkeys(HTTP.split(), "HTTP, which aiohttp itself does"),
    **dict.fromkeys(
        POOL.split(), "a pool of connections and how names are resolved: there is none"
    ),
    **dict.fromkeys(TRACING, "the hooks of HTTP requests"),
    "BaseConnector": "no pool, so nothing to set",
    "BaseConnector.close": "a coroutine, and not only something to await",
    "UnixConnector.close": "the same",
    "BasicAuth.decode": "for servers",
    "BasicAuth.from_url": "the adapter does that",
    "ClientSession": "other classes of HTTP cannot be chosen; the same names, order and kinds",
    "ClientSession.connector_owner": "a setting, not asked for by anybody",
    "ClientWebSocketResponse": "made of a connection of ours; only subclasses notice",
    "Fingerprint.HASHFUNC_BY_DIGESTLEN": "SHA-256 and nothing else, as aiohttp has it, too",
    "RequestInfo": "real_url has no default",
    "set_zlib_backend": "zlib is the standard library's",
    "MsgType": "only ours: of 0.16",
    "UnixClientConnectorError": "only ours: aiohttp has it in client_exceptions",
    "WSMessage.tp": "only ours: of 0.16",
    "ws_connect": "only ours: of 0.16",
}


def surface(module: ModuleType) -> Iterator[tuple[str, list[str]]]:
    """Every public name and every public member of a class: what a program may notice of it."""
    for name in sorted({*original.__all__, *aiohttp.__all__} - {"errors"}):
        # The workers need another library to be imported.
        if name.startswith("Gunicorn") or not hasattr(module, name):
            continue
        thing = getattr(module, name)
        yield name, described(thing)
        if inspect.isclass(thing) and name in aiohttp.__all__ and hasattr(original, name):
            for member in dir(thing):
                if not member.startswith("_") and member not in dir(Exception):
                    yield f"{name}.{member}", described(getattr(thing, member))


def described(thing: Any) -> list[str]:
    if inspect.isclass(thing):
        # Private bases are nobody's business; neither is which library made a class of values.
        bases = [base.__name__ for base in thing.__mro__[1:]]
        public = [base for base in bases if not base.startswith("_") and base != thing.__name__]
        return [*(f"is a {base}" for base in public), *parameters(thing)]
    if inspect.isroutine(thing):
        kind = "to be awaited" if inspect.iscoroutinefunction(thing) else "called"
        return [kind, *parameters(thing)]
    return [repr(thing.value)] if isinstance(thing, enum.Enum) else ["a value"]


def parameters(thing: Any) -> list[str]:
    try:
        found = inspect.signature(thing).parameters.values()
    except ValueError:
        return ["whatever its base takes"]
    return [f"{each.kind.description} {each.name}{default_of(each)}" for each in found]


def default_of(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return ""
    # Each has one value of its own for "not given".
    text = re.sub(r"<_SENTINEL\.sentinel: .*>", "<unset>", repr(parameter.default))
    return f" = {text}"


REAL, COMPAT = dict(surface(original)), dict(surface(aiohttp))


@pytest.mark.parametrize("name", sorted(REAL.keys() | COMPAT.keys()))
def test_a_name_is_the_same_or_differs_for_a_reason(name: str) -> None:
    if name in DIFFERENCES:
        assert REAL.get(name) != COMPAT.get(name), "it differs no more: take it off the table"
    else:
        assert COMPAT.get(name) == REAL.get(name)


def test_a_session_takes_the_same_parameters() -> None:
    def shape(module: Any) -> list[tuple[str, Any]]:
        found = inspect.signature(module.ClientSession).parameters.values()
        return [(each.name, each.kind) for each in found]

    assert shape(aiohttp) == shape(original)


def test_the_table_has_names_only() -> None:
    assert DIFFERENCES.keys() - REAL.keys() - COMPAT.keys() == set()


def test_both_are_compared() -> None:
    assert {"ClientSession.ws_connect", "ClientWebSocketResponse.receive"} <= REAL.keys()
    assert original.ClientSession is not aiohttp.ClientSession  # type: ignore[comparison-overlap]
