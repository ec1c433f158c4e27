"""The only place that knows trio-websocket 0.12: its names, signatures, exceptions and timing.

``from ws_trio.compat import trio_websocket``, and the rest of a program stays as it is. Policy is
:mod:`wscore`'s: every number that is not a parameter here stands in :data:`CONFIG`.
"""

from __future__ import annotations

import itertools
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, ClassVar, Final, NamedTuple, NoReturn

import trio

from ws_trio._websocket import WebSocket
from wscore import (
    URL,
    Accept,
    Cause,
    CloseCode,
    Config,
    Connection,
    HandshakeInterrupted,
    HandshakeRejected,
    Headers,
    Home,
    Request,
    Response,
    State,
    Transport,
    run_handler,
)
from wscore import ConnectionClosed as CoreConnectionClosed
from wscore import HandshakeError as CoreHandshakeError

__all__ = [
    "CONFIG",
    "CloseReason",
    "ConnectionClosed",
    "ConnectionRejected",
    "ConnectionTimeout",
    "DisconnectionTimeout",
    "Endpoint",
    "HandshakeError",
    "WebSocketConnection",
    "WebSocketRequest",
    "WebSocketServer",
    "connect_websocket",
    "connect_websocket_url",
    "open_websocket",
    "open_websocket_url",
    "serve_websocket",
    "wrap_client_stream",
    "wrap_server_stream",
]

INF: Final = math.inf

CONFIG: Config = Config(
    # What trio-websocket has no limit, timeout or keepalive for. Its own timeouts are around its
    # calls, not in a connection.
    open_timeout=INF,
    close_timeout=INF,
    send_timeout=INF,
    ping_interval=INF,
    ping_timeout=INF,
    max_fragments=INF,
    max_queue_bytes=INF,
    max_header_line=INF,
    max_headers=INF,
    max_body_size=INF,
    # What ends the connection shows in `closed` at once; messages ahead of it can still be taken.
    fail_timeout=0,
    # The reader pauses behind a full queue: no pong, and no answer to a Close frame. A look-ahead
    # gives them, as far as receive_buffer_size goes.
    control_look_ahead=0,
    # A sender waits until what it sends has left, in turn with others.
    max_send_buffer=1,
)
"""The policy of every connection made here; parameters change their part of a copy. A program may
put another in its place before it makes any connection."""

LINGER: Final = Config().close_timeout
"""Seconds that the peer has for its part of the end after a failure or a rejection, where
trio-websocket leaves the stream open for ever."""

CONN_TIMEOUT: Final = 60

MESSAGE_QUEUE_SIZE: Final = 1
MAX_MESSAGE_SIZE: Final = 2**20
RECEIVE_BYTES: Final = 4096

RawHeaders = Iterable[tuple[bytes, bytes]]
"""Headers as trio-websocket takes them: pairs of name and value."""

log = logging.getLogger(__name__)


# --------------------------------------------------------------------------------- exceptions


class HandshakeError(Exception):
    """Connecting or disconnecting failed."""


class ConnectionTimeout(HandshakeError):
    """``connect_timeout`` passed before the connection was open."""


class DisconnectionTimeout(HandshakeError):
    """``disconnect_timeout`` passed before the connection was closed."""


class ConnectionRejected(HandshakeError):
    """The server answered with another status than 101.

    :ivar status_code: the HTTP status.
    :ivar headers: pairs of bytes, names in lower case.
    :ivar body: the response's body.
    """

    def __init__(
        self, status_code: int, headers: tuple[tuple[bytes, bytes], ...], body: bytes | None
    ) -> None:
        super().__init__(status_code, headers, body)
        self.status_code = status_code
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"{type(self).__name__}<status_code={self.status_code}>"


class ConnectionClosed(Exception):
    """The connection is closing or closed.

    :ivar reason: the :class:`CloseReason`.
    """

    def __init__(self, reason: CloseReason | None) -> None:
        super().__init__(reason)
        self.reason = reason

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.reason}>"


class _NetworkError(HandshakeError, OSError):
    """The network failed: its users catch the one or the other."""


# ------------------------------------------------------------------------------------- values


