"""The only place where a connection of the core meets threads and blocking calls.

Policy is in :mod:`wscore`; here is only how bytes, time and wake-ups get there and back. One lock
guards the core and the stream; whoever holds it never waits for anything. Whoever waits for a
verb drives the connection meanwhile: it reads and writes what comes and goes, for all.
"""

from __future__ import annotations

import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from wscore import (
    Cause,
    CloseCode,
    CloseReason,
    Connection,
    ConnectionClosed,
    Facts,
    Message,
    Overflow,
    PartReceiver,
    Parts,
    PartSender,
    Prepared,
    Receiving,
    SendableMessage,
    State,
    Transport,
    WebSocketTimeout,
    as_parts,
    is_whole,
)

from ._helper import Wish, look_after
from ._stream import Stream
from ._waiting import Waker, my_waker

__all__ = ["WebSocket"]


class WebSocket(Facts):
    """A WebSocket connection for threads; :func:`connect` and :func:`serve` make them.

    Every method may be called in any thread. Any number of threads may send; one at a time may
    receive. A timeout never corrupts the stream: a send that timed out did not start.
    """

    # ------------------------------------------------------------------ for everyone

    def send(
        self,
        message: SendableMessage | Parts,
        *,
        compress: bool | None = None,
        key: Hashable | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Send a message; wait while the send buffer is full, first come, first served.

        Returns when the message is queued, not when the peer has it. An iterable is sent as one
        message, a frame for each part: other messages wait until it ends, and no parts are no
        message. If it raises or times out after the first part, the connection is failed with
        1011, since a message cannot be taken back.

        :param message: str is sent as text, bytes-like as binary; an iterable of either.
        :param compress: whether to compress this message, if compression is negotiated; None: if
            it is larger than the threshold.
        :param key: with ``overflow="replace"``, a queued message with the same key is replaced.
        :param timeout: seconds to wait at most; None: for ever.
        :returns: False if ``overflow`` dropped the message, else True.
        :raises ConnectionClosed: the connection is closing or closed.
        :raises SendBufferFull: as ``overflow`` says.
        :raises TypeError, ValueError: not a message, or ``compress`` or ``key`` for an iterable;
            nothing was sent, unless it is a later part of an iterable that is wrong.
        :raises WebSocketTimeout: it took longer; nothing was sent.
        """
        deadline = _deadline(timeout)
        if not is_whole(message):
            self._send_parts(as_parts(message, compress=compress, key=key), deadline)
            return True
        with self._guard:
            crowded = self._senders or not self._connection.can_send
            if crowded and self._overflow is Overflow.WAIT:
                self._enter_turn(deadline)
                try:
                    return self._send_now(message, compress, key)
                finally:
                    self._leave_turn()
            return self._send_now(message, compress, key)

    def recv(self, *, timeout: float | None = None) -> Message:
        """Receive a message: str for text, bytes for binary.

        What was received before the peer closed, before the end of the stream and before a
        failure is still given.

        :param timeout: seconds to wait at most; None: for ever.
        :raises ConnectionClosed: there will never be another message.
        :raises ConcurrencyError: another thread is receiving.
        :raises WebSocketTimeout: it took longer; nothing was taken, and the next call goes on.
        """
        deadline = _deadline(timeout)
        with self._guard, self._receiving:
            self._receiving.leave_parts(now=time.monotonic())
            while True:
                try:
                    message = self._connection.take_message(now=time.monotonic())
                finally:
                    self._settle()
                if message is not None:
                    return message
                self._until(self._can_receive, deadline)

    def __iter__(self) -> Iterator[Message]:
        """Receive messages until the connection is closed.

        The loop ends when either side closed with 1000, 1001 or no code, and raises
        ConnectionClosed else.
        """
        return self

    def __next__(self) -> Message:
        try:
            return self.recv()
        except ConnectionClosed as closed:
            if closed.reason.ok:
                raise StopIteration from None
            raise

    def recv_streaming(self, *, timeout: float | None = None) -> Iterator[Message]:
        """Receive a message in parts, as they arrive: str, cut between characters, or bytes.

        Left early, the rest of the message is discarded.

        :param timeout: seconds to wait for each part at most; None: for ever.
        :raises ConnectionClosed: the connection ended before the message did.
        :raises ConcurrencyError: another thread is receiving, or took over.
        :raises WebSocketTimeout: a part took longer; the next one can be asked for again.
        """
        return _Parts(self, timeout)

    def ping(self, payload: bytes | None = None, *, timeout: float | None = None) -> float:
        """Send a ping and wait for its pong; return the round-trip time in seconds.

        :param payload: at most 125 bytes, unlike those in flight; None: four random bytes.
        :param timeout: seconds to wait at most; None: for ever.
        :raises ConnectionClosed: the connection closed before it was answered.
        :raises ValueError: the payload is too long, or in flight.
        :raises WebSocketTimeout: it took longer; the ping is on its way and its pong is ignored.
        """
        connection = self._connection
        with self._guard:
            ping = connection.ping(payload, now=time.monotonic())
            self._settle()
            try:
                self._until(
                    lambda: ping.round_trip is not None or connection.state is not State.OPEN,
                    _deadline(timeout),
                )
                round_trip = connection.poll_pong(ping)
                assert round_trip is not None
                return round_trip
            finally:
                connection.forget_ping(ping)

    def pong(self, payload: bytes = b"") -> None:
        """Send a pong that nobody asked for: a one-way heartbeat. Does not wait for anything.

        :param payload: at most 125 bytes.
        :raises ConnectionClosed: the connection is closing or closed.
        :raises ValueError: the payload is too long.
        """
        with self._guard:
            self._connection.pong(payload, now=time.monotonic())
            self._settle()

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection and wait until the transport is closed, ``close_timeout`` at most.

        What was sent before goes out first. Harmless if it is closing or closed.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text.
        """
        with self._guard:
            self._connection.close(code, reason, now=time.monotonic())
            self._settle()
            self._until(lambda: self._gone, math.inf)

    def wait_closed(self, *, timeout: float | None = None) -> CloseReason:
        """Wait until the transport is closed; return why.

        :param timeout: seconds to wait at most; None: for ever.
        :raises WebSocketTimeout: it took longer; that changes nothing.
        """
        with self._guard:
            self._until(lambda: self._gone, _deadline(timeout))
            reason = self._connection.poll_close()
            assert reason is not None
            return reason

    def abort(self) -> None:
        """End the connection at once: nothing is said, what is queued is dropped."""
        with self._guard:
            self._connection.abort(now=time.monotonic())
            self._settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection: with 1011 if the block raised, else with 1000."""
        # For the end of this connection it is harmless; another one's is a failure, too.
        if isinstance(exc, Exception):
            self._fail(Cause.HANDLER_ERROR)
        self.close()

    # --------------------------------------------------------- between the core and threads

    def __init__(self, connection: Connection) -> None:
        """Not public: use :func:`connect` or :func:`serve`."""
        super().__init__(connection)
        self._overflow: Final = connection.config.overflow
        self._guard: Final = _Guard(self)
        self._stream: Stream | None = None
        self._blocked = False
        self._write_ended = False
        self._ending = False
        self._gone = False
        self._can_receive: Final = lambda: connection.can_receive
        self._can_receive_part: Final = lambda: connection.can_receive_part
        # Who waits, and for what; and which of them waits for the socket, too, and how.
        self._waiters: dict[Waker, Callable[[], bool]] = {}
        self._driver: Waker | None = None
        self._drives = 0
        self._polls = _NOT
        # What the helper knows.
        self._seen_drives = 0
        self._helped_at = math.inf
        self._watched = 0
        self._known_busy = False
        self._senders: Final[deque[object]] = deque()
        self._receiving: Final = Receiving(connection)

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

    def _fail(self, cause: Cause) -> None:
        with self._guard:
            self._connection.fail(cause, now=time.monotonic())
            self._settle()

    def _settle(self) -> None:
        """After any input, command or take: carry out the outputs, wake whoever can go on."""
        connection, stream = self._connection, self._stream
        if stream is not None and not self._ending:
            try:
                self._blocked = not stream.write(connection)
                while stream.has_buffered and connection.want_read:
                    stream.read(connection)
                    self._blocked = not stream.write(connection)
            except OSError as error:
                connection.transport_lost(error, now=time.monotonic())
            self._obey(stream)
            self._call_for_help()
        for waker, ready in self._waiters.items():
            if ready():
                waker.wake()

    def _obey(self, stream: Stream) -> None:
        match self._connection.transport:
            case Transport.END_WRITE if not self._write_ended:
                self._write_ended = True
                stream.end_write()
            case Transport.CLOSE | Transport.ABORT:
                self._ending = True
                self._blocked = False
                stream.shut()
                if self._watched:
                    look_after(self)
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
        needs = self._needs()
        if self._driver is not None:
            if self._driver in self._waiters and needs & ~self._polls:
                self._driver.wake()
        elif needs & selectors.EVENT_WRITE & ~self._watched:
            look_after(self)
        if self._connection.deadline < self._helped_at:
            self._helped_at = self._connection.deadline
            look_after(self)

    def _needs(self) -> int:
        """What the socket is to be waited for."""
        reads = selectors.EVENT_READ if self._connection.want_read else 0
        return reads | (selectors.EVENT_WRITE if self._blocked else 0)

    def _until(self, ready: Callable[[], bool], deadline: float) -> None:
        """Wait until it is so, with the lock held before and after; drive if nobody else does.

        :raises WebSocketTimeout: the deadline came first.
        """
        waker = my_waker()
        try:
            while not ready():
                if self._driver is None and self._stream is not None:
                    self._driver = waker
                    self._drives += 1
                if self._wait(waker, ready, deadline) and self._driver is waker:
                    self._read()
                if not ready() and time.monotonic() >= deadline:
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
                read=bool(polls & selectors.EVENT_READ),
                write=bool(polls & selectors.EVENT_WRITE),
            )
        except BaseException:
            self._guard.is_interrupted = True
            raise
        finally:
            self._guard.acquire()
            del self._waiters[waker]
            if stream is not None:
                self._polls = _NOT
                self._close_socket()

    def _read(self) -> None:
        if self._stream is not None and not self._ending:
            try:
                self._stream.read(self._connection)
            except OSError as error:
                self._connection.transport_lost(error, now=time.monotonic())
        self._settle()

    def _hand_over(self) -> None:
        """Whoever drove has left: another one who waits drives, or the helper."""
        for waker in self._waiters:
            waker.wake()
            return
        if self._stream is not None and (self._blocked or not self._known_busy):
            self._known_busy = True
            look_after(self)

    # What the helper calls.

    def _wish(self) -> tuple[socket.socket | None, Wish]:
        with self._guard:
            if self._stream is None or self._ending:
                return None, Wish(math.inf, 0, False)
            # Whoever has driven since the last look may have to again, in a moment.
            self._known_busy = self._seen_drives != self._drives
            self._seen_drives = self._drives
            needs = 0 if self._driver is not None else self._needs()
            if self._known_busy:
                needs &= selectors.EVENT_WRITE
            self._watched = needs
            self._helped_at = self._connection.deadline
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

    # What sending takes.

    def _enter_turn(self, deadline: float) -> None:
        """Wait until it is this thread's turn to send, and there is room."""
        connection, senders = self._connection, self._senders
        turn = object()
        senders.append(turn)
        try:
            self._until(
                lambda: (
                    connection.state is not State.OPEN
                    or (senders[0] is turn and connection.can_send)
                ),
                deadline,
            )
        except BaseException:
            senders.remove(turn)
            self._settle()
            raise
        # Also if it is nobody's turn any more.
        senders.remove(turn)
        senders.appendleft(turn)

    def _leave_turn(self) -> None:
        self._senders.popleft()
        self._settle()

    def _until_can_send(self, deadline: float) -> None:
        connection = self._connection
        self._until(lambda: connection.can_send or connection.state is not State.OPEN, deadline)

    def _send_now(
        self, message: SendableMessage, compress: bool | None, key: Hashable | None
    ) -> bool:
        try:
            return self._connection.send(message, compress=compress, key=key, now=time.monotonic())
        finally:
            self._settle()

    def _offer(self, message: Prepared) -> bool:
        with self._guard:
            try:
                return self._connection.offer(message, now=time.monotonic())
            finally:
                self._settle()

    def _send_parts(self, parts: Parts, deadline: float) -> None:
        if not isinstance(parts, Iterable):
            raise TypeError("an asynchronous iterable cannot be sent from a thread")
        sender = PartSender(self._connection)
        with self._guard:
            self._enter_turn(deadline)
        try:
            for part in parts:
                with self._guard:
                    self._until_can_send(deadline)
                    sender.add(part, now=time.monotonic())
                    self._settle()
            with self._guard:
                self._until_can_send(deadline)
                sender.end(now=time.monotonic())
        except BaseException:
            with self._guard:
                sender.interrupt(now=time.monotonic())
            raise
        finally:
            with self._guard:
                self._leave_turn()


_NOT = 0
"""Waiting for no event of :mod:`selectors`."""


class _Guard:
    """The lock of a connection. Interrupted in its midst, the connection is aborted: nobody knows
    how far it got. Interrupted while it waits, it goes on.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
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
                self._websocket._connection.abort(now=time.monotonic())
                self._websocket._settle()
        finally:
            self.is_interrupted = False
            self._lock.release()


class _Parts(Iterator[Message]):
    """The parts of one message; no generator, since a timeout would end it."""

    def __init__(self, websocket: WebSocket, timeout: float | None) -> None:
        self._websocket: Final = websocket
        self._timeout = timeout
        self._receiver: Final = PartReceiver(websocket._receiving)

    def __next__(self) -> Message:
        websocket, receiver = self._websocket, self._receiver
        deadline = _deadline(self._timeout)
        with websocket._guard, websocket._receiving:
            while not receiver.ended:
                try:
                    part = receiver.take(now=time.monotonic())
                finally:
                    websocket._settle()
                if part is not None:
                    return part.data
                websocket._until(websocket._can_receive_part, deadline)
        raise StopIteration

    def close(self) -> None:
        """Discard the rest of the message, at once instead of with the next that is received."""
        with self._websocket._guard:
            self._receiver.leave(now=time.monotonic())
            self._websocket._settle()


def _deadline(timeout: float | None) -> float:
    return math.inf if timeout is None else time.monotonic() + timeout
