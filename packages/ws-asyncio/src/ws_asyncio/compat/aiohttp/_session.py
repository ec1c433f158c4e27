"""The only place for sessions, which open connections that have something in common."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import math
import socket
import ssl as tls
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterable
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit

from ws_asyncio._websocket import WebSocket
from wscore import Headers, Request

from ._request import (
    CONFIG,
    USER_AGENT,
    BasicAuth,
    Connect,
    LooseCookies,
    LooseHeaders,
    Query,
    Security,
    StrOrURL,
    agreed_compression,
    choose_proxy,
    choose_security,
    cookie_header,
    deflate,
    locate,
    merge_headers,
)
from ._websocket import ClientWebSocketResponse, ClientWSTimeout, JSONBytesEncoder, JSONEncoder
from .errors import ClientConnectionError, warn_deprecated

__all__ = [
    "BaseConnector",
    "ClientSession",
    "ClientTimeout",
    "TCPConnector",
    "UnixConnector",
    "ws_connect",
]

_UNSET: Final[Any] = type("_Unset", (), {"__repr__": lambda _: "<unset>"})()
"""Any, since it is the default of parameters of every type, as aiohttp's own is."""


@dataclasses.dataclass(frozen=True, slots=True)
class ClientTimeout:
    """Timeouts of opening a connection, in seconds; None and 0: none.

    :ivar total: from the start to an open connection.
    :ivar connect: for the transport: the lookup of the name, TCP and TLS.
    :ivar sock_read: for the server's answer; counted from the start here.
    :ivar sock_connect: the same as ``connect``: there is no pool to wait for.
    :ivar ceil_threshold: of no use here.
    """

    total: float | None = None
    connect: float | None = None
    sock_read: float | None = None
    sock_connect: float | None = None
    ceil_threshold: float = 5


_DEFAULT_TIMEOUT: Final = ClientTimeout(total=5 * 60, sock_connect=30)
_DEFAULT_WS_TIMEOUT: Final = ClientWSTimeout(ws_receive=None, ws_close=10.0)

_P = ParamSpec("_P")
_T = TypeVar("_T", bound=ClientWebSocketResponse)


class _Opening(Coroutine[Any, Any, _T]):
    """A connection that opens when it is awaited or entered; leaving closes it."""

    def __init__(self, coroutine: Coroutine[Any, Any, _T]) -> None:
        self._coroutine: Final = coroutine

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *args: Any) -> Any:
        return self._coroutine.throw(*args)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> _T:
        self._websocket = await self._coroutine
        return self._websocket

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._websocket.close()


def _opening(
    function: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, _Opening[_T]]:
    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _Opening[_T]:
        return _Opening(function(*args, **kwargs))

    return call


class BaseConnector:
    """What a session's connections have in common; closed, it ends them.

    There is no pool: a WebSocket never goes back to one.
    """

    _security: Security = True
    _unix_path: str | None = None

    def __init__(self) -> None:
        self._closed = False
        # Those that have a transport are held by it.
        self._websockets: weakref.WeakSet[WebSocket] = weakref.WeakSet()

    @property
    def closed(self) -> bool:
        """Whether it is closed, and leads nowhere any more."""
        return self._closed

    async def close(self, *, abort_ssl: bool = False) -> None:
        """End every connection at once; harmless again.

        :param abort_ssl: of no use here: nothing is waited for.
        """
        self._closed = True
        websockets = list(self._websockets)
        for websocket in websockets:
            websocket.abort()
        for websocket in websockets:
            await websocket.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class TCPConnector(BaseConnector):
    """Leads a session's connections through TCP, and TLS.

    :param ssl: as for :meth:`ClientSession.ws_connect`, where that says nothing.
    :param verify_ssl: deprecated by aiohttp, as are ``fingerprint`` and ``ssl_context``.
    :raises TypeError: ``family``, ``local_addr``, ``resolver``, ``interleave`` or
        ``socket_factory``, which would lead elsewhere, and which are not here.
    :raises ValueError: more than one thing about TLS.

    The other parameters are about a pool and its cache, and are of no use here.
    """

    def __init__(
        self,
        *,
        verify_ssl: bool = True,
        fingerprint: bytes | None = None,
        use_dns_cache: bool = True,
        ttl_dns_cache: int | None = 10,
        dns_cache_max_size: int = 1000,
        family: socket.AddressFamily = socket.AF_UNSPEC,
        ssl_context: tls.SSLContext | None = None,
        ssl: Security = True,
        local_addr: None = None,
        resolver: None = None,
        keepalive_timeout: float | None = _UNSET,
        force_close: bool = False,
        limit: int = 100,
        limit_per_host: int = 0,
        enable_cleanup_closed: bool = False,
        loop: asyncio.AbstractEventLoop | None = None,
        timeout_ceil_threshold: float = 5,
        happy_eyeballs_delay: float | None = 0.25,
        interleave: None = None,
        socket_factory: None = None,
        ssl_shutdown_timeout: float | None = _UNSET,
    ) -> None:
        super().__init__()
        _refuse(
            family=family or None,
            local_addr=local_addr,
            resolver=resolver,
            interleave=interleave,
            socket_factory=socket_factory,
        )
        self._security = choose_security(
            ssl, verify_ssl=verify_ssl, ssl_context=ssl_context, fingerprint=fingerprint
        )


