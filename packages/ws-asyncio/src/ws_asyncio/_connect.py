"""The only place for opening connections to servers."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from typing import Any, Final, Unpack

from wscore import URL, Config, ConfigOptions, Connection, HeadersLike, State

from ._opening import Opening, within_open_timeout
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
    :param sock: a connected socket to use; it belongs to the connection from then on.
    :param unix_path: path of a Unix socket to connect to, in place of the URL's host.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises InvalidURL, ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: on awaiting, if the connection does not open: ``OpenTimeout``,
        ``HandshakeRejected``, ``BadHandshake``, or ``HandshakeInterrupted``, whose ``__cause__``
        is the network's or TLS's error.
    """

    def __init__(
        self,
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
    ) -> None:
        self._url: Final = URL.parse(url)
        self._request: Final = self._url.request(headers, origin=origin)
        self._config: Final = (config or Config()).replace(**policy)
        if not self._url.secure and (ssl is not None or server_hostname is not None):
            raise ValueError("ssl and server_hostname are for wss:// URLs; this one is ws://")
        if sock is not None and unix_path is not None:
            raise ValueError("sock and unix_path exclude each other")
        self._sock: Final = sock
        self._unix_path: Final = unix_path
        self._tls: Final[dict[str, Any]] = {}
        if self._url.secure:
            self._tls.update(tls_options(ssl or tls.create_default_context(), self._config))
            self._tls["server_hostname"] = server_hostname or self._url.host

    async def _open(self) -> WebSocket:
        loop = asyncio.get_running_loop()
        now = clock_of(loop)
        connection = Connection.client(self._request, self._config, now=now())
        websocket = WebSocket(connection, loop)
        try:
            async with within_open_timeout(websocket):
                await self._create_transport(loop, Link(websocket))
            await websocket._until(lambda: connection.state is not State.CONNECTING)
            connection.poll_open()
        except BaseException:
            websocket.abort()
            raise
        return websocket

    async def _create_transport(self, loop: asyncio.AbstractEventLoop, link: Link) -> None:
        if self._unix_path is not None:
            await loop.create_unix_connection(lambda: link, self._unix_path, **self._tls)
        elif self._sock is not None:
            try:
                await loop.create_connection(lambda: link, sock=self._sock, **self._tls)
            except BaseException:
                self._sock.close()
                raise
        else:
            url = self._url
            await loop.create_connection(lambda: link, url.host, url.port, **self._tls)
