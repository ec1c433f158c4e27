"""The only place where a thread waits: for a socket, for another thread, or for time to pass."""

from __future__ import annotations

import math
import os
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Protocol

__all__ = ["Waker", "my_waker", "remaining"]


class _Descriptor(Protocol):
    def fileno(self) -> int: ...


class Waker:
    """What one thread waits with, and what other threads wake it by. Each thread has its own."""

    def __init__(self) -> None:
        # Of the two, only the first is there on every system.
        self._ends = None if hasattr(os, "eventfd") else socket.socketpair()
        self._number = -1
        # What waits, and for what it did last, most often again and again: a socket's number, and
        # events.
        self._poller: select.poll | None = None
        self._polled = -1, 0
        if self._ends is None:
            self._number = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            for end in self._ends:
                end.setblocking(False)

    def __del__(self) -> None:
        if self._ends is not None:
            for end in self._ends:
                end.close()
        elif self._number >= 0:
            os.close(self._number)

    def fileno(self) -> int:
        """What is readable once it was woken."""
        return self._number if self._ends is None else self._ends[0].fileno()

    def wake(self) -> None:
        """Let the thread's wait, or its next one, return at once; any thread."""
        # Full of what nobody has read yet: it wakes all the same.
        with suppress(BlockingIOError):
            if self._ends is None:
                os.eventfd_write(self._number, 1)
            else:
                self._ends[1].send(b"\0")

    def rest(self) -> None:
        """Forget that it was woken."""
        with suppress(BlockingIOError):
            if self._ends is None:
                os.eventfd_read(self._number)
            else:
                self._ends[0].recv(64)

    def wait(
        self,
        deadline: float,
        sock: _Descriptor | None = None,
        *,
        read: bool = True,
        write: bool = False,
    ) -> bool:
        """Wait until it is woken, the socket is ready or the deadline has come.

        :param deadline: by :func:`time.monotonic`; ``inf``: none.
        :returns: whether the socket is ready.
        """
        timeout = None if deadline == math.inf else remaining(deadline)
        if not _POLLS:
            return self._select(sock, timeout, read=read, write=write)
        number, events = -1, 0
        if sock is not None and (events := (_IN if read else 0) | (_OUT if write else 0)):
            number = sock.fileno()
        # Taken out meanwhile: what interrupts this wait may wait as well.
        poller, self._poller = self._poller, None
        if poller is None or self._polled != (number, events):
            poller = select.poll()
            poller.register(self.fileno(), _IN)
            if number >= 0:
                poller.register(number, events)
        # Rounded up: a wait that returns too soon is made again, and again.
        ready = False
        for found, _ in poller.poll(None if timeout is None else math.ceil(timeout * 1000)):
            if found == number:
                ready = True
            else:
                self.rest()
        self._poller, self._polled = poller, (number, events)
        return ready

    def _select(
        self, sock: _Descriptor | None, timeout: float | None, *, read: bool, write: bool
    ) -> bool:
        readers: list[_Descriptor] = [self, sock] if sock is not None and read else [self]
        writers = [sock] if sock is not None and write else []
        found = select.select(readers, writers, writers, timeout)
        ready = {each.fileno() for some in found for each in some}
        if self.fileno() in ready:
            self.rest()
            ready.discard(self.fileno())
        return bool(ready)


_POLLS = hasattr(select, "poll")
_IN = select.POLLIN if _POLLS else 1
_OUT = select.POLLOUT if _POLLS else 2


class _Mine(threading.local):
    def __init__(self) -> None:
        self.waker = Waker()


_mine = _Mine()


def my_waker() -> Waker:
    """This thread's."""
    return _mine.waker


def _forget() -> None:
    # The parent's threads wait with the same descriptors.
    global _mine
    _mine = _Mine()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


_A_DAY = 86_400.0
"""In seconds: system calls do not take inf, nor everything below it."""


def remaining(deadline: float) -> float | None:
    """Seconds until then, as system calls take them: None for ever, and not too many."""
    if deadline == math.inf:
        return None
    return min(max(0.0, deadline - time.monotonic()), _A_DAY)
