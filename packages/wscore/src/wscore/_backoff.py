"""The only place that decides when a client tries again, and when that is in vain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ._errors import (
    BadHandshake,
    HandshakeError,
    HandshakeInterrupted,
    HandshakeRejected,
    ProxyError,
    RedirectRefused,
)
from ._http import Response

__all__ = ["Backoff", "Reconnector"]

_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that say: not now (RFC 9110 section 15, RFC 6585 section 4, RFC 8470 section 5.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before trying again, longer from time to time.

    The first three are gRPC's numbers. A part of each delay is random, so that the clients of a
    server that went down do not all come back at once.

    :ivar first: seconds before the second attempt.
    :ivar factor: what each delay is multiplied by.
    :ivar maximum: the most seconds between two attempts; also of what a server asks for.
    :ivar jitter: how much of a delay is random: 0 nothing, 1 everything (arbitrary: half).
    :ivar settled: seconds that a connection has to stay open for the delays to begin anew: a
        server that accepts and closes at once is not to be hammered (arbitrary).
    :raises ValueError, TypeError: they are no such numbers.
    """

    first: float = 1.0
    factor: float = 1.6
    maximum: float = 120.0
    jitter: float = 0.5
    settled: float = 30.0

    def __post_init__(self) -> None:
        rules = {
            "first": (0.0, math.inf),
            "factor": (1.0, math.inf),
            "maximum": (0.0, math.inf),
            "jitter": (0.0, 1.0),
            "settled": (0.0, math.inf),
        }
        for name, (least, most) in rules.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} must be a number, not {type(value).__name__}")
            if not least <= value <= most or value == math.inf:
                raise ValueError(f"{name} must be from {least:g} to {most:g}, not {value}")


class Reconnector:
    """When to try again: one for each client that is to stay connected.

    :param backoff: how long to wait.
    :param entropy: gives random bytes, as :attr:`Config.entropy <wscore.Config>` does.
    """

    def __init__(self, backoff: Backoff, entropy: Callable[[int], bytes]) -> None:
        self._backoff: Final = backoff
        self._entropy: Final = entropy
        self._first: Final = min(backoff.first, backoff.maximum)
        self._delay = self._first
        self._opened_at = math.inf

    def failed(self, error: HandshakeError) -> float:
        """An attempt failed: seconds to wait before the next one.

        :raises HandshakeError: the error itself, if trying again cannot help.
        """
        if not _may_pass(error):
            raise error
        response = getattr(error, "response", None)
        return max(self._next_delay(), self._asked_for(response))

    def opened(self, *, now: float) -> None:
        """An attempt succeeded."""
        self._opened_at = now

    def closed(self, *, now: float) -> float:
        """The connection has ended: seconds to wait before the next attempt."""
        if now - self._opened_at >= self._backoff.settled:
            self._delay = self._first
        return self._next_delay()

    def _next_delay(self) -> float:
        backoff, delay = self._backoff, self._delay
        self._delay = min(backoff.maximum, delay * backoff.factor)
        chance = int.from_bytes(self._entropy(4), "big") / 2**32
        return delay * (1 - backoff.jitter * chance)

    def _asked_for(self, response: Response | None) -> float:
        """What the server asks for (RFC 9110 section 10.2.3), as seconds only."""
        asked = response.headers.get("Retry-After", "") if response is not None else ""
        if asked.isascii() and asked.isdigit() and len(asked) <= 9:
            return min(self._backoff.maximum, int(asked))
        return 0.0


def _may_pass(error: HandshakeError) -> bool:
    """Whether the next attempt may end otherwise."""
    match error:
        case RedirectRefused() | BadHandshake():
            return False
        case HandshakeRejected():
            return error.response.status in _PASSING
        case ProxyError():
            return error.response is None or error.response.status in _PASSING
        case HandshakeInterrupted():
            # Of the errors of networks and TLS only those of a certificate that is not to be
            # trusted, or of a name that is none, are errors of a value, too.
            return not isinstance(error.__cause__, ValueError)
    return True
