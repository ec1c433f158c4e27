"""The only place for which proxy a client goes through."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

from ._errors import InvalidURL
from ._url import URL, Authority, bracketed, check_characters, split_authority

__all__ = ["Proxy", "choose_proxy"]

_DEFAULT_PORTS: Final = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}

_KEYS: Final = {
    # As libraries for WebSocket and curl have it: what is meant for WebSockets, then SOCKS, which
    # carries anything; and for a tunnel the proxy for https comes before that for http.
    True: ("wss", "socks", "https"),
    False: ("ws", "socks", "https", "http"),
}
"""Which of the environment's proxies counts first, with TLS and without."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, taken apart; :meth:`parse` makes one from text.

    :ivar scheme: http, https, socks4, socks4a, socks5 or socks5h.
    :ivar host: name or address, as a resolver takes it.
    :ivar port: 1 to 65535.
    :ivar username: percent-decoded, or None.
    :ivar password: percent-decoded, or None.
    """

    scheme: str
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Take the URL of a proxy apart.

        :param text: such as ``http://user:password@proxy.example:3128``; with ``socks4a`` and
            ``socks5h``, which ``socks`` stands for, the proxy resolves the server's name.
        :raises InvalidURL: it is not the URL of a proxy; the message says why.
        :raises TypeError: it is not a str.
        """
        if not isinstance(text, str):
            raise TypeError(f"a proxy must be a str, not {type(text).__name__}")
        check_characters(text)
        scheme, separator, rest = text.partition("://")
        scheme = {"socks": "socks5h"}.get(scheme.lower(), scheme.lower())
        if not separator or scheme not in _DEFAULT_PORTS:
            schemes = ", ".join(_DEFAULT_PORTS)
            raise InvalidURL(f"the URL of a proxy starts with one of {schemes}, and ://")
        authority, target = split_authority(rest)
        if target not in ("", "/"):
            raise InvalidURL("the URL of a proxy ends with its port")
        where = Authority.parse(authority)
        port = where.port or _DEFAULT_PORTS[scheme]
        return cls(scheme, where.host, port, where.username, where.password)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, and not HTTP."""
        return self.scheme.startswith("socks")

    @property
    def resolves(self) -> bool:
        """Whether the proxy is to resolve the server's name."""
        return self.scheme not in ("socks4", "socks5")

    @property
    def socks_url(self) -> str:
        """The whole URL as python-socks takes it, besides :attr:`resolves`."""
        scheme = self.scheme.rstrip("ah")
        return self.url.replace(self.scheme, scheme, 1)

    @property
    def url(self) -> str:
        """The whole URL, with user name and password: not for logs."""
        userinfo = ""
        if self.username is not None:
            userinfo = quote(self.username, safe="")
            if self.password is not None:
                userinfo += f":{quote(self.password, safe='')}"
            userinfo += "@"
        return f"{self.scheme}://{userinfo}{bracketed(self.host)}:{self.port}"

    def __str__(self) -> str:
        """The URL without user name and password, so that it can be logged."""
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"


def choose_proxy(
    setting: str | Literal[True] | None,
    url: URL,
    *,
    environment: Callable[[], Mapping[str, str]],
    bypass: Callable[[str], object],
) -> Proxy | None:
    """Which proxy to go through to a server; None: none.

    :param setting: None: no proxy; the URL of one; or True: what the environment says, which is
        not asked about this machine itself.
    :param url: where to.
    :param environment: gives proxies by scheme, as :func:`urllib.request.getproxies` does.
    :param bypass: whether a ``host:port`` is to be reached without proxy, as
        :func:`urllib.request.proxy_bypass` says.
    :raises InvalidURL: the proxy's URL, given or found, is none.
    :raises TypeError: the setting is none of these.
    """
    if setting is None:
        return None
    if setting is not True:
        return Proxy.parse(setting)
    proxies = environment()
    found = next((proxies[key] for key in _KEYS[url.secure] if proxies.get(key)), None)
    if found is None or _is_loopback(url.host) or bypass(f"{bracketed(url.host)}:{url.port}"):
        return None
    return Proxy.parse(found)


def _is_loopback(host: str) -> bool:
    """Whether another machine would take it for itself: browsers do not ask a proxy either."""
    name = host.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or _LOOPBACK.match(host) is not None


_LOOPBACK = re.compile(r"127(\.[0-9]+){3}$|::1$")
