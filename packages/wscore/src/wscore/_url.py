"""The only place for URLs: ws:// and wss:// (RFC 6455 section 3, RFC 3986, RFC 3987).

No error here repeats what stands behind the scheme: errors end up in logs, and a password with a
stray ``/`` or ``#`` in it is read as host, port or path.
"""

from __future__ import annotations

import base64
import string
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from ._errors import InvalidURL
from ._http import Headers, HeadersLike, Request

__all__ = ["URL"]

_DEFAULT_PORTS = {"ws": 80, "wss": 443}

_HEX = frozenset(string.hexdigits)
_UNRESERVED = string.ascii_letters + string.digits + "-._~"
_SUB_DELIMS = "!$&'()*+,;="
_TARGET = _UNRESERVED + _SUB_DELIMS + ":@/?" + "%"
"""What stays as it is in a target (RFC 3986 sections 3.3 and 3.4)."""

# RFC 3986 section 3.2.2 allows more, the names of DNS and of hosts files do not; the underscore
# is not a host's in RFC 1123, but is in use.
_HOST = frozenset(string.ascii_lowercase + string.digits + "-_.")
_IPV6 = frozenset(string.hexdigits + ":.")
_ZONE = frozenset(_UNRESERVED)

_MAX_LABEL = 63
_MAX_HOST = 253
"""Characters of a label and of a name, without the root's dot (RFC 1035 section 2.3.4)."""


@dataclass(frozen=True, slots=True)
class URL:
    """A WebSocket URL, taken apart; :meth:`parse` makes one from text.

    :ivar secure: wss, over TLS, and not ws.
    :ivar host: name or address in lower case and ASCII, as a resolver takes it: IPv6 without
        brackets, with its zone behind a ``%``.
    :ivar port: 1 to 65535; 80 for ws and 443 for wss unless the URL names one.
    :ivar target: path and query as they stand in the request line; never empty.
    :ivar username: percent-decoded, or None if the URL has no user name and password.
    :ivar password: percent-decoded, or None.
    """

    secure: bool
    host: str
    port: int
    target: str
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> URL:
        """Take a WebSocket URL apart (RFC 6455 section 3).

        Hosts beyond ASCII are encoded by IDNA 2003, that of the standard library; for another
        version give the host in ASCII (``xn--…``). In path and query, what a URL cannot hold is
        percent-encoded as UTF-8, a ``%`` that begins no escape too; escapes stay as they are.

        :param text: such as ``wss://user:password@example.com:8443/chat?room=1``.
        :raises InvalidURL: it is not a WebSocket URL; the message says why.
        :raises TypeError: it is not a str.
        """
        if not isinstance(text, str):
            raise TypeError(f"a URL must be a str, not {type(text).__name__}")
        check_characters(text)
        scheme, rest = _split_scheme(text)
        authority, target = split_authority(rest)
        where = Authority.parse(authority)
        return cls(
            secure=scheme == "wss",
            host=where.host,
            port=where.port or _DEFAULT_PORTS[scheme],
            target=_parse_target(target),
            username=where.username,
            password=where.password,
        )

    @property
    def scheme(self) -> str:
        """``"ws"`` or ``"wss"``."""
        return "wss" if self.secure else "ws"

    @property
    def host_header(self) -> str:
        """The value of the Host header: the port is left out if it is the default.

        An IPv6 zone is left out too: it means nothing to another machine (RFC 6874 section 4).
        """
        return bracketed(self.host.partition("%")[0]) + self._port_suffix

    def request(self, headers: HeadersLike = (), *, origin: str | None = None) -> Request:
        """The request that opens a WebSocket at this URL (RFC 6455 section 4.1).

        A user name in the URL becomes ``Authorization: Basic`` (RFC 7617), unless ``headers``
        have an Authorization of their own.

        :param headers: headers to add.
        :param origin: the value of the Origin header.
        :raises ValueError: ``origin`` is given here and in ``headers``.
        """
        headers = Headers(headers)
        if origin is not None:
            if "Origin" in headers:
                raise ValueError("the Origin is given twice: as origin= and in headers")
            headers += [("Origin", origin)]
        if self.username is not None and "Authorization" not in headers:
            headers += [("Authorization", basic(self.username, self.password or ""))]
        return Request(self.target, self.host_header, headers)

    def __str__(self) -> str:
        """The URL without user name and password, so that it can be logged."""
        host = bracketed(self.host.replace("%", "%25"))
        return f"{self.scheme}://{host}{self._port_suffix}{self.target}"

    @property
    def _port_suffix(self) -> str:
        return "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"


class Authority(NamedTuple):
    """The part of a URL that says where to, and as whom (RFC 3986 section 3.2)."""

    host: str
    port: int | None
    username: str | None
    password: str | None

    @classmethod
    def parse(cls, text: str) -> Authority:
        """Take it apart.

        :raises InvalidURL: something is wrong with it; the message says what.
        """
        # The last "@": an earlier one is then refused as part of the userinfo.
        userinfo, _, location = text.rpartition("@")
        username, password = _parse_userinfo(userinfo)
        host, port = _split_port(location)
        return cls(_parse_host(host), _parse_port(port) if port else None, username, password)