class CloseReason:
    """Why a connection was closed.

    :param code: the close code.
    :param reason: a text that goes with it, or None.
    """

    def __init__(self, code: int, reason: str | None) -> None:
        self._code = int(code)
        self._reason = reason

    @property
    def code(self) -> int:
        """The close code."""
        return self._code

    @property
    def name(self) -> str:
        """The code's name, or that of the range it is in."""
        return _CODE_NAMES.get(self._code) or next(
            (name for low, high, name in _CODE_RANGES if low <= self._code <= high), "INVALID_CODE"
        )

    @property
    def reason(self) -> str | None:
        """The text that goes with the code, or None."""
        return self._reason

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}<code={self.code}, name={self.name}, reason={self.reason}>"


_CODE_NAMES = {
    **{code.value: code.name for code in CloseCode if code is not CloseCode.BAD_GATEWAY},
    1007: "INVALID_FRAME_PAYLOAD_DATA",
    1010: "MANDATORY_EXT",
    1015: "TLS_HANDSHAKE_FAILED",
}
_CODE_RANGES = (
    (1000, 2999, "RFC_RESERVED"),
    (3000, 3999, "IANA_RESERVED"),
    (4000, 4999, "PRIVATE_RESERVED"),
)

_NEVER_SENT = frozenset({1005, 1006, 1015})
"""Codes that only name an end (RFC 6455 section 7.4.1). Whoever passes one on says 1000."""


class Endpoint:
    """One end of a TCP connection.

    :param address: an IP address.
    :param port: the TCP port.
    :param is_ssl: whether TLS is on top.
    :ivar address: as a value of :mod:`ipaddress`.
    """

    def __init__(self, address: str | int, port: int, is_ssl: bool) -> None:
        self.address: IPv4Address | IPv6Address = ip_address(address)
        self.port = port
        self.is_ssl = is_ssl

    @property
    def url(self) -> str:
        """A URL without a path, such as ``ws://127.0.0.1:8000``; a default port is left out."""
        scheme, default = ("wss", 443) if self.is_ssl else ("ws", 80)
        host = f"[{self.address}]" if self.address.version == 6 else f"{self.address}"
        return f"{scheme}://{host}" + ("" if self.port == default else f":{self.port}")

    def __repr__(self) -> str:
        return f'Endpoint(address="{self.address}", port={self.port}, is_ssl={self.is_ssl})'


# ------------------------------------------------------------------------------------ clients


@asynccontextmanager
async def open_websocket(
    host: str,
    port: int,
    resource: str,
    *,
    use_ssl: bool | ssl.SSLContext,
    subprotocols: Iterable[str] | None = None,
    extra_headers: RawHeaders | None = None,
    message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
    max_message_size: int | float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BYTES,
    connect_timeout: float = CONN_TIMEOUT,
    disconnect_timeout: float = CONN_TIMEOUT,
) -> AsyncIterator[WebSocketConnection]:
    """Connect on entering an ``async with`` block, and close on leaving it.

    What the block raises leaves it as it is, even if closing takes too long then. Cancelled, it
    leaves nothing behind.

    :param host: name or address to connect to.
    :param port: TCP port.
    :param resource: path and query.
    :param use_ssl: True for TLS that verifies the server, a context for TLS with that, or False.
    :param subprotocols: offered, in order of preference.
    :param extra_headers: pairs of bytes; those that the handshake itself sends are left out.
    :param message_queue_size: messages received and not taken; with one more in its hand, the
        reader pauses. 0 is a rendezvous, ``math.inf`` no limit.
    :param max_message_size: bytes of a message, text in UTF-8; larger ones end the connection
        with 1009.
    :param receive_buffer_size: bytes that one read may bring; None: as many as suit.
    :param connect_timeout: seconds for name lookup, TCP, TLS and handshake together.
    :param disconnect_timeout: seconds for the close on leaving.
    :raises HandshakeError: it did not open; if the network failed, it is an OSError, too.
    :raises ConnectionTimeout, DisconnectionTimeout: a time has passed.
    :raises ConnectionRejected: the server answered with another status than 101.
    """
    home = Home(trio.open_nursery(), trio.lowlevel.checkpoint_if_cancelled)
    nursery = await home.enter()
    connection: WebSocketConnection | None = None
    try:
        with _within(connect_timeout, ConnectionTimeout), _network_errors():
            connection = await connect_websocket(
                nursery,
                host,
                port,
                resource,
                use_ssl=use_ssl,
                subprotocols=subprotocols,
                extra_headers=extra_headers,
                message_queue_size=message_queue_size,
                max_message_size=max_message_size,
                receive_buffer_size=receive_buffer_size,
            )
        yield connection
    except BaseException:
        # What was raised says more than what its cleaning up met.
        with suppress(trio.Cancelled, DisconnectionTimeout):
            await _leave(home, connection, disconnect_timeout)
        raise
    await _leave(home, connection, disconnect_timeout)


