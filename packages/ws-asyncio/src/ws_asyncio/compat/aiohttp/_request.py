"""The only place that puts what a caller of aiohttp asks for into the adapter's words.

And, where no connection comes of it, what the adapter says into aiohttp's.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import math
import platform
import socket
import ssl as tls
from collections.abc import Iterable, Mapping
from http.cookies import Morsel, SimpleCookie
from typing import Any, Final, Literal, NamedTuple, Protocol, Self, TypeAlias, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from ws_asyncio._connect import connect
from ws_asyncio._websocket import Link, WebSocket
from wscore import (
    URL,
    BadHandshake,
    Config,
    Deflate,
    Destination,
    HandshakeError,
    HandshakeRejected,
    Headers,
    OpenTimeout,
    ProxyError,
    RedirectRefused,
    Request,
    Response,
)
from wscore import InvalidURL as WrongURL
from wscore import __version__ as _version

from .errors import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientHttpProxyError,
    ClientOSError,
    ClientProxyConnectionError,
    ConnectionKey,
    ConnectionTimeoutError,
    InvalidUrlClientError,
    InvalidUrlRedirectClientError,
    NonHttpUrlClientError,
    NonHttpUrlRedirectClientError,
    RedirectClientError,
    RequestInfo,
    ServerDisconnectedError,
    ServerFingerprintMismatch,
    SocketTimeoutError,
    TooManyRedirects,
    UnixClientConnectorError,
    WSServerHandshakeError,
    warn_deprecated,
)

__all__ = [
    "CONFIG",
    "USER_AGENT",
    "BasicAuth",
    "Connect",
    "Fingerprint",
    "LooseCookies",
    "LooseHeaders",
    "Query",
    "Security",
    "StrOrURL",
    "agreed_compression",
    "choose_proxy",
    "choose_security",
    "cookie_header",
    "deflate",
    "encode_basic_auth",
    "locate",
    "merge_headers",
]

CONFIG: Final = Config(
    # What aiohttp has no limit, timeout or keepalive for has none here.
    fail_timeout=math.inf,
    send_timeout=math.inf,
    ping_interval=math.inf,
    ping_timeout=math.inf,
    max_fragments=math.inf,
    max_queue=math.inf,
    max_head_size=math.inf,
    # What is received puts a heartbeat off.
    ping_if_silent=True,
    # As much as aiohttp holds before it stops reading.
    max_queue_bytes=512 * 1024,
    # A rejection is known when its head is there; its body is not available.
    max_body_size=0,
)
"""Every policy of this module's connections; what callers choose is added to it."""


class _AnyURL(Protocol):
    """A ``yarl.URL``: ``str()`` makes it text."""

    def human_repr(self) -> str: ...


StrOrURL: TypeAlias = str | _AnyURL
LooseHeaders: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
LooseCookies: TypeAlias = (
    Mapping[str, "str | Morsel[Any]"] | Iterable[tuple[str, "str | Morsel[Any]"]]
)
Query: TypeAlias = "str | Mapping[str, _Value] | Iterable[tuple[str, _Value]] | None"
_Value: TypeAlias = "str | int | float | Iterable[str | int | float]"
_T = TypeVar("_T")


def _pairs(given: Mapping[str, _T] | Iterable[tuple[str, _T]]) -> list[tuple[str, _T]]:
    # Any, since an iterable of pairs could be a mapping of pairs, for all that types say.
    pairs: Any = given.items() if isinstance(given, Mapping) else given
    return list(pairs)


# ---------------------------------------------------------------------------------- who we are


def encode_basic_auth(login: str, password: str = "", encoding: str = "utf-8") -> str:
    """The value of an Authorization header (RFC 7617).

    :raises ValueError: the login has a colon.
    """
    if ":" in login:
        raise ValueError("a login must not have a colon (RFC 7617 section 2)")
    return "Basic " + base64.b64encode(f"{login}:{password}".encode(encoding)).decode("ascii")


class _Login(NamedTuple):
    login: str
    password: str
    encoding: str


