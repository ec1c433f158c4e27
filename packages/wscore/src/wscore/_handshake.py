"""The only place for the opening handshake (RFC 6455 section 4), and for wsproto and h11.

Both roles work in memory, without time. What a peer sends passes three gates, in this order:

1. :class:`_HeadScanner` gathers a head and measures it, because h11 measures only what is
   incomplete and would parse a head given in pieces once for each piece.
2. h11 parses a head that is whole, and takes a rejection's body out of its framing.
3. The functions named ``_check_*`` hold it against RFC 6455, because wsproto overlooks repeated
   headers and raises UnicodeDecodeError for a Host that IDNA does not know.

wsproto writes the server's answers; it is shown only what passed.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final, TypeAlias, cast

import h11
from wsproto.connection import ConnectionType
from wsproto.events import RejectConnection, RejectData
from wsproto.handshake import H11Handshake
from wsproto.utilities import generate_accept_token

from . import _deflate
from ._config import Config
from ._errors import (
    BadHandshake,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRejected,
    InvalidState,
    ProxyError,
)
from ._http import Accept, Headers, Request, Response, is_token, split_tokens
from ._proxy import Proxy
from ._url import URL, basic, bracketed

__all__ = ["ClientHandshake", "ServerHandshake"]

_VERSION: Final = "13"
"""The version of the protocol (RFC 6455 section 4.1)."""

_CHUNK_LINE: Final = 4096
"""Bytes of a line between chunks, or of all trailers, in a rejection's body (arbitrary: far above
any honest one). h11 takes time quadratic in the length of such a line: 10 ms for this."""

_BODIES: Final = {
    400: "The request is malformed or is not a WebSocket handshake.\n",
    403: "Pages of this origin may not connect.\n",
    414: "The request line is too long.\n",
    426: "This is a WebSocket server: upgrade to version 13 of the protocol.\n",
    431: "The header fields are too large.\n",
}
"""What a peer is told, by status: nothing of what it sent."""

# RFC 9110 section 5.5: of the control characters a field may hold only HTAB. A lone LF could end
# a line (RFC 9112 section 2.2), but intermediaries disagree, which is what smuggling lives on.
_NOT_ALLOWED: Final = rb"\x00-\x08\x0a-\x1f\x7f"
_CONTROL = re.compile(rb"[%b]" % _NOT_ALLOWED)
_HEAD = re.compile(rb"(?:[^%b]++\r\n)++\r\n" % _NOT_ALLOWED)
_FIELD_VALUE = re.compile(r"(?![\t ])[\t\x20-\x7e\x80-\xff]*(?<![\t ])")
_REQUEST_LINE = re.compile(rb"[!#-'*+.^_`|~0-9A-Za-z-]+ [\x21-\x7e]+ HTTP/[0-9]\.[0-9]")
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] [0-9]{3}(?: .*)?")
_STATUS_PREFIX: Final = b"HTTP/1."

# RFC 9110 section 7.2 and RFC 3986 section 3.2.2, without the userinfo that Host must not have.
_HOST = re.compile(r"(?:\[[\w:.~%-]+\]|[\w.~!$&'()*+,;=%-]+)(?::[0-9]*)?", re.ASCII)
_TARGET = re.compile(r"/[!-\"$-~]*")
_ABSOLUTE_TARGET = re.compile(r"(?i:https?)://([^/?#]+)(/[^#]*|\?[^#]*|)")
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")

_OURS = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})
"""Besides Sec-WebSocket-*, the headers that only this module may set on an upgrade."""

_BODILESS = frozenset({204, 205, 304})
"""Statuses whose response has no body (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5)."""


class _Violation(Exception):
    """What the peer sent is not acceptable; never leaves this module.

    :ivar problem: a sentence for our side's eyes.
    :ivar status: what a server answers.
    """

    def __init__(self, problem: str, status: int = 400) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status


class _HeadScanner:
    """Finds where a head ends and holds it to the limits: at once, if all of it is there and it is
    good; else line by line, without looking at a byte again, however many pieces it comes in.

    The verdict depends on the bytes alone, not on how they were sliced: a limit counts as
    exceeded from the first byte after which it cannot be met any more.

    :param kind: ``"request"`` or ``"response"``, for messages.
    """

    def __init__(self, config: Config, kind: str, start_line: re.Pattern[bytes]) -> None:
        self._kind = kind
        self._config = config
        self._start_line = start_line
        self._line = 0  # where the line being scanned begins
        self._scanned = 0
        self._lines = 0  # complete ones, of the head being scanned

    def find_end(self, buffer: bytearray) -> int | None:
        """Where the next head in the buffer ends, or None if that is not known yet.

        :raises _Violation: it exceeds a limit, or cannot be HTTP/1.
        """
        if not self._scanned and (end := self._find_good_end(buffer)):
            self._line = self._scanned = end
            return end
        while (line_end := self._find_line_end(buffer)) is not None:
            start, self._line = self._line, line_end + 2
            self._scanned = self._line
            if self._lines == 0:
                self._check_start_line(buffer[start:line_end])
            elif start == line_end:
                self._lines = 0
                return self._line
            elif self._lines > self._config.max_headers:
                limit = self._config.max_headers
                raise _Violation(f"the {self._kind} has over max_headers, {limit}, headers", 431)
            self._lines += 1
        return None

    def _find_good_end(self, buffer: bytearray) -> int | None:
        """The same for a first head that came at once and is within the limits, as nearly all."""
        config = self._config
        # First what bounds all else that is done here.
        if len(buffer) > config.max_head_size or not (found := _HEAD.match(buffer)):
            return None
        end = found.end()
        if buffer.count(b"\r\n", 0, end) > 2 + config.max_headers:
            return None
        lines = buffer[:end].split(b"\r\n")
        if len(max(lines, key=len)) > config.max_header_line:
            return None
        self._check_start_line(lines[0])
        return end

    def _find_line_end(self, buffer: bytearray) -> int | None:
        found = _CONTROL.search(buffer, self._scanned)
        end = found.start() if found else len(buffer)
        self._scanned = end
        self._check_length(end - self._line)
        ending = bytes(buffer[end : end + 2])
        if ending in (b"", b"\r"):
            return None
        if ending != b"\r\n":
            raise _Violation(
                f"the {self._kind} has the byte 0x{buffer[end]:02x} at offset {end}: control "
                "characters, and CR or LF without the other, are not allowed"
            )
        return end

    def _check_length(self, length: int) -> None:
        limit = self._config.max_header_line
        # The line's own CRLF counts as well: without it the head never ends.
        room = self._config.max_head_size - self._line - 2
        if length > room and room < limit:
            limit = self._config.max_head_size
            raise _Violation(f"the {self._kind}'s head is over max_head_size, {limit} bytes", 431)
        if length > limit:
            status = 431 if self._lines else 414
            raise _Violation(
                f"a line of the {self._kind}'s head is over max_header_line, {limit} bytes", status
            )

    def _check_start_line(self, line: bytearray) -> None:
        if not self._start_line.fullmatch(line):
            raise _Violation(f"the {self._kind} does not begin with a line of HTTP/1")


class Tunnel:
    """A client's way through an HTTP proxy to its server (RFC 9110 section 9.3.6).

    :param proxy: whom to ask.
    :param url: where to.
    :param config: with the limits of the proxy's answer.
    :ivar request: what to ask it, as bytes, to be sent.
    """

    def __init__(self, proxy: Proxy, url: URL, config: Config) -> None:
        target = f"{bracketed(url.host)}:{url.port}"
        headers = [("Host", target)]
        if proxy.username is not None:
            value = basic(proxy.username, proxy.password or "")
            headers.append(("Proxy-Authorization", value))
        self._proxy: Final = proxy
        self._http: Final = h11.Connection(h11.CLIENT)
        self.request: Final = self._http.send(
            h11.Request(method="CONNECT", target=target, headers=headers)
        )
        self._http.send(h11.EndOfMessage())
        self._scanner: Final = _HeadScanner(config, "response", _STATUS_LINE)
        self._buffer = bytearray()
        self._parsed = 0

    def receive_data(self, data: bytes | bytearray | memoryview) -> bool:
        """Take bytes from the proxy, ``b""`` at its end; whether the tunnel is open.

        :raises ProxyError: it does not let us through, or its answer is malformed.
        :raises HandshakeInterrupted: it ended the connection.
        """
        if not data:
            raise HandshakeInterrupted(f"the proxy {self._proxy} ended the connection")
        self._buffer += data
        try:
            response = self._read_heads()
        except _Violation as violation:
            raise ProxyError(f"the proxy {self._proxy}: {violation.problem}") from None
        if response is None:
            return False
        if not 200 <= response.status < 300:
            raise ProxyError(f"the proxy {self._proxy} answered {response.status}", response)
        if len(self._buffer) > self._parsed:
            # Neither TLS nor WebSocket begins with the server.
            raise ProxyError(f"the proxy {self._proxy} spoke in place of the server", response)
        return True

    def _read_heads(self) -> Response | None:
        while (end := self._scanner.find_end(self._buffer)) is not None:
            head = bytes(self._buffer[self._parsed : end])
            self._parsed = end
            event = cast("h11.InformationalResponse | h11.Response", _parse(self._http, head))
            # RFC 9110 section 15.2: a 1xx announces that the answer is yet to come.
            if event.status_code >= 200:
                return Response(event.status_code, _read_headers(event)[0])
        return None


class ServerHandshake:
    """A server's side of the opening handshake (RFC 6455 section 4.2).

    :ivar request: what the client asks for, once its head is there and good; else None.
    :ivar refusal: what to :meth:`refuse` with, once the head turns out to be bad; else None.
        With ``plain_http`` both are there for a request that is good HTTP and no good handshake.
    :ivar problem: why it is bad, for logs and :exc:`~wscore.BadHandshake`; else empty.
    :ivar response: what :meth:`accept` or :meth:`refuse` answered, with every header; else None.
    :ivar subprotocol: the one agreed on by :meth:`accept`, or None.
    :ivar negotiated: the parameters of permessage-deflate, if :meth:`accept` agreed on it.
    """

    def __init__(self, config: Config) -> None:
        self.request: Request | None = None
        self.refusal: Response | None = None
        self.problem = ""
        self.response: Response | None = None
        self.subprotocol: str | None = None
        self.negotiated: _deflate.Negotiated | None = None
        self._config = config
        self._fields: _Fields = {}
        self._scanner = _HeadScanner(config, "request", _REQUEST_LINE)
        self._buffer = bytearray()

    @property
    def held(self) -> int:
        """Bytes held: of the head as far as it is there, or behind it."""
        return len(self._buffer)

    @property
    def leftover(self) -> bytes:
        """What followed the head; empty as long as there is no :attr:`request`."""
        return bytes(self._buffer) if self.request is not None else b""

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the client; never raises because of them.

        Behind a good head they are kept as :attr:`leftover`, behind a bad one dropped.
        """
        if self.refusal is not None:
            return
        self._buffer += data
        if self.request is not None:
            return
        try:
            end = self._scanner.find_end(self._buffer)
            if end is not None:
                request, self._fields = _parse_request(bytes(self._buffer[:end]))
                if self._config.plain_http:
                    self.request = request
                _check_handshake(self._fields)
                _check_origin(request, self._config.origins)
                self.request = request
                del self._buffer[:end]
        except _Violation as violation:
            self.refusal = _refusal(violation.status)
            self.problem = violation.problem
            self._buffer.clear()

    def eof(self) -> str:
        """What the end of the client's stream means here, for a message."""
        if self.request is not None:
            return "the client ended the connection before its request was answered"
        if self._buffer:
            return f"the client ended the connection after {self.held} bytes of its request"
        return "the client ended the connection before it sent a request"

    def accept(self, answer: Accept | None = None) -> bytes:
        """Accept the request (RFC 6455 section 4.2.2).

        :param answer: subprotocol and headers; None for the first of ``config.subprotocols``
            that the client offers, or none if it offers none of them.
        :returns: the response, status 101.
        :raises ValueError: the client did not offer the subprotocol, or a header is illegal or
            not for the caller to set; nothing has changed then.
        :raises TypeError: ``answer`` is something else.
        :raises InvalidState: there is no request, or it is answered.
        """
        if self.request is None or self.response is not None:
            raise InvalidState("there is no request waiting to be accepted")
        if answer is None:
            answer = Accept(_first_offered(self._config.subprotocols, self.request))
        elif not isinstance(answer, Accept):
            raise TypeError(f"a request is accepted by an Accept, not {type(answer).__name__}")
        _check_offered(answer.subprotocol, self.request)
        extra = _encode_headers(answer.headers, "the response that accepts a request")
        extensions, negotiated = self._negotiate()
        key = self._fields["sec-websocket-key"][0].encode("ascii")
        data = _switch_protocols(key, answer.subprotocol, extensions + extra)
        self.subprotocol = answer.subprotocol
        self.negotiated = negotiated
        self.response = Response(101, Headers.of_head(data))
        return data

    def refuse(self, response: Response) -> bytes:
        """Refuse the request, or whatever came in its place (RFC 6455 section 4.2.2).

        Content-Length and ``Connection: close`` are added; for a body without Content-Type,
        ``text/plain; charset=utf-8``. Date is not, since there is no clock here.

        :param response: status 200 to 599, headers to add, and body.
        :returns: the whole response.
        :raises ValueError: another status; a body with a status that has none; an illegal header;
            Content-Length, Connection or Transfer-Encoding that contradict what is added.
        :raises TypeError: ``response``, its status or its body is of another type.
        :raises InvalidState: there is an answer already.
        """
        if self.response is not None:
            raise InvalidState("the request is answered already")
        _check_refusal(response)
        headers = _refusal_headers(response)
        # It never sees the request: what is refused may be nothing that it could read.
        handshake = H11Handshake(ConnectionType.SERVER)
        head = handshake.send(RejectConnection(response.status, headers, has_body=True))
        self.response = Response(int(response.status), Headers.of_head(head), response.body)
        return head + handshake.send(RejectData(response.body, body_finished=True))

    def _negotiate(self) -> tuple[list[tuple[bytes, bytes]], _deflate.Negotiated | None]:
        deflate = self._config.deflate
        offers = self._fields.get("sec-websocket-extensions")
        agreed = _deflate.accept(", ".join(offers), deflate) if deflate and offers else None
        if agreed is None:
            return [], None
        answer, negotiated = agreed
        return [(b"Sec-WebSocket-Extensions", answer.encode("ascii"))], negotiated


