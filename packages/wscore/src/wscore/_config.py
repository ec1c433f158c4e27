"""The only place for numbers that are policy: each with its default and its precedent.

:class:`Config` is what a connection is given; :class:`ConfigOptions` is the same as keyword
arguments, for adapters that pass them through.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, Unpack

from ._entropy import entropy
from ._http import is_token

__all__ = ["Config", "ConfigOptions", "Deflate", "Overflow"]

INF = math.inf
KIB = 1024
MIB = 1024 * 1024

Marks = int | float | tuple[int | float, int | float]
"""A high mark, or a high and a low one."""

OverflowName = Literal["wait", "raise", "drop_newest", "drop_oldest", "replace", "close"]


class Overflow(enum.Enum):
    """What ``send`` does while the send buffer is at its high mark."""

    WAIT = "wait"
    """The adapter waits until there is room; the core accepts what it is given."""
    RAISE = "raise"
    """:exc:`~wscore.SendBufferFull`."""
    DROP_NEWEST = "drop_newest"
    """The new message is dropped and ``send`` returns False."""
    DROP_OLDEST = "drop_oldest"
    """Messages not yet begun are dropped, the oldest first, until the new one fits."""
    REPLACE = "replace"
    """A message takes the place of the queued one with the same ``key``, full or not; one that
    replaces nothing is treated as by RAISE, and so is one that would grow a full buffer."""
    CLOSE = "close"
    """The connection is failed with 1013, "try again later"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflate:
    """Parameters of permessage-deflate (RFC 7692); ``compression="deflate"`` is the defaults.

    The windows are limits for both roles: a server names them in its response, a client in its
    offer, and either side may ask the other for less. A connection's compressor takes about
    ``2 ** (bits + 2) + 2 ** (memory_level + 9)`` bytes and its decompressor ``2 ** bits``, both
    made when the first compressed message goes that way.

    :ivar server_max_window_bits: window of the server's compressor, 8 to 15 (a power of two, in
        bytes). 12, as in websockets: a fifth of zlib's memory, a few per cent of its gain lost.
    :ivar client_max_window_bits: the same for the client's compressor.
    :ivar server_no_context_takeover: the server compresses each message by itself.
    :ivar client_no_context_takeover: the same for the client.
    :ivar level: zlib's level for our compressor, 0 to 9. 1: half the time of 6 for a ratio of
        0.30 in place of 0.25 on 16 KiB of JSON.
    :ivar memory_level: zlib's memory level for our compressor, 1 to 9. 5, as in websockets.
    :ivar threshold: bytes; smaller messages are sent as they are unless ``compress=True``.
        1 KiB, as in Node's ws.
    """

    server_max_window_bits: int = 12
    client_max_window_bits: int = 12
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    level: int = 1
    memory_level: int = 5
    threshold: int = KIB

    def __post_init__(self) -> None:
        _check_range(self, "server_max_window_bits", 8, 15, whole=True)
        _check_range(self, "client_max_window_bits", 8, 15, whole=True)
        _check_range(self, "level", 0, 9, whole=True)
        _check_range(self, "memory_level", 1, 9, whole=True)
        _check_range(self, "threshold", 0, INF)
        _check_type(self, "server_no_context_takeover", bool, "a bool")
        _check_type(self, "client_no_context_takeover", bool, "a bool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every policy of a connection, as one immutable value that many connections share.

    Times are in seconds, sizes in bytes; ``math.inf`` turns a timeout or a limit off. A wrong
    value raises ValueError or TypeError with the field, the value and what is allowed.

    Time
        :ivar open_timeout: from the start to an open connection, one absolute deadline over
            everything in between. 10 s, as in websockets.
        :ivar close_timeout: from the first close or failure to the end of the transport, one
            absolute deadline that nothing extends. 10 s, as in websockets and aiohttp.
        :ivar fail_timeout: how long a violation or an end of stream waits behind messages that
            came before it and are not taken yet, and a violation until the last one is answered;
            at most half of ``close_timeout``. 1 s (arbitrary: longer than an honest consumer
            needs for its queue).
        :ivar send_timeout: bytes wait to be written and the transport takes none: the peer is
            dead, or as good as dead. 30 s (arbitrary: three times a bad mobile hand-over).
        :ivar idle_timeout: no application message in either direction. Off.
        :ivar message_timeout: from a message's first byte to its last. Off: only the
            application knows its slowest honest sender.
        :ivar ping_interval: time between keepalive pings. 20 s, as in websockets: below the
            30 to 60 s after which common proxies drop silent connections.
        :ivar ping_timeout: from a keepalive ping's last byte to the next sign of life. 20 s.
        :ivar sleep_tolerance: a ping deadline handled later than this proves that this machine
            slept; the peer gets its time once more. 1 s (arbitrary: no event loop that works
            is so late).

        :ivar ping_if_silent: a keepalive ping is sent only when the peer has been silent for
            ``ping_interval``. False: in any case, and so ``latency`` is never old.
        :ivar answer_pings: a ping is answered as soon as it is read. False: pings and pongs are
            for the application, by :meth:`Connection.take_control`.
        :ivar show_pings: the application can take pings and pongs though pings are answered.

    Receiving
        :ivar max_message_size: bytes of a message, text measured in UTF-8, after inflation.
            1 MiB, as in websockets. As a str, text can take four times as much memory. Without a
            limit, compression lets a peer spend a thousand times what it sends.
        :ivar max_fragment_size: bytes of one received frame's payload. Off.
        :ivar max_fragments: frames of one message. 131,072: Autobahn 9.3.1 sends 65,536.
        :ivar max_queue: messages received and not taken, as high mark or (high, low). A message
            is begun only below the high mark; at it, receiving rests until the low one.
            16 and 4, as in websockets.
        :ivar max_queue_bytes: the same in bytes. ``None``: ``max_message_size``, or 1 MiB if
            that is inf.
        :ivar control_look_ahead: raw bytes read behind a full queue in search of pings, pongs
            and Close frames. 64 KiB. 0: nothing is read or looked at behind a full queue; so with
            ``max_queue=1`` each message is handed over before anything behind it counts.
        :ivar read_size: the most bytes that one read may bring, or twice as many if they go to
            where they stay, in a large message. 256 KiB, as in asyncio.
        :ivar keep_unread: after this side closes, messages received before can still be taken;
            otherwise they are dropped and counted.
        :ivar keep_fragments: a message that is received in parts comes in the fragments that it
            was sent in, each when it is whole; otherwise in what has arrived, as it arrives.

    Sending
        :ivar max_send_buffer: bytes accepted and not sent, as high mark or (high, low).
            64 and 16 KiB, as in asyncio.
        :ivar overflow: what happens to a message that comes while the buffer is at its mark.
        :ivar max_pong_buffer: bytes of unsent pongs; above, the newest replaces the last
            (RFC 6455 section 5.5.3). 4 KiB.

    Handshake
        :ivar subprotocols: offered by a client; known to a server; in order of preference.
        :ivar origins: a server refuses with 403 what comes from a page of any other origin (RFC
            6455 section 10.2); None among them lets in requests without one, as of programs
            that are no browser. None: all are let in. Set it wherever cookies or an address are
            enough to be let in, on loopback, too: any page that a user visits can connect there.
        :ivar plain_http: whether a server is asked about every request that is good HTTP, as a
            health check's is; one that is no good handshake can only be refused. False: it gets
            the core's refusal at once.
        :ivar compression: None, ``"deflate"``, or a :class:`~wscore.Deflate`. None, as in
            Node's ws and gorilla: it costs memory and widens what an attacker can reach.
        :ivar max_head_size: bytes of a request's or response's head. 64 KiB.
        :ivar max_header_line: bytes of a line of it. 8 KiB, as in nginx and Apache.
        :ivar max_headers: lines of it. 128.
        :ivar max_body_size: bytes kept of a rejection's body. 64 KiB.

    Randomness
        :ivar entropy: ``entropy(n)`` gives n unpredictable bytes, for masks and keys. Replace
            it in tests only (RFC 6455 section 10.3).
    """

    open_timeout: float = 10.0
    close_timeout: float = 10.0
    fail_timeout: float = 1.0
    send_timeout: float = 30.0
    idle_timeout: float = INF
    message_timeout: float = INF
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    sleep_tolerance: float = 1.0
    ping_if_silent: bool = False
    answer_pings: bool = True
    show_pings: bool = False

    max_message_size: int | float = MIB
    max_fragment_size: int | float = INF
    max_fragments: int | float = 131_072
    max_queue: Marks = 16
    max_queue_bytes: int | float | None = None
    control_look_ahead: int | float = 64 * KIB
    read_size: int = 256 * KIB
    keep_unread: bool = False
    keep_fragments: bool = False

    max_send_buffer: Marks = (64 * KIB, 16 * KIB)
    overflow: Overflow | OverflowName = Overflow.WAIT
    max_pong_buffer: int | float = 4 * KIB

    subprotocols: Sequence[str] = ()
    origins: Sequence[str | None] | None = None
    plain_http: bool = False
    compression: Deflate | Literal["deflate"] | None = None
    max_head_size: int | float = 64 * KIB
    max_header_line: int | float = 8 * KIB
    max_headers: int | float = 128
    max_body_size: int | float = 64 * KIB

    entropy: Callable[[int], bytes] = entropy

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            _check_range(self, name, 0, INF, open_below=True)
        for name in _NOT_NEGATIVE:
            _check_range(self, name, 0, INF)
        _check_range(self, "max_fragments", 1, INF, whole=True)
        _check_range(self, "max_headers", 1, INF, whole=True)
        _check_range(self, "read_size", 1024, 2**31, whole=True)
        _check_marks(self, "max_queue", least=1)
        _check_marks(self, "max_send_buffer", least=1)
        if self.max_queue_bytes is not None:
            _check_range(self, "max_queue_bytes", 1, INF)
        _check_type(self, "keep_unread", bool, "a bool")
        _check_type(self, "keep_fragments", bool, "a bool")
        _check_type(self, "plain_http", bool, "a bool")
        _check_type(self, "ping_if_silent", bool, "a bool")
        _check_type(self, "answer_pings", bool, "a bool")
        _check_type(self, "show_pings", bool, "a bool")
        try:
            object.__setattr__(self, "overflow", Overflow(self.overflow))
        except ValueError:
            names = ", ".join(repr(policy.value) for policy in Overflow)
            raise ValueError(f"overflow is {self.overflow!r}; it must be one of {names}") from None
        if self.compression == "deflate":
            object.__setattr__(self, "compression", Deflate())
        elif self.compression is not None and not isinstance(self.compression, Deflate):
            raise _wrong(self, "compression", 'None, "deflate" or a Deflate(...)', ValueError)
        if isinstance(self.subprotocols, str):
            raise _wrong(self, "subprotocols", "a sequence of str, not one str", TypeError)
        if not isinstance(self.subprotocols, Sequence) or not all(
            isinstance(token, str) for token in self.subprotocols
        ):
            raise _wrong(self, "subprotocols", "a sequence of str", TypeError)
        object.__setattr__(self, "subprotocols", tuple(self.subprotocols))
        for token in self.subprotocols:
            if not is_token(token):
                raise _wrong(self, "subprotocols", "HTTP tokens (RFC 9110 5.6.2)", ValueError)
        if len(set(self.subprotocols)) != len(self.subprotocols):
            raise _wrong(self, "subprotocols", "different from one another", ValueError)
        if self.origins is not None:
            if isinstance(self.origins, str) or not isinstance(self.origins, Sequence):
                raise _wrong(self, "origins", "a sequence of str and None, or None", TypeError)
            object.__setattr__(self, "origins", tuple(self.origins))
            for origin in self.origins:
                _check_origin(self, origin)
        if not callable(self.entropy):
            raise _wrong(self, "entropy", "a function from int to bytes", TypeError)

    def replace(self, **options: Unpack[ConfigOptions]) -> Config:
        """A copy with these fields changed, and validated anew."""
        return dataclasses.replace(self, **options) if options else self

    @property
    def queue_marks(self) -> tuple[int | float, int | float]:
        """``max_queue`` as (high, low), in messages; low is a quarter of high unless given."""
        return _marks(self.max_queue)

    @property
    def queue_byte_marks(self) -> tuple[int | float, int | float]:
        """``max_queue_bytes`` as (high, low), in bytes."""
        high = self.max_queue_bytes
        if high is None:
            high = MIB if self.max_message_size == INF else max(1, self.max_message_size)
        return _marks(high)

    @property
    def send_marks(self) -> tuple[int | float, int | float]:
        """``max_send_buffer`` as (high, low), in bytes; low is a quarter of high unless given."""
        return _marks(self.max_send_buffer)

    @property
    def fail_delay(self) -> float:
        """``fail_timeout``, but at most half of ``close_timeout``, in seconds."""
        return min(self.fail_timeout, self.close_timeout / 2)

    @property
    def deflate(self) -> Deflate | None:
        """``compression`` as parameters, or None."""
        return self.compression if isinstance(self.compression, Deflate) else None

    @property
    def memory_bound(self) -> int | float:
        """The most bytes that a connection holds on behalf of its peer and its application.

        The messages in the queue and the one being received, the raw bytes behind them, the send
        buffer with a message that went over its mark, and unsent pongs. Objects of Python, zlib's
        own state (see :class:`Deflate`) and what is masked of a message to be written, half a MiB
        at most, come on top.
        """
        received = self.queue_byte_marks[0] + 2 * self.max_message_size + self.read_size
        return received + self.send_marks[0] + self.max_message_size + self.max_pong_buffer


class ConfigOptions(TypedDict, total=False):
    """The fields of :class:`Config` as keyword arguments, for ``**policy: Unpack[...]``."""

    open_timeout: float
    close_timeout: float
    fail_timeout: float
    send_timeout: float
    idle_timeout: float
    message_timeout: float
    ping_interval: float
    ping_timeout: float
    sleep_tolerance: float
    ping_if_silent: bool
    answer_pings: bool
    show_pings: bool
    max_message_size: int | float
    max_fragment_size: int | float
    max_fragments: int | float
    max_queue: Marks
    max_queue_bytes: int | float | None
    control_look_ahead: int | float
    read_size: int
    keep_unread: bool
    keep_fragments: bool
    max_send_buffer: Marks
    overflow: Overflow | OverflowName
    max_pong_buffer: int | float
    subprotocols: Sequence[str]
    origins: Sequence[str | None] | None
    plain_http: bool
    compression: Deflate | Literal["deflate"] | None
    max_head_size: int | float
    max_header_line: int | float
    max_headers: int | float
    max_body_size: int | float
    entropy: Callable[[int], bytes]


_POSITIVE = (
    *("open_timeout", "close_timeout", "send_timeout", "idle_timeout", "message_timeout"),
    *("ping_interval", "ping_timeout", "max_head_size", "max_header_line"),
)
_NOT_NEGATIVE = (
    *("fail_timeout", "sleep_tolerance", "max_message_size", "max_fragment_size"),
    *("control_look_ahead", "max_pong_buffer", "max_body_size"),
)


def _marks(value: Marks) -> tuple[int | float, int | float]:
    if isinstance(value, tuple):
        return value
    return value, value if value == INF else value // 4


def _wrong(owner: object, name: str, allowed: str, kind: type[Exception]) -> Exception:
    return kind(f"{name} is {getattr(owner, name)!r}; it must be {allowed}")


def _check_type(owner: object, name: str, kind: type, allowed: str) -> None:
    if not isinstance(getattr(owner, name), kind):
        raise _wrong(owner, name, allowed, TypeError)


def _check_origin(owner: object, origin: object) -> None:
    """Refuse what no browser sends (RFC 6454 section 7.1), and so would let nobody in."""
    if origin is not None and not isinstance(origin, str):
        raise _wrong(owner, "origins", "a sequence of str and None, or None", TypeError)
    _, _, host = (origin or "").partition("://")
    if origin not in (None, "null") and (not host or "/" in host):
        allowed = 'origins like "https://example.com", without a path; "null"; or None'
        raise _wrong(owner, "origins", allowed, ValueError)


def _is_number(value: object, *, whole: bool) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool)


def _check_range(
    owner: object,
    name: str,
    low: float,
    high: float,
    *,
    whole: bool = False,
    open_below: bool = False,
) -> None:
    value: Any = getattr(owner, name)
    kind = "a whole number" if whole else "a number"
    above = f"above {low:g}" if open_below else f"at least {low:g}"
    below = "inf turns it off" if high == INF else f"at most {high:g}"
    allowed = f"{kind}, {above}, {below}"
    if not _is_number(value, whole=whole and not value == high == INF):
        raise _wrong(owner, name, allowed, TypeError)
    # Written so that NaN, which compares false with everything, is refused.
    if not (low < value <= high if open_below else low <= value <= high):
        raise _wrong(owner, name, allowed, ValueError)


def _check_marks(owner: object, name: str, *, least: int) -> None:
    value = getattr(owner, name)
    allowed = f"a number of at least {least}, or (high, low) with high >= low >= 0"
    pair = value if isinstance(value, tuple) else (value, 0)
    if len(pair) != 2 or not all(_is_number(mark, whole=False) for mark in pair):
        raise _wrong(owner, name, allowed, TypeError)
    high, low = pair
    if not (high >= least and high >= low >= 0):
        raise _wrong(owner, name, allowed, ValueError)


# A field that one of the two lacks would be a policy that cannot be passed through.
assert {field.name for field in fields(Config)} == set(ConfigOptions.__annotations__)
