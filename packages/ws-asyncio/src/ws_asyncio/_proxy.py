"""The only place for connecting through a proxy: HTTP CONNECT, and SOCKS by python-socks."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from typing import Any, cast

from wscore import URL, Config, HandshakeError, Proxy, ProxyError, Tunnel

from ._websocket import Link

__all__ = ["connect_through"]


async def connect_through(
    proxy: Proxy,
    url: URL,
    link: Link,
    config: Config,
    options: dict[str, Any],
    through: dict[str, Any] | None = None,
) -> None:
    """Make a transport to the URL's host through a proxy, and connect the link to it.

    :param options: for TLS with the URL's host.
    :param through: for the transport to an HTTP proxy; its ``ssl`` takes the place of the default
        context.
    :raises HandshakeError: the proxy does not let us through.
    :raises OSError: it cannot be reached, or TLS fails.
    """
    loop = asyncio.get_running_loop()
    if proxy.is_socks:
        sock = await _through_socks(proxy, url)
        await loop.create_connection(lambda: link, sock=sock, **options)
        return
    opened: asyncio.Future[None] = loop.create_future()
    context = tls.create_default_context() if proxy.scheme == "https" else None
    transport, _ = await loop.create_connection(
        lambda: _TunnelLink(Tunnel(proxy, url, config), opened),
        proxy.host,
        proxy.port,
        **{"ssl": context, **(through or {})},
    )
    try:
        await opened
        if url.secure:
            # The context goes by another name here.
            within = {name: value for name, value in options.items() if name != "ssl"}
            secured = await loop.start_tls(transport, link, options["ssl"], **within)
            transport = cast(asyncio.Transport, secured)
        else:
            transport.set_protocol(link)
        link.connection_made(transport)
        transport.resume_reading()
    except BaseException:
        transport.abort()
        raise


class _TunnelLink(asyncio.Protocol):
    """What the transport calls until the tunnel is open."""

    def __init__(self, tunnel: Tunnel, opened: asyncio.Future[None]) -> None:
        self._tunnel = tunnel
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._tunnel.request)

    def data_received(self, data: bytes) -> None:
        if self._opened.done():
            return
        try:
            if self._tunnel.receive_data(data):
                self._transport.pause_reading()
                self._opened.set_result(None)
        except HandshakeError as error:
            self._opened.set_exception(error)

    def eof_received(self) -> None:
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(exc or ConnectionResetError("the proxy hung up"))


async def _through_socks(proxy: Proxy, url: URL) -> socket.socket:
    try:
        from python_socks import ProxyError as SocksError
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError as error:
        raise ImportError("SOCKS needs python-socks: install ws-asyncio[socks]") from error
    through = SocksProxy.from_url(proxy.socks_url, rdns=proxy.resolves)
    try:
        return await through.connect(url.host, url.port, timeout=_A_DAY)
    except SocksError as error:
        raise ProxyError(f"the proxy {proxy}: {error}") from error


_A_DAY = 86_400.0
"""In seconds: the timeout that counts is around it."""