class ClientHandshake:
    """A client's side of the opening handshake (RFC 6455 section 4.1).

    :param request: where to, and headers to add.
    :ivar request: the same with every header as sent.
    :ivar data: the request as bytes, to be sent.
    :ivar done: the outcome is known: :attr:`error`, or the connection is open.
    :ivar error: why it will not open: :exc:`~wscore.BadHandshake`,
        :exc:`~wscore.HandshakeRejected` or :exc:`~wscore.HandshakeInterrupted`; else None.
    :ivar response: the server's final answer, once its head is there; a rejection's body is
        added when it is complete.
    :ivar subprotocol: the one the server chose, or None.
    :ivar negotiated: the parameters of permessage-deflate, if the server agreed to it.
    :raises ValueError: target, host or a header is illegal, or a header is not for the caller
        to set.
    :raises TypeError: target or host is not a str.
    """

    def __init__(self, request: Request, config: Config) -> None:
        _check_target(request.target)
        _check_host(request.host)
        key = base64.b64encode(config.entropy(16))
        # Its limit counts only between the chunks of a body: heads come to it whole.
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK_LINE)
        self.data = self._http.send(
            h11.Request(
                method="GET",
                target=request.target,
                headers=_opening_headers(request, key, config)
                + _encode_headers(request.headers, "a request to open a WebSocket"),
            )
        )
        self._http.send(h11.EndOfMessage())
        self.request = Request(request.target, request.host, Headers.of_head(self.data))
        self.done = False
        self.error: HandshakeError | None = None
        self.response: Response | None = None
        self.subprotocol: str | None = None
        self.negotiated: _deflate.Negotiated | None = None
        self._config = config
        self._accept_token = generate_accept_token(key).decode("ascii")
        self._scanner = _HeadScanner(config, "response", _STATUS_LINE)
        self._buffer = bytearray()  # every head, since together they have one limit
        self._parsed = 0
        self._body = bytearray()

    @property
    def held(self) -> int:
        """Bytes held: of heads and body as far as they are there, or behind a good head."""
        return len(self._buffer) + len(self._body)

    @property
    def leftover(self) -> bytes:
        """What followed the head that opened the connection; empty before that."""
        return bytes(self._buffer) if self.done else b""

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes from the server; never raises because of them.

        Once open they are kept as :attr:`leftover`; after an error they are dropped.
        """
        if self.error is not None:
            return
        try:
            if self.response is not None and not self.done:
                self._receive_body(self.response, memoryview(data))
                return
            self._buffer += data
            if not self.done:
                self._read_heads()
        except _Violation as violation:
            self._fail(BadHandshake(violation.problem, self.response))

    def eof(self) -> None:
        """The server's stream ended.

        A rejection whose head is there stays one, with the body as far as it came: the status
        says more than that a body was cut short.
        """
        if self.done:
            return
        if self.response is not None:
            self._reject(self.response)
        elif self._buffer:
            self._fail(
                HandshakeInterrupted(
                    f"the server ended the connection after {self.held} bytes, in the middle of "
                    "the opening handshake"
                )
            )
        else:
            self._fail(
                HandshakeInterrupted(
                    "the server ended the connection before it answered the opening handshake"
                )
            )

    def _read_heads(self) -> None:
        while self.response is None:
            begin = bytes(self._buffer[self._parsed : self._parsed + len(_STATUS_PREFIX)])
            # At once, since what is not HTTP may never end its line.
            if not _STATUS_PREFIX.startswith(begin):
                raise _Violation("the response does not begin with a line of HTTP/1")
            end = self._scanner.find_end(self._buffer)
            if end is None:
                return
            head = bytes(self._buffer[self._parsed : end])
            self._parsed = end
            event = cast("h11.InformationalResponse | h11.Response", _parse(self._http, head))
            # RFC 9110 section 15.2: any other 1xx announces that the answer is yet to come.
            if event.status_code == 101 or event.status_code >= 200:
                del self._buffer[:end]
                self._take_response(event)

    def _take_response(self, event: h11.InformationalResponse | h11.Response) -> None:
        headers, fields = _read_headers(event)
        response = self.response = Response(event.status_code, headers)
        if event.status_code == 101:
            _check_http_version(event.http_version, "response")
            self._take_upgrade(fields)
        else:
            rest = bytes(self._buffer)
            self._buffer.clear()
            self._receive_body(response, memoryview(rest))

    def _take_upgrade(self, fields: _Fields) -> None:
        _check_switched(fields, self._accept_token)
        subprotocol = _chosen_subprotocol(fields, self._config)
        try:
            answer = ", ".join(fields.get("sec-websocket-extensions", ()))
            self.negotiated = _deflate.confirm(answer, self._config.deflate)
        except ValueError as error:
            raise _Violation(f"the response's extensions are not acceptable: {error}") from None
        self.subprotocol = subprotocol
        self.done = True

    def _receive_body(self, response: Response, data: memoryview) -> None:
        self._read_body(response)
        while data and not self.done:
            # h11 looks at its limit after each feed: given no more than what exceeds it by one
            # byte, it holds every slicing to the same limit.
            room = _CHUNK_LINE + 1 - len(self._http.trailing_data[0])
            self._http.receive_data(bytes(data[:room]))
            data = data[room:]
            self._read_body(response)

    def _read_body(self, response: Response) -> None:
        limit = self._config.max_body_size
        while len(self._body) < limit:
            event = _next_event(self._http)
            if isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        if len(self._body) > limit:
            del self._body[int(limit) :]
        self._reject(response)

    def _reject(self, response: Response) -> None:
        self.response = Response(response.status, response.headers, bytes(self._body))
        self._fail(HandshakeRejected(self.response))

    def _fail(self, error: HandshakeError) -> None:
        self.error = error
        self.done = True
        self._buffer.clear()
        self._body.clear()


# What both roles read.


def _parse(http: h11.Connection, head: bytes) -> object:
    """The event that a whole head is."""
    http.receive_data(head)
    return _next_event(http)


def _next_event(http: h11.Connection) -> object:
    try:
        return http.next_event()
    except h11.RemoteProtocolError as error:
        # Behind the colon h11 quotes what it could not read: that may be a credential, or long.
        raise _Violation(f"malformed HTTP: {str(error).partition(':')[0]}") from None


_Fields: TypeAlias = dict[str, list[str]]
"""The values of a head's fields, by their names in lower case: to ask :class:`Headers` for one
takes a pass over all of them."""


def _read_headers(
    event: h11.Request | h11.InformationalResponse | h11.Response,
) -> tuple[Headers, _Fields]:
    # RFC 9110 section 5.5: bytes beyond ASCII are opaque. Latin-1 keeps them apart. Control
    # characters were refused, so that what joins and splits is in none of them.
    joined = b"\n".join([text for pair in event.headers.raw_items() for text in pair])
    texts = joined.decode("latin-1").split("\n") if joined else []
    # A connection keeps them for all of its life.
    headers = Headers.of_texts(tuple(map(_COMMON.get, texts, texts)))
    fields: _Fields = {}
    for name, value in zip(texts[::2], texts[1::2], strict=True):
        fields.setdefault(name.lower(), []).append(value)
    return headers, fields


_COMMON: Final = {
    text: text
    for text in (
        *("Host", "Upgrade", "Connection", "Origin", "User-Agent", "Cookie", "Authorization"),
        *("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol"),
        *("Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Pragma", "Cache-Control"),
        *("Accept", "Accept-Encoding", "Accept-Language", "Date", "Server", "X-Forwarded-For"),
        *("X-Forwarded-Proto", "X-Real-IP", "websocket", "WebSocket", "keep-alive, Upgrade"),
        *("13", "no-cache", "gzip, deflate, br", "gzip, deflate, br, zstd", "permessage-deflate"),
        "permessage-deflate; client_max_window_bits",
    )
}
"""What most connections say alike: one object for all of them. No more than these: interning what
a peer says would keep it for ever on some versions of Python."""


def _elements(fields: _Fields, name: str) -> list[str]:
    """The elements of a list, in one field or in several, which is the same (RFC 9110 5.3)."""
    return split_tokens(",".join(fields.get(name, ())))


def _tokens(fields: _Fields, name: str) -> list[str]:
    """The same in lower case, where case makes no difference."""
    return split_tokens(",".join(fields.get(name, ())).lower())


def _only(fields: _Fields, name: str, kind: str) -> str:
    """The value of a field that must be there once."""
    values = fields.get(name.lower(), ())
    if len(values) != 1:
        found = "repeats" if values else "lacks"
        raise _Violation(f"the {kind} {found} {name}")
    return values[0]


def _check_http_version(version: bytes, kind: str) -> None:
    if version != b"1.1":
        raise _Violation(f"the {kind} is HTTP/{version.decode('ascii')}; it must be HTTP/1.1")


def _check_connection(fields: _Fields, kind: str) -> None:
    if "upgrade" not in _tokens(fields, "connection"):
        raise _Violation(f"the {kind} lacks Connection: Upgrade")


# A client's request, as a server reads it (RFC 6455 section 4.2.1).


def _parse_request(head: bytes) -> tuple[Request, _Fields]:
    if b"\r\n " in head or b"\r\n\t" in head:
        # RFC 9112 section 5.2 has a server refuse this or mend it.
        raise _Violation("the request has a header folded over several lines")
    event = cast("h11.Request", _parse(h11.Connection(h11.SERVER), head))
    if event.method != b"GET":
        raise _Violation("the request's method is not GET")
    _check_http_version(event.http_version, "request")
    headers, fields = _read_headers(event)
    # h11 has seen to it that there is one Host.
    target, host = _split_target(event.target.decode("ascii"), *fields["host"])
    _check_no_body(fields)
    return Request(target, host, headers), fields


def _check_handshake(fields: _Fields) -> None:
    _check_asks_upgrade(fields)
    _check_version(_only(fields, "Sec-WebSocket-Version", "request"))
    _check_key(_only(fields, "Sec-WebSocket-Key", "request"))
    if "sec-websocket-protocol" in fields:
        _check_subprotocols(_elements(fields, "sec-websocket-protocol"))


def _split_target(target: str, host: str) -> tuple[str, str]:
    absolute = _ABSOLUTE_TARGET.fullmatch(target)
    if absolute is not None:
        # RFC 9112 section 3.2.2: its authority takes the place of the Host header.
        host, target = absolute.groups()
        target = target if target.startswith("/") else f"/{target}"
    if not _TARGET.fullmatch(target):
        raise _Violation("the request's target is neither a path nor an http URL")
    if not _HOST.fullmatch(host):
        raise _Violation("the request's host is malformed")
    return target, host


def _check_no_body(fields: _Fields) -> None:
    # h11 has seen to it that there is one length, of digits.
    if "transfer-encoding" in fields or int(fields.get("content-length", ["0"])[0]):
        raise _Violation("the request has a body")


def _check_asks_upgrade(fields: _Fields) -> None:
    if "upgrade" not in fields:
        # A plain request, such as a browser's or a health check's: RFC 9110 section 15.5.22.
        raise _Violation("the request does not ask for an upgrade", 426)
    if "websocket" not in _tokens(fields, "upgrade"):
        raise _Violation("the request lacks Upgrade: websocket")
    _check_connection(fields, "request")


def _check_version(version: str) -> None:
    if version != _VERSION:
        # RFC 6455 section 4.4.
        raise _Violation(f"the request's Sec-WebSocket-Version is not {_VERSION}", 426)


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise _Violation("the request's Sec-WebSocket-Key is not 16 bytes in base64")


def _check_subprotocols(subprotocols: Sequence[str]) -> None:
    if not all(is_token(subprotocol) for subprotocol in subprotocols):
        raise _Violation("the request offers a subprotocol that is not a token")
    if len(set(subprotocols)) != len(subprotocols):
        raise _Violation("the request offers a subprotocol twice")


def _check_origin(request: Request, origins: Sequence[str | None] | None) -> None:
    # RFC 6455 section 10.2: a page's origin is what the browser says that it is.
    if origins is not None and request.origin not in origins:
        raise _Violation("the request's Origin is not one of Config.origins", 403)


# A server's answer, as a client reads it (RFC 6455 section 4.1).


def _check_switched(fields: _Fields, accept_token: str) -> None:
    if _tokens(fields, "upgrade") != ["websocket"]:
        raise _Violation("the response lacks Upgrade: websocket, or upgrades to more than that")
    _check_connection(fields, "response")
    if _only(fields, "Sec-WebSocket-Accept", "response") != accept_token:
        raise _Violation("the response's Sec-WebSocket-Accept does not answer our key")


def _chosen_subprotocol(fields: _Fields, config: Config) -> str | None:
    if "sec-websocket-protocol" not in fields:
        return None
    subprotocol = _only(fields, "Sec-WebSocket-Protocol", "response")
    if subprotocol not in config.subprotocols:
        raise _Violation("the response chooses a subprotocol that was not offered")
    return subprotocol


# What the caller wants to send: these raise ValueError and TypeError, before anything changes.


def _check_target(target: str) -> None:
    if not isinstance(target, str):
        raise TypeError(f"the target must be a str, not {type(target).__name__}")
    if not _TARGET.fullmatch(target):
        raise ValueError(
            f"the target is {target!r}; it must begin with / and be visible ASCII without # "
            "(RFC 6455 section 3): percent-encode the rest"
        )


def _check_host(host: str) -> None:
    if not isinstance(host, str):
        raise TypeError(f"the host must be a str, not {type(host).__name__}")
    if not _HOST.fullmatch(host):
        raise ValueError(
            f"the host is {host!r}; it must be a name in ASCII or an address, IPv6 in brackets, "
            "and :port unless that is the default"
        )


def _encode_headers(headers: Headers, place: str) -> list[tuple[bytes, bytes]]:
    """Headers that the caller adds to an upgrade, as bytes."""
    if not headers:
        return []
    for name, _ in headers.pairs():
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"{name} cannot be set by hand in {place}: the handshake sets it")
    return _encode_fields(headers)


def _encode_fields(headers: Headers) -> list[tuple[bytes, bytes]]:
    for name, value in headers.pairs():
        if not is_token(name):
            raise ValueError(f"the header name {name!r} is not a token (RFC 9110 section 5.6.2)")
        # The value is not shown: it may be a credential.
        if not _FIELD_VALUE.fullmatch(value):
            raise ValueError(
                f"the value of the header {name} must be Latin-1 without control characters, and "
                "without white space at its ends (RFC 9110 section 5.5)"
            )
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.pairs()]


def _check_offered(subprotocol: str | None, request: Request) -> None:
    if subprotocol is not None and subprotocol not in request.subprotocols:
        offered = ", ".join(request.subprotocols) or "none"
        raise ValueError(f"the subprotocol is {subprotocol!r}; the client offers {offered}")


def _check_refusal(response: Response) -> None:
    if not isinstance(response, Response):
        raise TypeError(f"a request is refused by a Response, not {type(response).__name__}")
    status, body = response.status, response.body
    if not isinstance(status, int):
        raise TypeError(f"the status must be an int, not {type(status).__name__}")
    if not 200 <= status <= 599:
        raise ValueError(f"the status is {status}; a refusal takes 200 to 599, Accept gives 101")
    if not isinstance(body, bytes):
        raise TypeError(f"the body must be bytes or str, not {type(body).__name__}")
    if body and status in _BODILESS:
        raise ValueError(f"a response with status {status} has no body (RFC 9110 section 15)")


def _check_framing(headers: Headers, length: str) -> None:
    if "Transfer-Encoding" in headers:
        raise ValueError("Transfer-Encoding cannot be set: the response has a Content-Length")
    if any(value != length for value in headers.get_all("Content-Length")):
        raise ValueError(f"Content-Length is wrong: the body has {length} bytes; leave it out")
    if not {"close", "upgrade"}.issuperset(split_tokens(headers.get("Connection", "").lower())):
        raise ValueError("Connection must be close: a refusal ends the connection; leave it out")


# What goes out.


def _opening_headers(request: Request, key: bytes, config: Config) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"Host", request.host.encode("ascii")),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", key),
        (b"Sec-WebSocket-Version", _VERSION.encode("ascii")),
    ]
    if config.subprotocols:
        offered = ", ".join(config.subprotocols)
        headers.append((b"Sec-WebSocket-Protocol", offered.encode("ascii")))
    if config.deflate is not None:
        offer = _deflate.offer(config.deflate)
        headers.append((b"Sec-WebSocket-Extensions", offer.encode("ascii")))
    return headers


def _first_offered(subprotocols: Sequence[str], request: Request) -> str | None:
    if not subprotocols:
        return None
    offered = request.subprotocols
    return next((token for token in subprotocols if token in offered), None)


def _switch_protocols(
    key: bytes, subprotocol: str | None, extra: list[tuple[bytes, bytes]]
) -> bytes:
    """What wsproto would answer; but it would read the request once more for that, which takes as
    long as all the rest of a handshake.
    """
    headers = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", generate_accept_token(key)),
    ]
    if subprotocol is not None:
        headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode("ascii")))
    lines = [b"%b: %b\r\n" % field for field in headers + extra]
    return b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % b"".join(lines)


def _refusal(status: int) -> Response:
    """What a peer gets whose head is bad."""
    headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", _VERSION)]
    return Response(status, headers if status == 426 else (), _BODIES[status])


def _refusal_headers(response: Response) -> list[tuple[bytes, bytes]]:
    length = str(len(response.body))
    _check_framing(response.headers, length)
    framing = {"content-length", "connection"}
    headers = [pair for pair in response.headers.pairs() if pair[0].lower() not in framing]
    if response.body and "Content-Type" not in response.headers:
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
    # RFC 9110 section 8.6: 204 must not have it, and for 304 it would mean another length.
    if response.status not in {204, 304}:
        headers.append(("Content-Length", length))
    # RFC 9110 section 7.8: who sends Upgrade names it in Connection.
    headers.append(("Connection", "close, Upgrade" if "Upgrade" in response.headers else "close"))
    return _encode_fields(Headers(headers))
