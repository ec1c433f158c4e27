"""The only place for serving: listening, the handshake's hook, a handler per connection."""

from __future__ import annotations

import logging
import math
import os
import selectors
import socket
import ssl as tls
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Final, Self, Unpack

from wscore import (
    Admission,
    Cause,
    CloseCode,
    Config,
    ConfigOptions,
    Connection,
    ConnectionClosed,
    HandshakeError,
    Response,
    Serving,
)

from ._accept import RequestHook, answer_request
from ._opening import make_stream, within_open_timeout
from ._waiting import Waker
from ._websocket import WebSocket

__all__ = ["DrainHook", "Handler", "Server", "serve"]

Handler = Callable[[WebSocket], object]
"""Called with each open connection; when it returns, the connection is closed with 1000."""

DrainHook = Callable[[WebSocket], object]
"""Called with each open connection when the server begins to drain."""

log = logging.getLogger("ws_sync")


def serve(
    handler: Handler,
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    ssl: tls.SSLContext | None = None,
    on_request: RequestHook | None = None,
    on_drain: DrainHook | None = None,
    max_connections: int | None = 128,
    sockets: Sequence[socket.socket] | None = None,
    unix_path: str | None = None,
    config: Config | None = None,
    **policy: Unpack[ConfigOptions],
) -> Server:
    """Serve WebSocket connections, which is best done in a ``with`` statement.

    The handler runs on an open connection, in a thread of its own. If it raises, its connection
    is closed with 1011 and the error is logged; others are not touched. Leaving the ``with``
    block closes the server and its connections, with 1001.

    Browsers let any page connect to any server, with the user's cookies, also to one that listens
    on loopback only: say with ``origins`` whose pages may (RFC 6455 section 10.2).

    :param handler: a function of the connection.
    :param host: a name or address, or several; None for every interface.
    :param port: 0 for a free one, see :attr:`Server.port`.
    :param ssl: a context with the server's certificate, for ``wss://``.
    :param on_request: sees each request first, see :data:`RequestHook`. It should be done within
        ``open_timeout``; if it raises, the answer is 500 and the error is logged.
    :param on_drain: called with each open connection when :meth:`Server.close` begins to drain, so
        that it can tell its client. If it raises, the error is logged.
    :param max_connections: how many may be in their handshake's hook or open at a time; more are
        refused with 503. None: any number. There are at most twice as many threads.
    :param sockets: bound sockets to listen on, in place of host and port.
    :param unix_path: path of a Unix socket to listen on, in place of host and port.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises ValueError, TypeError: at once, for what cannot be right.
    :raises OSError: if the address cannot be listened on.
    """
    places = (None if host is None and port is None else "", sockets, unix_path)
    if sum(place is not None for place in places) != 1:
        raise ValueError("serve needs one of: host and port, sockets, unix_path")
    config = (config or Config()).replace(**policy)
    admission = Admission(max_connections)
    if unix_path is not None:
        listeners = [_listen_unix(unix_path)]
    elif sockets is not None:
        listeners = [*sockets]
    else:
        hosts = [host] if host is None or isinstance(host, str) else [*host]
        listeners = _listen_tcp(hosts, port or 0)
    threads = math.inf if max_connections is None else 2 * max_connections
    server = Server(handler, on_request, on_drain, admission, config, ssl, listeners, threads)
    server._start()
    return server


