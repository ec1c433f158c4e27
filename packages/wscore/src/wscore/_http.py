"""The only place for what a handshake says, as values: headers, request, response, acceptance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

__all__ = ["Accept", "Headers", "HeadersLike", "Request", "Response"]

HeadersLike: TypeAlias = "Headers | Mapping[str, str] | Iterable[tuple[str, str]]"
"""What may be passed as headers: pairs, a mapping, or :class:`Headers`."""


class Headers(Mapping[str, str]):
    """HTTP headers: names in any case, order and repetitions kept. Immutable.

    As a mapping, a repeated header is its values joined by ``", "`` (RFC 9110 section 5.3);
    :meth:`get_all` gives them apart and :meth:`pairs` everything as it was.
    """

    __slots__ = ("_head", "_texts")

    def __init__(self, headers: HeadersLike = ()) -> None:
        # Those of a head are read when they are asked for: most never are. Names and values in
        # turn take a third of what pairs do, and each connection has some for all of its life.
        self._head = b""
        self._texts: tuple[str, ...]
        pairs: Iterable[tuple[str, str]]
        if isinstance(headers, Headers):
            self._head, self._texts = headers._head, headers._texts
            return
        if isinstance(headers, Mapping):
            # For type checkers: an iterable of pairs might be a mapping, too.
            pairs = cast("Mapping[str, str]", headers).items()
        else:
            pairs = headers
        self._texts = tuple(text for name, value in pairs for text in (name, value))
        for name, value in self._pairs:
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"a header must be a pair of str, not {(name, value)!r}")

    @classmethod
    def of_head(cls, head: bytes) -> Headers:
        """Not public: the headers of a head that was written here."""
        self = cls.__new__(cls)
        self._head, self._texts = head, ()
        return self

    @classmethod
    def of_texts(cls, texts: tuple[str, ...]) -> Headers:
        """Not public: names and values in turn."""
        self = cls.__new__(cls)
        self._head, self._texts = b"", texts
        return self

    @property
    def _pairs(self) -> Iterator[tuple[str, str]]:
        if head := self._head:
            lines = head.decode("latin-1").split("\r\n")[1:-2]
            fields = (line.partition(": ") for line in lines)
            self._texts = tuple(text for name, _, value in fields for text in (name, value))
            self._head = b""
        texts = iter(self._texts)
        return zip(texts, texts, strict=True)

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._pairs})

    def __bool__(self) -> bool:
        return bool(self._head or self._texts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        mine = [(name.lower(), value) for name, value in self._pairs]
        return mine == [(name.lower(), value) for name, value in other._pairs]

    __hash__ = None  # type: ignore[assignment]  # as for every mapping

    def __add__(self, other: HeadersLike) -> Headers:
        return Headers((*self._pairs, *Headers(other)._pairs))

    def __repr__(self) -> str:
        return f"Headers({list(self._pairs)!r})"

    def get_all(self, name: str) -> list[str]:
        """Every value of this header, in order; an empty list if there is none."""
        name = name.lower()
        return [value for key, value in self._pairs if key.lower() == name]

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every header as it was sent, in order."""
        return tuple(self._pairs)


_NONE = Headers()


def as_headers(headers: HeadersLike) -> Headers:
    """The same as :class:`Headers`, which never change."""
    if type(headers) is Headers:
        return headers
    return _NONE if headers == () else Headers(headers)


# The three values below take headers in any form and hold them in one: hence their own __init__.


@dataclass(frozen=True, slots=True, init=False)
class Request:
    """A request to open a WebSocket (RFC 6455 section 4.1).

    A client makes one from a URL, or by hand, and gets it back with every header that went out;
    a server gets one as it came in.

    :ivar target: path and query, as they stand in the request line (of an absolute URL there,
        RFC 9112 section 3.2.2, these parts of it).
    :ivar host: the value of the Host header: host, and port unless it is the default.
    :ivar headers: on a client's own request, headers to add, such as Origin or Cookie;
        once sent or received, all of them.
    """

    target: str
    host: str
    headers: Headers

    def __init__(self, target: str, host: str, headers: HeadersLike = ()) -> None:
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "host", host)
        object.__setattr__(self, "headers", as_headers(headers))

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What stands behind the ``?`` in the target; empty if nothing does."""
        return self.target.partition("?")[2]

    @property
    def origin(self) -> str | None:
        """The Origin header: which site's page a browser asks for (RFC 6455 section 10.2)."""
        return self.headers.get("Origin")

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The subprotocols that the client offers, in its order of preference."""
        values = self.headers.get_all("Sec-WebSocket-Protocol")
        return tuple(token for value in values for token in split_tokens(value))


@dataclass(frozen=True, slots=True, init=False)
class Response:
    """An HTTP response: what a client was answered, or how a server refuses.

    :ivar status: 101 for an opened connection; a refusal takes 200 to 599.
    :ivar headers: all headers of a response that was received or sent; of a refusal, those to
        add (Content-Length and ``Connection: close`` are added to it).
    :ivar body: a received body is cut at ``max_body_size`` bytes.
    """

    status: int
    headers: Headers
    body: bytes

    def __init__(self, status: int, headers: HeadersLike = (), body: bytes | str = b"") -> None:
        object.__setattr__(self, "status", status)
        object.__setattr__(self, "headers", as_headers(headers))
        object.__setattr__(self, "body", body.encode() if isinstance(body, str) else body)


@dataclass(frozen=True, slots=True, init=False)
class Accept:
    """How a server accepts a request.

    :ivar subprotocol: one that the client offered, or None for none.
    :ivar headers: headers to add to the response, such as Set-Cookie.
    """

    subprotocol: str | None
    headers: Headers

    def __init__(self, subprotocol: str | None = None, headers: HeadersLike = ()) -> None:
        object.__setattr__(self, "subprotocol", subprotocol)
        object.__setattr__(self, "headers", as_headers(headers))


def split_tokens(value: str) -> list[str]:
    """The elements of a comma-separated header value, empty ones left out (RFC 9110 5.6.1)."""
    return [token for part in value.split(",") if (token := part.strip(" \t"))]


def is_token(text: str) -> bool:
    """Whether the text is a token of HTTP (RFC 9110 section 5.6.2)."""
    return bool(text) and _TCHAR.issuperset(text)


_TCHAR = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