async def _leave(
    home: Home[trio.Nursery], connection: WebSocketConnection | None, seconds: float
) -> None:
    try:
        if connection is not None:
            with _within(seconds, DisconnectionTimeout):
                await connection.aclose()
    finally:
        await home.leave()


@contextmanager
def _within(seconds: float, error: type[HandshakeError]) -> Iterator[None]:
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error


@contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except HandshakeError:
        raise
    except OSError as error:
        raise _NetworkError(*error.args) from error


def open_websocket_url(
    url: str,
    ssl_context: ssl.SSLContext | None = None,
    *,
    subprotocols: Iterable[str] | None = None,
    extra_headers: RawHeaders | None = None,
    message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
    max_message_size: int | float = MAX_MESSAGE_SIZE,
    connect_timeout: float = CONN_TIMEOUT,
    disconnect_timeout: float = CONN_TIMEOUT,
    receive_buffer_size: int | None = RECEIVE_BYTES,
) -> AbstractAsyncContextManager[WebSocketConnection]:
    """Do the same as :func:`open_websocket`, by URL.

    :param url: ``ws://`` or ``wss://``; a user name and password in it are not used.
    :param ssl_context: for ``wss://``, a context in place of the default one.
    :raises ValueError: at once, if it is no such URL, or there is a context for ``ws://``.
    """
    where, use_ssl = _parse(url, ssl_context)
    return open_websocket(
        where.host,
        where.port,
        where.target,
        use_ssl=use_ssl,
        subprotocols=subprotocols,
        extra_headers=extra_headers,
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
        receive_buffer_size=receive_buffer_size,
        connect_timeout=connect_timeout,
        disconnect_timeout=disconnect_timeout,
    )


async def connect_websocket(
    nursery: trio.Nursery,
    host: str,
    port: int,
    resource: str,
    *,
    use_ssl: bool | ssl.SSLContext,
    subprotocols: Iterable[str] | None = None,
    extra_headers: RawHeaders | None = None,
    message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
    max_message_size: int | float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BYTES,
) -> WebSocketConnection:
    """Connect, with the connection's tasks in a nursery of the caller's.

    There is no timeout, and the caller has to close the connection. Cancelled, it leaves nothing
    behind. Parameters are those of :func:`open_websocket`.

    :param nursery: where the connection's tasks run.
    :raises OSError: the network or TLS failed.
    :raises HandshakeError: it did not open for another reason.
    :raises TypeError: ``use_ssl`` is neither a bool nor a context.
    """
    context = _context(use_ssl)
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
    if context is not None:
        # Its handshake comes with the first bytes.
        stream = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    return await wrap_client_stream(
        nursery,
        stream,
        URL(context is not None, host, port, resource).host_header,
        resource,
        subprotocols=subprotocols,
        extra_headers=extra_headers,
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
        receive_buffer_size=receive_buffer_size,
    )


async def connect_websocket_url(
    nursery: trio.Nursery,
    url: str,
    ssl_context: ssl.SSLContext | None = None,
    *,
    subprotocols: Iterable[str] | None = None,
    extra_headers: RawHeaders | None = None,
    message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
    max_message_size: int | float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BYTES,
) -> WebSocketConnection:
    """Do the same as :func:`connect_websocket`, by URL: see :func:`open_websocket_url`."""
    where, use_ssl = _parse(url, ssl_context)
    return await connect_websocket(
        nursery,
        where.host,
        where.port,
        where.target,
        use_ssl=use_ssl,
        subprotocols=subprotocols,
        extra_headers=extra_headers,
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
        receive_buffer_size=receive_buffer_size,
    )


