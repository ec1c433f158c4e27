"""The only place for the server's side of an opening handshake."""

from __future__ import annotations

import logging
import math
import socket
import ssl as tls
import time
from collections.abc import Callable
from typing import Unpack

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

from ._opening import make_stream, within_open_timeout
from ._websocket import WebSocket

__all__ = ["RequestHook", "accept", "answer_request"]

Answer = Accept | Response | None
RequestHook = Callable[[Request], Answer]
"""Called with each request: None accepts it, :class:`~wscore.Accept` says how, and a
:class:`~wscore.Response` refuses."""

log = logging.getLogger("ws_sync")


def accept(
    sock: socket.socket,
    *,
    ssl: tls.SSLContext | None = None,
    on_request: RequestHook | None = None,
    config: Config | None = None,
    **policy: Unpack[ConfigOptions],
) -> WebSocket:
    """Be the server on a connected socket, which the ``with`` block of the result closes.

    For sockets that come from elsewhere: a supervisor, a pair, a listener of your own.
    ``open_timeout`` bounds everything up to the handshake's end. Leaving the ``with`` block
    closes the connection, with 1000, or with 1011 if the block raised.

    :param sock: a connected socket; it belongs to the connection from then on.
    :param ssl: a context with the server's certificate, for TLS.
    :param on_request: sees the request first, see :data:`RequestHook`. It should be done within
        ``open_timeout``; if it raises, the answer is 500 and the error is logged.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: if the connection does not open: ``OpenTimeout``,
        ``HandshakeRefused``, ``BadHandshake`` or ``HandshakeInterrupted``.
    """
    config = (config or Config()).replace(**policy)
    websocket = WebSocket(Connection.server(config, now=time.monotonic()))
    try:
        with within_open_timeout(websocket):
            websocket._attach(make_stream(sock, ssl, websocket._connection.deadline))
        answer_request(websocket, on_request)
    except HandshakeError:
        # What the client is told goes out first.
        websocket.wait_closed()
        raise
    except BaseException:
        websocket.abort()
        raise
    return websocket


def answer_request(
    websocket: WebSocket,
    on_request: RequestHook | None,
    admit: Callable[[], Response | None] = lambda: None,
) -> None:
    """Wait for the request and answer it.

    :param admit: asked once the request is here, before the hook; may refuse it.
    :raises HandshakeError: the connection does not open.
    """
    connection = websocket._connection
    with websocket._guard:
        websocket._until(
            lambda: connection.request is not None or connection.state is not State.CONNECTING,
            math.inf,
        )
        request = connection.poll_request()
    assert request is not None
    try:
        answer: Answer = admit()
        if answer is None and on_request is not None:
            answer = on_request(request)
        _respond(websocket, answer)
    except Exception:
        log.exception("%r: on_request failed", websocket)
        _respond(websocket, Response(500))
    connection.poll_open()


def _respond(websocket: WebSocket, answer: Answer) -> None:
    """Answer the request, unless the client went away meanwhile or time is up."""
    with websocket._guard:
        if websocket.state is State.CONNECTING:
            websocket._connection.respond(answer, now=time.monotonic())
        websocket._settle()
