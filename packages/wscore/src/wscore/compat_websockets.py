"""The only place for what the drop-in modules for websockets share: names that know no runtime.

For private use by ``ws_asyncio.compat.websockets`` and ``ws_sync.compat.websockets``, which offer
what is in ``__all__`` as their own. Exceptions, enumerations and values are shaped as those of
websockets 17; :func:`config` turns its options into a :class:`~wscore.Config`, :func:`closed` and
:func:`failed` turn our exceptions into its.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import math
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NewType, Protocol, TypeAlias, cast
from urllib.parse import urljoin, urlsplit

from . import (
    URL,
    BadHandshake,
    Cause,
    CloseBy,
    CloseCode,
    CloseFrame,
    CloseReason,
    Config,
    Deflate,
    Facts,
    HandshakeError,
    HandshakeRejected,
    InvalidURL,
    OpenTimeout,
    RedirectRefused,
)
from . import ProxyError as CoreProxyError
from . import Request as CoreRequest
from . import Response as CoreResponse

__all__ = [
    "ClientPerMessageDeflateFactory",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DuplicateParameter",
    "ExtensionName",
    "ExtensionParameter",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "PerMessageDeflate",
    "ProtocolError",
    "ProxyError",
    "Request",
    "RequestLineTooLong",
    "Response",
    "SecurityError",
    "ServerPerMessageDeflateFactory",
    "Side",
    "State",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
    "backoff",
    "process_exception",
]

BASE = Config(
    # What was received is for the application to take, and a violation does not wait for that.
    keep_unread=True,
    fail_timeout=0,
    # A part is a frame.
    keep_fragments=True,
    # Only messages are counted.
    max_queue_bytes=math.inf,
    max_body_size=2**20,
    # Health checks come over plain HTTP.
    plain_http=True,
)
"""The policies that no option of websockets names; :func:`config` adds those that one does."""

DEFLATE = Deflate(level=6, threshold=0)
"""What ``compression="deflate"`` means."""

BytesLike: TypeAlias = bytes | bytearray | memoryview
Data: TypeAlias = str | bytes
DataLike: TypeAlias = str | BytesLike
StatusLike: TypeAlias = HTTPStatus | int
Origin = NewType("Origin", str)
Subprotocol = NewType("Subprotocol", str)
ExtensionName = NewType("ExtensionName", str)
ExtensionParameter: TypeAlias = tuple[str, str | None]


class State(enum.IntEnum):
    """The state of a connection."""

    CONNECTING, OPEN, CLOSING, CLOSED = range(4)


class Side(enum.IntEnum):
    """Which side of a connection this is."""

    SERVER, CLIENT = range(2)


class Opcode(enum.IntEnum):
    """What a frame is (RFC 6455 section 5.2)."""

    CONT, TEXT, BINARY = 0x00, 0x01, 0x02
    CLOSE, PING, PONG = 0x08, 0x09, 0x0A


_EXPLANATIONS = {
    1000: "OK",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status received [internal]",
    1006: "abnormal closure [internal]",
    1007: "invalid frame payload data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    1015: "TLS handshake failure [internal]",
}

OK_CLOSE_CODES = frozenset(
    {CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD}
)


@dataclass
class Close:
    """The content of a Close frame.

    :ivar code: the close code, 1005 for an empty frame.
    :ivar reason: the text that goes with it.
    """

    code: CloseCode | int
    reason: str

    def __str__(self) -> str:
        if 3000 <= self.code < 4000:
            explanation = "registered"
        elif 4000 <= self.code < 5000:
            explanation = "private use"
        else:
            explanation = _EXPLANATIONS.get(self.code, "unknown")
        return f"{int(self.code)} ({explanation}){self.reason and ' '}{self.reason}"

    def check(self) -> None:
        """Refuse a code that no endpoint may send.

        :raises ProtocolError: it is not 1000-1003, 1007-1014 or 3000-4999.
        """
        if not (1000 <= self.code <= 1003 or 1007 <= self.code <= 1014) and not (
            3000 <= self.code <= 4999
        ):
            raise ProtocolError("invalid status code")


# ---------------------------------------------------------------------------- exceptions


class WebSocketException(Exception):
    """The root of the exceptions."""


class ConnectionClosed(WebSocketException):
    """The connection is closed, or closing.

    :ivar rcvd: the peer's Close frame, or None.
    :ivar sent: our Close frame, or None.
    :ivar rcvd_then_sent: with both, whether the peer's came first; else None.
    """

    def __init__(
        self, rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None = None
    ) -> None:
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    def __str__(self) -> str:
        match self.rcvd, self.sent:
            case None, None:
                return "no close frame received or sent"
            case None, sent:
                return f"sent {sent}; no close frame received"
            case rcvd, None:
                return f"received {rcvd}; no close frame sent"
            case rcvd, sent if self.rcvd_then_sent:
                return f"received {rcvd}; then sent {sent}"
            case _:
                return f"sent {self.sent}; then received {self.rcvd}"

    @property
    def code(self) -> int:
        """The code of the peer's Close frame, 1006 if there was none."""
        return CloseCode.ABNORMAL_CLOSURE if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """The reason of the peer's Close frame, empty if there was none."""
        return "" if self.rcvd is None else self.rcvd.reason