def check_characters(text: str) -> None:
    """Refuse what no URL has."""
    for index, char in enumerate(text):
        if char.isspace() or _is_control(char) or "\ud800" <= char <= "\udfff":
            raise InvalidURL(f"character {index} of the URL is {char!r}; percent-encode it")


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"


def _split_scheme(text: str) -> tuple[str, str]:
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        found = f", not {scheme}://" if separator and scheme.isalpha() else ""
        raise InvalidURL(f"a WebSocket URL starts with ws:// or wss://{found}")
    return scheme, rest


def split_authority(rest: str) -> tuple[str, str]:
    """What follows ``://``, taken apart: the authority, and what is behind it."""
    end = next((index for index, char in enumerate(rest) if char in "/?#"), len(rest))
    return rest[:end], rest[end:]


def _split_port(location: str) -> tuple[str, str]:
    if not location.startswith("["):
        host, _, port = location.partition(":")
        if ":" in port:
            raise InvalidURL("an IPv6 address in a URL stands in brackets (RFC 3986 3.2.2)")
        return host, port
    literal, bracket, rest = location.partition("]")
    if not bracket or (rest and not rest.startswith(":")):
        raise InvalidURL("the brackets of a URL hold its IPv6 address; only :port may follow")
    return literal + bracket, rest[1:]


def _parse_port(port: str) -> int:
    # Five digits at most: int() takes time, and raises, for thousands of them.
    if port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535:
        return int(port)
    raise InvalidURL("the port of the URL is not a number from 1 to 65535")


def _parse_host(host: str) -> str:
    if host.startswith("["):
        return _parse_ipv6(host[1:-1])
    if not host:
        raise InvalidURL("the URL has no host")
    try:
        # For ASCII too: it is what refuses empty and too long labels.
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise InvalidURL(
            f"the host of the URL is no name of labels of 1 to {_MAX_LABEL} characters that "
            "IDNA 2003 can encode; give it in ASCII"
        ) from None
    if len(name.removesuffix(".")) > _MAX_HOST:
        raise InvalidURL(f"the host of the URL is longer than {_MAX_HOST} characters")
    if not _HOST.issuperset(name):
        raise InvalidURL("the host of the URL has other characters than letters, digits, - _ .")
    return name


def _parse_ipv6(literal: str) -> str:
    address, percent, zone = literal.partition("%")
    # RFC 6874 section 2 writes the zone's "%" as an escape; section 3 understands a bare one.
    zone = zone.removeprefix("25")
    if address.count(":") < 2 or not _IPV6.issuperset(address):
        raise InvalidURL("the brackets of the URL do not hold an IPv6 address")
    if percent and not (zone and _ZONE.issuperset(zone)):
        raise InvalidURL(
            "the zone of the URL's IPv6 address is empty or has other characters "
            "than letters, digits, - . _ ~ (RFC 6874 section 2)"
        )
    return address.lower() + percent + zone


def _parse_userinfo(userinfo: str) -> tuple[str | None, str | None]:
    if not userinfo:
        return None, None
    escaped_name, colon, escaped_password = userinfo.partition(":")
    username = _unescape(escaped_name)
    if ":" in username:
        # Authorization: Basic could not tell it from the one before the password.
        raise InvalidURL("the user name of the URL holds a colon (RFC 7617 section 2)")
    return username, _unescape(escaped_password) if colon else None


def _unescape(text: str) -> str:
    if any(char in "@[]\\" for char in text):
        raise InvalidURL("user name or password hold @ [ ] or \\; percent-encode it")
    if not all(_begins_escape(part) for part in text.split("%")[1:]):
        raise InvalidURL("user name or password hold a % that begins no escape; write it as %25")
    try:
        plain = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        # From None: the cause would carry the password.
        raise InvalidURL("the escapes in user name or password are not UTF-8") from None
    if any(_is_control(char) for char in plain):
        raise InvalidURL("user name or password hold a control character (RFC 7617 section 2)")
    return plain


def _parse_target(target: str) -> str:
    if "#" in target:
        raise InvalidURL("a WebSocket URL has no fragment (RFC 6455 section 3); write # as %23")
    if not target.startswith("/"):
        target = f"/{target}"
    first, *parts = quote(target, safe=_TARGET).split("%")
    return first + "".join(("%" if _begins_escape(part) else "%25") + part for part in parts)


def _begins_escape(text: str) -> bool:
    return len(text) >= 2 and _HEX.issuperset(text[:2])


def bracketed(host: str) -> str:
    """The host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def basic(username: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617)."""
    # UTF-8, as RFC 7617 section 2.1 asks for where it asks for anything.
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
