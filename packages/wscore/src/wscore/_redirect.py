"""The only place that decides where a client goes when a server sends it elsewhere.

RFC 6455 section 4.1 lets clients follow redirections. Browsers do not; libraries do, and so do
we, but never to where it is less safe, and never with what was meant for somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urljoin

from ._errors import HandshakeRejected, InvalidURL, RedirectRefused
from ._http import Headers, HeadersLike, Request
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
    :ivar max_redirects: how many redirections may be followed in all.
    """

    url: URL
    request: Request
    max_redirects: int
    _headers: Headers
    _followed: int = 0

    @classmethod
    def first(
        cls,
        url: str,
        *,
        headers: HeadersLike = (),
        origin: str | None = None,
        max_redirects: int = 10,
    ) -> Destination:
        """Where the caller wants to go.

        :param headers: headers to add to the request.
        :param origin: the Origin header.
        :param max_redirects: how many redirections may be followed; 0: none.
        :raises InvalidURL, ValueError, TypeError: for what cannot be right.
        """
        if not isinstance(max_redirects, int):
            raise TypeError(f"max_redirects must be an int, not {type(max_redirects).__name__}")
        if max_redirects < 0:
            raise ValueError(f"max_redirects must be 0 or more, not {max_redirects}")
        parsed = URL.parse(url)
        request = parsed.request(headers, origin=origin)
        return cls(parsed, request, max_redirects, request.headers)

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
        if response.status not in _REDIRECTIONS or self.max_redirects == 0:
            raise rejection
        try:
            url = self._locate(response.headers.get_all("Location"))
        except InvalidURL as error:
            raise RedirectRefused(response, str(error)) from rejection
        url = replace(url, username=None, password=None)
        there = replace(self, url=url, _followed=self._followed + 1)
        headers = self._headers
        if not self.is_same_origin(there):
            pairs = headers.pairs()
            headers = Headers(pair for pair in pairs if pair[0].lower() in _HARMLESS)
        return replace(there, request=url.request(headers), _headers=headers)

    def _locate(self, locations: list[str]) -> URL:
        if self._followed >= self.max_redirects:
            raise InvalidURL(f"there were more than max_redirects, {self.max_redirects}")
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
