"""The only place for websockets' names on this library: clients and servers for threads.

Replace ``from websockets.sync.client import connect`` and its like by
``from ws_sync.compat.websockets import connect``, or ``import websockets.sync.client`` by
``from ws_sync.compat import websockets``: every name is here, and also under the names of its
modules, such as ``exceptions.ConnectionClosed`` and ``sync.client.connect``. Names and values that
know no runtime, and the one :class:`~wscore.Config` of this module, are in
:mod:`wscore.compat_websockets`.
"""

from __future__ import annotations

import codecs
import logging
import math
import os
import platform
import re
import socket
import ssl as tls
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from traceback import format_exception_only
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Self, TypeAlias, cast
from urllib.request import getproxies, proxy_bypass

import wscore.compat_websockets as _shared
from ws_sync._connect import Connector
from ws_sync._serve import Server as _Server
from ws_sync._stream import SecureStream, Stream
from ws_sync._waiting import remaining
from ws_sync._websocket import WebSocket
from ws_sync.compat import websockets as _this
from wscore import (
    Accept,
    Admission,
    Cause,
    Config,
    Destination,
    HandshakeError,
    InvalidURL,
    Prepared,
)
from wscore import ConnectionClosed as CoreConnectionClosed
from wscore import Request as CoreRequest
from wscore import Response as CoreResponse
from wscore import State as CoreState
from wscore import __version__ as _version
from wscore.compat_websockets import *
from wscore.compat_websockets import DataLike

__all__ = [
    "ClientConnection",
    "Connection",
    "LoggerLike",
    "Protocol",
    "Server",
    "ServerConnection",
    "basic_auth",
    "broadcast",
    "connect",
    "reconnect",
    "serve",
    "unix_connect",
    "unix_reconnect",
    "unix_serve",
]
__all__ += _shared.__all__

# What is imported as websockets.exceptions, websockets.sync.client, and so on.
exceptions = datastructures = frames = http11 = typing = headers = protocol = _shared
sync = client = server = connection = _this

_NAME: Final = f"Python/{platform.python_version()} ws-sync/{_version}"
USER_AGENT: Final = os.environ.get("WEBSOCKETS_USER_AGENT", _NAME)
SERVER: Final = os.environ.get("WEBSOCKETS_SERVER", _NAME)
MAX_REDIRECTS: Final = int(os.environ.get("WEBSOCKETS_MAX_REDIRECTS", "10"))
WRITE_LIMIT: Final = 2**15
"""Bytes that may wait for the socket; websockets' asyncio form has an option for it."""

LoggerLike: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"
PathLike: TypeAlias = "str | os.PathLike[str]"
Socket: TypeAlias = socket.socket
Sizes: TypeAlias = int | tuple[int | None, int | None] | None
"""A limit, or two of them; None for none."""


class Protocol:
    """What a connection's ``protocol`` tells: facts, no I/O."""

    def __init__(self, websocket: WebSocket, logger: LoggerLike) -> None:
        """Not public: connections are made with it."""
        self._websocket: Final = websocket
        self.logger: LoggerLike = logger
        self.side: Final = Side[websocket._connection.role.name]
        self._timed_out = False

    @property
    def state(self) -> State:
        """The state of the connection."""
        return _shared.state_of(self._websocket)

    @property
    def subprotocol(self) -> Subprotocol | None:
        """The subprotocol agreed on, or None."""
        return cast("Subprotocol | None", self._websocket.subprotocol)

    @property
    def extensions(self) -> list[PerMessageDeflate]:
        """The extensions agreed on: compression, or none."""
        return _shared.extensions_of(self._websocket.response, self.side)

    @property
    def close_code(self) -> int | None:
        """The code of the peer's Close frame, 1006 without one; None until it is closed."""
        return None if self.state is not State.CLOSED else self.close_exc.code

    @property
    def close_reason(self) -> str | None:
        """The reason in the peer's Close frame, if any; None until the connection is closed."""
        return None if self.state is not State.CLOSED else self.close_exc.reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """What is raised from now on.

        :raises InvalidState: the connection is neither closing nor closed.
        """
        reason = self._websocket.close_reason
        if reason is None:
            raise InvalidState("the connection isn't closed yet")
        return _shared.closed(reason, timed_out=self._timed_out)


