"""The only place for connecting through a proxy: HTTP CONNECT, and SOCKS by python-socks."""

from __future__ import annotations

import socket

from wscore import URL, Config, InvalidURL, Proxy, ProxyError, Tunnel

from ._opening import dial, in_background, receive, send
from ._waiting import remaining

__all__ = ["connect_through"]


def connect_through(proxy: Proxy, url: URL, config: Config, deadline: float) -> socket.socket:
    """A socket to the URL's host through a proxy.

    :raises HandshakeError: the proxy does not let us through.
    :raises InvalidURL: it is to be reached over TLS, which this adapter cannot.
    :raises OSError: it cannot be reached, or not in time.
    """
    if proxy.is_socks:
        return _through_socks(proxy, url, deadline)
    if proxy.scheme == "https":
        raise InvalidURL("ws-sync reaches proxies by http:// or SOCKS, not by https://")
    tunnel = Tunnel(proxy, url, config)
    sock = dial(proxy.host, proxy.port, deadline)
    try:
        send(sock, tunnel.request, deadline)
        while not tunnel.receive_data(receive(sock, deadline)):
            pass
    except BaseException:
        sock.close()
        raise
    return sock


def _through_socks(proxy: Proxy, url: URL, deadline: float) -> socket.socket:
    try:
        from python_socks import ProxyError as SocksError
        from python_socks.sync import Proxy as SocksProxy
    except ImportError as error:
        raise ImportError("SOCKS needs python-socks: install ws-sync[socks]") from error
    through = SocksProxy.from_url(proxy.socks_url, rdns=proxy.resolves)
    try:
        return in_background(
            lambda: through.connect(url.host, url.port, timeout=remaining(deadline)),
            deadline,
            socket.socket.close,
        )
    except SocksError as error:
        raise ProxyError(f"the proxy {proxy}: {error}") from error
