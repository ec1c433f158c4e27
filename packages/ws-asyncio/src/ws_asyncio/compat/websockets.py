"""The only place for websockets' names on this library: clients and servers for asyncio.

Replace ``import websockets`` by ``from ws_asyncio.compat import websockets``, and
``from websockets.asyncio.client import connect`` and its like by
``from ws_asyncio.compat.websockets import connect``: every name is here, and also under the names
of its modules, such as ``exceptions.ConnectionClosed``. Names and values that know no event loop,
and the one :class:`~wscore.Config` of this module, are in :mod:`wscore.compat_websockets`.
"""

from __future__ import annotations

import asyncio
import codecs
import inspect
import logging
import math
import os
import platform
import re
import ssl as tls
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from contextvars import ContextVar
from email.utils import formatdate
from http import HTTPStatus
from traceback import format_exception_only
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeGuard, cast
from urllib.request import getproxies, proxy_bypass

import wscore.compat_websockets as _shared
from ws_asyncio._connect import connect as _connect
from ws_asyncio._proxy import connect_through
from ws_asyncio._serve import Server as _Server
from ws_asyncio._serve import ServerLink
from ws_asyncio._websocket import Link, WebSocket, clock_of, tls_options
from wscore import (
    Accept,
    Admission,
    Cause,
    Config,
    Destination,
    HandshakeError,
    InvalidURL,
    Parts,
    Prepared,
    Proxy,
    each_part,
)
from wscore import ConcurrencyError as CoreConcurrencyError
from wscore import Connection as CoreConnection
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
    "serve",
    "unix_connect",
    "unix_serve",
]
__all__ += _shared.__all__

# What is imported as websockets.exceptions, and so on.
exceptions = datastructures = frames = http11 = typing = headers = protocol = _shared

_NAME: Final = f"Python/{platform.python_version()} ws-asyncio/{_version}"
USER_AGENT: Final = os.environ.get("WEBSOCKETS_USER_AGENT", _NAME)
SERVER: Final = os.environ.get("WEBSOCKETS_SERVER", _NAME)
MAX_REDIRECTS: Final = int(os.environ.get("WEBSOCKETS_MAX_REDIRECTS", "10"))

LoggerLike: TypeAlias = "logging.Logger | logging.LoggerAdapter[Any]"
PathLike: TypeAlias = "str | os.PathLike[str]"
Sizes: TypeAlias = int | tuple[int | None, int | None] | None
"""A limit, or two of them; None for none."""
WriteLimit: TypeAlias = int | tuple[int, int | None]


