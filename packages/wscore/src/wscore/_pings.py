"""The only place for pings: matched with their pongs and timed, or left to the application.

RFC 6455 sections 5.5.2 and 5.5.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from ._lazy import EMPTY, put

__all__ = ["ControlFrame", "Latency", "Ping"]

MAX_PAYLOAD = 125
"""Bytes that a control frame can carry (RFC 6455 section 5.5)."""


class Latency(NamedTuple):
    """Round-trip times in seconds.

    :ivar last: of the latest ping that was answered.
    :ivar smoothed: an eighth of each new sample, seven eighths of what came before (RFC 6298
        section 2).
    """

    last: float
    smoothed: float


class ControlFrame(NamedTuple):
    """A ping or pong that the application wants to see.

    :ivar opcode: 9 for a ping, 10 for a pong (RFC 6455 section 5.2).
    :ivar payload: what it carries, at most 125 bytes.
    """

    opcode: int
    payload: bytes


class Ping:
    """A ping in flight, as ``Connection.ping`` returns it.

    :ivar payload: what the pong has to carry.
    :ivar started: when the ping was asked for.
    :ivar left: when its last byte left for the transport, or None.
    :ivar round_trip: seconds until it was answered, or None.
    """

    __slots__ = ("keepalive", "left", "payload", "round_trip", "started")

    def __init__(self, payload: bytes, now: float, *, keepalive: bool) -> None:
        self.payload = payload
        self.started = now
        self.left: float | None = None
        self.round_trip: float | None = None
        self.keepalive = keepalive

    def __repr__(self) -> str:
        state = "in flight" if self.round_trip is None else f"{self.round_trip * 1000:.3f} ms"
        return f"<Ping {self.payload.hex()} {state}>"


class Pings:
    """The pings of one connection that wait for their pongs, oldest first."""

    __slots__ = ("_entropy", "_in_flight", "latency")

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._in_flight: dict[bytes, Ping] = {}
        self.latency: Latency | None = None

    def __len__(self) -> int:
        return len(self._in_flight)

    def add(self, payload: bytes | None, now: float, *, keepalive: bool = False) -> Ping:
        """A new ping; its payload is fresh unless given, and unlike those in flight."""
        if payload is None:
            payload = self._fresh()
        elif len(payload) > MAX_PAYLOAD:
            raise ValueError(
                f"a ping carries at most {MAX_PAYLOAD} bytes, not {len(payload)} "
                "(RFC 6455 section 5.5)"
            )
        elif payload in self._in_flight:
            raise ValueError(f"a ping with the payload {payload!r} is in flight already")
        ping = self._in_flight[payload] = Ping(payload, now, keepalive=keepalive)
        return ping

    def _fresh(self) -> bytes:
        payload = self._entropy(4)
        # Counting on, not drawing again: fixed entropy would draw the same for ever.
        while payload in self._in_flight:
            payload = ((int.from_bytes(payload, "big") + 1) % 2**32).to_bytes(4, "big")
        return payload

    def forget(self, ping: Ping) -> None:
        """Stop waiting for this ping's pong; harmless if none is awaited."""
        if self._in_flight.get(ping.payload) is ping:
            del self._in_flight[ping.payload]

    def answer(self, payload: bytes, now: float) -> None:
        """Match a pong: it answers its ping and all pings before that (section 5.5.3).

        A pong that no ping asked for is legal, a one-way heartbeat, and ignored.
        """
        answered = self._in_flight.get(payload)
        if answered is None:
            return
        in_flight = list(self._in_flight.values())
        for ping in in_flight[: in_flight.index(answered) + 1]:
            del self._in_flight[ping.payload]
            # A pong may be read before the transport says that the ping has left.
            ping.round_trip = now - (ping.started if ping.left is None else ping.left)
        last = answered.round_trip
        assert last is not None
        before = last if self.latency is None else self.latency.smoothed
        self.latency = Latency(last, before + (last - before) / 8)


class Controls:
    """Pings and pongs that wait for the application, each behind the messages before it.

    :param limit: bytes of them, as frames; above, the newest replaces the last, so that a flood
        of pings costs nothing (RFC 6455 section 5.5.3).
    """

    __slots__ = ("_frames", "_limit", "_size")

    def __init__(self, limit: int | float) -> None:
        self._limit = limit
        self._size = 0
        self._frames: deque[tuple[int, ControlFrame]] = EMPTY

    def put(self, place: int, frame: ControlFrame) -> None:
        """Add one, ``place`` messages having come before it."""
        if self._frames and self._size + _size(frame) > self._limit:
            self._size -= _size(self._frames.pop()[1])
        self._frames = put(self._frames, (place, frame))
        self._size += _size(frame)

    def ready(self, taken: int) -> bool:
        """Whether one is the next in line, ``taken`` messages having been taken."""
        return bool(self._frames) and self._frames[0][0] <= taken

    def take(self, taken: int) -> ControlFrame | None:
        """The next in line, if it is one of these."""
        if not self.ready(taken):
            return None
        _, frame = self._frames.popleft()
        self._size -= _size(frame)
        return frame


def _size(frame: ControlFrame) -> int:
    return 2 + len(frame.payload)
