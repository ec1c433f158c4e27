"""The only place for connecting through a proxy: HTTP CONNECT, and SOCKS by python-socks."""

from __future__ import annotations

import math
import ssl as tls

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from wscore import URL, Config, Proxy, ProxyError, Tunnel

__all__ = ["connect_through"]


async def connect_through(proxy: Proxy, url: URL, config: Config) -> ByteStream:
    """A stream to the URL's host through a proxy.

    :raises HandshakeError: the proxy does not let us through.
    :raises OSError: it cannot be reached.
    """
    if proxy.is_socks:
        return await _through_socks(proxy, url)
    tunnel = Tunnel(proxy, url, config)
    stream: ByteStream = await anyio.connect_tcp(proxy.host, proxy.port)
    try:
        if proxy.scheme == "https":
            context = tls.create_default_context()
            stream = await TLSStream.wrap(
                stream, server_side=False, hostname=proxy.host, ssl_context=context
            )
        await stream.send(tunnel.request)
        while not tunnel.receive_data(await _receive(stream)):
            pass
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return stream


async def _receive(stream: ByteStream) -> bytes:
    try:
        return await stream.receive()
    except anyio.EndOfStream:
        return b""


async def _through_socks(proxy: Proxy, url: URL) -> ByteStream:
    try:
        from python_socks import ProxyError as SocksError
        from python_socks.async_.anyio import Proxy as SocksProxy
    except ImportError as error:
        raise ImportError("SOCKS needs python-socks: install ws-anyio[socks]") from error
    through = SocksProxy.from_url(proxy.socks_url, rdns=proxy.resolves)
    try:
        # The timeout that counts is around it.
        return await through.connect(url.host, url.port, timeout=math.inf)
    except SocksError as error:
        raise ProxyError(f"the proxy {proxy}: {error}") from error
