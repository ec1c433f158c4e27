"""The only place for exceptions.

::

    WebSocketError                  the root: catch this to catch everything of ours
    ├── InvalidURL (ValueError)     not a ws:// or wss:// URL
    ├── InvalidState (RuntimeError) the caller's command does not fit the state
    │   └── ConcurrencyError        two callers where there can be one
    ├── SendBufferFull              overflow="raise" and the send buffer is at its mark
    ├── WebSocketTimeout (TimeoutError)
    │   └── OpenTimeout             also a HandshakeError
    ├── HandshakeError              the connection never opened
    │   ├── BadHandshake            the peer's HTTP is malformed or breaks RFC 6455 section 4
    │   ├── HandshakeRejected       the peer answered with another status than 101
    │   │   └── RedirectRefused     it redirected to where this side does not go
    │   ├── ProxyError              a proxy does not let us through
    │   ├── HandshakeRefused        this side answered with another status than 101
    │   ├── HandshakeInterrupted    the transport ended, or this side closed, before it was open
    │   └── OpenTimeout             open_timeout passed
    └── ConnectionClosed            the connection was open and is closing or closed

What a caller passed in wrong (a bad value or type) is a plain ValueError or TypeError, raised
before anything is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._close import CloseReason
    from ._http import Response

__all__ = [
    "BadHandshake",
    "ConcurrencyError",
    "ConnectionClosed",
    "HandshakeError",
    "HandshakeInterrupted",
    "HandshakeRefused",
    "HandshakeRejected",
    "InvalidState",
    "InvalidURL",
    "OpenTimeout",
    "ProxyError",
    "RedirectRefused",
    "SendBufferFull",
    "WebSocketError",
    "WebSocketTimeout",
    "only_closed",
]


class WebSocketError(Exception):
    """The root of every exception that this library defines."""


class InvalidURL(WebSocketError, ValueError):
    """The text is not a WebSocket URL (RFC 6455 section 3); the message says why."""


class InvalidState(WebSocketError, RuntimeError):
    """The command does not fit the state of the connection, such as sending before it is open."""


class ConcurrencyError(InvalidState):
    """A second caller waits where there can be only one, such as two calls of ``recv()``."""


class SendBufferFull(WebSocketError):
    """The send buffer is at its high mark and ``overflow`` says not to wait.

    :ivar buffered: bytes waiting to be sent.
    :ivar limit: the high mark, ``max_send_buffer``, in bytes.
    """

    def __init__(self, buffered: int, limit: float) -> None:
        super().__init__(buffered, limit)
        self.buffered = buffered
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"{self.buffered} bytes wait to be sent and max_send_buffer is {self.limit}: "
            "send less, wait until can_send, or choose another overflow policy"
        )


class WebSocketTimeout(WebSocketError, TimeoutError):
    """A time that the caller or the configuration set has passed."""


class HandshakeError(WebSocketError):
    """The connection never opened."""


class BadHandshake(HandshakeError):
    """The peer's request or response is malformed or breaks a rule of RFC 6455 section 4.

    :ivar response: the response that breaks the rule, on a client that got as far; on a server
        the refusal that went to the peer; else None.
    """

    def __init__(self, message: str, response: Response | None = None) -> None:
        super().__init__(message)
        self.response = response


class HandshakeRejected(HandshakeError):
    """The server answered with another status than 101.

    :ivar response: its status, headers and at most ``max_body_size`` bytes of its body.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"the server rejected the WebSocket handshake with HTTP {self.response.status}"


class RedirectRefused(HandshakeRejected):
    """The server redirected to where this side does not go.

    :ivar response: the redirection.
    :ivar why: why it is not followed.
    """

    def __init__(self, response: Response, why: str) -> None:
        super().__init__(response)
        self.args = response, why
        self.why = why

    def __str__(self) -> str:
        return f"the redirection with HTTP {self.response.status} is not followed: {self.why}"


class ProxyError(HandshakeError):
    """A proxy does not let us through to the server.

    :ivar response: what it answered, if it is an HTTP proxy and its answer was understood.
    """

    def __init__(self, message: str, response: Response | None = None) -> None:
        super().__init__(message)
        self.response = response


class HandshakeRefused(HandshakeError):
    """This side answered the request with another status than 101.

    :ivar response: the response that was sent.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"the request was refused with HTTP {self.response.status}"


class HandshakeInterrupted(HandshakeError):
    """The transport ended, or this side closed, before the connection was open."""


class OpenTimeout(HandshakeError, WebSocketTimeout):
    """``open_timeout`` passed before the connection was open.

    :ivar seconds: the timeout.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the connection was not open within open_timeout, {self.seconds:g} s"


class ConnectionClosed(WebSocketError):
    """The connection is closing or closed; its ``reason`` says who ended it, and why.

    Where a transport's error ended it, that error is the ``__cause__``.

    :ivar reason: the :class:`~wscore.CloseReason` as it stood when this was raised.
    """

    def __init__(self, reason: CloseReason) -> None:
        super().__init__(reason)
        self.reason = reason
        self.__cause__ = reason.error

    @property
    def code(self) -> int:
        """The close code, as in ``reason.code``."""
        return self.reason.code

    def __str__(self) -> str:
        return f"the connection is closed: {self.reason}"


def only_closed(error: BaseException) -> bool:
    """Whether this says that a connection is closed and nothing else, in groups too; any thread.

    A handler may leave it to its server to notice the end.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(only_closed(part) for part in error.exceptions)
    return isinstance(error, ConnectionClosed)
