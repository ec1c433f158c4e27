"""The only place for the server's side of an opening handshake."""

from __future__ import annotations

import logging
import socket
import ssl as tls
from collections.abc import Awaitable, Callable
from typing import Final, Unpack

import anyio
from anyio.abc import ByteStream, TaskGroup
from anyio.streams.tls import TLSStream

from wscore import (
    Accept,
    Config,
    ConfigOptions,
    Connection,
    HandshakeError,
    Request,
    Response,
    answer_request,
)

from ._opening import Opening
from ._stream import Wire
from ._websocket import WebSocket

__all__ = ["RequestHook", "accept", "log", "secure"]

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
                await answer_request(websocket, self._on_request, log)
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
        with websocket._within_open_timeout():
            return await TLSStream.wrap(stream, server_side=True, ssl_context=context)
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    await anyio.aclose_forcefully(stream)
    return None