async def wrap_client_stream(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    host: str,
    resource: str,
    *,
    subprotocols: Iterable[str] | None = None,
    extra_headers: RawHeaders | None = None,
    message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
    max_message_size: int | float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BYTES,
) -> WebSocketConnection:
    """Be the client on a connected stream of any kind, without a timeout.

    The caller has to close the connection. Cancelled, it leaves nothing behind.

    :param nursery: where the connection's tasks run.
    :param stream: belongs to the connection from then on.
    :param host: the Host header.
    :raises HandshakeError: the connection did not open.
    """
    try:
        connection = WebSocketConnection(
            stream,
            _CLIENT,
            host=host,
            path=resource,
            client_subprotocols=subprotocols,
            client_extra_headers=extra_headers,
            message_queue_size=message_queue_size,
            max_message_size=max_message_size,
            receive_buffer_size=receive_buffer_size,
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    nursery.start_soon(connection._live)
    await connection._open()
    return connection


def _parse(url: str, context: ssl.SSLContext | None) -> tuple[URL, bool | ssl.SSLContext]:
    # Whatever has a URL as its text will do, and what points into a page is not sent.
    where = URL.parse(str(url).partition("#")[0])
    if context is not None and not where.secure:
        raise ValueError("SSL context must be None for ws: URL scheme")
    return where, where.secure if context is None else context


def _context(use_ssl: bool | ssl.SSLContext) -> ssl.SSLContext | None:
    if isinstance(use_ssl, bool):
        return ssl.create_default_context() if use_ssl else None
    if isinstance(use_ssl, ssl.SSLContext):
        return use_ssl
    kind = type(use_ssl).__name__
    raise TypeError(f"`use_ssl` argument must be bool or ssl.SSLContext, not {kind}")


# ------------------------------------------------------------------------------------ servers


Handler = Callable[["WebSocketRequest"], Awaitable[object]]
"""Called with each request; when it returns, the connection is closed."""


async def serve_websocket(
    handler: Handler,
    host: str | bytes | None,
    port: int,
    ssl_context: ssl.SSLContext | None,
    *,
    handler_nursery: trio.Nursery | None = None,
    message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
    max_message_size: int | float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BYTES,
    connect_timeout: float = CONN_TIMEOUT,
    disconnect_timeout: float = CONN_TIMEOUT,
    task_status: trio.TaskStatus[WebSocketServer] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Serve until cancelled; ``nursery.start`` gives the :class:`WebSocketServer`.

    With None for the host and 0 for the port, there may be several listeners, each with a port
    of its own.

    :param handler: an asynchronous function of a :class:`WebSocketRequest`, which it accepts or
        rejects. If it raises, the error is logged and its connection closed with 1011.
    :param host: address to listen on; None: all.
    :param port: 0 for a free one.
    :param ssl_context: for TLS, or None.
    :param handler_nursery: where connections and handlers run; else in one of the server's own.
    :param message_queue_size: as for :func:`open_websocket`.
    :param max_message_size: as for :func:`open_websocket`.
    :param receive_buffer_size: as for :func:`open_websocket`.
    :param connect_timeout: seconds from a new connection to the call of the handler; then it is
        closed without a word.
    :param disconnect_timeout: seconds for the close when the handler has returned; then the
        connection is aborted without a word.
    :raises OSError: the address cannot be listened on.
    :raises ValueError: a limit cannot be right.
    """
    # What is wrong is said before anything listens.
    _policy(message_queue_size, max_message_size, receive_buffer_size)
    listeners: Sequence[trio.abc.Listener[Any]]
    if ssl_context is None:
        listeners = await trio.open_tcp_listeners(port, host=host)
    else:
        listeners = await trio.open_ssl_over_tcp_listeners(
            port, ssl_context, host=host, https_compatible=True
        )
    server = WebSocketServer(
        handler,
        listeners,
        handler_nursery=handler_nursery,
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
        receive_buffer_size=receive_buffer_size,
        connect_timeout=connect_timeout,
        disconnect_timeout=disconnect_timeout,
    )
    await server.run(task_status=task_status)


class WebSocketServer:
    """A server on listeners of any kind. Parameters are those of :func:`serve_websocket`.

    :param listeners: at least one; closed when :meth:`run` ends.
    :raises ValueError: there is no listener, or a limit that cannot be right.
    """

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[trio.abc.Listener[Any]],
        *,
        handler_nursery: trio.Nursery | None = None,
        message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
        max_message_size: int | float = MAX_MESSAGE_SIZE,
        receive_buffer_size: int | None = RECEIVE_BYTES,
        connect_timeout: float = CONN_TIMEOUT,
        disconnect_timeout: float = CONN_TIMEOUT,
    ) -> None:
        if not listeners:
            raise ValueError("a server needs at least one listener")
        _policy(message_queue_size, max_message_size, receive_buffer_size)
        self._handler: Final = handler
        self._listeners: Final = listeners
        self._handler_nursery: Final = handler_nursery
        self._connect_timeout: Final = connect_timeout
        self._disconnect_timeout: Final = disconnect_timeout
        self._connection: Final = partial(
            WebSocketConnection,
            message_queue_size=message_queue_size,
            max_message_size=max_message_size,
            receive_buffer_size=receive_buffer_size,
        )

    @property
    def port(self) -> int:
        """The port that is listened on.

        :raises RuntimeError: there are several listeners, or this one has no port.
        """
        if len(self._listeners) > 1:
            raise RuntimeError("the server has several listeners: see listeners")
        [endpoint] = self.listeners
        if isinstance(endpoint, str):
            raise RuntimeError(f"this listener has no port: {endpoint}")
        return endpoint.port

    @property
    def listeners(self) -> list[Endpoint | str]:
        """The :class:`Endpoint` of each listener, or its ``repr()`` where it has none."""
        return [_endpoint(listener) for listener in self._listeners]

    async def run(
        self, *, task_status: trio.TaskStatus[WebSocketServer] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Serve until cancelled; ``nursery.start`` gives the server itself."""
        # They listen already.
        task_status.started(self)
        await trio.serve_listeners(
            self._serve_one, [*self._listeners], handler_nursery=self._handler_nursery
        )

    async def _serve_one(self, stream: trio.abc.Stream) -> None:
        connection = self._connection(stream, _SERVER)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection._live)
            request = None
            with trio.move_on_after(self._connect_timeout), suppress(HandshakeError):
                request = await connection._receive_request()
            if request is not None:
                try:
                    await run_handler(
                        connection._websocket,
                        self._handler,
                        request,
                        lambda _, error: connection._note_failure(error),
                    )
                finally:
                    with trio.move_on_after(self._disconnect_timeout):
                        await connection.aclose()
            nursery.cancel_scope.cancel()


async def wrap_server_stream(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
    max_message_size: int | float = MAX_MESSAGE_SIZE,
    receive_buffer_size: int | None = RECEIVE_BYTES,
) -> WebSocketRequest:
    """Be the server on a connected stream of any kind: wait for the request, without a timeout.

    The caller accepts or rejects it, and closes the connection. Cancelled, it leaves nothing
    behind.

    :param nursery: where the connection's tasks run.
    :param stream: belongs to the connection from then on.
    :raises HandshakeError: there was no request, or one that cannot be accepted.
    """
    connection = WebSocketConnection(
        stream,
        _SERVER,
        message_queue_size=message_queue_size,
        max_message_size=max_message_size,
        receive_buffer_size=receive_buffer_size,
    )
    nursery.start_soon(connection._live)
    return await connection._receive_request()


class WebSocketRequest:
    """A client's request; :meth:`accept` or :meth:`reject` it. :func:`serve_websocket` makes it.

    :param connection: the connection that it would open.
    :param event: the request as the core has it.
    """

    def __init__(self, connection: WebSocketConnection, event: Request) -> None:
        self._connection: Final = connection
        self._event: Final = event

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The request's headers, names in lower case; Host and offers are told elsewhere."""
        return [*_raw(self._event.headers, _TOLD_OF_REQUEST)]

    @property
    def path(self) -> str:
        """Path and query."""
        return self._event.target

    @property
    def proposed_subprotocols(self) -> tuple[str, ...]:
        """What the client offers, in its order of preference."""
        return self._event.subprotocols

    @property
    def local(self) -> Endpoint | str:
        """This end of the connection, as :attr:`WebSocketConnection.local`."""
        return self._connection.local

    @property
    def remote(self) -> Endpoint | str:
        """The client's end of the connection."""
        return self._connection.remote

    async def accept(
        self, *, subprotocol: str | None = None, extra_headers: RawHeaders | None = None
    ) -> WebSocketConnection:
        """Accept it, and give the open connection.

        :param subprotocol: one of those that the client offers, or None.
        :param extra_headers: pairs of bytes; those that the handshake itself sends are left out.
        :raises ConnectionClosed: the client went away.
        :raises ValueError: it did not offer the subprotocol, or a header is illegal; the request
            can still be accepted or rejected.
        :raises RuntimeError: it was accepted before.
        """
        answer = Accept(subprotocol, _headers(extra_headers, without=_is_ours))
        await self._connection._respond(answer)
        self._connection._path = self.path
        return self._connection

    async def reject(
        self,
        status_code: int,
        *,
        extra_headers: RawHeaders | None = None,
        body: bytes | None = None,
    ) -> None:
        """Answer with an HTTP error in place of a WebSocket.

        :param status_code: 200 to 599, best 300 or more.
        :param extra_headers: pairs of bytes; Content-Length is added.
        :param body: the response's body.
        :raises ConnectionClosed: the client went away, or it is rejected already.
        :raises ValueError: the response cannot be sent; another one can.
        :raises RuntimeError: it was accepted before.
        """
        response = Response(status_code, _headers(extra_headers), body or b"")
        await self._connection._respond(response)


# -------------------------------------------------------------------------------- connections


class _Side(NamedTuple):
    """Which side a connection is; wsproto's ``WSConnection`` says it, too."""

    client: bool


_CLIENT: Final = _Side(client=True)
_SERVER: Final = _Side(client=False)


class WebSocketConnection(trio.abc.AsyncResource):
    """A WebSocket connection; the functions of this module make it.

    Any number of tasks may send and receive. Cancelling a method never corrupts the stream: a
    cancelled send either did not start or completes, a cancelled receive has taken nothing.
    ``async with`` closes it.

    :param stream: what it runs on.
    :param ws_connection: says with ``client`` which side it is.
    :param host: of a client, the Host header.
    :param path: of a client, path and query.
    :param client_subprotocols: of a client, what it offers.
    :param client_extra_headers: of a client, headers to add to its request.
    :param message_queue_size: as for :func:`open_websocket`, like the rest.
    """

    CONNECTION_ID: ClassVar = itertools.count()

    def __init__(
        self,
        stream: trio.abc.Stream,
        ws_connection: _Side,
        *,
        host: str | None = None,
        path: str | None = None,
        client_subprotocols: Iterable[str] | None = None,
        client_extra_headers: RawHeaders | None = None,
        message_queue_size: int | float = MESSAGE_QUEUE_SIZE,
        max_message_size: int | float = MAX_MESSAGE_SIZE,
        receive_buffer_size: int | None = RECEIVE_BYTES,
    ) -> None:
        config = _policy(
            message_queue_size, max_message_size, receive_buffer_size, client_subprotocols
        )
        if ws_connection.client:
            headers = _headers(client_extra_headers, without=_is_ours)
            request = Request(path or "", host or "", headers)
            connection = Connection.client(request, config, now=trio.current_time())
        else:
            connection = Connection.server(config, now=trio.current_time())
        self._connection: Final = connection
        self._websocket: Final = WebSocket(connection)
        self._stream: Final = stream
        self._is_client: Final = ws_connection.client
        self._id: Final = next(self.CONNECTION_ID)
        self._path = path
        self._local: Final = _endpoint(stream)
        self._remote: Final = _endpoint(stream, remote=True)
        self._receive_turn: Final = trio.Lock()
        self._closed: CloseReason | None = None

    # -- facts

    @property
    def closed(self) -> CloseReason | None:
        """Why the connection is closing or closed; None while it is open."""
        reason = self._websocket.close_reason
        if self._closed is None and reason is not None:
            # What only this side can tell has no text on the wire.
            text = None if reason.code == CloseCode.ABNORMAL_CLOSURE else reason.reason
            self._closed = CloseReason(reason.code, text or None)
        return self._closed

    @property
    def is_client(self) -> bool:
        """Whether this is the client's side."""
        return self._is_client

    @property
    def is_server(self) -> bool:
        """Whether this is the server's side."""
        return not self._is_client

    @property
    def local(self) -> Endpoint | str:
        """This end, or ``repr()`` of the stream where that has no IP address."""
        return self._local

    @property
    def remote(self) -> Endpoint | str:
        """The other end, or ``repr()`` of the stream where that has no IP address."""
        return self._remote

    @property
    def path(self) -> str | None:
        """Path and query: a client's from the start, a server's once it has accepted."""
        return self._path

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on, or None."""
        return self._websocket.subprotocol

    @property
    def handshake_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the other side sent: pairs of bytes, names in lower case, as far as it is here.

        Of a request Host and offers are left out, of a response what only makes the handshake.
        """
        request, response = self._websocket.request, self._websocket.response
        if self._is_client:
            return () if response is None else tuple(_raw(response.headers, _TOLD_OF_RESPONSE))
        return () if request is None else tuple(_raw(request.headers, _TOLD_OF_REQUEST))

    def __str__(self) -> str:
        return f"{'client' if self._is_client else 'server'}-{self._id}"

    # -- verbs

    async def send_message(self, message: str | bytes) -> None:
        """Send a message, and wait until it has left for the transport.

        :param message: str goes as text, bytes as binary.
        :raises ConnectionClosed: the connection is closing or closed.
        :raises ValueError: it is neither str nor bytes.
        """
        if self.closed is not None:
            raise ConnectionClosed(self.closed)
        if not isinstance(message, (str, bytes)):
            raise ValueError(f"a message must be str or bytes, not {type(message).__name__}")
        with self._ending():
            await self._websocket.send(message)
            await self._until_written()

    async def get_message(self) -> str | bytes:
        """Receive a message; several tasks take turns.

        What came before the peer closed can still be received; once this side has closed, that
        is dropped.

        :raises ConnectionClosed: there will never be another message.
        """
        turn = self._receive_turn
        # Whoever need not wait for it need not give way to others twice.
        if turn.locked():
            await turn.acquire()
        else:
            turn.acquire_nowait()
        try:
            with self._ending():
                return await self._websocket.recv()
        finally:
            turn.release()

    async def ping(self, payload: bytes | None = None) -> None:
        """Send a ping, and wait for its pong or one for a later ping.

        Cancelled or failed, its payload may be used again.

        :param payload: at most 125 bytes, unlike those in flight; None: 32 random bits.
        :raises ConnectionClosed: the connection is closed, or closes before it is answered.
        :raises ValueError: the payload is in flight, or too long.
        """
        with self._ending():
            await self._websocket.ping(payload)

    async def pong(self, payload: bytes | None = None) -> None:
        """Send a pong that nobody asked for.

        :param payload: at most 125 bytes; None: empty.
        :raises ConnectionClosed: the connection is closing or closed.
        :raises ValueError: the payload is too long.
        """
        with self._ending():
            await self._websocket.pong(payload or b"")

    async def aclose(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection, and wait for the other side's answer, however long that takes.

        Harmless if it is closing or closed. Cancelled, it is aborted once a Close frame that need
        not wait has gone out.

        :param code: 1000-1003, 1007-1014 or 3000-4999; for 1005, 1006 and 1015, which are never
            sent, 1000 is.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :raises ValueError: such a code must not be sent.
        """
        websocket = self._websocket
        self._connection.close(
            1000 if code in _NEVER_SENT else code, reason or "", now=trio.current_time()
        )
        websocket._settle()
        try:
            await websocket._until_heard(lambda: websocket._gone or self._is_exchanged)
            # Both have said it: the caller need not wait until the transport says so, too.
            websocket.abort()
            await websocket.wait_closed()
        except trio.Cancelled:
            await websocket._leave()
            raise

    # -- for this module

    async def _live(self) -> None:
        """The connection's life, as a task: it raises nothing but Cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._let_go)
            await self._websocket._carry(self._stream)
            nursery.cancel_scope.cancel()

    async def _let_go(self) -> None:
        """After a failure or a rejection the peer's end is not awaited for ever."""
        connection = self._connection
        await self._websocket._until(lambda: connection.transport is Transport.END_WRITE)
        await trio.sleep(LINGER)
        self._websocket.abort()

    async def _open(self) -> None:
        """Wait until a client's connection is open."""
        connection = self._connection
        with _opening(self._websocket):
            await self._websocket._until_opening(lambda: connection.state is not State.CONNECTING)
            connection.poll_open()

    async def _receive_request(self) -> WebSocketRequest:
        connection, websocket = self._connection, self._websocket
        with _opening(websocket):
            await websocket._until_opening(
                lambda: connection.request is not None or connection.state is not State.CONNECTING
            )
            try:
                request = connection.poll_request()
            except CoreHandshakeError:
                # What the client is told goes out first.
                await websocket.wait_closed()
                raise
            assert request is not None
            return WebSocketRequest(self, request)

    async def _respond(self, answer: Accept | Response) -> None:
        await trio.lowlevel.checkpoint()
        with self._ending():
            self._connection.respond(answer, now=trio.current_time())
            self._websocket._settle()
            await self._until_written()

    async def _until_written(self) -> None:
        """Wait until everything has left.

        :raises CoreConnectionClosed: it never will.
        """
        connection = self._connection
        if connection.want_write:
            await self._websocket._until(lambda: not connection.want_write)
        reason = connection.close_reason
        if reason is not None and reason.unsent:
            raise CoreConnectionClosed(reason)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Say that the connection is closed in this module's words."""
        try:
            yield
        except CoreConnectionClosed:
            raise ConnectionClosed(self.closed) from None

    @property
    def _is_exchanged(self) -> bool:
        reason = self._websocket.close_reason
        return reason is not None and reason.clean

    def _note_failure(self, error: BaseException) -> None:
        """The handler failed: say so, unless all it did was to meet the end."""
        if self._connection.state is State.CONNECTING:
            log.error("%s: the handler failed before it accepted", self, exc_info=error)
        elif self.closed is None or not _only_closed(error):
            log.error("%s: the handler failed", self, exc_info=error)
            self._connection.fail(Cause.HANDLER_ERROR, now=trio.current_time())
            self._websocket._settle()


_LEAST_READ: Final = 1024
"""Bytes below which the core does not go, so that every header fits into a read."""


def _policy(
    queue: int | float,
    size: int | float,
    read_size: int | None,
    subprotocols: Iterable[str] | None = None,
) -> Config:
    return CONFIG.replace(
        # One more: in trio-websocket the reader holds a message while it waits for a place.
        max_queue=(queue + 1, queue),
        max_message_size=size,
        read_size=CONFIG.read_size if read_size is None else max(_LEAST_READ, read_size),
        subprotocols=tuple(subprotocols or ()),
    )


@contextmanager
def _opening(websocket: WebSocket) -> Iterator[None]:
    """Say why it does not open in this module's words; cancelled, leave nothing behind."""
    try:
        yield
    except HandshakeRejected as error:
        response = error.response
        raise ConnectionRejected(
            response.status, tuple(_raw(response.headers)), response.body
        ) from None
    except HandshakeInterrupted as error:
        raise _NetworkError(str(error)) from error.__cause__ or error
    except CoreHandshakeError as error:
        raise HandshakeError(str(error)) from error
    except BaseException:
        websocket.abort()
        raise


def _only_closed(error: BaseException) -> bool:
    """Whether this says that a connection is closed and nothing else, in groups too."""
    if isinstance(error, BaseExceptionGroup):
        return all(_only_closed(part) for part in error.exceptions)
    return isinstance(error, ConnectionClosed)


_NEGOTIATED = frozenset({"sec-websocket-protocol", "sec-websocket-extensions"})
_TOLD_OF_REQUEST = _NEGOTIATED | {"host"}
_TOLD_OF_RESPONSE = _NEGOTIATED | {"upgrade", "connection", "sec-websocket-accept"}
"""Headers that are left out of a list, since properties tell them or nobody asks for them."""

_OURS = frozenset({"host", "upgrade", "connection", "content-length", "transfer-encoding"})
"""Headers that only the handshake may set, besides those of its own: the caller's are dropped."""


def _is_ours(name: str) -> bool:
    return name.lower() in _OURS or name.lower().startswith("sec-websocket-")


def _headers(
    pairs: RawHeaders | None, *, without: Callable[[str], bool] = lambda _: False
) -> Headers:
    texts = ((_text(name), _text(value)) for name, value in pairs or ())
    return Headers((name, value) for name, value in texts if not without(name))


def _text(value: bytes | str) -> str:
    # RFC 9110 section 5.5: bytes beyond ASCII are opaque. Latin-1 keeps them apart.
    return value if isinstance(value, str) else bytes(value).decode("latin-1")


def _raw(headers: Headers, without: frozenset[str] = frozenset()) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers.pairs():
        if name.lower() not in without:
            yield name.lower().encode("ascii"), value.encode("latin-1")


def _endpoint(
    owner: trio.abc.Stream | trio.abc.Listener[Any], *, remote: bool = False
) -> Endpoint | str:
    """One end of what runs over the Internet, else what it prints as."""
    inner, is_ssl = owner, False
    while isinstance(inner, (trio.SSLStream, trio.SSLListener)):
        is_ssl = True
        if isinstance(inner, trio.SSLStream):
            inner = inner.transport_stream
        else:
            inner = inner.transport_listener
    if isinstance(inner, (trio.SocketStream, trio.SocketListener)):
        # Closed already, it has no address.
        with suppress(OSError):
            sock = inner.socket
            name = sock.getpeername() if remote else sock.getsockname()
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                return Endpoint(name[0], name[1], is_ssl)
    return repr(owner)
