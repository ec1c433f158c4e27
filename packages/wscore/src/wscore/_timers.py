"""The only place for the timers of a connection and for which of them comes first.

What each timer's passing means stands in ``Connection.handle_timeout``.
"""

from __future__ import annotations

import enum
import math
from typing import Final

INF = math.inf


class Timer(enum.IntEnum):
    """In order of precedence, for those that are due at the same instant."""

    OPEN = enum.auto()
    """The connection must be open."""
    CLOSE = enum.auto()
    """The transport must be gone."""
    SEND = enum.auto()
    """The transport must have taken some of the waiting bytes."""
    FAIL = enum.auto()
    """A violation or end of stream takes effect though messages ahead of it are not taken."""
    PONG = enum.auto()
    """The peer must have shown a sign of life."""
    MESSAGE = enum.auto()
    """The message being received must be complete."""
    IDLE = enum.auto()
    """An application message must have passed."""
    PING = enum.auto()
    """The next keepalive ping is due."""


_NONE_RUNS: Final = [INF] * (len(Timer) + 1)


class Timers:
    """The running timers of one connection.

    :ivar send_by: :attr:`Timer.SEND`, kept apart, since every message that is sent starts and
        stops it; ``inf`` if it does not run.
    """

    __slots__ = ("_earliest", "_running", "send_by")

    def __init__(self) -> None:
        # By timer; a dict would take twice the memory.
        self._running = _NONE_RUNS.copy()
        self._earliest = INF
        self.send_by = INF

    @property
    def earliest(self) -> float:
        """When the first one is due; ``inf`` if none runs."""
        send_by = self.send_by
        return send_by if send_by < self._earliest else self._earliest

    def start(self, timer: Timer, when: float) -> None:
        """Start a timer, or start it anew; ``inf`` stops it."""
        if timer is Timer.SEND:
            self.send_by = when
            return
        running = self._running
        before = running[timer]
        running[timer] = when
        if when <= self._earliest:
            self._earliest = when
        elif before == self._earliest:
            self._earliest = min(running)

    def stop(self, timer: Timer) -> None:
        """Stop a timer; harmless if it does not run."""
        self.start(timer, INF)

    def stop_all(self, *, but_send: bool = False) -> None:
        """Stop every timer, or all others than :attr:`Timer.SEND`."""
        self._running = _NONE_RUNS.copy()
        self._earliest = INF
        if not but_send:
            self.send_by = INF

    def when(self, timer: Timer) -> float:
        """When a timer is due; ``inf`` if it does not run."""
        return self.send_by if timer is Timer.SEND else self._running[timer]

    def take_due(self, now: float) -> tuple[Timer, float] | None:
        """Stop the earliest timer that is due and return it with the time it was set to."""
        if now < self.earliest or self.earliest == INF:
            return None
        when, timer = min((self.when(timer), timer) for timer in Timer)
        self.stop(timer)
        return timer, when
