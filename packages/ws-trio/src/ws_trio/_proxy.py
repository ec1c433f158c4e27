"""The only place for connecting through a proxy: HTTP CONNECT, and SOCKS by python-socks."""

from __future__ import annotations

import math
import ssl as tls

import trio

from wscore import URL, Config, Proxy, ProxyError, Tunnel

__all__ = ["connect_through"]


async def connect_through(proxy: Proxy, url: URL, config: Config) -> trio.abc.Stream:
    """A stream to the URL's host through a proxy.

    :raises HandshakeError: the proxy does not let us through.
    :raises OSError: it cannot be reached.
    """
    if proxy.is_socks:
        return await _through_socks(proxy, url)
    tunnel = Tunnel(proxy, url, config)
    stream: trio.abc.Stream = await trio.open_tcp_stream(proxy.host, proxy.port)
    try:
        if proxy.scheme == "https":
            context = tls.create_default_context()
            stream = trio.SSLStream(stream, context, server_hostname=proxy.host)
        await stream.send_all(tunnel.request)
        while not tunnel.receive_data(await stream.receive_some()):
            pass
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _through_socks(proxy: Proxy, url: URL) -> trio.abc.Stream:
    try:
        from python_socks import ProxyError as SocksError
        from python_socks.async_.trio import Proxy as SocksProxy
    except ImportError as error:
        raise ImportError("SOCKS needs python-socks: install ws-trio[socks]") from error
    through = SocksProxy.from_url(proxy.socks_url, rdns=proxy.resolves)
    try:
        # The timeout that counts is around it.
        sock = await through.connect(url.host, url.port, timeout=math.inf)
    except SocksError as error:
        raise ProxyError(f"the proxy {proxy}: {error}") from error
    return trio.SocketStream(sock)
