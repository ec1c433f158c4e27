"""The only place for serving: listening, the handshake's hook, a handler per connection."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl as tls
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Unpack

from wscore import Admission, AsyncServer, Config, ConfigOptions, Connection

from ._accept import RequestHook
from ._websocket import Link, WebSocket, clock_of, tls_options

__all__ = ["DrainHook", "Handler", "Server", "serve"]

Handler = Callable[[WebSocket], Awaitable[object]]
"""Called with each open connection; when it returns, the connection is closed with 1000."""

DrainHook = Callable[[WebSocket], Awaitable[object] | None]
"""Called with each open connection when the server begins to drain."""

log = logging.getLogger("ws_asyncio")


class serve:  # noqa: N801  (used like a function: awaited, or as a context manager)
    """Serve WebSocket connections: ``async with serve(handler, host, port) as server``.

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
    :param sockets: bound sockets to listen on, in place of host and port.
    :param unix_path: path of a Unix socket to listen on, in place of host and port.
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
        sockets: Sequence[socket.socket] | None = None,
        unix_path: str | None = None,
        config: Config | None = None,
        **policy: Unpack[ConfigOptions],
    ) -> None:
        places = [port is not None or host is not None, sockets is not None, unix_path is not None]
        if sum(places) != 1:
            raise ValueError("serve needs one of: host and port, sockets, unix_path")
        config = (config or Config()).replace(**policy)
        admission = Admission(max_connections)
        self._server: Final = Server(handler, on_request, on_drain, admission, config)
        self._host: Final = host
        self._port: Final = port
        self._sockets: Final = sockets
        self._unix_path: Final = unix_path
        self._tls: Final[dict[str, Any]] = {}
        if ssl is not None:
            # The TLS handshake comes before the connection's own timer can run.
            self._tls.update(
                tls_options(
                    ssl, close_timeout=config.close_timeout, open_timeout=config.open_timeout
                )
            )

    def __await__(self) -> Generator[Any, None, Server]:
        return self._listen().__await__()

    async def __aenter__(self) -> Server:
        return await self._listen()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._server.close()

    async def _listen(self) -> Server:
        loop = asyncio.get_running_loop()
        server = self._server
        listeners = server._listeners
        now = clock_of(loop)

        def make_link() -> Link:
            connection = Connection.server(server._config, now=now())
            return ServerLink(WebSocket(connection, loop), server)

        listen = partial(loop.create_server, make_link, **self._tls)
        try:
            if self._unix_path is not None:
                listeners.append(
                    await loop.create_unix_server(make_link, self._unix_path, **self._tls)
                )
            elif self._sockets is not None:
                for sock in self._sockets:
                    listeners.append(await listen(sock=sock))
            else:
                listeners.append(await listen(self._host, self._port or 0))
        except BaseException:
            await server.close()
            raise
        return server


class Server(AsyncServer[WebSocket]):
    """A server that listens; :func:`serve` makes them.

    :ivar connections: the connections that are open, each with its handler running.
    """

    _log = log
    _event = staticmethod(asyncio.Event)
    _places = "sockets"

    def __init__(
        self,
        handler: Handler,
        on_request: RequestHook | None,
        on_drain: DrainHook | None,
        admission: Admission,
        config: Config,
    ) -> None:
        """Not public: use :func:`serve`."""
        super().__init__(handler, on_request, on_drain, admission, config)
        self._listeners: Final[list[asyncio.Server]] = []
        self._tasks: Final[dict[asyncio.Task[None], WebSocket]] = {}
        # One object for all of them.
        self._forget: Final = self._tasks.pop

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets that are listened on; none after :meth:`close`."""
        return tuple(sock for listener in self._listeners for sock in listener.sockets)

    async def _close(self, code: int, reason: str, drain: float) -> None:
        running = self._other_tasks()
        try:
            if drain and running:
                await self._drain(running, drain)
            self._stop_listening()
            self._close_each(self._tasks.values(), code, reason)
            if running := self._other_tasks():
                await asyncio.wait(running, timeout=self._patience)
        finally:
            self._stop_listening()
            running = self._other_tasks()
            for task in running:
                task.cancel()
        if running:
            await asyncio.wait(running)
        self._ended.set()

    async def _drain(self, running: set[asyncio.Task[None]], seconds: float) -> None:
        """Tell every connection, and wait until their handlers have returned, if they do."""
        notices = {asyncio.create_task(self._notify(websocket)) for websocket in self.connections}
        try:
            await asyncio.wait(running, timeout=None if seconds == math.inf else seconds)
        finally:
            for notice in notices:
                notice.cancel()

    def _other_tasks(self) -> set[asyncio.Task[None]]:
        return {task for task in self._tasks if task is not asyncio.current_task()}

    def _stop_listening(self) -> None:
        self._closed = True
        for listener in self._listeners:
            listener.close()

    def _start(self, websocket: WebSocket) -> None:
        if self._closed:
            # It was accepted before, and its TLS handshake has ended only now.
            websocket.abort()
            return
        task = websocket._loop.create_task(self._live(websocket), name="ws_asyncio.serve")
        self._tasks[task] = websocket
        task.add_done_callback(self._forget)

    def _leave(self, websocket: WebSocket) -> None:
        super()._leave(websocket)
        websocket.abort()

    def _ports(self) -> Iterator[int]:
        for sock in self.sockets:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                yield sock.getsockname()[1]


class ServerLink(Link):
    __slots__ = ("_server",)

    def __init__(self, websocket: WebSocket, server: Server) -> None:
        super().__init__(websocket)
        self._server: Final = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server._start(self.websocket)
