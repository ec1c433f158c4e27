"""The only place that decides where a client goes: at first, and when a server sends it elsewhere.

RFC 6455 section 4.1 lets clients follow redirections. Browsers do not; libraries do, and so do
we, but never to where it is less safe, and never with what was meant for somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import urljoin

from ._errors import HandshakeRejected, InvalidURL, RedirectRefused
from ._http import Headers, HeadersLike, Request
from ._proxy import Proxy, choose_proxy
from ._url import URL

__all__ = ["Destination"]

_REDIRECTIONS: Final = frozenset({301, 302, 303, 307, 308})
"""The statuses that send elsewhere (RFC 9110 section 15.4)."""

_SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
"""HTTP servers write http; a WebSocket's handshake is HTTP (RFC 6455 section 3)."""

_HARMLESS: Final = frozenset({"user-agent", "accept-language", "origin"})
"""Headers that say nothing about who the user is, and may go to another origin. Any other one
may be a credential: X-Api-Key is one, too."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a client goes to, one redirection after the other; :meth:`first` makes one.

    :ivar url: the server's URL.
    :ivar request: what to ask it.
    :ivar unix_path: path of the Unix socket that leads there; None if names and addresses do.
    :ivar is_fixed: whether there is a connected socket or stream already.
    :ivar tls_name: the name that the server's certificate has to be for.
    """

    url: URL
    request: Request
    unix_path: str | None
    is_fixed: bool
    tls_name: str
    _proxy: str | Literal[True] | None
    _headers: Headers
    _max_redirects: int
    _followed: int = 0

    @classmethod
    def first(
        cls,
        url: str,
        *,
        headers: HeadersLike = (),
        origin: str | None = None,
        proxy: str | Literal[True] | None = True,
        max_redirects: int = 10,
        with_tls: bool = False,
        server_hostname: str | None = None,
        is_fixed: bool = False,
        unix_path: str | None = None,
    ) -> Destination:
        """Where the caller wants to go, and how.

        :param headers: headers to add to the request.
        :param origin: the Origin header.
        :param proxy: as for :func:`choose_proxy`.
        :param max_redirects: how many redirections may be followed; 0: none.
        :param with_tls: whether the caller has settings for TLS.
        :param server_hostname: the name to verify in place of the URL's.
        :param is_fixed: whether there is a connected socket or stream already: then no
            redirection is followed, and no proxy used.
        :param unix_path: path of a Unix socket that leads there.
        :raises InvalidURL, ValueError, TypeError: for what cannot be right.
        """
        if not isinstance(max_redirects, int):
            raise TypeError(f"max_redirects must be an int, not {type(max_redirects).__name__}")
        if max_redirects < 0:
            raise ValueError(f"max_redirects must be 0 or more, not {max_redirects}")
        parsed = URL.parse(url)
        request = parsed.request(headers, origin=origin)
        if not parsed.secure and (with_tls or server_hostname is not None):
            raise ValueError("ssl and server_hostname are for wss:// URLs; this one is ws://")
        if is_fixed and unix_path is not None:
            raise ValueError("there is one way: a connected socket or stream, or unix_path")
        if isinstance(proxy, str):
            Proxy.parse(proxy)
        return cls(
            url=parsed,
            request=request,
            unix_path=unix_path,
            is_fixed=is_fixed,
            tls_name=server_hostname or parsed.host,
            _proxy=proxy,
            _headers=request.headers,
            _max_redirects=max_redirects,
        )

    def proxy(
        self, environment: Callable[[], Mapping[str, str]], bypass: Callable[[str], object]
    ) -> Proxy | None:
        """The proxy to go through, if any; takes what :func:`choose_proxy` does."""
        if self.is_fixed or self.unix_path is not None:
            return None
        return choose_proxy(self._proxy, self.url, environment=environment, bypass=bypass)

    def is_same_origin(self, other: Destination) -> bool:
        """Whether both are the same server (RFC 6454 section 4)."""
        mine, theirs = self.url, other.url
        return (mine.secure, mine.host, mine.port) == (theirs.secure, theirs.host, theirs.port)

    def redirected(self, rejection: HandshakeRejected) -> Destination:
        """Where the server sends the client.

        To another origin go neither user name and password nor any header that the caller added
        and that may be a credential. Those in the Location are nobody's the caller knows of, and
        are not used.

        :raises RedirectRefused: to where it is not to go.
        :raises HandshakeRejected: the rejection itself, if it is no redirection, or none is to be
            followed.
        """
        response = rejection.response
        follows = self._max_redirects > 0 and not self.is_fixed
        if response.status not in _REDIRECTIONS or not follows:
            raise rejection
        try:
            url = self._locate(response.headers.get_all("Location"))
        except InvalidURL as error:
            raise RedirectRefused(response, str(error)) from rejection
        url = replace(url, username=None, password=None)
        there = replace(self, url=url, request=url.request(self._headers))
        there = replace(there, _followed=self._followed + 1)
        if self.is_same_origin(there):
            return there
        if self.unix_path is not None:
            raise RedirectRefused(response, "it leads away from unix_path") from rejection
        pairs = self._headers.pairs()
        headers = Headers(pair for pair in pairs if pair[0].lower() in _HARMLESS)
        # The name that was given is that of the server that was asked for.
        return replace(there, request=url.request(headers), tls_name=url.host, _headers=headers)

    def _locate(self, locations: list[str]) -> URL:
        if self._followed >= self._max_redirects:
            raise InvalidURL(f"there were more than max_redirects, {self._max_redirects}")
        if len(locations) != 1:
            raise InvalidURL(f"it has {len(locations)} Location headers, not one")
        # RFC 9110 section 10.2.2: it may be relative, and may have a fragment.
        location = urljoin(str(self.url), locations[0].partition("#")[0])
        scheme, separator, rest = location.partition("://")
        scheme = _SCHEMES.get(scheme.lower(), "")
        if not scheme or not separator:
            raise InvalidURL("its Location is neither ws, wss, http nor https")
        if self.url.secure and scheme == "ws":
            raise InvalidURL("it leads from wss to ws, where everybody could read along")
        return URL.parse(f"{scheme}://{rest}")
