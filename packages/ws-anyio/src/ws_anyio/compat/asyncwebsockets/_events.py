"""The only place where values and errors of this library become wsproto's events, and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias, cast

import anyio
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection, Request
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from wscore import (
    Accept,
    BadHandshake,
    CloseBy,
    ConnectionClosed,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    Headers,
    Response,
)
from wscore import (
    Request as CoreRequest,
)

__all__ = ["Asking", "Filter", "HeaderPairs", "accepted", "ending", "to_headers", "translated"]

HeaderPairs: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Headers to add to a request: pairs of str or bytes, or a mapping."""

Answer: TypeAlias = bool | str | AcceptConnection | RejectConnection | None

Filter: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Called with a client's request. True accepts it, with the first subprotocol it offers; a str is
the subprotocol to accept it with; an event is the answer itself; anything false refuses it."""


class Asking:
    """Asks a filter, as the adapter's hook for requests.

    :ivar request: what the client asked for, once it has.
    :ivar refusal: what it was refused with.
    :ivar error: what went wrong with the answer.
    """

    def __init__(self, filter: Filter | None) -> None:  # noqa: A002  (asyncwebsockets' name)
        self._filter = filter
        self.request: Request | None = None
        self.refusal: RejectConnection | None = None
        self.error: Exception | None = None

    async def __call__(self, asked: CoreRequest) -> Accept | Response:
        self.request = request = Request(
            host=asked.host,
            target=asked.target,
            extensions=_to_tokens(asked.headers.get("Sec-WebSocket-Extensions", "")),
            extra_headers=_to_pairs(asked.headers),
            subprotocols=[*asked.subprotocols],
        )
        try:
            answer = _to_answer(await self._ask(request), request)
        except Exception as error:  # noqa: BLE001  (raised where the filter was given)
            self.error = error
            return Response(500)
        if isinstance(answer, AcceptConnection):
            return Accept(answer.subprotocol, to_headers(answer.extra_headers))
        self.refusal = answer
        return Response(answer.status_code, to_headers(answer.headers))

    async def _ask(self, request: Request) -> Answer:
        return True if self._filter is None else await self._filter(request)


def _to_answer(answer: Answer, request: Request) -> AcceptConnection | RejectConnection:
    """What a filter returned, as an event that can be sent."""
    if answer is True:
        answer = next(iter(request.subprotocols), AcceptConnection())
    if isinstance(answer, str) and answer:
        answer = AcceptConnection(answer)
    if not answer:
        answer = RejectConnection()
    if not isinstance(answer, (AcceptConnection, RejectConnection)):
        raise LocalProtocolError(
            "a filter returns a bool, a str, an AcceptConnection or a RejectConnection, "
            f"not {type(answer).__name__}"
        )
    if isinstance(answer, AcceptConnection) and answer.subprotocol is not None:
        if answer.subprotocol not in request.subprotocols:
            raise LocalProtocolError(
                f"a filter accepts with the subprotocol {answer.subprotocol!r}, "
                f"but the client offered {request.subprotocols}"
            )
    return answer


@contextmanager
def translated(asking: Asking | None = None) -> Iterator[None]:
    """Raise what asyncwebsockets does where a connection does not open."""
    try:
        yield
    except HandshakeRejected as error:
        rejection = _rejected(error.response)
        raise ConnectionError("Failed to establish a connection", rejection) from error
    except HandshakeRefused as error:
        if asking is not None and asking.error is not None:
            raise asking.error from None
        refusal = asking.refusal if asking is not None else None
        raise ConnectionError("Not accepted", refusal or _rejected(error.response)) from error
    except BadHandshake as error:
        hint = None if error.response is None else _rejected(error.response)
        raise RemoteProtocolError(str(error), hint) from error
    except HandshakeInterrupted as error:
        raise _broken(error.__cause__) from error


def accepted(response: Response, subprotocol: str | None) -> AcceptConnection:
    """How a server accepted a client's request."""
    return AcceptConnection(subprotocol, extra_headers=_to_pairs(response.headers, _UPGRADE))


def ending(closed: ConnectionClosed) -> CloseConnection:
    """The end of a connection as an event.

    :raises anyio.EndOfStream, anyio.BrokenResourceError: it is none: the bytes stopped.
    """
    reason = closed.reason
    if reason.by is CloseBy.TRANSPORT:
        raise _broken(reason.error) from closed
    return CloseConnection(reason.code, reason.reason)


def _broken(error: BaseException | None) -> Exception:
    return anyio.EndOfStream() if error is None else anyio.BrokenResourceError()


def _rejected(response: Response) -> RejectConnection:
    return RejectConnection(response.status, _to_pairs(response.headers), has_body=True)


# wsproto's headers are pairs of bytes, the names in lower case, without those that have fields of
# their own in its events.

_FIELDS = frozenset({"host", "sec-websocket-extensions", "sec-websocket-protocol"})
_UPGRADE = frozenset({"connection", "sec-websocket-accept", "upgrade"})


def to_headers(headers: HeaderPairs | None) -> Headers:
    """What was given as headers of str or bytes."""
    if headers is None:
        return Headers()
    if isinstance(headers, Mapping):
        # For type checkers: an iterable of pairs might be a mapping, too.
        return Headers(cast("Mapping[str, str]", headers))
    return Headers((_to_text(name), _to_text(value)) for name, value in headers)


def _to_text(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


def _to_tokens(value: str) -> list[str]:
    return [token.strip() for token in value.split(",") if token]


def _to_pairs(
    headers: Headers, without: frozenset[str] = frozenset()
) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in headers.pairs()
        if name.lower() not in _FIELDS | without
    ]
