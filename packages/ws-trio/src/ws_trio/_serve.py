"""The only place for serving: listening, the handshake's hook, a handler per connection."""

from __future__ import annotations

import inspect
import logging
import socket
import ssl as tls
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Final, TypeVar, Unpack

import trio

from wscore import (
    Admission,
    Cause,
    CloseCode,
    Config,
    ConfigOptions,
    Connection,
    ConnectionClosed,
    HandshakeError,
    State,
    only_closed,
)

from ._accept import RequestHook, answer_request, secure
from ._opening import Home
from ._websocket import WebSocket

__all__ = ["DrainHook", "Handler", "Server", "run_handler", "serve"]

Handler = Callable[[WebSocket], Awaitable[object]]
"""Called with each open connection; when it returns, the connection is closed with 1000."""

DrainHook = Callable[[WebSocket], Awaitable[object] | None]
"""Called with each open connection when the server begins to drain."""

Listeners = Sequence[trio.abc.Listener[Any]]

log = logging.getLogger("ws_trio")

T = TypeVar("T")


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
        self._home = Home()
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


class Server:
    """A server that listens; :func:`serve` makes them.

    :ivar connections: the connections that are open, each with its handler running.
    """

    def __init__(
        self,
        handler: Handler,
        on_request: RequestHook | None,
        on_drain: DrainHook | None,
        admission: Admission,
        config: Config,
        ssl: tls.SSLContext | None,
    ) -> None:
        """Not public: use :func:`serve`."""
        self.connections: Final[set[WebSocket]] = set()
        self._handler: Final = handler
        self._on_request: Final = on_request
        self._on_drain: Final = on_drain
        self._admission: Final = admission
        self._config: Final = config
        self._ssl: Final = ssl
        self._listeners: Final[list[trio.abc.Listener[Any]]] = []
        self._listening: Final = trio.CancelScope()
        self._lives: Final[dict[WebSocket, _Life]] = {}
        self._closed = False
        self._ended: Final = trio.Event()

    @property
    def listeners(self) -> tuple[trio.abc.Listener[Any], ...]:
        """The listeners that are accepted from; none after :meth:`close`."""
        return tuple(self._listeners)

    @property
    def port(self) -> int:
        """The port that is listened on.

        :raises ValueError: there is not exactly one: see :attr:`listeners`.
        """
        ports = {port for each in self._listeners if (port := _port_of(each)) is not None}
        if len(ports) != 1:
            raise ValueError(
                f"the server listens on {len(ports)} ports, not on one: see listeners"
            )
        return ports.pop()

    async def serve_forever(self) -> None:
        """Wait until the server is closed; cancelled, close it."""
        try:
            await self._ended.wait()
        finally:
            await self.close()

    async def close(
        self, code: int = CloseCode.GOING_AWAY, reason: str = "", *, drain: float = 0
    ) -> None:
        """Close every connection, and wait until their handlers have returned.

        From now on new requests are refused with 503. With ``drain``, handlers may go on for so
        long; ``on_drain`` tells their connections. Then the server stops listening, and what is
        still open is closed: what was sent goes out, then the Close frame, and a peer that does
        not answer within ``close_timeout`` is cut off. Handlers that have not returned
        ``close_timeout`` after that are cancelled (with ``inf``, never).

        Called again, it may shorten the drain. Harmless in a handler, which is not waited for.
        Cancelled, it leaves nothing behind: what still runs is aborted.

        :param code: 1000-1003, 1007-1014 or 3000-4999; also for handlers that return from now on.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :param drain: seconds.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text; drain
            is negative or no number.
        """
        self._admission.drain(code, reason, drain)
        try:
            if drain and self._other_lives():
                await self._drain(drain)
        finally:
            self._closed = True
            # Cancelled, too: whatever of it need not wait still goes out.
            for websocket in [*self._lives]:
                websocket._connection.close(code, reason, now=websocket._now())
                websocket._settle()
            await self._end()

    async def _end(self) -> None:
        """Stop listening, and wait until every connection's task has ended."""
        try:
            await self._stop_listening()
            # A connection takes close_timeout at most, its handler as long again.
            with trio.move_on_after(2 * self._config.close_timeout):
                await self._until_ended(self._other_lives())
        finally:
            ending = self._other_lives()
            for life in ending:
                life.scope.cancel()
            with trio.CancelScope(shield=True):
                await self._until_ended(ending)
            self._ended.set()

    async def _drain(self, seconds: float) -> None:
        """Tell every connection, and wait until their handlers have returned, if they do."""
        lives = self._other_lives()
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for websocket in [*self.connections]:
                    nursery.start_soon(self._notify, websocket)
                await self._until_ended(lives)
                nursery.cancel_scope.cancel()

    async def _notify(self, websocket: WebSocket) -> None:
        if self._on_drain is None:
            return
        try:
            answer = self._on_drain(websocket)
            if inspect.isawaitable(answer):
                await answer
        except ConnectionClosed:
            # Its client was faster.
            return
        except Exception:
            log.exception("%r: on_drain failed", websocket)

    def _other_lives(self) -> list[_Life]:
        task = trio.lowlevel.current_task()
        return [life for life in self._lives.values() if life.task is not task]

    async def _until_ended(self, lives: Collection[_Life]) -> None:
        for life in lives:
            await life.ended.wait()

    async def _stop_listening(self) -> None:
        self._listening.cancel()
        with trio.CancelScope(shield=True):
            async with AsyncExitStack() as closing:
                while self._listeners:
                    closing.push_async_callback(self._listeners.pop().aclose)

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

    async def _serve_one(self, nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
        """The life of a connection: handshake, handler, close. Raises nothing but Cancelled."""
        if self._closed:
            # It was accepted before, and its task has begun only now.
            await trio.aclose_forcefully(stream)
            return
        websocket = WebSocket(Connection.server(self._config, now=trio.current_time()))
        life = self._lives[websocket] = _Life()
        try:
            with life.scope:
                await self._live(websocket, nursery, stream)
        finally:
            await websocket._leave()
            self._admission.leave(websocket)
            self.connections.discard(websocket)
            del self._lives[websocket]
            life.ended.set()

    async def _live(
        self, websocket: WebSocket, nursery: trio.Nursery, stream: trio.abc.Stream
    ) -> None:
        admission = self._admission
        try:
            secured = await secure(websocket, stream, self._ssl)
            if secured is not None:
                nursery.start_soon(websocket._carry, secured)
            await answer_request(websocket, self._on_request, partial(admission.admit, websocket))
            self.connections.add(websocket)
            await run_handler(self._handler, websocket, partial(self._note_failure, websocket))
            await websocket.close(*admission.farewell)
            reason = await websocket.wait_closed()
            if reason.unexpected:
                log.info("%r: %s", websocket, reason)
        except HandshakeError as error:
            log.info("%r: %s", websocket, error)
            await websocket.wait_closed()

    def _note_failure(self, websocket: WebSocket, error: BaseException) -> None:
        if only_closed(error) and websocket.state is not State.OPEN:
            # A handler may leave it to the server to notice the end.
            return
        log.error("%r: the handler failed", websocket, exc_info=error)
        websocket._connection.fail(Cause.HANDLER_ERROR, now=websocket._now())
        websocket._settle()


async def run_handler(
    handler: Callable[[T], Awaitable[object]],
    subject: T,
    note_failure: Callable[[BaseException], None],
) -> None:
    """Run a handler; what it raises is noted, and nothing but Cancelled goes on."""
    try:
        await handler(subject)
    except Exception as error:  # noqa: BLE001  (a handler's own: logged)
        note_failure(error)
    except BaseExceptionGroup as group:
        # Cancelled, some of its tasks have failed all the same.
        failures, rest = group.split(Exception)
        if failures is not None:
            note_failure(failures)
        if rest is not None:
            raise rest from None


class _Life:
    """A connection's task on a server: how to end it, and when it has."""

    def __init__(self) -> None:
        self.task = trio.lowlevel.current_task()
        self.scope = trio.CancelScope()
        self.ended = trio.Event()


def _listen_unix(path: str) -> trio.SocketListener:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _port_of(listener: trio.abc.Listener[Any]) -> int | None:
    if not isinstance(listener, trio.SocketListener):
        return None
    sock = listener.socket
    has_port = sock.family in (socket.AF_INET, socket.AF_INET6)
    return int(sock.getsockname()[1]) if has_port else None
