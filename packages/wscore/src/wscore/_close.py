"""The only place for close codes and for the reason a connection ended.

RFC 6455 section 7.4 and the IANA registry "WebSocket Close Code Number".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "Cause",
    "CloseBy",
    "CloseCode",
    "CloseFrame",
    "CloseReason",
    "check_close_code",
]

MAX_REASON = 123
"""Bytes of reason a Close frame can carry: 125 less the code (RFC 6455 section 5.5)."""


class CloseCode(enum.IntEnum):
    """The registered close codes (RFC 6455 section 7.4.1 and the IANA registry)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


class CloseBy(enum.Enum):
    """Who ended the connection."""

    LOCAL = "local"
    """This application: it closed or aborted, or its own code failed."""
    PEER = "peer"
    """The other side sent the first Close frame."""
    POLICY = "policy"
    """A limit, a timeout or a rule of RFC 6455 on this side."""
    TRANSPORT = "transport"
    """The bytes stopped: end of stream without a Close frame, reset, TLS failure."""


class Cause(enum.Enum):
    """What ended the connection: the first cause wins."""

    # by LOCAL
    CLOSED = "closed"
    ABORTED = "aborted"
    REJECTED = "rejected"
    HANDLER_ERROR = "handler_error"
    SEND_INTERRUPTED = "send_interrupted"
    # by PEER
    PEER_CLOSED = "peer_closed"
    PEER_REJECTED = "peer_rejected"
    # by POLICY
    PROTOCOL_ERROR = "protocol_error"
    INVALID_DATA = "invalid_data"
    TOO_BIG = "too_big"
    BAD_HANDSHAKE = "bad_handshake"
    OVERFLOW = "overflow"
    OPEN_TIMEOUT = "open_timeout"
    PING_TIMEOUT = "ping_timeout"
    SEND_TIMEOUT = "send_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    MESSAGE_TIMEOUT = "message_timeout"
    # by TRANSPORT
    EOF = "eof"
    TRANSPORT_ERROR = "transport_error"


_NOTHING_WRONG = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD)
"""1005 is what a page gives that calls ``close()`` without a code."""

FAILURES: dict[Cause, tuple[CloseBy, CloseCode]] = {
    Cause.HANDLER_ERROR: (CloseBy.LOCAL, CloseCode.INTERNAL_ERROR),
    Cause.SEND_INTERRUPTED: (CloseBy.LOCAL, CloseCode.INTERNAL_ERROR),
    Cause.PROTOCOL_ERROR: (CloseBy.POLICY, CloseCode.PROTOCOL_ERROR),
    Cause.INVALID_DATA: (CloseBy.POLICY, CloseCode.INVALID_DATA),
    Cause.TOO_BIG: (CloseBy.POLICY, CloseCode.MESSAGE_TOO_BIG),
    Cause.OVERFLOW: (CloseBy.POLICY, CloseCode.TRY_AGAIN_LATER),
    Cause.PING_TIMEOUT: (CloseBy.POLICY, CloseCode.INTERNAL_ERROR),
    Cause.IDLE_TIMEOUT: (CloseBy.POLICY, CloseCode.GOING_AWAY),
    Cause.MESSAGE_TIMEOUT: (CloseBy.POLICY, CloseCode.POLICY_VIOLATION),
    # Nothing can be written any more, or there never was a connection to close:
    # the code says that no Close frame was exchanged (RFC 6455 section 7.1.5).
    Cause.SEND_TIMEOUT: (CloseBy.POLICY, CloseCode.ABNORMAL_CLOSURE),
    Cause.OPEN_TIMEOUT: (CloseBy.POLICY, CloseCode.ABNORMAL_CLOSURE),
    Cause.BAD_HANDSHAKE: (CloseBy.POLICY, CloseCode.ABNORMAL_CLOSURE),
    Cause.REJECTED: (CloseBy.LOCAL, CloseCode.ABNORMAL_CLOSURE),
    Cause.PEER_REJECTED: (CloseBy.PEER, CloseCode.ABNORMAL_CLOSURE),
    Cause.ABORTED: (CloseBy.LOCAL, CloseCode.ABNORMAL_CLOSURE),
    Cause.EOF: (CloseBy.TRANSPORT, CloseCode.ABNORMAL_CLOSURE),
    Cause.TRANSPORT_ERROR: (CloseBy.TRANSPORT, CloseCode.ABNORMAL_CLOSURE),
}
"""Who is behind each cause, and the code that tells the peer."""


