"""The only place for serving: listening, the handshake's hook, a handler per connection."""

from __future__ import annotations

import logging
import socket
import ssl as tls
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Unpack

import trio

from wscore import Admission, Config, ConfigOptions, Home, StructuredServer

from ._accept import RequestHook
from ._runtime import OnTrio
from ._websocket import WebSocket

__all__ = ["DrainHook", "Handler", "Server", "serve"]

Handler = Callable[[WebSocket], Awaitable[object]]
"""Called with each open connection; when it returns, the connection is closed with 1000."""

DrainHook = Callable[[WebSocket], Awaitable[object] | None]
"""Called with each open connection when the server begins to drain."""

Listeners = Sequence[trio.abc.Listener[Any]]

log = logging.getLogger("ws_trio")


class serve:  # noqa: N801  (used like a function: awaited, or as a context manager)
    """Serve WebSocket connections: ``async with serve(handler, host, port) as server``.

    Or ``server = await nursery.start(serve(handler, host, port))``, which serves until the
    nursery is cancelled or the server closed.

    The handler runs on an open connection. If it raises, its connection is closed with 1011 and
    the error is logged; others are not touched. Leaving the ``async with`` block closes the
    server and its connections, with 1001.

    Browsers let any page connect to any server, with the user's cookies, also to one that listens
    on loopback only: say with ``origins`` whose pages may (RFC 6455 section 10.2).

    :param handler: an asynchronous function of the connection.
    :param host: a name or address, or several; None for every interface.
    :param port: 0 for a free one, see :attr:`Server.port`.
    :param ssl: a context with the server's certificate, for ``wss://``.
    :param on_request: sees each request first, see :data:`RequestHook`. It runs within
        ``open_timeout``; if it raises, the answer is 500 and the error is logged.
    :param on_drain: called with each open connection when :meth:`Server.close` begins to drain, so
        that it can tell its client; a function or a coroutine. If it raises, the error is logged.
    :param max_connections: how many may be in their handshake's hook or open at a time; more are
        refused with 503. None: any number.
    :param listeners: listeners to accept from, in place of host and port.
    :param unix_path: path of a Unix socket to listen on, in place of host and port.
    :param handler_nursery: where handlers run; else in one of the server's own.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises ValueError, TypeError: at once, for what cannot be right.
    :raises OSError: on awaiting, if the address cannot be listened on.
    """

    def __init__(
        self,
        handler: Handler,
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        ssl: tls.SSLContext | None = None,
        on_request: RequestHook | None = None,
        on_drain: DrainHook | None = None,
        max_connections: int | None = None,
        listeners: Listeners | None = None,
        unix_path: str | None = None,
        handler_nursery: trio.Nursery | None = None,
        config: Config | None = None,
        **policy: Unpack[ConfigOptions],
    ) -> None:
        places = [
            port is not None or host is not None,
            listeners is not None,
            unix_path is not None,
        ]
        if sum(places) != 1:
            raise ValueError("serve needs one of: host and port, listeners, unix_path")
        config = (config or Config()).replace(**policy)
        admission = Admission(max_connections)
        # It is made on entering, since its events belong to a run.
        self._make: Final = partial(Server, handler, on_request, on_drain, admission, config, ssl)
        self._hosts: Final = [host] if host is None or isinstance(host, str) else [*host]
        self._port: Final = port
        self._listeners: Final = listeners
        self._unix_path: Final = unix_path
        self._handler_nursery: Final = handler_nursery

    async def __aenter__(self) -> Server:
        self._server = self._make()
        self._home = Home(trio.open_nursery(), trio.lowlevel.checkpoint_if_cancelled)
        await self._listen()
        nursery = await self._home.enter()
        self._server._start(nursery, self._handler_nursery or nursery)
        return self._server

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._server.close()
        finally:
            await self._home.leave()

    async def __call__(
        self, *, task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with self as server:
            task_status.started(server)
            await server.serve_forever()

    async def _listen(self) -> None:
        listeners = self._server._listeners
        try:
            if self._unix_path is not None:
                listeners.append(_listen_unix(self._unix_path))
            elif self._listeners is not None:
                listeners.extend(self._listeners)
            else:
                for host in self._hosts:
                    listeners += await trio.open_tcp_listeners(self._port or 0, host=host)
            await trio.lowlevel.checkpoint()
        except BaseException:
            await self._server._stop_listening()
            raise


class Server(OnTrio, StructuredServer[WebSocket, trio.abc.Listener[Any]]):
    """A server that listens; :func:`serve` makes them.

    :ivar connections: the connections that are open, each with its handler running.
    """

    _log = log
    _make = WebSocket

    def _start(self, nursery: trio.Nursery, handler_nursery: trio.Nursery) -> None:
        nursery.start_soon(self._accept, nursery, handler_nursery)

    async def _accept(self, nursery: trio.Nursery, handler_nursery: trio.Nursery) -> None:
        if self._listening.cancel_called:
            # It was closed before it began.
            return
        with self._listening:
            await trio.serve_listeners(
                partial(self._serve_one, nursery),
                [*self._listeners],
                handler_nursery=handler_nursery,
            )

    def _ports(self) -> Iterator[int]:
        for listener in self._listeners:
            if isinstance(listener, trio.SocketListener):
                sock = listener.socket
                if sock.family in (socket.AF_INET, socket.AF_INET6):
                    yield sock.getsockname()[1]


def _listen_unix(path: str) -> trio.SocketListener:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))
