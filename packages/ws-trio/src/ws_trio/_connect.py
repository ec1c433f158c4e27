"""The only place for opening connections to servers."""

from __future__ import annotations

import ssl as tls
from typing import Final, Literal, Unpack
from urllib.request import getproxies, proxy_bypass

import trio

from wscore import (
    Config,
    ConfigOptions,
    Connecting,
    Destination,
    HeadersLike,
)

from ._proxy import connect_through
from ._runtime import OnTrio
from ._websocket import WebSocket

__all__ = ["connect"]


class connect(OnTrio, Connecting[WebSocket]):  # noqa: N801  (used like a function)
    """Connect to a WebSocket server: ``async with connect(...)``, or ``await`` with a nursery.

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
    :param stream: a connected stream to use; it belongs to the connection from then on. No
        redirection is followed, and no proxy used.
    :param unix_path: path of a Unix socket to connect to, in place of the URL's host.
    :param nursery: where the connection's tasks run; needed to await it, and else one of its own.
    :param config: every policy in one value.
    :param policy: fields of :class:`wscore.Config` as keyword arguments; they change ``config``.
    :raises InvalidURL, ValueError, TypeError: at once, for what cannot be right.
    :raises HandshakeError: on awaiting, if the connection does not open: ``OpenTimeout``,
        ``HandshakeRejected``, ``BadHandshake``, ``ProxyError``, or ``HandshakeInterrupted``, whose
        ``__cause__`` is the network's or TLS's error.
    :raises ImportError: on awaiting, if SOCKS needs python-socks, which is not installed.
    """

    _make = WebSocket

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
        stream: trio.abc.Stream | None = None,
        unix_path: str | None = None,
        nursery: trio.Nursery | None = None,
        config: Config | None = None,
        **policy: Unpack[ConfigOptions],
    ) -> None:
        destination = Destination.first(
            url,
            headers=headers,
            origin=origin,
            proxy=proxy,
            max_redirects=max_redirects,
            with_tls=ssl is not None,
            server_hostname=server_hostname,
            is_fixed=stream is not None,
            unix_path=unix_path,
        )
        super().__init__(destination, nursery, (config or Config()).replace(**policy))
        self._ssl: Final = ssl
        self._stream: Final = stream

    async def _connect_stream(self, destination: Destination) -> trio.abc.Stream:
        url = destination.url
        stream: trio.abc.Stream
        if destination.unix_path is not None:
            stream = await trio.open_unix_socket(destination.unix_path)
        elif self._stream is not None:
            stream = self._stream
        elif proxy := destination.proxy(getproxies, proxy_bypass):
            stream = await connect_through(proxy, url, self._config)
        else:
            stream = await trio.open_tcp_stream(url.host, url.port)
        if not url.secure:
            return stream
        context = self._ssl or tls.create_default_context()
        secured = trio.SSLStream(stream, context, server_hostname=destination.tls_name)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured
