"""The only place for serving: listening, the handshake's hook, a handler per connection."""

from __future__ import annotations

import errno
import logging
import ssl as tls
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Unpack

import anyio
from anyio.abc import Listener, SocketAttribute, TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from wscore import Admission, Config, ConfigOptions, Home, StructuredServer

from ._accept import RequestHook
from ._runtime import OnAnyio
from ._stream import Wire, as_sockets
from ._websocket import WebSocket

__all__ = ["DrainHook", "Handler", "Server", "serve"]

Handler = Callable[[WebSocket], Awaitable[object]]
"""Called with each open connection; when it returns, the connection is closed with 1000."""

DrainHook = Callable[[WebSocket], Awaitable[object] | None]
"""Called with each open connection when the server begins to drain."""

Listeners = Sequence[Listener[Any]]

log = logging.getLogger("ws_anyio")


class serve:  # noqa: N801  (used like a function: awaited, or as a context manager)
    """Serve WebSocket connections: ``async with serve(handler, host, port) as server``.

    Or ``server = await task_group.start(serve(handler, host, port))``, which serves until the
    task_group is cancelled or the server closed.

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
    :param handler_task_group: where handlers run; else in one of the server's own.
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
        handler_task_group: TaskGroup | None = None,
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
        self._handler_task_group: Final = handler_task_group

    async def __aenter__(self) -> Server:
        self._server = self._make()
        self._home = Home(anyio.create_task_group(), checkpoint_if_cancelled)
        await self._listen()
        task_group = await self._home.enter()
        self._server._start(task_group, self._handler_task_group or task_group)
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
        self, *, task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        async with self as server:
            task_status.started(server)
            await server.serve_forever()

    async def _listen(self) -> None:
        listeners = self._server._listeners
        try:
            if self._unix_path is not None:
                listeners.append(self._ours(await anyio.create_unix_listener(self._unix_path)))
            elif self._listeners is not None:
                listeners.extend(self._listeners)
            else:
                for host in self._hosts:
                    listener = await anyio.create_tcp_listener(
                        local_host=host, local_port=self._port or 0
                    )
                    listeners += map(self._ours, listener.listeners)
            await checkpoint()
        except BaseException:
            await self._server._stop_listening()
            raise

    def _ours(self, listener: Listener[Any]) -> Listener[Any]:
        """A listener for plain sockets, where they are wanted."""
        return listener if self._server._ssl else as_sockets(listener)


class Server(OnAnyio, StructuredServer[WebSocket, Listener[Any]]):
    """A server that listens; :func:`serve` makes them.

    :ivar connections: the connections that are open, each with its handler running.
    """

    _log = log
    _make = WebSocket

    def _start(self, task_group: TaskGroup, handler_task_group: TaskGroup) -> None:
        task_group.start_soon(self._accept, task_group, handler_task_group)

    async def _accept(self, task_group: TaskGroup, handler_task_group: TaskGroup) -> None:
        if self._listening.cancel_called:
            # It was closed before it began.
            return
        with self._listening:
            async with anyio.create_task_group() as accepting:
                serve_one = partial(self._serve_one, task_group)
                for listener in self._listeners:
                    accepting.start_soon(_accept_from, listener, serve_one, handler_task_group)

    def _ports(self) -> Iterator[int]:
        for listener in self._listeners:
            if (port := listener.extra(SocketAttribute.local_port, None)) is not None:
                yield port


async def _accept_from(
    listener: Listener[Any],
    serve_one: Callable[[Wire], Awaitable[None]],
    handler_task_group: TaskGroup,
) -> None:
    closed = False
    while not closed:
        try:
            await listener.serve(serve_one, handler_task_group)
        except* anyio.ClosedResourceError:
            # By us or by whoever else has it; it says so though it was cancelled, too.
            closed = True
        except* OSError as errors:
            if errors.subgroup(_concerns_the_listener):
                log.error("accepting failed, and goes on in a moment: %r", errors.exceptions[0])
                await anyio.sleep(_ACCEPT_PAUSE)
            await checkpoint()


def _concerns_the_listener(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno not in _OF_ONE_CONNECTION


_OF_ONE_CONNECTION = {
    errno.ECONNABORTED,
    errno.ECONNRESET,
    errno.EINVAL,
    errno.EPERM,
    errno.EPROTO,
}
"""What is said of a connection that was gone before it was accepted: the next one may be there."""

_ACCEPT_PAUSE = 1.0
"""Seconds until it is tried again, mostly after running out of descriptors; asyncio's number."""