class Server(Serving[WebSocket]):
    """A server that listens; :func:`serve` makes them. Its methods may be called in any thread.

    :ivar connections: the connections that are open, each with its handler running.
    """

    _log = log
    _places = "sockets"

    def __init__(
        self,
        handler: Handler,
        on_request: RequestHook | None,
        on_drain: DrainHook | None,
        admission: Admission,
        config: Config,
        ssl: tls.SSLContext | None,
        listeners: list[socket.socket],
        max_threads: float,
    ) -> None:
        """Not public: use :func:`serve`."""
        super().__init__(handler, on_request, on_drain, admission, config)
        self._ssl: Final = ssl
        self._listeners: Final = listeners
        self._max_threads: Final = max_threads
        # Guards who is connected, the admission and the threads.
        self._lock: Final = threading.Lock()
        self._threads: Final[dict[threading.Thread, tuple[WebSocket, socket.socket]]] = {}
        self._ended: Final = threading.Event()
        self._waker: Final = Waker()
        self._acceptor: Final = threading.Thread(
            target=self._accept, name="ws_sync server", daemon=True
        )

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets that are listened on; none after :meth:`close`."""
        return tuple(self._listeners)

    def _ports(self) -> Iterator[int]:
        for sock in self.sockets:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                yield sock.getsockname()[1]

    def serve_forever(self) -> None:
        """Wait until the server is closed; interrupted, close it."""
        try:
            self._ended.wait()
        finally:
            self.close()

    def close(
        self, code: int = CloseCode.GOING_AWAY, reason: str = "", *, drain: float = 0
    ) -> None:
        """Close every connection, and wait until their handlers have returned.

        From now on new requests are refused with 503. With ``drain``, handlers may go on for so
        long; ``on_drain`` tells their connections. Then the server stops listening, and what is
        still open is closed: what was sent goes out, then the Close frame, and a peer that does
        not answer within ``close_timeout`` is cut off. Handlers that have not returned
        ``close_timeout`` after that are left to themselves, since a thread cannot be cancelled.

        Called again, it may shorten the drain. Harmless in a handler, which is not waited for.

        :param code: 1000-1003, 1007-1014 or 3000-4999; also for handlers that return from now on.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :param drain: seconds.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text; drain
            is negative or no number.
        """
        with self._lock:
            self._admission.drain(code, reason, drain)
        if drain:
            self._drain(drain)
        self._stop_listening()
        for websocket, sock in self._other_threads().values():
            with websocket._guard:
                websocket._connection.close(code, reason, now=time.monotonic())
                websocket._settle()
                if websocket._stream is None:
                    # In its TLS handshake, which nobody needs any more.
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
        # A connection takes close_timeout at most, its handler as long again.
        self._join(time.monotonic() + 2 * self._config.close_timeout)
        for websocket, _ in self._other_threads().values():
            websocket.abort()
            log.warning("%r: the handler has not returned, and is left to itself", websocket)
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _drain(self, seconds: float) -> None:
        """Tell every connection, and wait until their handlers have returned, if they do."""
        deadline = time.monotonic() + seconds
        with self._lock:
            connections = [*self.connections]
        for websocket in connections if self._on_drain else []:
            threading.Thread(
                target=self._notify, args=(websocket,), name="ws_sync drain", daemon=True
            ).start()
        self._join(deadline)

    def _notify(self, websocket: WebSocket) -> None:
        assert self._on_drain is not None
        try:
            self._on_drain(websocket)
        except ConnectionClosed:
            # Its client was faster.
            return
        except Exception:
            log.exception("%r: on_drain failed", websocket)

    def _other_threads(self) -> dict[threading.Thread, tuple[WebSocket, socket.socket]]:
        me = threading.current_thread()
        with self._lock:
            return {thread: each for thread, each in self._threads.items() if thread is not me}

    def _join(self, deadline: float) -> None:
        for thread in self._other_threads():
            wait = deadline - time.monotonic()
            thread.join(None if wait == math.inf else min(max(0.0, wait), threading.TIMEOUT_MAX))

    def _stop_listening(self) -> None:
        self._closed = True
        self._waker.wake()
        if threading.current_thread() is not self._acceptor:
            self._acceptor.join()

    def _start(self) -> None:
        for listener in self._listeners:
            listener.setblocking(False)
            listener.listen()
        self._acceptor.start()

    def _accept(self) -> None:
        """Accept connections, as a thread, while there may be more threads for them."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._waker, selectors.EVENT_READ)
            for listener in self._listeners:
                selector.register(listener, selectors.EVENT_READ)
            while not self._closed:
                with self._lock:
                    full = len(self._threads) >= self._max_threads
                if full:
                    # A thread that ends wakes it.
                    self._waker.wait(math.inf)
                    continue
                for key, _ in selector.select():
                    if isinstance(key.fileobj, socket.socket):
                        self._accept_from(key.fileobj)
                    else:
                        self._waker.rest()
        listeners = [*self._listeners]
        self._listeners.clear()
        for listener in listeners:
            listener.close()

    def _accept_from(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            # Others may accept from the same socket; clients may have gone again; and where
            # descriptors are short, somebody has to give one back first.
            self._waker.wait(time.monotonic() + _SHORT)
            return
        websocket = WebSocket(Connection.server(self._config, now=time.monotonic()))
        thread = threading.Thread(
            target=self._serve_one, args=(websocket, sock), name="ws_sync handler", daemon=True
        )
        with self._lock:
            self._threads[thread] = websocket, sock
            thread.start()

    def _serve_one(self, websocket: WebSocket, sock: socket.socket) -> None:
        """The life of a connection, as a thread: handshake, handler, close. Raises nothing."""
        try:
            self._live(websocket, sock)
        except HandshakeError as error:
            log.info("%r: %s", websocket, error)
            websocket.wait_closed()
        finally:
            websocket.abort()
            with self._lock:
                self.connections.discard(websocket)
                self._admission.leave(websocket)
                del self._threads[threading.current_thread()]
            self._waker.wake()

    def _live(self, websocket: WebSocket, sock: socket.socket) -> None:
        with within_open_timeout(websocket):
            websocket._attach(make_stream(sock, self._ssl, websocket._connection.deadline))
        answer_request(websocket, self._on_request, partial(self._admit, websocket))
        with self._lock:
            self.connections.add(websocket)
        self._handle(websocket)
        websocket.close(*self._admission.farewell)
        reason = websocket.wait_closed()
        if reason.unexpected:
            log.info("%r: %s", websocket, reason)

    def _admit(self, websocket: WebSocket) -> Response | None:
        with self._lock:
            return self._admission.admit(websocket)

    def _handle(self, websocket: WebSocket) -> None:
        try:
            self._handler(websocket)
        except Exception as error:  # noqa: BLE001  (a handler's own: logged)
            if self._has_failed(websocket, error):
                websocket._fail(Cause.HANDLER_ERROR)


_SHORT = 0.01
"""Seconds to leave a listener alone that cannot be accepted from."""


def _listen_tcp(hosts: Sequence[str | None], port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        for host in hosts:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, kind, protocol, _, address in dict.fromkeys(found):
                sock = socket.socket(family, kind, protocol)
                listeners.append(sock)
                if os.name == "posix":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                # A free port is one for all.
                port = port or (listeners[0].getsockname()[1] if len(listeners) > 1 else 0)
                sock.bind((address[0], port, *address[2:]))
    except BaseException:
        for sock in listeners:
            sock.close()
        raise
    return listeners


def _listen_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
    except BaseException:
        sock.close()
        raise
    return sock