class Protocol:
    """What a connection's ``protocol`` tells: facts, no I/O."""

    def __init__(self, websocket: WebSocket, logger: LoggerLike) -> None:
        """Not public: connections make it."""
        self._websocket: Final = websocket
        self.logger: LoggerLike = logger
        self.side: Final = Side[websocket._connection.role.name]
        self.handshake_exc: Exception | None = None
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

    Any number of tasks may send; one at a time may receive. Where the connection is closed,
    methods wait for the end of its transport, then raise ConnectionClosed.

    :ivar id: a UUID, for logs.
    :ivar logger: the logger, with the connection as ``websocket`` in its extra information.
    :ivar protocol: facts about the connection.
    :ivar transport: its transport.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: Sizes = 16,
        write_limit: WriteLimit = 2**15,
    ) -> None:
        """Not public: :func:`connect` and :func:`serve` call it; the options say what is so."""
        self.protocol = protocol
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout
        self.max_queue = max_queue
        self.write_limit = write_limit
        self.id: uuid.UUID = uuid.uuid4()
        self.logger: LoggerLike = logging.LoggerAdapter(
            _plain(protocol.logger), {"websocket": self}
        )
        self._websocket: Final = protocol._websocket
        self.transport = cast("asyncio.Transport", self._websocket._transport)
        self._streaming = False
        self._is_in_parts = False

    # ------------------------------------------------------------------------------ facts

    @property
    def request(self) -> Request | None:
        """The opening handshake's request."""
        return _shared.request_of(self._websocket.request)

    @property
    def response(self) -> Response | None:
        """The opening handshake's response."""
        return _shared.response_of(self._websocket.response)

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

    async def recv(self, decode: bool | None = None) -> Data:
        """Receive a message: str for text, bytes for binary. Cancelled, it has taken nothing.

        What was received before the connection was closed, by either side, is still given.

        :param decode: False for bytes also of text; True for str also of binary, which fails the
            connection with 1007 if it is not UTF-8.
        :raises ConnectionClosed: there will never be another message.
        :raises ConcurrencyError: another task is receiving, or a message is received in parts.
        """
        self._check_not_streaming("recv")
        try:
            message = await self._websocket.recv()
        except CoreConcurrencyError:
            raise _busy("recv") from None
        except CoreConnectionClosed:
            closed = await self._closed()
            raise closed from closed.__cause__
        if isinstance(message, str):
            return message.encode() if decode is False else message
        if not decode:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            raise await self._invalid_data(error) from error

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Receive a message frame by frame; a character that is cut goes with its last byte.

        Left early and closed (``aclose()``), the rest of the message is discarded.

        :param decode: as for :meth:`recv`.
        :raises ConnectionClosed: the connection ended before the message did.
        :raises ConcurrencyError: another task is receiving, or a message is received in parts.
        """
        self._check_not_streaming("recv_streaming")
        parts = self._websocket.recv_streaming()
        decoder = codecs.getincrementaldecoder("utf-8")()
        self._streaming = True
        try:
            async for part in parts:
                if isinstance(part, str):
                    yield part.encode() if decode is False else part
                else:
                    yield decoder.decode(part) if decode else part
            decoder.decode(b"", final=True)
        except CoreConcurrencyError:
            raise _busy("recv_streaming") from None
        except CoreConnectionClosed:
            closed = await self._closed()
            raise closed from closed.__cause__
        except UnicodeDecodeError as error:
            raise await self._invalid_data(error) from error
        finally:
            self._streaming = False
            await cast("Any", parts).aclose()

    async def __aiter__(self) -> AsyncIterator[Data]:
        """Receive messages; ends when the connection is closed with 1000, 1001 or no code."""
        try:
            while True:
                yield await self.recv()
        except ConnectionClosedOK:
            return

    # ---------------------------------------------------------------------------- sending

    async def send(
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        *,
        text: bool | None = None,
    ) -> None:
        """Send a message; wait while the write buffer is full.

        An iterable is sent as one message, a frame for each part; cancelled in the middle, or
        with a part that is none, it fails the connection with 1011. Cancelled otherwise, nothing
        was sent.

        :param message: str is sent as text, bytes-like as binary; or an iterable, which may be
            asynchronous, of all the one or all the other.
        :param text: True to send bytes that are UTF-8 as text, False to send str as binary.
        :raises ConnectionClosed: the connection is closed.
        :raises TypeError: the message is none.
        """
        try:
            if _is_whole(message):
                await self._websocket.send(_shared.to_message(message, text))
            else:
                await self._send_parts(message, text)
        except CoreConnectionClosed:
            closed = await self._closed()
            raise closed from closed.__cause__

    async def _send_parts(self, message: object, text: bool | None) -> None:
        if hasattr(message, "keys") or not isinstance(message, (Iterable, AsyncIterable)):
            raise TypeError(
                "a message is str, bytes-like, or an iterable of either that is no mapping, not "
                f"{type(message).__name__}"
            )
        websocket, connection = self._websocket, self._websocket._connection
        end: Data | None = None
        async with websocket._send_turn, aclosing(_parts(message, text)) as parts:
            try:
                # Each part goes at once, not one behind as our own send has it, so that who reads
                # them as they come need not wait for the next: an empty frame ends the message.
                async for part in parts:
                    await websocket._until_can_send_part()
                    connection.send_part(part, final=False, now=websocket._now())
                    websocket._settle()
                    self._is_in_parts = True
                    end = "" if isinstance(part, str) else b""
                if end is not None:
                    await websocket._until_can_send_part()
                    connection.send_part(end, final=True, now=websocket._now())
            except BaseException as error:
                if end is not None or isinstance(error, TypeError):
                    connection.fail(Cause.SEND_INTERRUPTED, now=websocket._now())
                raise
            finally:
                self._is_in_parts = False
                websocket._settle()

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping.

        :param data: at most 125 bytes, unlike those of pings in flight; None: four random bytes.
        :returns: a future for the round-trip time in seconds; ConnectionClosed if the connection
            ends before the pong. It need not be awaited.
        :raises ConnectionClosed: the connection is closed.
        :raises ConcurrencyError: a ping with this payload is in flight.
        :raises ProtocolError, TypeError: it is too long, or neither str nor bytes-like.
        """
        websocket, connection = self._websocket, self._websocket._connection
        payload = None if data is None else _shared.to_payload(data)
        try:
            ping = connection.ping(payload, now=websocket._now())
        except ValueError:
            raise ConcurrencyError("already waiting for a pong with the same data") from None
        except CoreConnectionClosed:
            closed = await self._closed()
            raise closed from closed.__cause__
        answer: asyncio.Future[float] = websocket._loop.create_future()
        waiter: asyncio.Future[None] = websocket._loop.create_future()

        def on_ready(_: object) -> None:
            websocket._waiters.pop(waiter, None)
            if answer.done():
                connection.forget_ping(ping)
            elif ping.round_trip is not None:
                answer.set_result(ping.round_trip)
            else:
                answer.set_exception(self.close_exc)
                # Whoever does not wait for the pong learns from other methods that it is closed.
                answer.exception()

        websocket._waiters[waiter] = lambda: ping.round_trip is not None or websocket._gone
        waiter.add_done_callback(on_ready)
        answer.add_done_callback(lambda _: waiter.cancel())
        websocket._settle()
        return answer

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that nobody asked for: a one-way heartbeat.

        :param data: at most 125 bytes.
        :raises ConnectionClosed: the connection is closed.
        :raises ProtocolError, TypeError: it is too long, or neither str nor bytes-like.
        """
        payload = _shared.to_payload(data)
        try:
            await self._websocket.pong(payload)
        except CoreConnectionClosed:
            closed = await self._closed()
            raise closed from closed.__cause__

    # ---------------------------------------------------------------------------- closing

    async def close(
        self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = ""
    ) -> None:
        """Close the connection; wait until the transport is closed, ``close_timeout`` at most.

        What was sent before goes out first; what was received before can still be received.
        Harmless if it is closing or closed. Cancelled, the connection goes on closing. While
        another task is in the middle of an iterable, the peer is told so with 1011.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: at most 123 bytes of UTF-8.
        :raises ProtocolError: such a code or reason must not be sent.
        """
        websocket = self._websocket
        patience, began = websocket._connection.config.close_timeout, math.inf
        if self.state is State.OPEN:
            _shared.check_close(code, reason)
            try:
                # What has arrived counts as received, and ours drops what comes from now on: the
                # event loop looks at its sockets in one turn, and reads them in the next.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            finally:
                began = websocket._now()
                if self._is_in_parts:
                    code, reason = CloseCode.INTERNAL_ERROR, "close during fragmented message"
                websocket._connection.close(code, reason, now=began)
                websocket._settle()
        await self.wait_closed()
        self.protocol._timed_out |= websocket._now() - began >= patience

    async def wait_closed(self) -> None:
        """Wait until the transport is closed. Cancelling it changes nothing."""
        await self._websocket.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection: with 1000, or with 1011 if the block raised."""
        code = CloseCode.NORMAL_CLOSURE if exc_type is None else CloseCode.INTERNAL_ERROR
        await self.close(code)

    async def _closed(self) -> ConnectionClosed:
        await self._websocket.wait_closed()
        return self.close_exc

    async def _invalid_data(self, error: UnicodeDecodeError) -> ConnectionClosed:
        await self.close(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
        return self.close_exc

    def _check_not_streaming(self, method: str) -> None:
        if self._streaming:
            raise _busy(method)


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
        protocol: Protocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: Sizes = 16,
        write_limit: WriteLimit = 2**15,
    ) -> None:
        """Not public: :func:`serve` calls it."""
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        self.server = server

    def respond(self, status: StatusLike, text: str) -> Response:
        """A response in plain text, for ``process_request`` and ``process_response``.

        :param status: 200 to 599.
        """
        return _shared.text_response(status, text, formatdate(usegmt=True))


