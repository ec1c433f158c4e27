"""WebSockets without I/O: a pure state machine that owns every policy.

Adapters bind it to a runtime; an event loop of your own can embed it. Start at
:class:`Connection`; every number that is policy is in :class:`Config`.
"""

from __future__ import annotations

from ._admission import Admission, Farewell
from ._answering import answer_request
from ._arrival import Arrival
from ._backoff import Backoff, Reconnector
from ._broadcast import broadcast
from ._caller_driven import CallerDriven
from ._carrier import Carrier, SocketCarrier, StreamCarrier, receive_rest, send_some
from ._close import Cause, CloseBy, CloseCode, CloseFrame, CloseReason, check_close_code
from ._config import Config, ConfigOptions, Deflate, Overflow
from ._connection import TRANSITIONS, Connection, Role, State, Transport
from ._destination import Destination
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
    ProxyError,
    RedirectRefused,
    SendBufferFull,
    WebSocketError,
    WebSocketTimeout,
    only_closed,
)
from ._facts import Facts
from ._form import codec as codec
from ._handshake import Tunnel
from ._http import Accept, Headers, HeadersLike, Request, Response
from ._inbox import Message, Part
from ._opening import Accepting, Connecting, Home
from ._outbox import Prepared
from ._pace import HANDOVER, IN_A_ROW
from ._pings import ControlFrame, Latency, Ping
from ._proxy import Proxy, choose_proxy
from ._receiving import PartReceiver, ReceivedParts, Receiving
from ._reconnecting import Reconnecting
from ._runtime import Runtime
from ._sending import (
    Parts,
    PartSender,
    SendableMessage,
    SendTurn,
    as_parts,
    each_part,
    is_whole,
    send_parts,
)
from ._serving import AsyncServer, Serving, StructuredServer, run_handler
from ._stats import FairShare, Stats
from ._url import URL
from ._watch import Watch

__version__ = "0.1.0"

__all__ = [
    "HANDOVER",
    "IN_A_ROW",
    "TRANSITIONS",
    "URL",
    "Tunnel",
    "Accept",
    "Accepting",
    "Admission",
    "Arrival",
    "AsyncServer",
    "BadHandshake",
    "Cause",
    "Backoff",
    "CallerDriven",
    "Carrier",
    "CloseBy",
    "CloseCode",
    "CloseFrame",
    "CloseReason",
    "ConcurrencyError",
    "Config",
    "ConfigOptions",
    "Connecting",
    "Connection",
    "ConnectionClosed",
    "ControlFrame",
    "Deflate",
    "Destination",
    "Facts",
    "FairShare",
    "Farewell",
    "HandshakeError",
    "HandshakeInterrupted",
    "HandshakeRefused",
    "HandshakeRejected",
    "Headers",
    "HeadersLike",
    "Home",
    "InvalidState",
    "InvalidURL",
    "Latency",
    "Message",
    "OpenTimeout",
    "Overflow",
    "Part",
    "PartReceiver",
    "PartSender",
    "Proxy",
    "ProxyError",
    "Parts",
    "Ping",
    "Prepared",
    "ReceivedParts",
    "Receiving",
    "Reconnecting",
    "Reconnector",
    "RedirectRefused",
    "Request",
    "Response",
    "Role",
    "Runtime",
    "SendBufferFull",
    "SendTurn",
    "SendableMessage",
    "Serving",
    "SocketCarrier",
    "State",
    "Stats",
    "StreamCarrier",
    "StructuredServer",
    "Transport",
    "Watch",
    "WebSocketError",
    "WebSocketTimeout",
    "__version__",
    "answer_request",
    "as_parts",
    "broadcast",
    "choose_proxy",
    "check_close_code",
    "codec",
    "each_part",
    "is_whole",
    "only_closed",
    "receive_rest",
    "run_handler",
    "send_parts",
    "send_some",
]