class UnixConnector(BaseConnector):
    """Leads a session's connections through a Unix socket.

    :param path: the socket's path.

    The other parameters are about a pool, and are of no use here.
    """

    def __init__(
        self,
        path: str,
        force_close: bool = False,
        keepalive_timeout: float | None = _UNSET,
        limit: int = 100,
        limit_per_host: int = 0,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__()
        self._unix_path = path

    @property
    def path(self) -> str:
        """The socket's path."""
        assert self._unix_path is not None
        return self._unix_path


class ClientSession:
    """Opens WebSockets that have something in common.

    :param base_url: what relative URLs are relative to; its path ends with a slash.
    :param connector: a :class:`TCPConnector` or :class:`UnixConnector`; None: the former.
    :param connector_owner: whether closing the session closes the connector.
    :param loop: the event loop; None: the one that runs.
    :param cookies: sent with every request. Those that servers set are not kept.
    :param headers: sent with every request, unless it has its own of that name.
    :param proxy: the URL of a proxy, where ``ws_connect`` names none.
    :param proxy_auth: who we are to it. Deprecated by aiohttp.
    :param skip_auto_headers: headers that are not to be sent by themselves: User-Agent.
    :param auth: who we are to servers. Deprecated by aiohttp.
    :param ws_response_class: the class of what ``ws_connect`` gives.
    :param read_timeout: seconds from the start to an open connection. Deprecated by aiohttp.
    :param conn_timeout: seconds for the transport. Deprecated by aiohttp.
    :param timeout: what bounds the opening of a connection.
    :param trust_env: go through the proxy that the environment names, if any.
    :param max_line_size: bytes of the first line of an answer.
    :param max_field_size: bytes of a header of it; the larger of the two counts for both.
    :param max_headers: lines of it.
    :raises ValueError: ``base_url`` has no host, or no slash at its end; ``timeout`` contradicts
        the older ones, or is no :class:`ClientTimeout`.
    :raises TypeError: a connector of another library; or a parameter that would change what is
        sent, and that only aiohttp's HTTP has: ``cookie_jar``, ``middlewares``,
        ``request_class``, ``response_class``, ``trace_configs``, another ``version`` than 1.1.

    The other parameters are about HTTP's bodies, and are of no use here.
    """

    def __init__(
        self,
        base_url: StrOrURL | None = None,
        *,
        connector: BaseConnector | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        cookies: LooseCookies | None = None,
        headers: LooseHeaders | None = None,
        proxy: StrOrURL | None = None,
        proxy_auth: BasicAuth | None = None,
        skip_auto_headers: Iterable[str] | None = None,
        auth: BasicAuth | None = None,
        json_serialize: JSONEncoder = json.dumps,
        json_serialize_bytes: JSONBytesEncoder | None = None,
        request_class: None = None,
        response_class: None = None,
        ws_response_class: type[ClientWebSocketResponse] = ClientWebSocketResponse,
        version: tuple[int, int] = (1, 1),
        cookie_jar: None = None,
        connector_owner: bool = True,
        raise_for_status: object = False,
        read_timeout: float | None = _UNSET,
        conn_timeout: float | None = None,
        timeout: ClientTimeout | None = _UNSET,
        auto_decompress: bool = True,
        trust_env: bool = False,
        requote_redirect_url: bool = True,
        trace_configs: None = None,
        read_bufsize: int = 2**18,
        max_line_size: int = 8190,
        max_field_size: int = 8190,
        max_headers: int = 128,
        fallback_charset_resolver: object = None,
        middlewares: tuple[()] = (),
        ssl_shutdown_timeout: float | None = _UNSET,
    ) -> None:
        _refuse(
            cookie_jar=cookie_jar,
            middlewares=middlewares,
            request_class=request_class,
            response_class=response_class,
            trace_configs=trace_configs,
            version=None if tuple(version) == (1, 1) else version,
        )
        if not isinstance(connector, BaseConnector | None):
            raise TypeError(
                "connector must be a TCPConnector or UnixConnector of ws_asyncio.compat.aiohttp, "
                f"not a {type(connector).__name__} of {type(connector).__module__}"
            )
        self._base_url: Final = None if base_url is None else str(base_url)
        if self._base_url is not None:
            parts = urlsplit(self._base_url)
            if not parts.netloc:
                raise ValueError(f"base_url must be absolute, not {self._base_url!r}")
            if not parts.path.endswith("/"):
                raise ValueError("base_url must have a trailing '/'")
        for name, value in {"auth": auth, "proxy_auth": proxy_auth}.items():
            if value is not None:
                warn_deprecated(f"The {name!r} parameter", "use headers and encode_basic_auth()")
        self._connector: BaseConnector | None = connector or TCPConnector()
        self._connector_owner: Final = connector_owner
        self._loop: Final = loop
        self._cookies: Final = cookie_header(cookies)
        self._headers: Final = Headers(headers or ())
        self._skip_auto_headers: Final = [name.lower() for name in skip_auto_headers or ()]
        self._proxy: Final = proxy
        self._proxy_auth: Final = proxy_auth
        self._auth: Final = auth
        self._ws_response_class: Final = ws_response_class
        self._timeout: Final = _session_timeout(timeout, read_timeout, conn_timeout)
        self._trust_env: Final = trust_env
        self._max_header_line: Final = max(max_line_size, max_field_size)
        self._max_headers: Final = max_headers

    # -- facts

    @property
    def closed(self) -> bool:
        """Whether the session is closed, and opens no more connections."""
        return self._connector is None or self._connector.closed

    @property
    def connector(self) -> BaseConnector | None:
        """The connector; None once :meth:`close` was called."""
        return self._connector

    @property
    def headers(self) -> Headers:
        """What is sent with every request."""
        return self._headers

    @property
    def auth(self) -> BasicAuth | None:
        """Who we are to servers."""
        return self._auth

    @property
    def timeout(self) -> ClientTimeout:
        """What bounds the opening of a connection."""
        return self._timeout

    @property
    def trust_env(self) -> bool:
        """Whether the environment may name a proxy."""
        return self._trust_env

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop; deprecated by aiohttp."""
        warn_deprecated("client.loop property", "use asyncio.get_running_loop()")
        return self._loop or asyncio.get_running_loop()

    # -- opening

    @_opening
    async def ws_connect(
        self,
        url: StrOrURL,
        *,
        method: str = "GET",
        protocols: Iterable[str] = (),
        timeout: ClientWSTimeout | float = _UNSET,
        receive_timeout: float | None = None,
        autoclose: bool = True,
        autoping: bool = True,
        heartbeat: float | None = None,
        auth: BasicAuth | None = None,
        origin: str | None = None,
        params: Query = None,
        headers: LooseHeaders | None = None,
        proxy: StrOrURL | None = None,
        proxy_auth: BasicAuth | None = None,
        ssl: Security = True,
        verify_ssl: bool | None = None,
        fingerprint: bytes | None = None,
        ssl_context: tls.SSLContext | None = None,
        server_hostname: str | None = None,
        proxy_headers: LooseHeaders | None = None,
        compress: int = 0,
        max_msg_size: int = 4 * 1024 * 1024,
        decode_text: bool = True,
    ) -> ClientWebSocketResponse:
        """Connect to a WebSocket server: ``await`` it, or better ``async with``.

        Cancelled, it leaves nothing behind. Redirections to http and https are followed, 9 at
        most; never from wss to ws, and to another origin without any credential.

        :param url: ws, wss, http or https; or relative to the session's ``base_url``.
        :param method: GET.
        :param protocols: subprotocols to offer, in order of preference.
        :param timeout: a :class:`ClientWSTimeout`; a number is its ``ws_close``, which aiohttp
            deprecates.
        :param receive_timeout: ``ws_receive``. Deprecated by aiohttp.
        :param autoclose: whether receiving CLOSE closes the connection. If not, ``close()`` is to
            be called; the peer's Close frame is answered all the same.
        :param autoping: whether pings are answered. If not, PING and PONG are received.
        :param heartbeat: seconds of silence after which a ping is sent; the connection is ended
            when nothing comes within half of that. None: none.
        :param auth: who we are. Deprecated by aiohttp.
        :param origin: the Origin header.
        :param params: what to add to the URL's query.
        :param headers: headers to add to the request.
        :param proxy: the URL of a proxy.
        :param proxy_auth: who we are to it. Deprecated by aiohttp.
        :param ssl: True: the default context, which verifies the server's certificate and name;
            a context; a :class:`Fingerprint`, in place of that; False: verify nothing.
        :param verify_ssl: deprecated by aiohttp, as are ``fingerprint`` and ``ssl_context``.
        :param server_hostname: the name to verify in place of the URL's.
        :param proxy_headers: None; see ``proxy_auth``.
        :param compress: 9 to 15, the window of permessage-deflate as a power of two; 0: none.
        :param max_msg_size: bytes that a message must not reach; 0: no limit.
        :param decode_text: whether TEXT is received as str, or as bytes.
        :raises ClientError: on awaiting, if the connection does not open; which, see the table in
            ``docs/migrating/aiohttp.rst``.
        :raises TimeoutError: on awaiting: ``timeout.total`` of the session passed.
        :raises RuntimeError: on awaiting: the session is closed.
        :raises ValueError, TypeError: on awaiting, for what cannot be right.
        """
        connector = self._connector
        if connector is None or connector.closed:
            raise RuntimeError("Session is closed")
        if self._loop not in (None, asyncio.get_running_loop()):
            raise RuntimeError("the session is for another event loop than the one that runs")
        if method.upper() != "GET":
            raise ValueError(f"method is {method!r}; a WebSocket opens with GET (RFC 6455 4.1)")
        for name, value in {"auth": auth, "proxy_auth": proxy_auth}.items():
            if value is not None:
                warn_deprecated(f"The {name!r} parameter", "use headers and encode_basic_auth()")
        patience = _ws_timeout(timeout, receive_timeout)
        security = choose_security(
            ssl, verify_ssl=verify_ssl, ssl_context=ssl_context, fingerprint=fingerprint
        )
        target = locate(url, self._base_url, params)
        asked = merge_headers(
            self._headers,
            headers,
            cookies=self._cookies,
            origin=origin,
            auth=auth or self._auth,
        )
        # Some servers refuse who does not say what they are.
        if "User-Agent" not in asked and "user-agent" not in self._skip_auto_headers:
            asked += {"User-Agent": USER_AGENT}
        if proxy_headers:
            raise TypeError("proxy_headers: only a login is sent to proxies: use proxy_auth")
        if proxy is None:
            proxy, proxy_auth = self._proxy, proxy_auth or self._proxy_auth
        offered = tuple(protocols) or Request("/", "", asked).subprotocols
        websocket = await Connect(
            target,
            security=connector._security if security is True else security,
            server_hostname=server_hostname,
            headers=asked,
            transport_timeout=_seconds(self._timeout.connect, self._timeout.sock_connect),
            proxy=choose_proxy(proxy, proxy_auth, trust_env=self._trust_env),
            unix_path=connector._unix_path,
            config=CONFIG.replace(
                open_timeout=_seconds(self._timeout.total, self._timeout.sock_read),
                # None is none, and 0 hardly any time.
                close_timeout=math.inf if patience.ws_close is None else patience.ws_close or 1e-6,
                max_header_line=self._max_header_line,
                max_headers=self._max_headers,
                # Each once: a subprotocol offered twice is offered.
                subprotocols=tuple(dict.fromkeys(offered)),
                ping_interval=math.inf if heartbeat is None else heartbeat,
                ping_timeout=math.inf if heartbeat is None else heartbeat / 2,
                answer_pings=autoping,
                # A message that reaches the limit is too big already.
                max_message_size=max_msg_size - 1 if max_msg_size else math.inf,
                compression=deflate(compress),
            ),
        )
        if connector.closed:
            websocket.abort()
            raise ClientConnectionError("the session was closed while the connection opened")
        connector._websockets.add(websocket)
        window, alone = agreed_compression(websocket.response)
        return self._ws_response_class(
            websocket,
            websocket.subprotocol,
            patience,
            autoclose,
            autoping,
            heartbeat=heartbeat,
            compress=window,
            client_notakeover=alone,
            decode_text=decode_text,
        )

    # -- closing

    async def close(self) -> None:
        """Close the session, and its connector if it owns it: what is open is ended at once."""
        connector, self._connector = self._connector, None
        if connector is not None and self._connector_owner:
            await connector.close()

    def detach(self) -> None:
        """Close the session and leave its connector alone."""
        self._connector = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


@_opening
async def ws_connect(
    url: StrOrURL,
    *,
    protocols: Iterable[str] = (),
    timeout: ClientWSTimeout | float = 10.0,
    connector: BaseConnector | None = None,
    ws_response_class: type[ClientWebSocketResponse] = ClientWebSocketResponse,
    autoclose: bool = True,
    autoping: bool = True,
    loop: asyncio.AbstractEventLoop | None = None,
    origin: str | None = None,
    headers: LooseHeaders | None = None,
) -> ClientWebSocketResponse:
    """Connect to a WebSocket server as with aiohttp 0.16; ``await`` it, or ``async with``.

    The parameters are those of :class:`ClientSession` and :meth:`ClientSession.ws_connect`.

    :param timeout: seconds that ``close()`` waits for the peer.
    """
    session = ClientSession(connector=connector, loop=loop, ws_response_class=ws_response_class)
    if not isinstance(timeout, ClientWSTimeout):
        timeout = ClientWSTimeout(ws_close=timeout)
    return await session.ws_connect(
        url,
        protocols=protocols,
        timeout=timeout,
        autoclose=autoclose,
        autoping=autoping,
        origin=origin,
        headers=headers,
    )


def _seconds(*timeouts: float | None) -> float:
    """The shortest of them; None and 0 are none."""
    return min((each for each in timeouts if each), default=math.inf)


def _session_timeout(
    timeout: ClientTimeout | None, read_timeout: float | None, conn_timeout: float | None
) -> ClientTimeout:
    given = timeout if timeout is not _UNSET else None
    if given is not None and not isinstance(given, ClientTimeout):
        raise ValueError(f"timeout must be a ClientTimeout(...), not {type(given).__name__}")
    if given is not None and (read_timeout is not _UNSET or conn_timeout is not None):
        raise ValueError("timeout is given in two ways: leave out read_timeout and conn_timeout")
    chosen = given or _DEFAULT_TIMEOUT
    if read_timeout is not _UNSET:
        warn_deprecated("read_timeout", "use timeout=ClientTimeout(total=...)")
        chosen = dataclasses.replace(chosen, total=read_timeout)
    if conn_timeout is not None:
        warn_deprecated("conn_timeout", "use timeout=ClientTimeout(connect=...)")
        chosen = dataclasses.replace(chosen, connect=conn_timeout)
    return chosen


def _ws_timeout(
    timeout: ClientWSTimeout | float, receive_timeout: float | None
) -> ClientWSTimeout:
    if timeout is _UNSET:
        timeout = _DEFAULT_WS_TIMEOUT
    elif not isinstance(timeout, ClientWSTimeout):
        what = "parameter 'timeout' of type 'float'"
        warn_deprecated(what, "please use 'timeout=ClientWSTimeout(ws_close=...)'")
        timeout = ClientWSTimeout(ws_close=timeout)
    if receive_timeout is not None:
        what = "float parameter 'receive_timeout'"
        warn_deprecated(what, "please use parameter 'timeout=ClientWSTimeout(ws_receive=...)'")
        timeout = dataclasses.replace(timeout, ws_receive=receive_timeout)
    return timeout


def _refuse(**parameters: object) -> None:
    for name, value in parameters.items():
        if value not in (None, ()):
            raise TypeError(f"{name} is of no use here: it is aiohttp's own, and would be ignored")