def _plain(logger: LoggerLike) -> logging.Logger:
    return logger if isinstance(logger, logging.Logger) else _plain(logger.logger)


def _busy(method: str) -> ConcurrencyError:
    return ConcurrencyError(
        f"cannot call {method} while another coroutine is already running recv or recv_streaming"
    )


def _is_whole(message: object) -> TypeGuard[DataLike]:
    return isinstance(message, (str, bytes, bytearray, memoryview))


async def _parts(
    message: Iterable[DataLike] | AsyncIterable[DataLike], text: bool | None
) -> AsyncGenerator[DataLike]:
    """The parts, each as what ``text`` says that it is; characters may be cut between them."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    async with aclosing(each_part(cast("Parts", message))) as parts:
        async for part in parts:
            if text and isinstance(part, (bytes, bytearray, memoryview)):
                yield decoder.decode(part)
            else:
                yield _shared.to_message(part, text)
    decoder.decode(b"", final=True)


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
) -> None:
    """Send a message to many connections, encoded once; wait for none of them.

    Connections that are not open are left out. It goes into write buffers even if they are full:
    a peer that reads nothing is cut off ``ping_interval`` and ``ping_timeout`` later.

    :param connections: such as those of a server.
    :param message: str is sent as text, bytes-like as binary.
    :param text: True to send bytes that are UTF-8 as text, False to send str as binary.
    :param raise_exceptions: whether failures are raised, together, in an ExceptionGroup, in place
        of being logged.
    :raises TypeError: the message is none.
    """
    prepared = Prepared(_shared.to_message(message, text))
    failures: list[Exception] = []
    for connection in [*connections]:
        if connection.state is State.OPEN:
            try:
                connection._websocket._send_now(prepared, None, None)
            except Exception as error:  # noqa: BLE001  (one must not keep the others from it)
                why = format_exception_only(error)[0].strip()
                failures.append(RuntimeError("failed to write message"))
                failures[-1].__cause__ = error
                if not raise_exceptions:
                    connection.logger.warning(
                        "skipped broadcast: failed to write message: %s", why
                    )
    if raise_exceptions and failures:
        raise ExceptionGroup("skipped broadcast", failures)


# --------------------------------------------------------------------------------- clients


class connect:  # noqa: N801  (used like a function)
    """Connect to a server: awaited, entered with ``async with``, or iterated over.

    ``async for websocket in connect(uri)`` connects again and again: see ``process_exception``
    and ``reconnect_delays``. Leaving the block, or going on to the next turn of the loop, closes
    the connection. Cancelled, it leaves nothing behind.

    Times are in seconds, sizes in bytes; None turns a limit or a timeout off.

    :param uri: ``ws://`` or ``wss://``; a user name and password become basic authentication.
    :param origin: the Origin header.
    :param extensions: a :class:`ClientPerMessageDeflateFactory`, in place of ``compression``.
    :param subprotocols: those that are offered, in order of preference.
    :param compression: ``"deflate"`` or None.
    :param additional_headers: headers to add to the request.
    :param user_agent_header: the User-Agent header; None for none.
    :param proxy: True: the one that the environment names, if any; the URL of one; None: none.
    :param process_exception: says of an exception in the loop whether connecting again may help:
        None if so, else the exception to raise.
    :param open_timeout: for everything up to the server's answer.
    :param ping_interval: time between keepalive pings.
    :param ping_timeout: how long a peer may give no sign of life after one.
    :param close_timeout: from the first close or failure to the end.
    :param reconnect_delays: makes an iterator of seconds to wait, one for each failure in a row.
    :param max_size: of a message; or of a message and of a frame.
    :param max_queue: messages received and not taken; or high and low marks.
    :param write_limit: bytes that wait to be written; or high and low marks.
    :param logger: in place of ``websockets.client``.
    :param create_connection: makes the connection: a subclass of :class:`ClientConnection`.
    :param kwargs: for the event loop's ``create_connection``: ``ssl``, ``sock``, ``host``,
        ``port``, ``server_hostname``, ``local_addr`` and so on.
    :raises InvalidURI, ValueError, TypeError: at once.
    :raises OSError: on awaiting, if there is no connection; TimeoutError after ``open_timeout``.
    :raises InvalidHandshake: on awaiting, if the server refuses, or breaks the protocol.
    :raises InvalidProxy: on awaiting.
    """

    def __init__(
        self,
        uri: str,
        *,
        origin: Origin | None = None,
        extensions: Sequence[ClientPerMessageDeflateFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        compression: str | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Generator[float]] = backoff,
        max_size: Sizes = 2**20,
        max_queue: Sizes = 16,
        write_limit: WriteLimit = 2**15,
        logger: LoggerLike | None = None,
        create_connection: type[ClientConnection] | None = None,
        **kwargs: Any,
    ) -> None:
        self.uri = uri
        self.logger: LoggerLike = logger or logging.getLogger("websockets.client")
        self.process_exception = process_exception
        self.reconnect_delays = reconnect_delays
        self._url: Final = _shared.parse_uri(uri)
        if not self._url.secure and kwargs.get("ssl") is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
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
            write_limit=write_limit,
        )
        self._origin: Final = origin
        self._headers: Final = additional_headers
        self._user_agent: Final = user_agent_header
        self._proxy: Final = proxy
        self._transport_options: Final = kwargs
        self._make: Final = create_connection or ClientConnection
        self._connection_options: Final[dict[str, Any]] = {
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_queue": max_queue,
            "write_limit": write_limit,
        }
        self._entered: ClientConnection | None = None

    async def _open(self) -> ClientConnection:
        headers = Headers() if self._headers is None else Headers(self._headers)
        if self._user_agent is not None:
            headers.setdefault("User-Agent", self._user_agent)
        try:
            client = _Client(
                self.uri,
                headers=[*headers.raw_items()],
                origin=self._origin,
                proxy=self._proxy,
                max_redirects=MAX_REDIRECTS,
                config=self._config,
                transport_options=self._transport_options,
            )
        except InvalidURL as error:
            # The URI was parsed before.
            raise _shared.invalid_proxy(self._proxy, error) from None
        try:
            websocket = await client
        except HandshakeError as error:
            is_fixed = self._transport_options.get("sock") is not None
            failure = _shared.failed(error, self.uri, is_fixed=is_fixed)
        else:
            return self._make(Protocol(websocket, self.logger), **self._connection_options)
        raise failure

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._open().__await__()

    async def __aenter__(self) -> ClientConnection:
        if self._entered is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._entered = await self
        return await self._entered.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._entered = self._entered, None
        assert connection is not None
        await connection.__aexit__(exc_type, exc_value, traceback)

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        """Connect, and again whenever the connection before has been closed or did not open."""
        delays: Generator[float] | None = None
        while True:
            try:
                connection = await self
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
                await asyncio.sleep(delay)
            else:
                delays = None
                async with connection:
                    yield connection

    def _check_may_pass(self, error: Exception) -> None:
        """Raise what process_exception says is to be raised."""
        fatal = self.process_exception(error)
        if fatal is error:
            raise error
        if fatal is not None:
            raise fatal from error


class _Client(_connect):
    """Our way to connect, with options for the event loop's."""

    def __init__(self, uri: str, *, transport_options: dict[str, Any], **options: Any) -> None:
        given = dict(transport_options)
        self._unix: Final = bool(given.pop("unix", False))
        self._path: Final = given.pop("path", None)
        context = given.pop("ssl", True)
        super().__init__(
            uri,
            ssl=context if isinstance(context, tls.SSLContext) else None,
            server_hostname=given.pop("server_hostname", None),
            sock=None if self._unix else given.pop("sock", None),
            unix_path=None if self._path is None else os.fspath(self._path),
            **options,
        )
        if context is None and self._destination.url.secure:
            raise ValueError("ssl=None is incompatible with a wss:// URI")
        self._given: Final = given
        self._given_tls: Final = {each: given.pop(each) for each in _with_prefix("ssl_", given)}
        self._given_proxy: Final = {
            each.removeprefix("proxy_"): given.pop(each) for each in _with_prefix("proxy_", given)
        }

    async def _create_transport(
        self, loop: asyncio.AbstractEventLoop, link: Link, destination: Destination
    ) -> None:
        url, given = destination.url, self._given
        options = self._tls_options(destination)
        if self._unix:
            await loop.create_unix_connection(lambda: link, self._path, **options, **given)
        elif self._sock is not None:
            await loop.create_connection(lambda: link, sock=self._sock, **options, **given)
        elif given.keys() & {"host", "port"}:
            if not destination.is_same_origin(self._destination):
                raise ValueError(
                    f"cannot follow cross-origin redirect to {url} with an explicit host or port"
                )
            where = {"host": url.host, "port": url.port, **given}
            await loop.create_connection(lambda: link, **where, **options)
        elif proxy := destination.proxy(getproxies, proxy_bypass):
            self._check_tls_of(proxy)
            through = {**given, **self._given_proxy}
            await connect_through(proxy, url, link, self._config, options, through)
        else:
            await loop.create_connection(lambda: link, url.host, url.port, **options, **given)

    def _tls_options(self, destination: Destination) -> dict[str, Any]:
        return {**super()._tls_options(destination), **self._given_tls}

    def _check_tls_of(self, proxy: Proxy) -> None:
        if proxy.scheme == "https":
            if self._given_proxy.get("ssl", True) is None:
                raise ValueError("proxy_ssl=None is incompatible with an https:// proxy")
        elif self._given_proxy.get("ssl") is not None:
            raise ValueError(f"proxy_ssl argument is incompatible with an {proxy.scheme}:// proxy")