class BasicAuth(_Login):
    """A login and a password. Deprecated by aiohttp: see :func:`encode_basic_auth`.

    :raises ValueError: the login has a colon; or one of the two is None.
    """

    __slots__ = ()

    def __new__(cls, login: str, password: str = "", encoding: str = "latin1") -> Self:
        """Deprecated, and says so."""
        if login is None or password is None:
            raise ValueError("login and password must be str, not None")
        if ":" in login:
            raise ValueError("a login must not have a colon (RFC 7617 section 2)")
        warn_deprecated("BasicAuth", "use headers={'Authorization': encode_basic_auth(...)}")
        return super().__new__(cls, login, password, encoding)

    def encode(self) -> str:
        """The value of an Authorization header."""
        return encode_basic_auth(self.login, self.password, self.encoding)


def cookie_header(cookies: LooseCookies | None) -> str:
    """The value of a Cookie header; empty if there are none."""
    known: SimpleCookie = SimpleCookie()
    for name, value in _pairs(cookies or ()):
        known[name] = value.value if isinstance(value, Morsel) else value
    return "; ".join(f"{each.key}={each.coded_value}" for each in known.values())


# ------------------------------------------------------------------------------------ where to


_SCHEMES: Final = {"ws": "ws", "http": "ws", "wss": "wss", "https": "wss"}


def locate(url: StrOrURL, base: str | None, params: Query) -> str:
    """Where to, as a WebSocket URL.

    :raises InvalidUrlClientError, NonHttpUrlClientError: this leads nowhere, or not to a server.
    """
    text = str(url)
    if base is not None:
        text = urljoin(base, text)
    text = text.partition("#")[0]
    scheme, separator, rest = text.partition("://")
    if not separator or not rest:
        raise InvalidUrlClientError(url)
    found = _SCHEMES.get(scheme.lower())
    if found is None:
        raise NonHttpUrlClientError(url)
    if params:
        query = params if isinstance(params, str) else urlencode(_pairs(params), doseq=True)
        rest += ("&" if "?" in rest else "?") + query
    text = f"{found}://{rest}"
    try:
        URL.parse(text)
    except WrongURL as error:
        raise InvalidUrlClientError(url, str(error)) from error
    return text


def choose_proxy(
    proxy: StrOrURL | None, auth: BasicAuth | None, *, trust_env: bool
) -> str | Literal[True] | None:
    """Through which proxy, as the adapter takes it."""
    if proxy is None:
        return True if trust_env else None
    if auth is None:
        return str(proxy)
    scheme, _, rest = str(proxy).partition("://")
    login = f"{quote(auth.login, safe='')}:{quote(auth.password, safe='')}"
    return f"{scheme}://{login}@{rest.rpartition('@')[2]}"


# ----------------------------------------------------------------------------------------- TLS


