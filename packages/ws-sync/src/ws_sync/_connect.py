"""The only place for opening connections to servers."""

from __future__ import annotations

import math
import socket
import ssl as tls
import time
from typing import Unpack

from wscore import URL, Config, ConfigOptions, Connection, HeadersLike, State

from ._opening import dial, dial_unix, make_stream, within_open_timeout
from ._stream import Stream
from ._websocket import WebSocket

__all__ = ["connect"]


def connect(
    url: str,
    *,
    ssl: tls.SSLContext | None = None,
    server_hostname: str | None = None,
    headers: HeadersLike = (),
    origin: str | None = None,
    sock: socket.socket | None = None,
    unix_path: str | None = None,
    config: Config | None = None,
    **policy: Unpack[ConfigOptions],
) -> WebSocket:
    """Connect to a WebSocket server, which is best done in a ``with`` statement.

    ``open_timeout`` bounds everything from the lookup of the name to the server's answer.
    Leaving the ``with`` block closes the connection, with 1000, or with 1011 if the block raised.

    :param url: ``ws://`` or ``wss://``; a user name and password become basic authentication.
    :param ssl: for ``wss://``, a context in place of the default one, which verifies the server's
        certificate and name.
    :param server_hostname: the name to verify in place of the URL's.
    :param headers: headers to add to the request, such as Cookie or Authorization.
    :param origin: the Origin header (RFC 6455 section 10.2).
    :param sock: a connected socket to use; it belongs to the connection from then on.
    :param unix_path: path of a Unix socket to connect to, in place of the URL's host.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises InvalidURL, ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: if the connection does not open: ``OpenTimeout``,
        ``HandshakeRejected``, ``BadHandshake``, or ``HandshakeInterrupted``, whose ``__cause__``
        is the network's or TLS's error.
    """
    where = URL.parse(url)
    request = where.request(headers, origin=origin)
    config = (config or Config()).replace(**policy)
    if not where.secure and (ssl is not None or server_hostname is not None):
        raise ValueError("ssl and server_hostname are for wss:// URLs; this one is ws://")
    if sock is not None and unix_path is not None:
        raise ValueError("sock and unix_path exclude each other")
    connection = Connection.client(request, config, now=time.monotonic())
    websocket = WebSocket(connection)
    try:
        with within_open_timeout(websocket):
            deadline = connection.deadline
            websocket._attach(_open_stream(where, ssl, server_hostname, sock, unix_path, deadline))
        with websocket._guard:
            websocket._until(lambda: connection.state is not State.CONNECTING, math.inf)
            connection.poll_open()
    except BaseException:
        websocket.abort()
        raise
    return websocket


def _open_stream(
    url: URL,
    context: tls.SSLContext | None,
    server_hostname: str | None,
    sock: socket.socket | None,
    unix_path: str | None,
    deadline: float,
) -> Stream:
    if unix_path is not None:
        sock = dial_unix(unix_path, deadline)
    elif sock is None:
        sock = dial(url.host, url.port, deadline)
    if not url.secure:
        return make_stream(sock, None, deadline)
    context = context or tls.create_default_context()
    return make_stream(sock, context, deadline, server_hostname=server_hostname or url.host)