def _with_prefix(prefix: str, options: dict[str, Any]) -> list[str]:
    return [name for name in options if name.startswith(prefix)]


def unix_connect(path: PathLike | None = None, uri: str | None = None, **kwargs: Any) -> connect:
    """Connect to a WebSocket server on a Unix socket.

    :param path: of the socket.
    :param uri: ``ws://localhost/``, or with ``ssl`` ``wss://localhost/``, unless given.
    :param kwargs: as for :class:`connect`.
    """
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    return connect(uri, unix=True, path=path, **kwargs)


# --------------------------------------------------------------------------------- servers

ProcessRequest: TypeAlias = Callable[
    [ServerConnection, Request], Awaitable[Response | None] | Response | None
]
ProcessResponse: TypeAlias = Callable[
    [ServerConnection, Request, Response], Awaitable[Response | None] | Response | None
]
SelectSubprotocol: TypeAlias = Callable[
    [ServerConnection, Sequence[Subprotocol]], Subprotocol | None
]
Handler: TypeAlias = Callable[[ServerConnection], Awaitable[None]]

_serving: ContextVar[ServerConnection] = ContextVar("_serving")
"""The connection of the task that serves it."""


class _Handshake:
    """How a server answers a request: the hooks in their order, and what each may say."""

    def __init__(
        self,
        config: Config,
        origins: Sequence[Origin | re.Pattern[str] | None] | None,
        select_subprotocol: SelectSubprotocol | None,
        process_request: ProcessRequest | None,
        process_response: ProcessResponse | None,
        server_header: str | None,
    ) -> None:
        self._subprotocols: Final = config.subprotocols
        self._origins: Final = origins
        self._select: Final = select_subprotocol
        self._process_request: Final = process_request
        self._process_response: Final = process_response
        self._server_header: Final = server_header

    async def answer(self, core_request: CoreRequest) -> Accept | CoreResponse:
        """What to answer a request."""
        connection = _serving.get()
        request = _shared.request_of(core_request)
        assert request is not None
        logger = connection.logger
        response: Response | None = None
        try:
            if self._process_request is not None:
                response = await _result(self._process_request(connection, request))
        except Exception:
            logger.exception("process_request failed")
            response = self._failure(connection, HTTPStatus.INTERNAL_SERVER_ERROR)
        subprotocol = None
        if response is None and _shared.asks_upgrade(core_request):
            try:
                after = _shared.changed(core_request, request)
                _shared.check_origin(after.origin, self._origins)
                subprotocol = self._choose(connection, after)
                response = _shared.switching(core_request, subprotocol, formatdate(usegmt=True))
            except InvalidOrigin as error:
                response = self._failure(connection, HTTPStatus.FORBIDDEN, error)
            except InvalidHandshake as error:
                response = self._failure(connection, HTTPStatus.BAD_REQUEST, error)
            except Exception:
                logger.exception("opening handshake failed")
                response = self._failure(connection, HTTPStatus.INTERNAL_SERVER_ERROR)
        if response is None:
            # The core refuses it.
            return Accept()
        if self._server_header is not None:
            response.headers.setdefault("Server", self._server_header)
        try:
            if self._process_response is not None:
                changed = await _result(self._process_response(connection, request, response))
                response = response if changed is None else changed
        except Exception:
            logger.exception("process_response failed")
            response = self._failure(connection, HTTPStatus.INTERNAL_SERVER_ERROR)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            return Accept(subprotocol, [*_shared.added_headers(response.headers)])
        logger.info("connection rejected (%d %s)", response.status_code, response.reason_phrase)
        pairs = [*response.headers.raw_items()]
        return CoreResponse(response.status_code, pairs, bytes(response.body))

    def _failure(
        self, connection: ServerConnection, status: HTTPStatus, error: Exception | None = None
    ) -> Response:
        why = "see the server's log" if error is None else str(error)
        return connection.respond(status, f"The WebSocket connection does not open: {why}.\n")

    def _choose(self, connection: ServerConnection, request: CoreRequest) -> Subprotocol | None:
        offered = cast("Sequence[Subprotocol]", request.subprotocols)
        if self._select is not None:
            return self._select(connection, [*offered])
        return _shared.choose_subprotocol(offered, self._subprotocols)