class Failure(NamedTuple):
    """A rule that was broken or an end that came: what happened, and a text for it."""

    cause: Cause
    text: str


class CloseFrame(NamedTuple):
    """The content of one Close frame; an empty frame is code 1005 and no reason."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class CloseReason:
    """Why and how a connection ended.

    :ivar code: the close code of the first cause: of the peer's Close frame if the peer closed
        (1005 if its frame was empty), of ours if we did, 1006 if no Close frame could be sent.
    :ivar reason: the text that goes with the code.
    :ivar by: who ended the connection.
    :ivar cause: what ended it.
    :ivar close_sent: our Close frame, or None if it was never handed to the transport.
    :ivar close_received: the peer's Close frame, or None.
    :ivar unsent: messages accepted from the application that did not leave whole.
    :ivar unread: messages that the peer began and the application will not get.
    :ivar error: the transport's exception, where one ended the connection.
    """

    code: int
    reason: str
    by: CloseBy
    cause: Cause
    close_sent: CloseFrame | None = None
    close_received: CloseFrame | None = None
    unsent: int = 0
    unread: int = 0
    error: BaseException | None = None

    @property
    def clean(self) -> bool:
        """Both Close frames were exchanged (RFC 6455 section 7.1.4)."""
        return self.close_sent is not None and self.close_received is not None

    @property
    def ok(self) -> bool:
        """Whether either side closed as one does, with 1000, 1001 or no code: nobody worries."""
        by_choice = self.cause in (Cause.CLOSED, Cause.PEER_CLOSED)
        return by_choice and self.code in _NOTHING_WRONG

    @property
    def unexpected(self) -> bool:
        """Whether the end is worth a line in a log: this side did not choose it."""
        return self.by is not CloseBy.LOCAL and not self.ok

    def __str__(self) -> str:
        text = f"{self.code} by {self.by.value}, {self.cause.value}"
        if self.reason:
            # It may be the peer's text, and end up as a line in a log.
            text += f": {self.reason if self.reason.isprintable() else repr(self.reason)}"
        if self.unsent or self.unread:
            text += f" ({self.unsent} messages unsent, {self.unread} unread)"
        return text


def may_be_received(code: int) -> bool:
    """Whether a Close frame may carry this code (RFC 6455 section 7.4, IANA: 1012-1014)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def check_close_code(code: int) -> None:
    """Refuse a code that an application must not send (RFC 6455 section 7.4); any thread.

    :raises ValueError: it is not 1000-1003, 1007-1014 or 3000-4999.
    :raises TypeError: it is no int.
    """
    if not isinstance(code, int):
        raise TypeError(f"close code must be an int, not {type(code).__name__}")
    if not may_be_received(code):
        raise ValueError(
            f"close code {code} must not be sent; use 1000-1003, 1007-1014 or 3000-4999 "
            "(RFC 6455 section 7.4)"
        )


def cut_reason(reason: str) -> str:
    """The longest prefix of whole characters that fits into a Close frame."""
    encoded = reason.encode()
    if len(encoded) <= MAX_REASON:
        return reason
    return encoded[:MAX_REASON].decode(errors="ignore")


def encode_close(frame: CloseFrame) -> bytes:
    """The payload of a Close frame; code 1005 is the empty payload."""
    if frame.code == CloseCode.NO_STATUS_RCVD:
        return b""
    return frame.code.to_bytes(2, "big") + frame.reason.encode()


def decode_close(payload: bytes) -> CloseFrame | Failure:
    """What a received Close frame says, or what is wrong with it."""
    if not payload:
        return CloseFrame(CloseCode.NO_STATUS_RCVD, "")
    if len(payload) == 1:
        return Failure(Cause.PROTOCOL_ERROR, "Close frame with one byte of payload")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_received(code):
        return Failure(Cause.PROTOCOL_ERROR, f"Close frame with code {code}")
    try:
        return CloseFrame(code, payload[2:].decode())
    except UnicodeDecodeError:
        return Failure(Cause.INVALID_DATA, "Close frame whose reason is not UTF-8")
