"""WebSockets without I/O: a pure state machine that owns every policy.

Adapters bind it to a runtime; an event loop of your own can embed it. Start at
:class:`Connection`; every number that is policy is in :class:`Config`.
"""

from __future__ import annotations

from ._close import Cause, CloseBy, CloseCode, CloseFrame, CloseReason, check_close_code
from ._config import Config, ConfigOptions, Deflate, Overflow
from ._connection import TRANSITIONS, Connection, Role, State, Transport
from ._errors import (
    BadHandshake,
    ConcurrencyError,
    ConnectionClosed,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRefused,
    HandshakeRejected,
    InvalidState,
    InvalidURL,
    OpenTimeout,
    SendBufferFull,
    WebSocketError,
    WebSocketTimeout,
)
from ._http import Accept, Headers, HeadersLike, Request, Response
from ._inbox import Message, Part
from ._outbox import Prepared
from ._pings import Latency, Ping
from ._stats import FAIR_SHARE, WORK_OF_A_CALL, Stats
from ._url import URL

__version__ = "0.1.0"

__all__ = [
    "FAIR_SHARE",
    "TRANSITIONS",
    "URL",
    "WORK_OF_A_CALL",
    "Accept",
    "BadHandshake",
    "Cause",
    "CloseBy",
    "CloseCode",
    "CloseFrame",
    "CloseReason",
    "ConcurrencyError",
    "Config",
    "ConfigOptions",
    "Connection",
    "ConnectionClosed",
    "Deflate",
    "HandshakeError",
    "HandshakeInterrupted",
    "HandshakeRefused",
    "HandshakeRejected",
    "Headers",
    "HeadersLike",
    "InvalidState",
    "InvalidURL",
    "Latency",
    "Message",
    "OpenTimeout",
    "Overflow",
    "Part",
    "Ping",
    "Prepared",
    "Request",
    "Response",
    "Role",
    "SendBufferFull",
    "State",
    "Stats",
    "Transport",
    "WebSocketError",
    "WebSocketTimeout",
    "__version__",
    "check_close_code",
]