class ConnectionClosedOK(ConnectionClosed):
    """Both sides closed with 1000, 1001 or no code."""


class ConnectionClosedError(ConnectionClosed):
    """The connection ended in another way."""


class InvalidURI(WebSocketException):
    """This is no WebSocket URI."""

    def __init__(self, uri: str, msg: str) -> None:
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.uri} isn't a valid URI: {self.msg}"


class InvalidProxy(WebSocketException):
    """This is no proxy's URI."""

    def __init__(self, proxy: str, msg: str) -> None:
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.proxy} isn't a valid proxy: {self.msg}"


class InvalidHandshake(WebSocketException):
    """The opening handshake failed."""


class SecurityError(InvalidHandshake):
    """Something in the handshake is not safe."""


class RequestLineTooLong(SecurityError):
    """The request line is over the limit."""


class StatusLineTooLong(SecurityError):
    """The status line is over the limit."""


class HeaderLineTooLong(SecurityError):
    """A header is over the limit."""


class TooManyHeaders(SecurityError):
    """There are too many headers."""


class TooManyFragments(WebSocketException):
    """A message came in too many frames."""

    def __init__(self, max_fragments: int) -> None:
        super().__init__(f"fragmented message exceeds limit of {max_fragments} frames")


class ProxyError(InvalidHandshake):
    """A proxy does not let us through."""


class InvalidProxyMessage(ProxyError):
    """The proxy's answer is malformed."""


class InvalidProxyStatus(ProxyError):
    """The proxy's answer is a refusal."""

    def __init__(self, response: Response) -> None:
        self.response = response

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code:d}"


class InvalidMessage(InvalidHandshake):
    """The request or response is malformed."""


class InvalidMethod(InvalidHandshake):
    """The request's method is not GET."""

    def __init__(self, method: str) -> None:
        self.method = method

    def __str__(self) -> str:
        return f"unsupported HTTP method: {self.method}"


class InvalidProtocol(InvalidHandshake):
    """The request is not HTTP/1.1."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol

    def __str__(self) -> str:
        return f"unsupported HTTP version: {self.protocol}"


class InvalidStatus(InvalidHandshake):
    """The server answered with another status than 101."""

    def __init__(self, response: Response) -> None:
        self.response = response

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.response.status_code:d}"


class InvalidHeader(InvalidHandshake):
    """A header is missing, empty or wrong."""

    def __init__(self, name: str, value: str | None = None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing {self.name} header"
        return (
            f"invalid {self.name} header: {self.value}"
            if self.value
            else (f"empty {self.name} header")
        )


class InvalidHeaderFormat(InvalidHeader):
    """A header cannot be parsed."""

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        InvalidHeader.__init__(self, name, f"{error} at {pos} in {header}")


class InvalidHeaderValue(InvalidHeader):
    """A header has a value that it may not have."""


class InvalidOrigin(InvalidHeader):
    """The Origin is not one that is let in."""

    def __init__(self, origin: str | None) -> None:
        InvalidHeader.__init__(self, "Origin", origin)


class InvalidUpgrade(InvalidHeader):
    """Upgrade or Connection is wrong."""


class NegotiationError(InvalidHandshake):
    """Subprotocol or extensions are not what was offered."""


class DuplicateParameter(NegotiationError):
    """An extension's parameter is there twice."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"duplicate parameter: {self.name}"


