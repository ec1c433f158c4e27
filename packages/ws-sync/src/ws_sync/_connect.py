"""The only place for opening connections to servers."""

from __future__ import annotations

import math
import socket
import ssl as tls
import time
from dataclasses import dataclass
from typing import Literal, Unpack
from urllib.request import getproxies, proxy_bypass

from wscore import (
    Config,
    ConfigOptions,
    Connection,
    Destination,
    HandshakeRejected,
    HeadersLike,
    State,
)

from ._opening import dial, dial_unix, make_stream, within_open_timeout
from ._proxy import connect_through
from ._stream import Stream
from ._websocket import WebSocket

__all__ = ["Connector", "connect"]


def connect(
    url: str,
    *,
    ssl: tls.SSLContext | None = None,
    server_hostname: str | None = None,
    headers: HeadersLike = (),
    origin: str | None = None,
    proxy: str | Literal[True] | None = True,
    max_redirects: int = 10,
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
    :param proxy: True: the one that the environment names, if any (``HTTPS_PROXY``, ``NO_PROXY``
        and so on); the URL of one, http, https or, with the extra ``socks``, SOCKS; None: none.
    :param max_redirects: how many redirections to follow; never from wss to ws, and to another
        origin without any credential but the context's certificate.
    :param sock: a connected socket to use; it belongs to the connection from then on. No
        redirection is followed, and no proxy used.
    :param unix_path: path of a Unix socket to connect to, in place of the URL's host.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises InvalidURL, ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: if the connection does not open: ``OpenTimeout``,
        ``HandshakeRejected``, ``BadHandshake``, ``ProxyError``, or ``HandshakeInterrupted``, whose
        ``__cause__`` is the network's or TLS's error.
    :raises ImportError: if SOCKS needs python-socks, which is not installed.
    """
    destination = Destination.first(
        url,
        headers=headers,
        origin=origin,
        proxy=proxy,
        max_redirects=max_redirects,
        with_tls=ssl is not None,
        server_hostname=server_hostname,
        is_fixed=sock is not None,
        unix_path=unix_path,
    )
    return Connector(destination, (config or Config()).replace(**policy), ssl, sock).open()


@dataclass(frozen=True)
class Connector:
    """Whom to connect to, and how."""

    destination: Destination
    config: Config
    ssl: tls.SSLContext | None
    sock: socket.socket | None = None

    def open(self) -> WebSocket:
        """Connect; one deadline for all: a redirection does not begin it anew."""
        began = time.monotonic()
        destination = self.destination
        while True:
            try:
                return self._attempt(destination, began)
            except HandshakeRejected as rejection:
                destination = destination.redirected(rejection)

    def _attempt(self, destination: Destination, began: float) -> WebSocket:
        connection = Connection.client(destination.request, self.config, now=began)
        websocket = WebSocket(connection)
        try:
            with within_open_timeout(websocket):
                websocket._attach(self._open_stream(destination, connection.deadline))
            with websocket._guard:
                websocket._until(lambda: connection.state is not State.CONNECTING, math.inf)
            connection.poll_open()
        except BaseException:
            websocket.abort()
            raise
        return websocket

    def _open_stream(self, destination: Destination, deadline: float) -> Stream:
        url = destination.url
        if destination.unix_path is not None:
            sock = dial_unix(destination.unix_path, deadline)
        elif self.sock is not None:
            sock = self.sock
        elif proxy := destination.proxy(getproxies, proxy_bypass):
            sock = connect_through(proxy, url, self.config, deadline)
        else:
            sock = dial(url.host, url.port, deadline)
        if not url.secure:
            return make_stream(sock, None, deadline)
        context = self.ssl or tls.create_default_context()
        return make_stream(sock, context, deadline, server_hostname=destination.tls_name)
