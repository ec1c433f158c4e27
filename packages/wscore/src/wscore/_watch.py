"""The only place that looks after connections whose receiver may be away.

Whoever has just received is likely to come back soon, and reads for itself then. To have a timer
for each of them would cost more than their messages do. So one connection of an event loop looks
after all of them, now and then, as long as there are any.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from ._pace import HANDOVER, LOOKS_APART

__all__ = ["Watch"]


class Watched(Protocol):
    """A connection that is carried, and a task of its own that keeps the time."""

    @property
    def _is_carried(self) -> bool:
        """Whether that task runs."""
        ...

    def _keep_time(self) -> None:
        """Let that task ask the watch when it has to look."""
        ...

    def _look(self) -> bool:
        """Read, if the receiver has been away for a while; whether to look again."""
        ...


class RunVariable(Protocol):
    """What has a value in each run of an event loop: a ``RunVar`` of trio or of anyio."""

    def get(self) -> Watch:
        """The value.

        :raises LookupError: there is none yet.
        """
        ...

    def set(self, value: Watch, /) -> object: ...


class Watch:
    """Looks after the connections of one event loop; it belongs to the thread of that."""

    __slots__ = ("_looks_at", "_queue", "_watchman")

    def __init__(self) -> None:
        # Who may be away, and when to look: in the order of time.
        self._queue: deque[tuple[float, Watched]] = deque()
        # Whose task looks, and when.
        self._watchman: Watched | None = None
        self._looks_at = math.inf

    @classmethod
    def of(cls, run: RunVariable) -> Watch:
        """The one of the event loop that runs."""
        try:
            return run.get()
        except LookupError:
            watch = cls()
            run.set(watch)
            return watch

    def add(self, watched: Watched, *, now: float) -> None:
        """Look after this one, from a while after now on."""
        self._queue.append((now + HANDOVER, watched))
        if self._watchman is None:
            self._appoint(watched)

    def look(self, watched: Watched, *, now: float) -> float:
        """Look after all of them, if that is due and this one's task to do.

        :returns: when it has to look again; ``inf``: it need not.
        """
        if watched is not self._watchman:
            return math.inf
        if self._looks_at <= now:
            queue = self._queue
            while queue and queue[0][0] <= now:
                _, each = queue.popleft()
                if each._look():
                    queue.append((now + HANDOVER, each))
            if not queue:
                self._watchman = None
                return math.inf
            # Some at a time, though each has left at another time.
            self._looks_at = max(queue[0][0], now + LOOKS_APART)
        return self._looks_at

    def leave(self, watched: Watched) -> None:
        """This one is carried no more: another one's task looks after the rest."""
        if watched is self._watchman:
            self._watchman = None
            queue = self._queue
            while queue and not queue[0][1]._is_carried:
                queue.popleft()
            if queue:
                self._appoint(queue[0][1])

    def _appoint(self, watched: Watched) -> None:
        self._watchman = watched
        self._looks_at = self._queue[0][0]
        watched._keep_time()