class InvalidParameterName(NegotiationError):
    """An extension has no such parameter."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"invalid parameter name: {self.name}"


class InvalidParameterValue(NegotiationError):
    """An extension's parameter has a value that it may not have."""

    def __init__(self, name: str, value: str | None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing value for parameter {self.name}"
        return (
            f"invalid value for parameter {self.name}: {self.value}"
            if self.value
            else (f"empty value for parameter {self.name}")
        )


class ProtocolError(WebSocketException):
    """A side breaks the protocol."""


class PayloadTooBig(WebSocketException):
    """A frame or message is over the limit.

    :ivar size: bytes of the frame, or None where that is not known.
    :ivar max_size: bytes that it may have, with what came before it.
    :ivar current_size: bytes of the message that came before it, or None.
    """

    def __init__(
        self,
        size_or_message: int | str | None,
        max_size: int | None = None,
        current_size: int | None = None,
    ) -> None:
        self.message = size_or_message if isinstance(size_or_message, str) else None
        self.size = None if isinstance(size_or_message, str) else size_or_message
        self.max_size = max_size
        self.current_size: int | None = None
        if current_size is not None:
            self.set_current_size(current_size)

    def __str__(self) -> str:
        if self.message is not None:
            return self.message
        size = "" if self.size is None else f" with {self.size} bytes"
        read = "" if self.current_size is None else f" after reading {self.current_size} bytes"
        return f"frame{size}{read} exceeds limit of {self.max_size} bytes"

    def set_current_size(self, current_size: int) -> None:
        """Say, once, how much of the message came before: the limit was for the rest."""
        self.current_size = current_size
        self.max_size = (self.max_size or 0) + current_size


class InvalidState(WebSocketException, AssertionError):
    """What was asked for does not fit the state."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Two callers where there can be one."""


# -------------------------------------------------------------------------------- values


class SupportsKeysAndGetItem(Protocol):
    """What has keys and gives a value for each."""

    def keys(self) -> Iterable[str]:
        """The names."""
        ...

    def __getitem__(self, key: str, /) -> str: ...


class MultipleValuesError(LookupError):
    """The header has several values; ``get_all`` gives them."""

    def __str__(self) -> str:
        return repr(self.args[0]) if len(self.args) == 1 else super().__str__()


class Headers(MutableMapping[str, str]):
    """HTTP headers: names in any case, order and repetitions kept.

    Setting a header adds it to those of the same name, and so does :meth:`update`.

    :param args: headers, mappings or iterables of pairs.
    :param kwargs: headers.
    :raises InvalidHeaderValue: a value would end its line.
    """

    def __init__(self, *args: HeadersLike, **kwargs: str) -> None:
        self._pairs: list[tuple[str, str]] = []
        self.update(*args, **kwargs)

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self._pairs) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"

    def copy(self) -> Headers:
        """The same headers, to be changed apart."""
        return type(self)(self._pairs)

    def serialize(self) -> bytes:
        """The headers as they go out, with the empty line behind them."""
        return str(self).encode()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.get_all(key))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._pairs})

    def __getitem__(self, key: str) -> str:
        values = self.get_all(key)
        if not values:
            raise KeyError(key)
        if len(values) > 1:
            raise MultipleValuesError(key)
        return values[0]

    def __setitem__(self, key: str, value: str) -> None:
        if _LINE_END.search(value):
            raise InvalidHeaderValue(key, value)
        self.set_insecure(key, value)

    def set_insecure(self, key: str, value: str) -> None:
        """Add a header whatever is in it; the handshake refuses what cannot go out."""
        self._pairs.append((key, value))

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._pairs = [pair for pair in self._pairs if pair[0].lower() != key.lower()]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return {key: self.get_all(key) for key in self} == {
            key: other.get_all(key) for key in other
        }

    __hash__ = None  # type: ignore[assignment]  # as for everything that changes

    def clear(self) -> None:
        """Remove every header."""
        self._pairs = []

    def update(self, *args: HeadersLike, **kwargs: str) -> None:
        """Add headers: those of each argument, then those by keyword."""
        for source in (*args, kwargs):
            for name, value in _pairs(source):
                self[name] = value

    def get_all(self, key: str) -> list[str]:
        """Every value of this header, in order."""
        return [value for name, value in self._pairs if name.lower() == key.lower()]

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """Every header as it is, in order."""
        return iter(self._pairs)