class Connection:
    """What client's and server's connections have in common.

    Every method may be called in any thread. Any number of threads may send; one at a time may
    receive. Where the connection is closed, methods wait for the end of its transport, then raise
    ConnectionClosed.

    :ivar protocol: facts about the connection.
    :ivar id: a UUID, for logs.
    :ivar logger: the logger, with the connection as ``websocket`` in its extra information.
    :ivar request: the opening handshake's request; None before it is here.
    :ivar response: the opening handshake's response; None before it is known.
    """

    def __init__(
        self,
        sock: Socket,
        protocol: Protocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: Sizes = 16,
    ) -> None:
        """Not public: :func:`connect` and :func:`serve` call it; the options say what is so."""
        self._sock: Final = sock
        self.protocol = protocol
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout
        self.max_queue = max_queue
        self.id: uuid.UUID = uuid.uuid4()
        self.logger: LoggerLike = logging.LoggerAdapter(
            _plain(protocol.logger), {"websocket": self}
        )
        self.request: Request | None = _shared.request_of(protocol._websocket.request)
        self.response: Response | None = _shared.response_of(protocol._websocket.response)
        self._websocket: Final = protocol._websocket
        # Held by whoever receives, or sends in parts.
        self._receiving: Final = threading.Lock()
        self._fragmenting: Final = threading.Lock()
        self._is_in_parts = False
        self._is_legacy = False

    # ------------------------------------------------------------------------------ facts

    @property
    def socket(self) -> Socket:
        """The socket, for its options and addresses: what it carries is the connection's.

        With TLS it also has what SSLSocket tells of that, such as ``getpeercert()``.
        """
        stream = self._websocket._stream
        if isinstance(stream, SecureStream):
            return cast("Socket", _SecureSocket(self._sock, stream._tls))
        return self._sock

    @property
    def latency(self) -> float:
        """Round-trip time of the last ping that was answered, in seconds; 0 before the first."""
        latency = self._websocket.latency
        return 0.0 if latency is None else latency.last

    @property
    def local_address(self) -> Any:
        """This side's address, as the socket gives it: its form depends on the family."""
        return self._websocket.local_address

    @property
    def remote_address(self) -> Any:
        """The other side's address, as the socket gives it."""
        return self._websocket.remote_address

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self.protocol.state

    @property
    def subprotocol(self) -> Subprotocol | None:
        """The subprotocol agreed on, or None."""
        return self.protocol.subprotocol

    @property
    def close_code(self) -> int | None:
        """The code of the peer's Close frame, 1006 without one; None until it is closed."""
        return self.protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """The reason in the peer's Close frame, if any; None until the connection is closed."""
        return self.protocol.close_reason

    @property
    def close_exc(self) -> ConnectionClosed:
        """What is raised from now on; InvalidState while the connection is open."""
        return self.protocol.close_exc

    # -------------------------------------------------------------------------- receiving

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data:
        """Receive a message: str for text, bytes for binary.

        What was received before the connection was closed, by either side, is still given.

        :param timeout: seconds to wait at most; 0 or less: only take what is here; None: for ever.
        :param decode: False for bytes also of text; True for str also of binary, which fails the
            connection with 1007 if it is not UTF-8.
        :raises ConnectionClosed: there will never be another message.
        :raises ConcurrencyError: another thread is receiving, or a message is received in parts.
        :raises TimeoutError: it took longer; nothing was taken, and the next call goes on.
        """
        self._warn_of_legacy()
        began = time.monotonic()
        self._begin_to_receive("recv")
        try:
            message = self._websocket.recv(timeout=timeout)
        except CoreConnectionClosed:
            spent = time.monotonic() - began
            self._raise_closed(None if timeout is None else max(0.0, timeout - spent))
        finally:
            self._receiving.release()
        if isinstance(message, str):
            return message.encode() if decode is False else message
        if not decode:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            raise self._invalid_data(error) from error

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]:
        """Receive a message frame by frame; a character that is cut goes with its last byte.

        Left early and closed (``close()``), the rest of the message is discarded.

        :param decode: as for :meth:`recv`.
        :raises ConnectionClosed: the connection ended before the message did.
        :raises ConcurrencyError: another thread is receiving, or a message is received in parts.
        """
        self._warn_of_legacy()
        return self._parts(decode)

    def _parts(self, decode: bool | None) -> Iterator[Data]:
        self._begin_to_receive("recv_streaming")
        parts = self._websocket.recv_streaming()
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            for part in parts:
                if isinstance(part, str):
                    yield part.encode() if decode is False else part
                else:
                    yield decoder.decode(part) if decode else part
            decoder.decode(b"", final=True)
        except CoreConnectionClosed:
            self._raise_closed()
        except UnicodeDecodeError as error:
            raise self._invalid_data(error) from error
        finally:
            cast("Any", parts).close()
            self._receiving.release()

    def __iter__(self) -> Iterator[Data]:
        """Receive messages; ends when the connection is closed with 1000, 1001 or no code."""
        self._warn_of_legacy()
        return self._messages()

    def _messages(self) -> Iterator[Data]:
        try:
            while True:
                yield self.recv()
        except ConnectionClosedOK:
            return

    def _begin_to_receive(self, method: str) -> None:
        if not self._receiving.acquire(blocking=False):
            raise ConcurrencyError(
                f"cannot call {method} while another thread is already running recv or "
                "recv_streaming"
            )

    # ---------------------------------------------------------------------------- sending

    def send(self, message: DataLike | Iterable[DataLike], *, text: bool | None = None) -> None:
        """Send a message; wait while too much of what was sent waits for the peer.

        An iterable is sent as one message, a frame for each part; if it raises in the middle, or
        has a part that is none, the connection is failed with 1011.

        :param message: str is sent as text, bytes-like as binary; or an iterable of all the one
            or all the other.
        :param text: True to send bytes that are UTF-8 as text, False to send str as binary.
        :raises ConnectionClosed: the connection is closed.
        :raises ConcurrencyError: another thread is sending an iterable.
        :raises TypeError: the message is none.
        """
        self._warn_of_legacy()
        try:
            if not isinstance(message, (str, bytes, bytearray, memoryview)):
                self._send_parts(message, text)
            elif self._fragmenting.locked():
                raise _fragmenting()
            else:
                self._websocket.send(_shared.to_message(message, text))
        except CoreConnectionClosed:
            self._raise_closed()

    def _send_parts(self, message: object, text: bool | None) -> None:
        if hasattr(message, "keys") or not isinstance(message, Iterable):
            raise TypeError(
                "a message is str, bytes-like, or an iterable of either that is no mapping, not "
                f"{type(message).__name__}"
            )
        if not self._fragmenting.acquire(blocking=False):
            raise _fragmenting()
        try:
            self._send_each(message, text)
        except CoreConnectionClosed:
            raise
        except Exception:
            if self.state is not State.OPEN:
                self._websocket.wait_closed()
            raise
        finally:
            self._fragmenting.release()

    def _send_each(self, parts: Iterable[object], text: bool | None) -> None:
        websocket, core = self._websocket, self._websocket._connection
        end: Data | None = None
        with websocket._guard:
            websocket._enter_turn(math.inf)
        try:
            # Each part goes at once, not one behind as our own send has it, so that who reads
            # them as they come need not wait for the next: an empty frame ends the message.
            for part in _as_text(parts) if text else parts:
                message = _shared.to_message(part, text)
                with websocket._guard:
                    websocket._until_can_send_part(math.inf)
                    core.send_part(message, final=False, now=time.monotonic())
                    websocket._settle()
                    self._is_in_parts = True
                end = "" if isinstance(message, str) else b""
            if end is not None:
                with websocket._guard:
                    websocket._until_can_send_part(math.inf)
                    core.send_part(end, final=True, now=time.monotonic())
        except BaseException as error:
            if end is not None or isinstance(error, TypeError):
                websocket._fail(Cause.SEND_INTERRUPTED)
            raise
        finally:
            self._is_in_parts = False
            with websocket._guard:
                websocket._leave_turn()

    def ping(self, data: DataLike | None = None, *, ack_on_close: bool = False) -> threading.Event:
        """Send a ping.

        :param data: at most 125 bytes, unlike those of pings in flight; None: four random bytes.
        :param ack_on_close: whether the event is also set when the connection is closed, so that
            nobody waits for a pong that never comes; its state then tells which it was.
        :returns: an event that is set by the pong; it need not be waited for.
        :raises ConnectionClosed: the connection is closed.
        :raises ConcurrencyError: a ping with this payload is in flight.
        :raises ProtocolError, TypeError: it is too long, or neither str nor bytes-like.
        """
        self._warn_of_legacy()
        websocket = self._websocket
        payload = None if data is None else _shared.to_payload(data)
        event = threading.Event()
        try:
            with websocket._guard:
                ping = websocket._connection.ping(payload, now=time.monotonic())

                def follow() -> bool:
                    answered = ping.round_trip is not None
                    if answered or (ack_on_close and websocket._gone):
                        event.set()
                    return answered or websocket._gone

                websocket._followers.append(follow)
                websocket._settle()
        except ValueError:
            raise ConcurrencyError("already waiting for a pong with the same data") from None
        except CoreConnectionClosed:
            self._raise_closed()
        return event

    def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for: a one-way heartbeat.

        :param data: at most 125 bytes.
        :raises ConnectionClosed: the connection is closed.
        :raises ProtocolError, TypeError: it is too long, or neither str nor bytes-like.
        """
        self._warn_of_legacy()
        payload = _shared.to_payload(data)
        try:
            self._websocket.pong(payload)
        except CoreConnectionClosed:
            self._raise_closed()

    # ---------------------------------------------------------------------------- closing

    def close(self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection; wait until the transport is closed, ``close_timeout`` at most.

        What was sent before goes out first; what was received before can still be received.
        Harmless if it is closing or closed. While another thread is in the middle of an iterable,
        the peer is told so with 1011.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: at most 123 bytes of UTF-8.
        :raises ProtocolError: such a code or reason must not be sent.
        """
        self._warn_of_legacy()
        if self.state in (State.CONNECTING, State.OPEN):
            _shared.check_close(code, reason)
            with self._websocket._guard:
                # What has arrived counts as received, and ours drops what comes from now on.
                self._websocket._read()
            if self._is_in_parts:
                code, reason = CloseCode.INTERNAL_ERROR, "close during fragmented message"
            began = time.monotonic()
            self._websocket.close(code, reason)
            patience = self._websocket._connection.config.close_timeout
            self.protocol._timed_out |= time.monotonic() - began >= patience
        else:
            self._websocket.wait_closed()

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the transport is closed.

        :param timeout: seconds to wait at most; None: for ever.
        :returns: whether it is closed.
        """
        try:
            self._websocket.wait_closed(timeout=timeout)
        except TimeoutError:
            return False
        return True

    def __enter__(self) -> Self:
        self._is_legacy = False
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection: with 1000, or with 1011 if the block raised."""
        self.close(CloseCode.NORMAL_CLOSURE if exc_type is None else CloseCode.INTERNAL_ERROR)

    def _raise_closed(self, timeout: float | None = None) -> NoReturn:
        self._websocket.wait_closed(timeout=timeout)
        error = self.close_exc
        raise error from error.__cause__

    def _invalid_data(self, error: UnicodeDecodeError) -> ConnectionClosed:
        self.close(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
        return self.close_exc

    def _warn_of_legacy(self) -> None:
        if self._is_legacy:
            self._is_legacy = False
            warnings.warn(
                "connect() without with: write with connect(...) as websocket, or say that it is "
                "meant: connect(..., legacy=True)",
                DeprecationWarning,
                stacklevel=3,
            )


class ClientConnection(Connection):
    """A client's connection; :func:`connect` makes them. See :class:`Connection`."""


class ServerConnection(Connection):
    """A server's connection; :func:`serve` makes them. See :class:`Connection`.

    :ivar server: the server.
    :ivar username: who was let in by :func:`basic_auth`.
    """

    username: str

    def __init__(
        self,
        sock: Socket,
        protocol: Protocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: Sizes = 16,
    ) -> None:
        """Not public: :func:`serve` calls it."""
        super().__init__(
            sock,
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        self.server = server

    def respond(self, status: StatusLike, text: str) -> Response:
        """A response in plain text, for ``process_request`` and ``process_response``.

        :param status: 200 to 599.
        """
        return _shared.text_response(status, text, formatdate(usegmt=True))


class _SecureSocket:
    """A socket with TLS over it, as far as it tells something."""

    _OF_TLS: Final = frozenset(
        {
            *("cipher", "compression", "context", "get_channel_binding", "getpeercert"),
            *("selected_alpn_protocol", "server_hostname", "server_side", "session"),
            *("shared_ciphers", "version"),
        }
    )

    def __init__(self, sock: Socket, secured: tls.SSLObject) -> None:
        self._sock: Final = sock
        self._secured: Final = secured

    def __getattr__(self, name: str) -> object:
        return getattr(self._secured if name in self._OF_TLS else self._sock, name)


def _plain(logger: LoggerLike) -> logging.Logger:
    return logger if isinstance(logger, logging.Logger) else _plain(logger.logger)


def _fragmenting() -> ConcurrencyError:
    return ConcurrencyError("cannot call send while another thread is already running send")


def _as_text(parts: Iterable[object]) -> Iterator[object]:
    """The parts, with bytes as text; characters may be cut between them."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for part in parts:
        is_bytes = isinstance(part, (bytes, bytearray, memoryview))
        yield decoder.decode(cast("bytes", part)) if is_bytes else part
    decoder.decode(b"", final=True)


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    raise_exceptions: bool = False,
    text: bool | None = None,
    **kwargs: Any,
) -> None:
    """Send a message to many connections, encoded once.

    Connections that are not open are left out. Who has room gets it at once; then those are waited
    for, one after the other, that read too slowly: a peer that reads nothing is cut off
    ``ping_interval`` and ``ping_timeout`` later.

    :param connections: such as those of a server.
    :param message: str is sent as text, bytes-like as binary.
    :param raise_exceptions: whether failures are raised, together, in an ExceptionGroup, in place
        of being logged.
    :param text: True to send bytes that are UTF-8 as text, False to send str as binary.
    :param kwargs: those of :class:`~concurrent.futures.ThreadPoolExecutor`, which change nothing:
        no threads are needed.
    :raises TypeError: the message is none; there is no such option.
    """
    if unknown := kwargs.keys() - _POOL_OPTIONS:
        raise TypeError(f"broadcast has no option {min(unknown)}")
    prepared = Prepared(_shared.to_message(message, text))
    failures: list[Exception] = []
    open_ones = [each for each in [*connections] if each.state is State.OPEN]
    for connection in [each for each in open_ones if not each._websocket._offer(prepared)]:
        try:
            connection._websocket.send(prepared)
        except CoreConnectionClosed:
            failures.append(connection.close_exc)
            connection.logger.warning("broadcast did not reach it: %s", connection.close_exc)
    if raise_exceptions and failures:
        raise ExceptionGroup("skipped broadcast", failures)


_POOL_OPTIONS: Final = {"max_workers", "thread_name_prefix", "initializer", "initargs"}


# --------------------------------------------------------------------------------- clients


class reconnect:  # noqa: N801  (used like a function)
    """Connect to a server: entered with ``with``, iterated over, or by :meth:`connect`.

    ``for websocket in reconnect(uri)`` connects again and again: see ``process_exception`` and
    ``reconnect_delays``. Leaving the block, or going on to the next turn of the loop, closes the
    connection.

    Times are in seconds, sizes in bytes; None turns a limit or a timeout off.

    :param uri: ``ws://`` or ``wss://``; a user name and password become basic authentication.
    :param sock: a connected socket; it belongs to the connection from then on.
    :param ssl: for ``wss://``, a context in place of the default one, which verifies the server.
    :param server_hostname: the name to verify in place of the URI's.
    :param origin: the Origin header.
    :param extensions: a :class:`ClientPerMessageDeflateFactory`, in place of ``compression``.
    :param subprotocols: those that are offered, in order of preference.
    :param compression: ``"deflate"`` or None.
    :param additional_headers: headers to add to the request.
    :param user_agent_header: the User-Agent header; None for none.
    :param proxy: True: the one that the environment names, if any; the URL of one, by http or
        SOCKS; None: none.
    :param proxy_ssl: for proxies by https, which ws-sync does not reach.
    :param proxy_server_hostname: likewise.
    :param process_exception: says of an exception in the loop whether connecting again may help:
        None if so, else the exception to raise.
    :param open_timeout: for everything up to the server's answer.
    :param ping_interval: time between keepalive pings.
    :param ping_timeout: how long a peer may give no sign of life after one.
    :param close_timeout: from the first close or failure to the end.
    :param reconnect_delays: makes an iterator of seconds to wait, one for each failure in a row.
    :param max_size: of a message; or of a message and of a frame.
    :param max_queue: messages received and not taken; or high and low marks.
    :param logger: in place of ``websockets.client``.
    :param create_connection: makes the connection: a subclass of :class:`ClientConnection`.
    :param kwargs: for :func:`socket.create_connection`, where no proxy is used: ``address``, in
        place of the URI's host and port, ``source_address`` and so on.
    :raises InvalidURI, ValueError, TypeError: at once.
    :raises OSError: on connecting, if there is no connection; TimeoutError after ``open_timeout``.
    :raises InvalidHandshake: on connecting, if the server refuses, or breaks the protocol.
    :raises InvalidProxy: on connecting.
    """

    def __init__(
        self,
        uri: str,
        *,
        sock: socket.socket | None = None,
        ssl: tls.SSLContext | None = None,
        server_hostname: str | None = None,
        origin: Origin | None = None,
        extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        compression: str | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        proxy_ssl: tls.SSLContext | None = None,
        proxy_server_hostname: str | None = None,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Generator[float]] = backoff,
        max_size: Sizes = 2**20,
        max_queue: Sizes = 16,
        logger: LoggerLike | None = None,
        create_connection: type[ClientConnection] | None = None,
        **kwargs: Any,
    ) -> None:
        self.uri = uri
        self.proxy: str | Literal[True] | None = proxy
        self.proxy_ssl = proxy_ssl
        self.proxy_server_hostname = proxy_server_hostname
        self.process_exception = process_exception
        self.reconnect_delays = reconnect_delays
        self.logger: LoggerLike = logger or logging.getLogger("websockets.client")
        self._is_secure: Final = _shared.parse_uri(uri).secure
        ssl = _ssl_of(ssl, kwargs, stacklevel=4)
        if not self._is_secure and ssl is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if proxy_ssl is not None and isinstance(proxy, str) and not proxy.startswith("https:"):
            scheme = proxy.partition(":")[0]
            raise ValueError(f"proxy_ssl argument is incompatible with an {scheme}:// proxy")
        self._config: Final = _shared.config(
            subprotocols=subprotocols,
            extensions=extensions,
            compression=compression,
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_size=max_size,
            max_queue=max_queue,
            write_limit=WRITE_LIMIT,
        )
        self._sock: Final = sock
        self._ssl: Final = ssl
        self._server_hostname: Final = server_hostname
        self._origin: Final = origin
        self._headers: Final = additional_headers
        self._user_agent: Final = user_agent_header
        self._unix_path: Final = _path_of(kwargs, sock) if kwargs.pop("unix", False) else None
        self._socket_options: Final = kwargs
        self._make: Final = create_connection or ClientConnection
        self._connection_options: Final[dict[str, Any]] = {
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_queue": max_queue,
        }
        self._entered: ClientConnection | None = None

    def connect(self) -> ClientConnection:
        """Connect once; whoever calls it closes the connection."""
        try:
            connector = _Connector(
                self._destination(), self._config, self._ssl, self._sock, self._socket_options
            )
            websocket = connector.open()
        except InvalidURL as error:
            # The URI was parsed before.
            raise _shared.invalid_proxy(self.proxy, error) from None
        except HandshakeError as error:
            failure = _shared.failed(error, self.uri, is_fixed=self._sock is not None)
        else:
            protocol = Protocol(websocket, self.logger)
            try:
                return self._make(connector.opened[-1], protocol, **self._connection_options)
            except BaseException:
                websocket.abort()
                raise
        raise failure

    def _destination(self) -> Destination:
        headers = Headers() if self._headers is None else Headers(self._headers)
        if self._user_agent is not None:
            headers.setdefault("User-Agent", self._user_agent)
        return Destination.first(
            self.uri,
            headers=[*headers.raw_items()],
            origin=self._origin,
            proxy=self.proxy,
            max_redirects=MAX_REDIRECTS,
            server_hostname=self._server_hostname if self._is_secure else None,
            is_fixed=self._sock is not None,
            unix_path=self._unix_path,
        )

    def __enter__(self) -> ClientConnection:
        if self._entered is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._entered = self.connect()
        return self._entered.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entered, self._entered = self._entered, None
        assert entered is not None
        entered.__exit__(exc_type, exc_value, traceback)

    def __iter__(self) -> Iterator[ClientConnection]:
        """Connect, and again whenever the connection before has been closed or did not open."""
        delays: Generator[float] | None = None
        while True:
            try:
                connection = self.connect()
            except Exception as error:
                self._check_may_pass(error)
                delays = delays or self.reconnect_delays()
                delay = next(delays, None)
                if delay is None:
                    raise
                failure = format_exception_only(error)[0].strip()
                self.logger.info(
                    "connect failed; reconnecting in %.1f seconds: %s", delay, failure
                )
                time.sleep(delay)
            else:
                delays = None
                try:
                    yield connection
                finally:
                    # Whoever leaves the loop is done with it, which is no error.
                    connection.close()

    def _check_may_pass(self, error: Exception) -> None:
        """Raise what process_exception says is to be raised."""
        fatal = self.process_exception(error)
        if fatal is error:
            raise error
        if fatal is not None:
            raise fatal from error


@dataclass(frozen=True)
class _Connector(Connector):
    """Our way to connect, with options for :func:`socket.create_connection`.

    :ivar opened: the sockets of all attempts: redirections make more than one.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    opened: list[socket.socket] = field(default_factory=list)

    def _open_stream(self, destination: Destination, deadline: float) -> Stream:
        connector: Connector = self
        if self.options and not self._has_other_way(destination):
            if "address" in self.options and not destination.is_same_origin(self.destination):
                raise ValueError(
                    f"cannot follow cross-origin redirect to {destination.url} with an explicit "
                    "host and port"
                )
            address = destination.url.host, destination.url.port
            options = {"address": address, "timeout": remaining(deadline), **self.options}
            sock = socket.create_connection(**options)
            connector = Connector(destination, self.config, self.ssl, sock)
        stream = Connector._open_stream(connector, destination, deadline)
        self.opened.append(stream.sock)
        return stream

    def _has_other_way(self, destination: Destination) -> bool:
        if destination.is_fixed or destination.unix_path is not None:
            return True
        return "address" not in self.options and bool(destination.proxy(getproxies, proxy_bypass))


def _path_of(options: dict[str, Any], sock: Socket | None) -> str | None:
    path: PathLike | None = options.pop("path", None)
    if (path is None) is (sock is None):
        raise ValueError(
            "missing path argument" if sock is None else "path is incompatible with sock"
        )
    return None if path is None else os.fspath(path)


def connect(
    uri: str,
    *,
    sock: socket.socket | None = None,
    ssl: tls.SSLContext | None = None,
    server_hostname: str | None = None,
    origin: Origin | None = None,
    extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    compression: str | None = "deflate",
    additional_headers: HeadersLike | None = None,
    user_agent_header: str | None = USER_AGENT,
    proxy: str | Literal[True] | None = True,
    proxy_ssl: tls.SSLContext | None = None,
    proxy_server_hostname: str | None = None,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: Sizes = 2**20,
    max_queue: Sizes = 16,
    logger: LoggerLike | None = None,
    create_connection: type[ClientConnection] | None = None,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to a server, which is best done in a ``with`` statement.

    Leaving the block closes the connection: with 1000, or with 1011 if the block raised.
    Parameters and exceptions are those of :class:`reconnect`, besides:

    :param legacy: True: the connection is meant to be used without ``with``; None: used so, it
        warns of that, once; False: the same as :class:`reconnect`.
    """
    connector = reconnect(
        uri,
        sock=sock,
        ssl=ssl,
        server_hostname=server_hostname,
        origin=origin,
        extensions=extensions,
        subprotocols=subprotocols,
        compression=compression,
        additional_headers=additional_headers,
        user_agent_header=user_agent_header,
        proxy=proxy,
        proxy_ssl=proxy_ssl,
        proxy_server_hostname=proxy_server_hostname,
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        max_queue=max_queue,
        logger=logger,
        create_connection=create_connection,
        **kwargs,
    )
    if legacy is False:
        return connector
    connection = connector.connect()
    connection._is_legacy = legacy is None
    return connection


def unix_connect(
    path: PathLike | None = None,
    uri: str | None = None,
    *,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to a WebSocket server on a Unix socket.

    :param path: of the socket.
    :param uri: ``ws://localhost/``, or with ``ssl`` ``wss://localhost/``, unless given.
    :param legacy: as for :func:`connect`.
    :param kwargs: as for :func:`connect`.
    """
    return connect(_uri(uri, kwargs), unix=True, path=path, legacy=legacy, **kwargs)


def unix_reconnect(
    path: PathLike | None = None, uri: str | None = None, **kwargs: Any
) -> reconnect:
    """Connect to a WebSocket server on a Unix socket, again and again.

    :param path: of the socket.
    :param uri: ``ws://localhost/``, or with ``ssl`` ``wss://localhost/``, unless given.
    :param kwargs: as for :class:`reconnect`.
    """
    return reconnect(_uri(uri, kwargs), unix=True, path=path, **kwargs)


def _uri(uri: str | None, options: Mapping[str, Any]) -> str:
    is_secure = options.get("ssl", options.get("ssl_context")) is not None
    return f"{'wss' if is_secure else 'ws'}://localhost/" if uri is None else uri


def _ssl_of(
    ssl: tls.SSLContext | None, options: dict[str, Any], *, stacklevel: int
) -> tls.SSLContext | None:
    if "ssl_context" not in options:
        return ssl
    warnings.warn("ssl_context was renamed to ssl", DeprecationWarning, stacklevel=stacklevel)
    return cast("tls.SSLContext | None", options.pop("ssl_context"))


# --------------------------------------------------------------------------------- servers

ProcessRequest: TypeAlias = Callable[[ServerConnection, Request], Response | None]
ProcessResponse: TypeAlias = Callable[[ServerConnection, Request, Response], Response | None]
SelectSubprotocol: TypeAlias = Callable[
    [ServerConnection, Sequence[Subprotocol]], Subprotocol | None
]
Handler: TypeAlias = Callable[[ServerConnection], None]

_serving: ContextVar[ServerConnection] = ContextVar("_serving")
"""The connection of the thread that serves it."""


@dataclass(frozen=True)
class _Handshake:
    """How a server answers a request: the hooks in their order, and what each may say."""

    subprotocols: Sequence[str]
    origins: Sequence[Origin | re.Pattern[str] | None] | None
    select_subprotocol: SelectSubprotocol | None
    process_request: ProcessRequest | None
    process_response: ProcessResponse | None
    server_header: str | None

    def answer(self, core_request: CoreRequest) -> Accept | CoreResponse:
        """What to answer a request."""
        connection = _serving.get()
        request = connection.request = _shared.request_of(core_request)
        assert request is not None
        logger = connection.logger
        response: Response | None = None
        try:
            if self.process_request is not None:
                response = _checked(self.process_request(connection, request))
        except Exception:
            logger.exception("process_request failed")
            response = _failure(connection, HTTPStatus.INTERNAL_SERVER_ERROR)
        subprotocol = None
        if response is None and _shared.asks_upgrade(core_request):
            try:
                after = _shared.changed(core_request, request)
                _shared.check_origin(after.origin, self.origins)
                subprotocol = self._choose(connection, after)
                response = _shared.switching(core_request, subprotocol, formatdate(usegmt=True))
            except InvalidOrigin as error:
                response = _failure(connection, HTTPStatus.FORBIDDEN, error)
            except InvalidHandshake as error:
                response = _failure(connection, HTTPStatus.BAD_REQUEST, error)
            except Exception:
                logger.exception("opening handshake failed")
                response = _failure(connection, HTTPStatus.INTERNAL_SERVER_ERROR)
        if response is None:
            # The core refuses it.
            return Accept()
        if self.server_header is not None:
            response.headers.setdefault("Server", self.server_header)
        connection.response = response
        try:
            if self.process_response is not None:
                changed = _checked(self.process_response(connection, request, response))
                response = response if changed is None else changed
        except Exception:
            logger.exception("process_response failed")
            response = _failure(connection, HTTPStatus.INTERNAL_SERVER_ERROR)
        connection.response = response
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            return Accept(subprotocol, [*_shared.added_headers(response.headers)])
        logger.info("connection rejected (%d %s)", response.status_code, response.reason_phrase)
        pairs = [*response.headers.raw_items()]
        return CoreResponse(response.status_code, pairs, bytes(response.body))

    def _choose(self, connection: ServerConnection, request: CoreRequest) -> Subprotocol | None:
        offered = cast("Sequence[Subprotocol]", request.subprotocols)
        if self.select_subprotocol is not None:
            return self.select_subprotocol(connection, [*offered])
        return _shared.choose_subprotocol(offered, self.subprotocols)


def _checked(response: Response | None) -> Response | None:
    if response is not None and not isinstance(response, Response):
        raise TypeError(f"a hook returns a Response or None, not {type(response).__name__}")
    return response


def _failure(
    connection: ServerConnection, status: HTTPStatus, error: Exception | None = None
) -> Response:
    why = "see the server's log" if error is None else str(error)
    return connection.respond(status, f"The WebSocket connection does not open: {why}.\n")


class Server:
    """A server; :func:`serve` makes them. It listens, and accepts in :meth:`serve_forever`.

    Its methods may be called in any thread. Leaving the ``with`` block shuts it down.

    :ivar socket: the socket that is listened on.
    :ivar handler: called with each connection.
    """

    def __init__(self, core: _Core, handler: Handler, logger: LoggerLike) -> None:
        """Not public: use :func:`serve`."""
        self.socket = core.sockets[0]
        self.handler = handler
        self.logger = logger
        self._core: Final = core
        self._is_closing = False

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open: after their handshake and before their closing."""
        fronts = [*self._core.fronts.values()]
        return {connection for connection in fronts if connection.state is State.OPEN}

    def serve_forever(self) -> None:
        """Accept connections until the server is shut down; interrupted, shut it down."""
        self._core.begin()
        self._core.serve_forever()

    def shutdown(
        self,
        close_connections: bool = True,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop listening, and wait until every handler has returned. Harmless if called again.

        It may be called in a signal handler, or in a connection's handler, which is not waited
        for.

        :param close_connections: whether to close connections, too: those in their handshake with
            503, open ones with ``code``. Otherwise connections are left alone.
        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: at most 123 bytes of UTF-8.
        :raises ProtocolError: such a code or reason must not be sent.
        """
        _shared.check_close(code, reason)
        is_first, self._is_closing = not self._is_closing, True
        if is_first:
            self.logger.info("server closing")
        if close_connections:
            self._core.turn_away()
        else:
            self._core.let_go()
        self._core.close(code, reason)
        if is_first:
            self.logger.info("server closed")

    def fileno(self) -> int:
        """That of the socket."""
        return self.socket.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()


class _Core(_Server):
    """Our server, whose threads know their connections."""

    def __init__(
        self,
        connection_of: Callable[[WebSocket, socket.socket], ServerConnection],
        handler: Handler,
        handshake: _Handshake,
        config: Config,
        ssl: tls.SSLContext | None,
        sock: socket.socket,
    ) -> None:
        super().__init__(
            self._run, handshake.answer, None, Admission(), config, ssl, [sock], math.inf
        )
        sock.setblocking(False)
        self.fronts: Final[dict[WebSocket, ServerConnection]] = {}
        self._connection_of: Final = connection_of
        self._front_handler: Final = handler
        self._has_begun = False

    def begin(self) -> None:
        """Accept connections from now on."""
        with self._lock:
            if not self._has_begun:
                self._has_begun = True
                self._acceptor.start()

    def let_go(self) -> None:
        """Stop listening, and wait for the handlers."""
        self._stop_listening()
        self._join(math.inf)

    def turn_away(self) -> None:
        """Refuse who waits for the answer to a request; what has arrived counts as received."""
        for websocket, _ in self._other_threads().values():
            core = websocket._connection
            with websocket._guard:
                if core.request is not None and websocket.state is CoreState.CONNECTING:
                    refusal = CoreResponse(503, body="The server is shutting down.\n")
                    core.respond(refusal, now=time.monotonic())
                    websocket._settle()
                elif websocket.state is CoreState.OPEN:
                    websocket._read()

    def _stop_listening(self) -> None:
        self._closed = True
        # It is the thread that accepts which closes the listener.
        self.begin()
        super()._stop_listening()

    def _join(self, deadline: float) -> None:
        # Handlers get all the time that they need.
        super()._join(math.inf)

    def _live(self, websocket: WebSocket, sock: socket.socket) -> None:
        try:
            front = self._connection_of(websocket, sock)
        except BaseException:
            sock.close()
            raise
        _serving.set(front)
        self.fronts[websocket] = front
        try:
            super()._live(websocket, sock)
        finally:
            del self.fronts[websocket]
            front.logger.info("connection closed")

    def _run(self, websocket: WebSocket) -> None:
        front = self.fronts[websocket]
        front.response = _shared.response_of(websocket.response)
        front.logger.info("connection open")
        try:
            self._front_handler(front)
        except ConnectionClosed:
            # A handler may leave it to the server to notice the end.
            if front.state is State.OPEN:
                front.logger.exception("connection handler failed")
        except Exception:
            front.logger.exception("connection handler failed")
        else:
            return
        front.close(CloseCode.INTERNAL_ERROR)


def serve(
    handler: Handler,
    host: str | None = None,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    ssl: tls.SSLContext | None = None,
    origins: Sequence[Origin | re.Pattern[str] | None] | None = None,
    extensions: Sequence[ServerPerMessageDeflateFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    select_subprotocol: SelectSubprotocol | None = None,
    compression: str | None = "deflate",
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    server_header: str | None = SERVER,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: Sizes = 2**20,
    max_queue: Sizes = 16,
    logger: LoggerLike | None = None,
    create_connection: type[ServerConnection] | None = None,
    **kwargs: Any,
) -> Server:
    """A server of WebSocket connections, which is best used in a ``with`` statement.

    The handler runs on an open connection, in a thread of its own. When it returns, the connection
    is closed; if it raises, with 1011, and the error is logged. Times are in seconds, sizes in
    bytes; None turns a limit or a timeout off.

    :param handler: a function of the connection.
    :param host: a name or address; None for every interface.
    :param port: 0 for a free one.
    :param sock: a socket that listens, in place of host and port.
    :param ssl: a context with the server's certificate, for ``wss://``.
    :param origins: whose pages may connect: origins, patterns of them, None for requests without
        one. None: all may. Others are refused with 403.
    :param extensions: a :class:`ServerPerMessageDeflateFactory`, in place of ``compression``.
    :param subprotocols: those that are known, in order of preference; a client that offers none
        of them is refused with 400.
    :param select_subprotocol: chooses among those that the client offers, or None for none; to
        refuse, it raises NegotiationError.
    :param compression: ``"deflate"`` or None.
    :param process_request: sees each request first, also one that is no WebSocket handshake; what
        it returns is the response. If it raises, that is 500, and the error is logged.
    :param process_response: sees the response before it goes out; it may change its headers, or
        return another one.
    :param server_header: the Server header; None for none.
    :param open_timeout: from the connection's beginning to the response.
    :param ping_interval: time between keepalive pings.
    :param ping_timeout: how long a peer may give no sign of life after one.
    :param close_timeout: from the first close or failure to the end.
    :param max_size: of a message; or of a message and of a frame.
    :param max_queue: messages received and not taken; or high and low marks.
    :param logger: in place of ``websockets.server``.
    :param create_connection: makes the connections: a subclass of :class:`ServerConnection`.
    :param kwargs: for :func:`socket.create_server`: ``backlog``, ``reuse_port`` and so on.
    :raises ValueError, TypeError: at once, for options that cannot be right.
    :raises OSError: if the address cannot be listened on.
    """
    config = _shared.config(
        subprotocols=subprotocols,
        extensions=extensions,
        compression=compression,
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        max_queue=max_queue,
        write_limit=WRITE_LIMIT,
    )
    make = create_connection or ServerConnection
    logger = logger or logging.getLogger("websockets.server")

    def connection_of(websocket: WebSocket, peer: socket.socket) -> ServerConnection:
        return make(
            peer,
            Protocol(websocket, server.logger),
            server,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )

    ssl = _ssl_of(ssl, kwargs, stacklevel=3)
    handshake = _Handshake(
        config.subprotocols,
        origins,
        select_subprotocol,
        process_request,
        process_response,
        server_header,
    )
    sock = _listening(host, port, sock, kwargs)
    core = _Core(connection_of, handler, handshake, config, ssl, sock)
    server = Server(core, handler, logger)
    name = sock.getsockname()
    where = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
    logger.info("server listening on %s", where)
    return server


def _listening(
    host: str | None, port: int | None, sock: Socket | None, options: dict[str, Any]
) -> Socket:
    if options.pop("unix", False):
        path = _path_of(options, sock)
        return sock or socket.create_server(path or "", **{"family": socket.AF_UNIX, **options})
    if (host is None and port is None) is (sock is None):
        raise ValueError("serve needs either host and port or sock")
    return sock or socket.create_server((host or "", port or 0), **options)


def unix_serve(handler: Handler, path: PathLike | None = None, **kwargs: Any) -> Server:
    """Serve WebSocket connections on a Unix socket.

    :param handler: a function of the connection.
    :param path: of the socket.
    :param kwargs: as for :func:`serve`.
    """
    return serve(handler, unix=True, path=path, **kwargs)


def basic_auth(
    realm: str = "",
    credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
    check_credentials: Callable[[str, str], bool] | None = None,
) -> Callable[[ServerConnection, Request], Response | None]:
    """A ``process_request`` that lets in whoever has the right credentials (RFC 7617).

    It sets the connection's ``username``, and answers others with 401.

    :param realm: what is protected; only ASCII is sure to be understood.
    :param credentials: user name and password, or several such pairs.
    :param check_credentials: says whether user name and password are right.
    :raises ValueError: not exactly one of the two is given.
    :raises TypeError: the credentials are no such pairs.
    """
    if (credentials is None) is (check_credentials is None):
        raise ValueError("provide either credentials or check_credentials")
    known = {} if credentials is None else _shared.known_credentials(credentials)

    def is_right(username: str, password: str) -> bool:
        if check_credentials is not None:
            return check_credentials(username, password)
        return _shared.is_known(known, username, password)

    def unauthorized(connection: ServerConnection, text: str) -> Response:
        response = connection.respond(HTTPStatus.UNAUTHORIZED, text)
        response.headers["WWW-Authenticate"] = _shared.build_www_authenticate_basic(realm)
        return response

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        try:
            authorization = request.headers["Authorization"]
        except LookupError:
            return unauthorized(connection, "Missing credentials\n")
        try:
            username, password = _shared.parse_authorization_basic(authorization)
        except InvalidHeader:
            return unauthorized(connection, "Unsupported credentials\n")
        if not is_right(username, password):
            return unauthorized(connection, "Invalid credentials\n")
        connection.username = username
        return None

    return process_request