async def _result(answer: Awaitable[Response | None] | Response | None) -> Response | None:
    result = await answer if inspect.isawaitable(answer) else answer
    if result is not None and not isinstance(result, Response):
        raise TypeError(f"a hook returns a Response or None, not {type(result).__name__}")
    return result


class _Core(_Server):
    """Our server, whose tasks know their connections."""

    def __init__(self, server: Server, handshake: _Handshake, config: Config) -> None:
        super().__init__(self._run, handshake.answer, None, Admission(), config)
        self._front: Final = server
        self.fronts: Final[dict[WebSocket, ServerConnection]] = {}

    async def _live(self, websocket: WebSocket) -> None:
        connection = self._front._connection(websocket)
        _serving.set(connection)
        self.fronts[websocket] = connection
        try:
            await super()._live(websocket)
        finally:
            del self.fronts[websocket]
            connection.logger.info("connection closed")

    def turn_away(self, code: int, reason: str) -> None:
        """Refuse who is in the handshake; who is open leaves with this code and reason."""
        self._admission.drain(code, reason)
        for websocket in self._tasks.values():
            connection, now = websocket._connection, websocket._now()
            if websocket.state is not CoreState.CONNECTING:
                continue
            if connection.request is None:
                connection.close(code, reason, now=now)
            else:
                body = "The server is shutting down.\n"
                connection.respond(CoreResponse(503, body=body), now=now)
            websocket._settle()

    async def _run(self, websocket: WebSocket) -> None:
        connection = self.fronts[websocket]
        connection.logger.info("connection open")
        try:
            await self._front._handler(connection)
        except ConnectionClosed:
            # A handler may leave it to the server to notice the end.
            if connection.state is State.OPEN:
                connection.logger.exception("connection handler failed")
        except Exception:
            connection.logger.exception("connection handler failed")
        else:
            return
        await connection.close(CloseCode.INTERNAL_ERROR)


