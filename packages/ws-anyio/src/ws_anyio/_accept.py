"""The only place for the server's side of an opening handshake."""

from __future__ import annotations

import inspect
import logging
import socket
import ssl as tls
from collections.abc import Awaitable, Callable
from typing import Final, Unpack

import anyio
from anyio.abc import ByteStream, TaskGroup
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.streams.tls import TLSStream

from wscore import (
    Accept,
    Config,
    ConfigOptions,
    Connection,
    HandshakeError,
    Request,
    Response,
    State,
)

from ._opening import Opening, within_open_timeout
from ._stream import Wire
from ._websocket import WebSocket

__all__ = ["RequestHook", "accept", "answer_request", "secure"]

Answer = Accept | Response | None
RequestHook = Callable[[Request], Answer | Awaitable[Answer]]
"""Called with each request: None accepts it, :class:`~wscore.Accept` says how, and a
:class:`~wscore.Response` refuses."""

log = logging.getLogger("ws_anyio")


class accept(Opening):  # noqa: N801  (used like a function: awaited, or as a context manager)
    """Be the server on a connected stream: ``async with accept(stream) as websocket``.

    For streams that come from elsewhere: a supervisor, a pair, a listener of your own.
    ``open_timeout`` bounds everything up to the handshake's end. Cancelled, it leaves nothing
    behind. Leaving the ``async with`` block closes the connection, with 1000, or with 1011 if
    the block raised.

    :param stream: a connected stream; it belongs to the connection from then on.
    :param ssl: a context with the server's certificate, for TLS.
    :param on_request: sees the request first, see :data:`RequestHook`. It runs within
        ``open_timeout``; if it raises, the answer is 500 and the error is logged.
    :param task_group: where the connection's tasks run; needed to await it, else one of its
        own.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: on awaiting, if the connection does not open: ``OpenTimeout``,
        ``HandshakeRefused``, ``BadHandshake`` or ``HandshakeInterrupted``.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        ssl: tls.SSLContext | None = None,
        on_request: RequestHook | None = None,
        task_group: TaskGroup | None = None,
        config: Config | None = None,
        **policy: Unpack[ConfigOptions],
    ) -> None:
        if isinstance(stream, socket.socket):
            raise TypeError("accept takes a stream of anyio; SocketStream.from_socket() makes one")
        self._stream: Final = stream
        self._ssl: Final = ssl
        self._on_request: Final = on_request
        self._task_group = task_group
        self._config: Final = (config or Config()).replace(**policy)

    async def _open(self, task_group: TaskGroup) -> WebSocket:
        websocket = WebSocket(Connection.server(self._config, now=anyio.current_time()))
        try:
            stream = await secure(websocket, self._stream, self._ssl)
            if stream is not None:
                self._start(websocket, stream, task_group)
            try:
                await answer_request(websocket, self._on_request)
            except HandshakeError:
                # What the client is told goes out first.
                await websocket.wait_closed()
                raise
        except BaseException:
            websocket.abort()
            raise
        return websocket


async def secure(
    websocket: WebSocket, stream: Wire, context: tls.SSLContext | None
) -> Wire | None:
    """The stream over which the connection is to run; None if there is none any more."""
    if context is None:
        return stream
    assert not isinstance(stream, socket.socket), "a listener with TLS gives streams"
    try:
        with within_open_timeout(websocket):
            return await TLSStream.wrap(stream, server_side=True, ssl_context=context)
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    await anyio.aclose_forcefully(stream)
    return None


async def answer_request(
    websocket: WebSocket,
    on_request: RequestHook | None,
    admit: Callable[[], Response | None] = lambda: None,
) -> None:
    """Wait for the request and answer it.

    :param admit: asked once the request is here, before the hook; may refuse it.
    :raises HandshakeError: the connection does not open.
    """
    connection = websocket._connection
    await websocket._until_opening(
        lambda: connection.request is not None or connection.state is not State.CONNECTING
    )
    request = connection.poll_request()
    assert request is not None
    try:
        _respond(websocket, admit() or await _ask(on_request, request, connection))
    except (Exception, anyio.get_cancelled_exc_class()):
        # Not cancelled itself, the hook tripped over something that was.
        await checkpoint_if_cancelled()
        log.exception("%r: on_request failed", websocket)
        _respond(websocket, Response(500))
    connection.poll_open()


async def _ask(on_request: RequestHook | None, request: Request, connection: Connection) -> Answer:
    if on_request is None:
        return None
    answer = on_request(request)
    if not inspect.isawaitable(answer):
        return answer
    deadline = connection.deadline
    with anyio.CancelScope(deadline=deadline):
        return await answer
    connection.handle_timeout(now=max(deadline, anyio.current_time()))
    return None


def _respond(websocket: WebSocket, answer: Answer) -> None:
    """Answer the request, unless the client went away meanwhile or time is up."""
    if websocket.state is State.CONNECTING:
        websocket._connection.respond(answer, now=websocket._now())
    websocket._settle()
