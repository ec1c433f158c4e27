"""The only place for the one thread that helps: with what is due while nobody's verb is waiting.

There is at most one in a process, however many connections there are. It keeps their deadlines,
writes what a socket did not take, and reads for connections that nobody has received on for a
while, so that pings are answered and a Close is seen. Whoever has just received is likely to come
back soon, and does not wake it: it looks at all of these together, now and then.
"""

from __future__ import annotations

import atexit
import heapq
import itertools
import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from typing import Final, NamedTuple, Protocol

from wscore import HANDOVER

from ._waiting import Waker, remaining

__all__ = ["Helped", "Wish", "look_after", "look_later"]


class Wish(NamedTuple):
    """What a connection wants of the helper.

    :ivar deadline: when it is to be called, by :func:`time.monotonic`; ``inf``: never.
    :ivar events: what to wait for, of :mod:`selectors`; 0: nothing.
    :ivar is_busy: whether to look again in a while, since somebody has just received.
    """

    deadline: float
    events: int
    is_busy: bool


class Helped(Protocol):
    """What the helper sees of a connection. It calls from its own thread."""

    def _when_ready(self) -> None:
        """Its socket is ready."""

    def _when_due(self) -> None:
        """Its deadline has come."""

    def _wish(self) -> tuple[socket.socket | None, Wish]:
        """Its socket, or None if it needs no help any more; and what it wants."""
        ...

    def _release(self) -> None:
        """Its socket is not waited for any more."""


class Helper:
    """The thread, and what it looks after."""

    def __init__(self) -> None:
        self._selector: Final = selectors.DefaultSelector()
        self._asked: Final[deque[Helped]] = deque()
        self._deadlines: Final[list[tuple[float, int]]] = []
        self._scheduled: Final[dict[Helped, tuple[float, int]]] = {}
        self._by_number: Final[dict[int, Helped]] = {}
        self._sockets: Final[dict[Helped, tuple[socket.socket, int]]] = {}
        # Who may come back soon; when to look at them, and whether there is such a time.
        self._later: Final[deque[Helped]] = deque()
        self._look_at = math.inf
        self._looks = False
        self._counter: Final = itertools.count()
        self._waker: Final = Waker()
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._thread: Final = threading.Thread(
            target=self._run, name="ws_sync helper", daemon=True
        )
        self._thread.start()

    def ask(self, helped: Helped) -> None:
        """Look at what the connection wants, soon; any thread."""
        self._asked.append(helped)
        self._waker.wake()

    def ask_later(self, helped: Helped) -> None:
        """Look at it in a while; any thread."""
        self._later.append(helped)
        # Else it looks behind that whether somebody has come meanwhile.
        if not self._looks:
            self._waker.wake()

    def _run(self) -> None:
        while True:
            earliest = self._deadlines[0][0] if self._deadlines else math.inf
            ready = self._selector.select(remaining(min(earliest, self._look_at)))
            for key, _ in ready:
                if key.data is None:
                    self._waker.rest()
                else:
                    key.data._when_ready()
                    self._consider(key.data)
            while self._asked:
                self._consider(self._asked.popleft())
            self._call_who_is_due()
            self._look_at_who_left()

    def _call_who_is_due(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number = heapq.heappop(self._deadlines)
            # None, if there was an earlier one meanwhile, or it has ended.
            helped = self._by_number.pop(number, None)
            if helped is not None:
                del self._scheduled[helped]
                helped._when_due()
                self._consider(helped)

    def _look_at_who_left(self) -> None:
        now = time.monotonic()
        if self._look_at <= now:
            for helped in {self._later.popleft() for _ in range(len(self._later))}:
                self._consider(helped)
            self._look_at = math.inf
            self._looks = False
        if self._later and not self._looks:
            self._looks = True
            self._look_at = now + HANDOVER

    def _consider(self, helped: Helped) -> None:
        sock, wish = helped._wish()
        self._watch(helped, sock, wish.events)
        if sock is None:
            self._schedule(helped, math.inf)
            helped._release()
            return
        deadline, _ = self._scheduled.get(helped, (math.inf, 0))
        if wish.deadline < deadline:
            self._schedule(helped, wish.deadline)
        if wish.is_busy:
            self._later.append(helped)

    def _schedule(self, helped: Helped, deadline: float) -> None:
        _, number = self._scheduled.pop(helped, (0.0, -1))
        self._by_number.pop(number, None)
        if deadline < math.inf:
            number = next(self._counter)
            self._scheduled[helped] = deadline, number
            self._by_number[number] = helped
            heapq.heappush(self._deadlines, (deadline, number))

    def _watch(self, helped: Helped, sock: socket.socket | None, events: int) -> None:
        watched, before = self._sockets.get(helped, (None, 0))
        if watched is not None and (not events or sock is not watched):
            del self._sockets[helped]
            self._selector.unregister(watched)
            before = 0
        if sock is not None and events != before and events:
            self._sockets[helped] = sock, events
            if before:
                self._selector.modify(sock, events, helped)
            else:
                self._selector.register(sock, events, helped)


_helper: Helper | None = None
_starting = threading.Lock()


def look_after(helped: Helped) -> None:
    """Have the helper look at what a connection wants, soon; any thread."""
    _the_helper().ask(helped)


def look_later(helped: Helped) -> None:
    """Have the helper look at it in a while; any thread."""
    _the_helper().ask_later(helped)


def _the_helper() -> Helper:
    global _helper
    if _helper is None:
        with _starting:
            if _helper is None:
                _helper = Helper()
    return _helper


def _forget() -> None:
    # Threads do not survive a fork; the connections are the parent's, and so is what waits.
    global _helper, _starting
    if _helper is not None:
        _helper._selector.close()
    _helper = None
    _starting = threading.Lock()


def _finish() -> None:
    """The program ends, and with it this thread: what was to be written in a moment goes now."""
    if _helper is not None:
        for helped in {*_helper._scheduled, *_helper._asked}:
            helped._when_due()


atexit.register(_finish)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
