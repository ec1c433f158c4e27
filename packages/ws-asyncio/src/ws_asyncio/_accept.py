"""The only place for the server's side of an opening handshake."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as tls
from collections.abc import Awaitable, Callable
from typing import Final, Unpack

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

from ._opening import Opening, within_open_timeout
from ._websocket import Link, WebSocket, clock_of, tls_options

__all__ = ["RequestHook", "accept"]

Answer = Accept | Response | None
RequestHook = Callable[[Request], Answer | Awaitable[Answer]]
"""Called with each request: None accepts it, :class:`~wscore.Accept` says how, and a
:class:`~wscore.Response` refuses."""

log = logging.getLogger("ws_asyncio")


class accept(Opening):  # noqa: N801  (used like a function: awaited, or as a context manager)
    """Be the server on a connected socket: ``async with accept(sock) as websocket``.

    For sockets that come from elsewhere: a supervisor, a pair, a listener of your own.
    ``open_timeout`` bounds everything up to the handshake's end. Cancelled, it leaves nothing
    behind. Leaving the ``async with`` block closes the connection, with 1000, or with 1011 if
    the block raised.

    :param sock: a connected socket; it belongs to the connection from then on.
    :param ssl: a context with the server's certificate, for TLS.
    :param on_request: sees the request first, see :data:`RequestHook`. It runs within
        ``open_timeout``; if it raises, the answer is 500 and the error is logged.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: on awaiting, if the connection does not open: ``OpenTimeout``,
        ``HandshakeRefused``, ``BadHandshake`` or ``HandshakeInterrupted``.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        ssl: tls.SSLContext | None = None,
        on_request: RequestHook | None = None,
        config: Config | None = None,
        **policy: Unpack[ConfigOptions],
    ) -> None:
        self._sock: Final = sock
        self._ssl: Final = ssl
        self._on_request: Final = on_request
        self._config: Final = (config or Config()).replace(**policy)

    async def _open(self) -> WebSocket:
        loop = asyncio.get_running_loop()
        connection = Connection.server(self._config, now=clock_of(loop)())
        websocket = WebSocket(connection, loop)
        try:
            await self._connect_transport(loop, websocket)
            await answer_request(websocket, self._on_request, log)
        except HandshakeError:
            # What the client is told goes out first.
            await websocket.wait_closed()
            raise
        except BaseException:
            websocket.abort()
            raise
        return websocket

    async def _connect_transport(
        self, loop: asyncio.AbstractEventLoop, websocket: WebSocket
    ) -> None:
        options = {}
        if self._ssl is not None:
            options = tls_options(self._ssl, close_timeout=self._config.close_timeout)
        async with within_open_timeout(websocket):
            try:
                await loop.connect_accepted_socket(lambda: Link(websocket), self._sock, **options)
            except BaseException:
                self._sock.close()
                raise