class Server:
    """A server; :func:`serve` makes them. Await it, or enter it, and it listens.

    Leaving the ``async with`` block closes it and waits for that.
    """

    _core: _Core
    _handler: Handler
    _create: Callable[[], Coroutine[Any, Any, asyncio.Server]]
    _connection: Callable[[WebSocket], ServerConnection]

    def __init__(self, logger: LoggerLike | None = None) -> None:
        """Not public: use :func:`serve`."""
        self.logger: LoggerLike = logger or logging.getLogger("websockets.server")
        self._closing: asyncio.Task[None] | None = None
        self._listener: asyncio.Server | None = None

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open: after their handshake and before their closing."""
        fronts = self._core.fronts.values()
        return {connection for connection in fronts if connection.state is State.OPEN}

    @property
    def sockets(self) -> tuple[Any, ...]:
        """The sockets that are listened on."""
        return self._core.sockets

    def close(
        self,
        close_connections: bool = True,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop listening; :meth:`wait_closed` waits for the rest. Harmless if called again.

        :param close_connections: whether to close connections, too: those in their handshake with
            503, open ones with ``code``. Otherwise nobody is told, and handlers may go on.
        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: at most 123 bytes of UTF-8.
        :raises ProtocolError: such a code or reason must not be sent.
        """
        _shared.check_close(code, reason)
        if self._closing is None and self._listener is not None:
            self.logger.info("server closing")
            if close_connections:
                self._core.turn_away(code, reason)
            self._core._stop_listening()
            closing = self._close((code, reason) if close_connections else None)
            self._closing = self.get_loop().create_task(closing)

    async def _close(self, close: tuple[int, str] | None) -> None:
        assert self._listener is not None
        if close is not None and (fronts := [*self._core.fronts.values()]):
            await asyncio.wait([asyncio.ensure_future(each.close(*close)) for each in fronts])
        if running := self._core._other_tasks():
            await asyncio.wait(running)
        await self._core.close()
        await self._listener.wait_closed()
        self.logger.info("server closed")

    async def wait_closed(self) -> None:
        """Wait until the server is closed: no connection is open, every handler has returned."""
        await self._core._ended.wait()
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it runs on."""
        assert self._listener is not None, "the server was never started: await it"
        return self._listener.get_loop()

    def is_serving(self) -> bool:
        """Whether it listens."""
        return self._listener is not None and self._listener.is_serving()

    async def start_serving(self) -> None:
        """Begin to accept connections, after ``serve(..., start_serving=False)``."""
        assert self._listener is not None, "the server was never started: await it"
        await self._listener.start_serving()

    async def serve_forever(self) -> None:
        """Serve until the server is closed; cancelled, close it."""
        if self._closing is None:
            await self.start_serving()
        try:
            await self._core._ended.wait()
        finally:
            self.close()
            await self.wait_closed()

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def _start(self) -> Self:
        self._listener = await self._create()
        self._core._listeners.append(self._listener)
        for sock in self._listener.sockets:
            name = sock.getsockname()
            where = f"{name[0]}:{name[1]}" if isinstance(name, tuple) else str(name)
            self.logger.info("server listening on %s", where)
        return self


def serve(
    handler: Handler,
    host: str | None = None,
    port: int | None = None,
    *,
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
    write_limit: WriteLimit = 2**15,
    logger: LoggerLike | None = None,
    create_connection: type[ServerConnection] | None = None,
    **kwargs: Any,
) -> Server:
    """A server of WebSocket connections, to be awaited or entered with ``async with``.

    The handler runs on an open connection. When it returns, the connection is closed; if it
    raises, with 1011, and the error is logged. Times are in seconds, sizes in bytes; None turns a
    limit or a timeout off.

    :param handler: an asynchronous function of the connection.
    :param host: a name or address; None for every interface.
    :param port: 0 for a free one.
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
    :param write_limit: bytes that wait to be written; or high and low marks.
    :param logger: in place of ``websockets.server``.
    :param create_connection: makes the connections: a subclass of :class:`ServerConnection`.
    :param kwargs: for the event loop's ``create_server``: ``ssl``, ``sock``, ``backlog``,
        ``start_serving`` and so on.
    :raises ValueError, TypeError: at once for options that cannot be right; for ``kwargs``, on
        awaiting.
    :raises OSError: on awaiting, if the address cannot be listened on.
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
        write_limit=write_limit,
    )
    server = Server(logger)
    make = create_connection or ServerConnection

    def connection_of(websocket: WebSocket) -> ServerConnection:
        return make(
            Protocol(websocket, server.logger),
            server,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )

    async def listen() -> asyncio.Server:
        loop = asyncio.get_running_loop()
        now = clock_of(loop)

        def make_link() -> Link:
            websocket = WebSocket(CoreConnection.server(config, now=now()), loop)
            return ServerLink(websocket, server._core)

        options = dict(kwargs)
        if (context := options.get("ssl")) is not None:
            timeouts = tls_options(
                context, close_timeout=config.close_timeout, open_timeout=config.open_timeout
            )
            options = {**timeouts, **options}
        if options.pop("unix", False):
            return await loop.create_unix_server(make_link, **options)
        return await loop.create_server(make_link, **{"host": host, "port": port, **options})

    server._handler = handler
    server._connection = connection_of
    server._create = listen
    server._core = _Core(
        server,
        _Handshake(
            config, origins, select_subprotocol, process_request, process_response, server_header
        ),
        config,
    )
    return server