HeadersLike: TypeAlias = (
    Headers | Mapping[str, str] | Iterable[tuple[str, str]] | SupportsKeysAndGetItem
)

_LINE_END = re.compile(r"[\r\n\x00]")


def _pairs(source: HeadersLike) -> list[tuple[str, str]]:
    if isinstance(source, Headers):
        return [*source.raw_items()]
    if hasattr(source, "keys"):
        mapping = cast("SupportsKeysAndGetItem", source)
        return [(name, mapping[name]) for name in mapping.keys()]  # noqa: SIM118  (no mapping)
    # For pyright, what has keys could be here.
    return [*cast("Any", source)]


@dataclass
class Request:
    """A handshake's request.

    :ivar path: path and query.
    """

    path: str
    headers: Headers
    method: str = "GET"
    protocol: str = "HTTP/1.1"


@dataclass
class Response:
    """A handshake's response."""

    status_code: int
    reason_phrase: str
    headers: Headers
    body: bytes | bytearray = b""


def phrase_of(status: int) -> str:
    """The reason phrase that goes with a status; empty for an unknown one."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def request_of(request: CoreRequest | None) -> Request | None:
    """Our request as theirs."""
    return None if request is None else Request(request.target, Headers(request.headers.pairs()))


def response_of(response: CoreResponse | None) -> Response | None:
    """Our response as theirs."""
    return None if response is None else _response(response)


def _response(response: CoreResponse) -> Response:
    status = response.status
    return Response(status, phrase_of(status), Headers(response.headers.pairs()), response.body)


def state_of(facts: Facts) -> State:
    """Our state as theirs."""
    return State[facts.state.name]


# ------------------------------------------------------------------------------- options


@dataclass(frozen=True)
class _Factory:
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | bool | None = None
    compress_settings: Mapping[str, Any] | None = None

    def deflate(self) -> Deflate:
        """The same as parameters of ours."""
        client = self.client_max_window_bits
        settings = self.compress_settings or {}
        if unknown := sorted(settings.keys() - {"level", "memLevel"}):
            raise ValueError(f"compress_settings may have level and memLevel, not {unknown}")
        return Deflate(
            server_max_window_bits=self.server_max_window_bits or 15,
            client_max_window_bits=15 if client in (None, True, False) else client,
            server_no_context_takeover=self.server_no_context_takeover,
            client_no_context_takeover=self.client_no_context_takeover,
            level=settings.get("level", 6),
            memory_level=settings.get("memLevel", 8),
            threshold=0,
        )


@dataclass(frozen=True)
class ClientPerMessageDeflateFactory(_Factory):
    """permessage-deflate with parameters (RFC 7692), for a client's ``extensions``.

    :ivar compress_settings: zlib's ``level`` and ``memLevel`` for our compressor.
    """

    client_max_window_bits: int | bool | None = True


@dataclass(frozen=True)
class ServerPerMessageDeflateFactory(_Factory):
    """permessage-deflate with parameters (RFC 7692), for a server's ``extensions``.

    :ivar compress_settings: zlib's ``level`` and ``memLevel`` for our compressor.
    """

    client_max_window_bits: int | None = None
    require_client_max_window_bits: bool = False


class Extension:
    """What both sides agreed on besides the protocol itself."""

    name: ExtensionName


@dataclass(frozen=True)
class PerMessageDeflate(Extension):
    """What both sides agreed on for compression (RFC 7692), as one of them sees it."""

    name = ExtensionName("permessage-deflate")

    remote_no_context_takeover: bool
    local_no_context_takeover: bool
    remote_max_window_bits: int
    local_max_window_bits: int


def extensions_of(response: CoreResponse | None, side: Side) -> list[PerMessageDeflate]:
    """The extensions that a response agrees on, which the handshake has checked: one, or none."""
    header = None if response is None else response.headers.get("Sec-WebSocket-Extensions")
    if not header:
        return []
    parameters: dict[str, str] = {}
    for parameter in header.split(";")[1:]:
        name, _, value = parameter.partition("=")
        parameters[name.strip()] = value.strip(' "')
    local, remote = ("client", "server") if side is Side.CLIENT else ("server", "client")
    return [
        PerMessageDeflate(
            remote_no_context_takeover=f"{remote}_no_context_takeover" in parameters,
            local_no_context_takeover=f"{local}_no_context_takeover" in parameters,
            remote_max_window_bits=int(parameters.get(f"{remote}_max_window_bits", 15)),
            local_max_window_bits=int(parameters.get(f"{local}_max_window_bits", 15)),
        )
    ]


def config(
    *,
    subprotocols: Sequence[str] | None,
    extensions: Sequence[object] | None,
    compression: str | None,
    open_timeout: float | None,
    ping_interval: float | None,
    ping_timeout: float | None,
    close_timeout: float | None,
    max_size: int | tuple[int | None, int | None] | None,
    max_queue: int | tuple[int | None, int | None] | None,
    write_limit: int | tuple[int, int | None],
) -> Config:
    """Every policy that websockets' options name, on top of :data:`BASE`.

    :raises ValueError, TypeError: an option is not what it may be.
    """
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list, not a str")
    message_size, fragment_size = max_size if isinstance(max_size, tuple) else (max_size, None)
    high, low = max_queue if isinstance(max_queue, tuple) else (max_queue, None)
    queue = _or_off(high)
    send_high, send_low = write_limit if isinstance(write_limit, tuple) else (write_limit, None)
    interval, patience = _or_off(ping_interval), _or_off(ping_timeout)
    return BASE.replace(
        subprotocols=tuple(subprotocols or ()),
        compression=_deflate(extensions, compression),
        open_timeout=_or_off(open_timeout),
        # 0 is not to wait; ours has to be more.
        close_timeout=_or_off(close_timeout) or 0.001,
        ping_interval=interval,
        ping_timeout=patience,
        # A ping that cannot leave is as good as one that nobody answers.
        send_timeout=interval + patience,
        max_message_size=_or_off(message_size),
        max_fragment_size=_or_off(fragment_size),
        max_queue=max(1, queue) if low is None else (max(1, queue), low),
        max_send_buffer=(max(1, send_high), send_high // 4 if send_low is None else send_low),
    )


def _or_off(value: float | None) -> float:
    return math.inf if value is None else value


def _deflate(extensions: Sequence[object] | None, compression: str | None) -> Deflate | None:
    if compression not in (None, "deflate"):
        raise ValueError(f"unsupported compression: {compression}")
    for extension in extensions or ():
        if not isinstance(extension, _Factory):
            raise TypeError(
                "extensions may have ClientPerMessageDeflateFactory or "
                f"ServerPerMessageDeflateFactory, not {type(extension).__name__}"
            )
        return extension.deflate()
    return None if compression is None else DEFLATE


def to_payload(data: object) -> bytes:
    """The payload of a ping or pong.

    :raises TypeError: it is neither str nor bytes-like.
    :raises ProtocolError: it is longer than a control frame can carry.
    """
    if isinstance(data, str):
        payload = data.encode()
    elif isinstance(data, (bytes, bytearray, memoryview)):
        payload = bytes(data)
    else:
        raise TypeError("data must be str or bytes-like")
    if len(payload) > 125:
        raise ProtocolError("control frame too long")
    return payload


def check_close(code: int, reason: str) -> None:
    """Refuse what no Close frame can say.

    :raises ProtocolError: such a code must not be sent, or the reason is over 123 bytes.
    """
    Close(code, reason).check()
    if len(reason.encode()) > 123:
        raise ProtocolError("control frame too long")


# ------------------------------------------------------------------- our exceptions as theirs


def closed(reason: CloseReason, *, timed_out: bool = False) -> ConnectionClosed:
    """How websockets says that a connection is closed, with what caused it as the cause.

    :param timed_out: whether the peer took longer than ``close_timeout`` to close.
    """
    rcvd, sent = _close(reason.close_received), _close(reason.close_sent)
    order = reason.by is CloseBy.PEER if rcvd and sent else None
    fine = all(frame is not None and frame.code in OK_CLOSE_CODES for frame in (rcvd, sent))
    error = (ConnectionClosedOK if fine else ConnectionClosedError)(rcvd, sent, order)
    error.__cause__ = reason.error or _cause(reason)
    if timed_out and error.__cause__ is None:
        error.__cause__ = TimeoutError("timed out while closing connection")
    return error


def _close(frame: CloseFrame | None) -> Close | None:
    return None if frame is None else Close(*frame)


def _cause(reason: CloseReason) -> BaseException | None:
    match reason.cause:
        case Cause.PROTOCOL_ERROR | Cause.INVALID_DATA:
            return ProtocolError(reason.reason)
        case Cause.TOO_BIG:
            return PayloadTooBig(reason.reason)
        case Cause.EOF | Cause.ABORTED | Cause.TRANSPORT_ERROR:
            return EOFError("unexpected end of stream")
        case Cause.SEND_TIMEOUT:
            return TimeoutError(reason.reason)
    return None


def failed(error: HandshakeError, uri: str = "", *, is_fixed: bool = False) -> Exception:
    """How websockets says that a connection did not open.

    :param uri: where the client wanted to go.
    :param is_fixed: whether it was given a connected socket.
    """
    cause = error.__cause__
    if isinstance(cause, OSError) and not isinstance(error, CoreProxyError):
        return cause
    translated: Exception
    match error:
        case OpenTimeout():
            translated = TimeoutError("timed out during opening handshake")
        case HandshakeRejected():
            translated = _rejected(error, uri, is_fixed=is_fixed)
        case CoreProxyError():
            translated = _proxy_error(error)
        case BadHandshake():
            translated = _breach(error)
        case _:
            response = "did not receive a valid HTTP response"
            is_proxy = str(error).startswith("the proxy ")
            # What a proxy does is not tried again: process_exception().
            translated = (
                InvalidProxyMessage(f"{response} from proxy")
                if is_proxy
                else InvalidMessage(response)
            )
            translated.__cause__ = EOFError(_WHERE_IT_ENDED.get(str(error), str(error)))
    source = translated if translated.__cause__ is None else translated.__cause__
    source.__cause__ = error
    return translated


_WHERE_IT_ENDED = {
    "the server ended the connection before it answered the opening handshake": (
        "connection closed while reading HTTP status line"
    )
}


def _rejected(error: HandshakeRejected, uri: str, *, is_fixed: bool) -> Exception:
    """A response that is not 101: a refusal, or a redirection that is not followed."""
    status = InvalidStatus(_response(error.response))
    locations = error.response.headers.get_all("Location")
    if len(locations) != 1:
        return status
    location = urljoin(uri, locations[0])
    if not isinstance(error, RedirectRefused):
        if not is_fixed or error.response.status not in (300, 301, 302, 303, 307, 308):
            return status
        return ValueError(f"cannot follow redirect to {location} with a preexisting socket")
    if "max_redirects" in error.why:
        return SecurityError(f"more than {error.why.rpartition(' ')[2]} redirects")
    if "unix_path" in error.why:
        return ValueError(f"cannot follow cross-origin redirect to {location} with a Unix socket")
    if "from wss to ws" in error.why:
        return SecurityError(f"cannot follow redirect to non-secure URI {location}")
    return InvalidURI(location, error.why)


def _proxy_error(error: CoreProxyError) -> ProxyError:
    if error.response is not None and not 200 <= error.response.status < 300:
        return InvalidProxyStatus(_response(error.response))
    if error.__cause__ is None:
        return InvalidProxyMessage("did not receive a valid HTTP response from proxy")
    return ProxyError("failed to connect to SOCKS proxy")


def _breach(error: BadHandshake) -> InvalidHandshake:
    """Which rule of the handshake a response breaks, as the message of ours names it."""
    text = str(error)
    if error.response is not None:
        headers = error.response.headers
        for sign, kind in {
            "Connection:": InvalidUpgrade,
            "Upgrade:": InvalidUpgrade,
            "Sec-WebSocket-Accept": InvalidHeaderValue,
        }.items():
            if sign in text:
                name = sign.removesuffix(":")
                return kind(name, headers.get(name))
        if "subprotocol" in text or "extensions" in text or "Sec-WebSocket-Protocol" in text:
            return NegotiationError(text)
    malformed = InvalidMessage("did not receive a valid HTTP response")
    malformed.__cause__ = _malformed(text)
    return malformed


def _malformed(text: str) -> Exception:
    if "max_header_line" in text:
        return HeaderLineTooLong(text)
    return TooManyHeaders(text) if "max_headers" in text else ValueError(text)


# ---------------------------------------------------------------------- URIs and messages


def parse_uri(uri: str) -> URL:
    """A WebSocket URI, taken apart.

    :raises InvalidURI: it is none.
    """
    if "#" in uri:
        # RFC 6455 section 3.
        raise InvalidURI(uri, "fragment identifier is meaningless")
    try:
        return URL.parse(uri)
    except InvalidURL as error:
        has_scheme = uri.lower().startswith(("ws:", "wss:"))
        raise InvalidURI(uri, str(error) if has_scheme else "scheme isn't ws or wss") from None


def invalid_proxy(proxy: object, error: InvalidURL) -> InvalidProxy:
    """How websockets says that this is no proxy."""
    scheme = urlsplit(str(proxy)).scheme
    known = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
    why = str(error) if scheme in known else f"scheme {scheme} isn't supported"
    return InvalidProxy(str(proxy), why)


def to_message(message: object, text: bool | None) -> DataLike:
    """A message, or a part of one, as what ``text`` says that it is.

    :raises TypeError: it is neither str nor bytes-like.
    """
    if isinstance(message, str):
        return message.encode() if text is False else message
    if isinstance(message, (bytes, bytearray, memoryview)):
        return str(message, "utf-8") if text else message
    raise TypeError(f"a message is str or bytes-like, not {type(message).__name__}")


# --------------------------------------------------------------------- a server's handshake


def asks_upgrade(request: CoreRequest) -> bool:
    """Whether it means to open a WebSocket connection."""
    return "websocket" in request.headers.get("Upgrade", "").lower()


def check_origin(
    origin: str | None, allowed: Sequence[str | re.Pattern[str] | None] | None
) -> None:
    """Let in whoever comes from an allowed page.

    :raises InvalidOrigin: the origin is not one of them.
    """
    for each in (origin,) if allowed is None else allowed:
        if isinstance(each, re.Pattern):
            if origin is not None and each.fullmatch(origin):
                return
        elif each == origin:
            return
    raise InvalidOrigin(origin)


def choose_subprotocol(offered: Sequence[str], known: Sequence[str]) -> Subprotocol | None:
    """The first known subprotocol that is offered; None if none is known.

    :raises NegotiationError: none of them is offered.
    """
    if not known:
        return None
    for subprotocol in known:
        if subprotocol in offered:
            return Subprotocol(subprotocol)
    found = "invalid" if offered else "missing"
    raise NegotiationError(f"{found} subprotocol; expected one of {', '.join(known)}")


def changed(request: CoreRequest, seen: Request) -> CoreRequest:
    """The request as process_request left it.

    :raises InvalidHeaderValue: it took away what a handshake needs.
    """
    after = CoreRequest(request.target, request.host, [*seen.headers.raw_items()])
    for name in ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"):
        if name in request.headers and name not in after.headers:
            raise InvalidHeaderValue(name)
    return after


def switching(request: CoreRequest, subprotocol: str | None, date: str) -> Response:
    """What process_response sees of a response that accepts."""
    headers = Headers(Date=date, Upgrade="websocket", Connection="Upgrade")
    key = request.headers.get("Sec-WebSocket-Key", "")
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    headers["Sec-WebSocket-Accept"] = base64.b64encode(digest).decode()
    if subprotocol is not None:
        headers["Sec-WebSocket-Protocol"] = subprotocol
    return Response(101, phrase_of(101), headers)


_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 section 1.3."""


