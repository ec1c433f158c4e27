"""The only place for opening connections to servers."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from typing import Any, Final, Literal, Unpack
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

from ._opening import Opening, within_open_timeout
from ._proxy import connect_through
from ._websocket import Link, WebSocket, clock_of, tls_options

__all__ = ["connect"]


class connect(Opening):  # noqa: N801  (used like a function: awaited, or as a context manager)
    """Connect to a WebSocket server: ``await connect(...)``, or better ``async with``.

    ``open_timeout`` bounds everything from the lookup of the name to the server's answer.
    Cancelled, it leaves nothing behind. Leaving the ``async with`` block closes the connection,
    with 1000, or with 1011 if the block raised.

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
    :raises HandshakeError: on awaiting, if the connection does not open: ``OpenTimeout``,
        ``HandshakeRejected``, ``BadHandshake``, ``ProxyError``, or ``HandshakeInterrupted``, whose
        ``__cause__`` is the network's or TLS's error.
    :raises ImportError: on awaiting, if SOCKS needs python-socks, which is not installed.
    """

    def __init__(
        self,
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
    ) -> None:
        self._destination: Final = Destination.first(
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
        self._config: Final = (config or Config()).replace(**policy)
        self._ssl: Final = ssl
        self._sock: Final = sock

    async def _open(self) -> WebSocket:
        loop = asyncio.get_running_loop()
        # One deadline for all: a redirection does not begin it anew.
        began = clock_of(loop)()
        destination = self._destination
        while True:
            try:
                return await self._attempt(loop, destination, began)
            except HandshakeRejected as rejection:
                destination = destination.redirected(rejection)

    async def _attempt(
        self, loop: asyncio.AbstractEventLoop, destination: Destination, began: float
    ) -> WebSocket:
        connection = Connection.client(destination.request, self._config, now=began)
        websocket = WebSocket(connection, loop)
        try:
            async with within_open_timeout(websocket):
                await self._create_transport(loop, Link(websocket), destination)
            await websocket._until_opening(lambda: connection.state is not State.CONNECTING)
            connection.poll_open()
        except BaseException:
            websocket.abort()
            raise
        return websocket

    async def _create_transport(
        self, loop: asyncio.AbstractEventLoop, link: Link, destination: Destination
    ) -> None:
        url = destination.url
        options = self._tls_options(destination)
        if destination.unix_path is not None:
            await loop.create_unix_connection(lambda: link, destination.unix_path, **options)
        elif self._sock is not None:
            try:
                await loop.create_connection(lambda: link, sock=self._sock, **options)
            except BaseException:
                self._sock.close()
                raise
        elif proxy := destination.proxy(getproxies, proxy_bypass):
            await connect_through(proxy, url, link, self._config, options)
        else:
            await loop.create_connection(lambda: link, url.host, url.port, **options)

    def _tls_options(self, destination: Destination) -> dict[str, Any]:
        if not destination.url.secure:
            return {}
        context = self._ssl or tls.create_default_context()
        options = tls_options(context, close_timeout=self._config.close_timeout)
        return {**options, "server_hostname": destination.tls_name}