def unix_serve(handler: Handler, path: PathLike | None = None, **kwargs: Any) -> Server:
    """Serve WebSocket connections on a Unix socket.

    :param handler: an asynchronous function of the connection.
    :param path: of the socket.
    :param kwargs: as for :func:`serve`.
    """
    return serve(handler, unix=True, path=path, **kwargs)


def basic_auth(
    realm: str = "",
    credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
    check_credentials: Callable[[str, str], Awaitable[bool] | bool] | None = None,
) -> Callable[[ServerConnection, Request], Awaitable[Response | None]]:
    """A ``process_request`` that lets in whoever has the right credentials (RFC 7617).

    It sets the connection's ``username``, and answers others with 401.

    :param realm: what is protected; only ASCII is sure to be understood.
    :param credentials: user name and password, or several such pairs.
    :param check_credentials: says whether user name and password are right; a function or a
        coroutine.
    :raises ValueError: not exactly one of the two is given.
    :raises TypeError: the credentials are no such pairs.
    """
    if (credentials is None) is (check_credentials is None):
        raise ValueError("provide either credentials or check_credentials")
    known = {} if credentials is None else _shared.known_credentials(credentials)

    async def is_right(username: str, password: str) -> bool:
        if check_credentials is None:
            return _shared.is_known(known, username, password)
        answer = check_credentials(username, password)
        return await answer if inspect.isawaitable(answer) else bool(answer)

    def unauthorized(connection: ServerConnection, text: str) -> Response:
        response = connection.respond(HTTPStatus.UNAUTHORIZED, text)
        response.headers["WWW-Authenticate"] = _shared.build_www_authenticate_basic(realm)
        return response

    async def process_request(connection: ServerConnection, request: Request) -> Response | None:
        try:
            authorization = request.headers["Authorization"]
        except LookupError:
            return unauthorized(connection, "Missing credentials\n")
        try:
            username, password = _shared.parse_authorization_basic(authorization)
        except InvalidHeader:
            return unauthorized(connection, "Unsupported credentials\n")
        if not await is_right(username, password):
            return unauthorized(connection, "Invalid credentials\n")
        connection.username = username
        return None

    return process_request
