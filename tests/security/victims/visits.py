"""The only place for what a client says that was sent to a hostile server."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.security.victims.policy import say

from wscore import Facts, WebSocketError


@dataclass
class Visit:
    """What came of connecting, echoing everything, and being closed.

    :ivar seconds: that it took.
    :ivar opened: whether it was open at all.
    :ivar messages: how many were received.
    :ivar error: what was raised, if anything.
    """

    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    opened: bool = False
    messages: int = 0
    error: BaseException | None = None
    websocket: Facts | None = None

    def open(self, websocket: Facts) -> None:
        self.opened = True
        self.websocket = websocket


@contextmanager
def recorded() -> Iterator[Visit]:
    visit = Visit()
    try:
        yield visit
    except WebSocketError as error:
        visit.error = error
    visit.seconds = time.monotonic() - visit.started


def asked_for(authority: str) -> Iterator[tuple[str, ssl.SSLContext | None]]:
    """Where to go next, as long as somebody says."""
    tls = ssl.create_default_context(cafile=authority)
    for line in sys.stdin:
        url = line.strip()
        yield url, (tls if url.startswith("wss:") else None)


def tell(visit: Visit) -> None:
    reason = None if visit.websocket is None else visit.websocket.close_reason
    response = getattr(visit.error, "response", None)
    say(
        seconds=visit.seconds,
        opened=visit.opened,
        messages=visit.messages,
        error=None if visit.error is None else type(visit.error).__name__,
        text=str(visit.error),
        status=response and response.status,
        body=response and len(response.body),
        code=reason and reason.code,
        cause=reason and reason.cause.value,
    )