def text_response(status: StatusLike, text: str, date: str) -> Response:
    """A response in plain text that ends the connection."""
    status, body = HTTPStatus(status), text.encode()
    headers = Headers(Date=date, Connection="close")
    headers["Content-Length"] = str(len(body))
    headers["Content-Type"] = "text/plain; charset=utf-8"
    return Response(status.value, status.phrase, headers, body)


def added_headers(headers: Headers) -> Iterator[tuple[str, str]]:
    """Those of a response that are not the handshake's own."""
    for name, value in headers.raw_items():
        lower = name.lower()
        if lower not in {"upgrade", "connection"} and not lower.startswith("sec-websocket-"):
            yield name, value


def known_credentials(credentials: object) -> dict[str, str]:
    """User names with their passwords, from one such pair or an iterable of them.

    :raises TypeError: it is neither.
    """
    pairs: object = [credentials] if _is_pair(credentials) else credentials
    if isinstance(pairs, Iterable):
        pairs = [*pairs]
        if all(_is_pair(pair) for pair in pairs):
            return dict(cast("list[tuple[str, str]]", pairs))
    raise TypeError(f"invalid credentials argument: {credentials}")


def is_known(credentials: Mapping[str, str], username: str, password: str) -> bool:
    """Whether this is the user's password; in constant time, for a user who is not known, too."""
    right = credentials.get(username)
    same = hmac.compare_digest((right or "").encode(), password.encode())
    return same and right is not None


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(part, str) for part in value)
    )


# ---------------------------------------------------------------------------- reconnecting


def process_exception(exc: Exception) -> Exception | None:
    """Whether connecting again may help: None if so, else the exception to raise."""
    if isinstance(exc, OSError):  # TimeoutError is one, too
        return None
    if isinstance(exc, InvalidMessage) and isinstance(exc.__cause__, EOFError):
        return None
    if isinstance(exc, InvalidStatus) and exc.response.status_code in (500, 502, 503, 504):
        return None
    return exc


def backoff(
    initial_delay: float = 5.0,
    min_delay: float = 3.1,
    max_delay: float = 90.0,
    factor: float = 1.618,
) -> Generator[float]:
    """Seconds to wait before each new attempt: first a random part of the initial delay."""
    yield initial_delay * int.from_bytes(BASE.entropy(4), "big") / 2**32
    delay = min_delay
    while True:
        yield min(delay, max_delay)
        delay = min(delay * factor, max_delay)


# ------------------------------------------------------------------------- authentication


def build_authorization_basic(username: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    if ":" in username:
        raise ValueError("a user name in basic authentication has no colon (RFC 7617 section 2)")
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def build_www_authenticate_basic(realm: str) -> str:
    """The value of a WWW-Authenticate header (RFC 7617)."""
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    return f'Basic realm="{quoted}", charset="UTF-8"'


def parse_authorization_basic(header: str) -> tuple[str, str]:
    """User name and password of an Authorization header.

    :raises InvalidHeaderValue: it is no basic authentication, or malformed.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidHeaderValue("Authorization", f"unsupported scheme: {scheme}")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidHeaderValue("Authorization", "credentials are not base64") from None
    username, colon, password = pair.partition(":")
    if not colon:
        raise InvalidHeaderValue("Authorization", "credentials without a colon")
    return username, password
