"""The only place that decides which thread moves the bytes of a connection.

One lock guards the core and the stream; whoever holds it never waits for anything. Whoever waits
for a verb drives the connection meanwhile: it reads and writes what comes and goes, for all who
wait. While nobody does, the helper does.
"""

from __future__ import annotations

import math
import selectors
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from wscore import Connection, Facts, Transport, WebSocketTimeout

from ._helper import Wish, look_after, look_later
from ._stream import Stream
from ._waiting import Waker, my_waker

__all__ = ["Driven"]


# An attribute of an enumeration takes several times as long to look up.
_KEEP: Final = Transport.KEEP

_NOT: Final = 0
_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE
"""What a socket is waited for, in :mod:`selectors`'s terms."""


_HELD: Final = 0.001
"""Seconds that messages wait for each other at most: little to whoever waits for them, and the
helper has to get up for it no more often."""


class Driven(Facts):
    """A connection, its stream, and the threads that wait for it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._guard: Final = _Guard(self)
        self._stream: Stream | None = None
        self._blocked = False
        # When what waits for more to be written with it goes at the latest.
        self._flush_at = math.inf
        # When a message was last written alone, if nothing was read or written together since.
        self._written_at = -math.inf
        self._write_ended = False
        self._ending = False
        self._gone = False
        # Who waits, and for what; and which of them waits for the socket, too, and how.
        self._waiters: Final[dict[Waker, Callable[[], bool]]] = {}
        self._driver: Waker | None = None
        self._drives = 0
        # Who is told of every step, in whichever thread, until they return True; none may wait.
        self._followers: Final[list[Callable[[], bool]]] = []
        self._polls = _NOT
        # What the helper knows, and does.
        self._asked = False
        self._seen_drives = 0
        self._known_busy = False
        self._helped_at = math.inf
        self._watched = _NOT

    def _attach(self, stream: Stream) -> None:
        """The connection has a stream from now on."""
        with self._guard:
            self._stream = stream
            self._addresses = stream.addresses
            self._settle()

    def _lose(self, error: BaseException | None) -> None:
        """There is no stream, and never was one."""
        with self._guard:
            self._connection.transport_lost(error, now=time.monotonic())
            self._gone = True
            self._settle()

    def _settle(self) -> None:
        """After any input, command or take: carry out the outputs, wake whoever can go on."""
        connection, stream = self._connection, self._stream
        if stream is not None and not self._ending:
            self._flush_at = math.inf
            self._written_at = -math.inf
            try:
                self._blocked = not stream.write(connection)
                while stream.has_buffered and connection.want_read:
                    stream.read(connection)
                    self._blocked = not stream.write(connection)
            except OSError as error:
                stream.lose(connection, error)
            self._obey(stream)
            self._call_for_help()
        for waker, ready in self._waiters.items():
            if ready():
                waker.wake()
        if self._followers:
            self._followers[:] = [each for each in self._followers if not each()]

    def _flush_soon(self, now: float) -> None:
        """What was sent may wait for more, but not for long, whatever this thread does next."""
        if self._flush_at == math.inf:
            self._flush_at = now + _HELD
            if self._flush_at < self._helped_at:
                self._ask_for_help()

    def _obey(self, stream: Stream) -> None:
        if (end := self._connection.transport) is _KEEP:
            return
        match end:
            case Transport.END_WRITE if not self._write_ended:
                self._write_ended = True
                stream.end_write()
            case Transport.CLOSE | Transport.ABORT:
                self._ending = True
                self._blocked = False
                stream.shut()
                if self._watched:
                    self._ask_for_help()
                self._close_socket()

    def _close_socket(self) -> None:
        """Close it, once nobody waits for it: its number would be another socket's soon."""
        if self._ending and self._stream is not None and not self._watched and not self._polls:
            self._stream.sock.close()
            self._stream = None
            self._connection.transport_lost(None, now=time.monotonic())
            self._gone = True

    def _call_for_help(self) -> None:
        """Tell whoever waits for the socket what has changed about that."""
        if self._ending:
            return
        if self._driver is None:
            # The helper looks at who has just received, in a moment, but writing is urgent.
            expected = _READ if self._known_busy else _NOT
            if self._needs(~(self._watched | expected)):
                self._ask_for_help()
        elif self._driver in self._waiters and self._needs(~self._polls):
            self._driver.wake()
        if self._connection.deadline < self._helped_at:
            self._ask_for_help()

    def _ask_for_help(self) -> None:
        if not self._asked:
            self._asked = True
            look_after(self)

    def _needs(self, of: int = _READ | _WRITE) -> int:
        """What the socket is to be waited for, of these events."""
        reads = _READ if of & _READ and self._connection.want_read else _NOT
        return reads | (of & _WRITE if self._blocked else _NOT)

    def _until(self, ready: Callable[[], bool], deadline: float) -> None:
        """Wait until it is so, with the lock held before and after; drive if nobody else does.

        :raises WebSocketTimeout: the deadline came first.
        """
        if ready():
            return
        waker = my_waker()
        try:
            while True:
                if self._driver is None and self._stream is not None:
                    self._driver = waker
                    self._drives += 1
                if self._wait(waker, ready, deadline) and self._driver is waker:
                    self._read()
                if ready():
                    break
                if time.monotonic() >= deadline:
                    raise WebSocketTimeout("it took longer than timeout; the connection goes on")
        finally:
            if self._driver is waker:
                self._driver = None
            if self._driver is None:
                # Also if this thread was meant to drive next, and has no need to any more.
                self._hand_over()

    def _wait(self, waker: Waker, ready: Callable[[], bool], deadline: float) -> bool:
        """Let go of the lock, wait, and take it again; whether the socket is ready."""
        stream = self._stream if self._driver is waker else None
        if stream is not None:
            self._polls = self._needs()
        polls = self._polls if stream is not None else _NOT
        self._waiters[waker] = ready
        self._guard.release()
        try:
            return waker.wait(
                deadline,
                stream.sock if stream is not None and polls else None,
                read=bool(polls & _READ),
                write=bool(polls & _WRITE),
            )
        except BaseException:
            self._guard.is_interrupted = True
            raise
        finally:
            self._guard.acquire()
            del self._waiters[waker]
            if stream is not None:
                self._polls = _NOT
                if self._ending:
                    self._close_socket()

    def _read(self) -> None:
        only_messages = False
        if self._flush_at < math.inf:
            # What is read may be the end of what waits.
            self._settle()
        self._written_at = -math.inf
        if self._stream is not None and not self._ending:
            try:
                only_messages = self._stream.read(self._connection)
            except OSError as error:
                self._stream.lose(self._connection, error)
        if not only_messages or self._blocked or self._waiters or self._followers:
            self._settle()

    def _hand_over(self) -> None:
        """Whoever drove has left: another one who waits drives, or the helper."""
        for waker in self._waiters:
            waker.wake()
            return
        if self._stream is None:
            return
        if self._blocked:
            self._ask_for_help()
        elif not self._known_busy:
            self._known_busy = True
            look_later(self)

    # What the helper calls.

    def _wish(self) -> tuple[socket.socket | None, Wish]:
        with self._guard:
            self._asked = False
            if self._stream is None or self._ending:
                return None, Wish(math.inf, 0, False)
            # Whoever has driven since the last look, and has left, may have to again in a moment.
            self._known_busy = False
            needs = 0
            if self._driver is None:
                needs = self._needs()
                self._known_busy = self._seen_drives != self._drives
                self._seen_drives = self._drives
            if self._known_busy:
                needs &= _WRITE
            self._watched = needs
            self._helped_at = min(self._connection.deadline, self._flush_at)
            return self._stream.sock, Wish(self._helped_at, needs, self._known_busy)

    def _release(self) -> None:
        with self._guard:
            self._watched = 0
            self._close_socket()
            self._settle()

    def _when_ready(self) -> None:
        with self._guard:
            if self._driver is None:
                self._read()

    def _when_due(self) -> None:
        with self._guard:
            self._helped_at = math.inf
            self._connection.handle_timeout(now=time.monotonic())
            self._settle()


class _Guard:
    """The lock of a connection. Interrupted in its midst, the connection is aborted: nobody knows
    how far it got. Interrupted while it waits, it goes on.
    """

    def __init__(self, driven: Driven) -> None:
        self._driven = driven
        self._lock = threading.Lock()
        self.is_interrupted = False
        self.release = self._lock.release

    def acquire(self) -> None:
        """Take the lock again, whatever interrupts that."""
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                self._lock.acquire()
                break
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            self.is_interrupted = True
            raise interrupt

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is not None and not isinstance(exc, Exception) and not self.is_interrupted:
                self._driven._connection.abort(now=time.monotonic())
                self._driven._settle()
        finally:
            self.is_interrupted = False
            self._lock.release()