class Fingerprint:
    """The SHA-256 of the certificate that a server has to show, whoever signed it.

    :param fingerprint: 32 bytes.
    :raises ValueError: it is of another length.
    """

    def __init__(self, fingerprint: bytes) -> None:
        if len(fingerprint) != 32:
            raise ValueError(f"a fingerprint is a SHA-256 of 32 bytes, not {len(fingerprint)}")
        self._fingerprint: Final = fingerprint

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256."""
        return self._fingerprint

    def check(self, transport: asyncio.BaseTransport) -> None:
        """Look at the certificate of a transport over TLS; of any other, at nothing.

        :raises ServerFingerprintMismatch: it is another one.
        """
        tls_object = transport.get_extra_info("ssl_object")
        if tls_object is None:
            return
        got = hashlib.sha256(tls_object.getpeercert(binary_form=True)).digest()
        if got != self._fingerprint:
            host, port, *_ = transport.get_extra_info("peername")
            raise ServerFingerprintMismatch(self._fingerprint, got, host, port)


Security: TypeAlias = tls.SSLContext | bool | Fingerprint


def choose_security(
    ssl: Security | None,
    *,
    verify_ssl: bool | None,
    ssl_context: tls.SSLContext | None,
    fingerprint: bytes | None,
) -> Security:
    """What the caller said about TLS, in one word; True: nothing.

    :raises ValueError, TypeError: more than one thing; or nothing that says anything.
    """
    said: list[Security] = [] if ssl is None or ssl is True else [ssl]
    if verify_ssl is False:
        warn_deprecated("verify_ssl", "use ssl=False instead")
        said.append(False)
    if ssl_context is not None:
        warn_deprecated("ssl_context", "use ssl=context instead")
        said.append(ssl_context)
    if fingerprint is not None:
        warn_deprecated("fingerprint", "use ssl=Fingerprint(...) instead")
        said.append(Fingerprint(fingerprint))
    if len(said) > 1:
        raise ValueError(
            "verify_ssl, ssl_context, fingerprint and ssl exclude each other: give one"
        )
    if said and not isinstance(said[0], tls.SSLContext | bool | Fingerprint):
        raise TypeError(f"ssl should be SSLContext, bool or Fingerprint, not {said[0]!r}")
    return said[0] if said else True


def _tls_context(security: Security) -> tls.SSLContext | None:
    if security is True:
        return None
    if isinstance(security, tls.SSLContext):
        return security
    context = tls.create_default_context()
    context.check_hostname = False
    context.verify_mode = tls.CERT_NONE
    return context


# ---------------------------------------------------------------------------------- what to say


USER_AGENT: Final = f"Python/{platform.python_version()} ws-asyncio/{_version}"
_REDIRECTIONS: Final = (301, 302, 303, 307, 308)
_TOO_MANY_REDIRECTS: Final = 10
_OURS: Final = ("host", "upgrade", "connection", "content-length", "transfer-encoding")
"""Besides Sec-WebSocket-*, what the handshake sets by itself."""


def _without(headers: Headers, *names: str) -> Headers:
    return Headers((name, value) for name, value in headers.pairs() if name.lower() not in names)


def merge_headers(
    common: Headers,
    headers: LooseHeaders | None,
    *,
    cookies: str,
    origin: str | None,
    auth: BasicAuth | None,
) -> Headers:
    """The session's headers and the request's, which win.

    :raises ValueError: two things say who we are.
    """
    own = Headers(headers or ())
    if origin is not None:
        own = _without(own, "origin") + {"Origin": origin}
    merged = _without(common, *own) + own
    if auth is not None:
        if "Authorization" in merged:
            raise ValueError("there are both auth and an Authorization header: give one of them")
        merged += {"Authorization": auth.encode()}
    if cookies:
        all_of_them = "; ".join([cookies, *merged.get_all("Cookie")])
        merged = _without(merged, "cookie") + {"Cookie": all_of_them}
    return merged


def deflate(compress: int) -> Deflate | None:
    """What to offer for a window of so many bits; None for 0.

    :raises ValueError: there is no such window.
    """
    if not compress:
        return None
    if not 9 <= compress <= 15:
        raise ValueError(f"compress is {compress}; it must be 0, or a window of 9 to 15")
    return Deflate(server_max_window_bits=compress, client_max_window_bits=compress, threshold=0)


def agreed_compression(response: Response | None) -> tuple[int, bool]:
    """The window of our compressor, and whether it begins each message afresh."""
    assert response is not None
    agreed = response.headers.get("Sec-WebSocket-Extensions", "")
    if not agreed:
        return 0, False
    parameters: dict[str, str] = {}
    for part in agreed.split(";"):
        name, _, value = part.strip().partition("=")
        parameters[name] = value
    window = parameters.get("client_max_window_bits", "15").strip('"')
    return int(window), "client_no_context_takeover" in parameters


# ------------------------------------------------------------------------- the opening handshake


class Connect(connect):
    """Opens a connection; what goes wrong is said in aiohttp's words.

    :param security: what the caller said about TLS.
    :param headers: what to add to the request. A Host is the one to name; what else the handshake
        sets by itself is ignored.
    :param transport_timeout: seconds for a transport.
    """

    def __init__(
        self,
        url: str,
        *,
        security: Security,
        server_hostname: str | None,
        headers: Headers,
        transport_timeout: float,
        proxy: str | Literal[True] | None,
        unix_path: str | None,
        config: Config,
    ) -> None:
        secure = url.startswith("wss:")
        ours = [name for name in headers if name in _OURS or name.startswith("sec-websocket-")]
        super().__init__(
            url,
            ssl=_tls_context(security) if secure else None,
            server_hostname=server_hostname if secure else None,
            headers=_without(headers, *ours),
            proxy=proxy,
            max_redirects=_TOO_MANY_REDIRECTS - 1,
            unix_path=unix_path,
            config=config,
        )
        self._host: Final = headers.get("Host")
        self._security: Final = security
        self._transport_timeout: Final = transport_timeout
        self._history: list[Response] = []
        # Where it stands: for what has to be said if it gets no further.
        self._at = self._destination
        self._has_transport = False

    async def _open(self) -> WebSocket:
        try:
            return await super()._open()
        except HandshakeError as error:
            raise self._translated(error) from error

    async def _attempt(
        self, loop: asyncio.AbstractEventLoop, destination: Destination, began: float
    ) -> WebSocket:
        self._at, self._has_transport = destination, False
        if self._host is not None and destination is self._destination:
            asked = destination.request
            named = Request(asked.target, self._host, asked.headers)
            destination = dataclasses.replace(destination, request=named)
        try:
            return await super()._attempt(loop, destination, began)
        except HandshakeRejected as rejection:
            location = rejection.response.headers.get("Location")
            if rejection.response.status in _REDIRECTIONS and location is not None:
                if urlsplit(location).scheme.lower() not in ("", "http", "https"):
                    raise NonHttpUrlRedirectClientError(location) from None
                self._history.append(rejection.response)
            raise

    async def _create_transport(
        self, loop: asyncio.AbstractEventLoop, link: Link, destination: Destination
    ) -> None:
        timeout = self._transport_timeout
        async with asyncio.timeout(None if timeout == math.inf else timeout):
            await super()._create_transport(loop, link, destination)
        self._has_transport = True
        transport = link.websocket._transport
        if isinstance(self._security, Fingerprint) and transport is not None:
            self._security.check(transport)

    def _translated(self, error: HandshakeError) -> ClientError:
        url, history = str(self._at.url), tuple(self._history)
        info = RequestInfo(url, "GET", self._at.request.headers, url)
        match error:
            case RedirectRefused() if "Location" in error.response.headers:
                return self._redirect_error(error, info)
            case HandshakeRejected():
                text, response = "Invalid response status", error.response
            case BadHandshake():
                text, response = _complaint(error), error.response or Response(400)
            case ProxyError() if error.response is not None:
                status, named = error.response.status, error.response.headers
                message = str(error)
                return ClientHttpProxyError(
                    info, history, status=status, message=message, headers=named
                )
            case OpenTimeout():
                return SocketTimeoutError(str(error))
            case _:
                return self._connection_error(error)
        return WSServerHandshakeError(
            info, history, status=response.status, message=text, headers=response.headers
        )

    def _redirect_error(self, error: RedirectRefused, info: RequestInfo) -> ClientError:
        location = error.response.headers["Location"]
        if len(self._history) >= _TOO_MANY_REDIRECTS:
            return TooManyRedirects(info, tuple(self._history), status=error.response.status)
        insecure = self._at.url.secure and location.lower().startswith("http:")
        if insecure or self._at.unix_path is not None:
            return RedirectClientError(str(error))
        return InvalidUrlRedirectClientError(location, error.why)

    def _connection_error(self, error: HandshakeError) -> ClientError:
        cause, url = error.__cause__, self._at.url
        key = ConnectionKey(url.host, url.port, url.secure, self._security)
        proxy = self._at.proxy(getproxies, proxy_bypass)
        failed_there = not self._has_transport and not isinstance(
            cause, TimeoutError | tls.SSLError
        )
        if proxy is not None and failed_there:
            key = ConnectionKey(proxy.host, proxy.port, proxy.scheme == "https", self._security)
            no_way = cause if isinstance(cause, OSError) else OSError(None, str(error))
            return ClientProxyConnectionError(key, no_way)
        match cause:
            case TimeoutError() if not self._has_transport:
                return ConnectionTimeoutError(f"Connection timeout to host {url}")
            case tls.CertificateError():
                return ClientConnectorCertificateError(key, cause)
            case tls.SSLError():
                return ClientConnectorSSLError(key, cause)
            case socket.gaierror():
                return ClientConnectorDNSError(key, cause)
            case OSError() if self._has_transport:
                return ClientOSError(cause.errno, cause.strerror)
            case OSError() if self._at.unix_path is not None:
                return UnixClientConnectorError(self._at.unix_path, key, cause)
            case OSError():
                return ClientConnectorError(key, cause)
        return ServerDisconnectedError(str(error))


def _complaint(error: BadHandshake) -> str:
    """What is wrong with the answer: in aiohttp's words, where it has some."""
    if error.response is not None and error.response.status == 101:
        headers = error.response.headers
        if headers.get("Upgrade", "").lower() != "websocket":
            return "Invalid upgrade header"
        if "upgrade" not in headers.get("Connection", "").lower():
            return "Invalid connection header"
        if "Sec-WebSocket-Accept" in str(error):
            return "Invalid challenge response"
    return str(error)
