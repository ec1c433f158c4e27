"""The only place where a connection of the core meets threads and blocking calls.

Policy is in :mod:`wscore`, and which thread moves the bytes in :mod:`ws_sync._driving`; here are
only the verbs, each a command under the connection's lock and a wait.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from wscore import (
    IN_A_ROW,
    Cause,
    CloseCode,
    CloseReason,
    Connection,
    ConnectionClosed,
    Message,
    Overflow,
    PartReceiver,
    Parts,
    PartSender,
    Prepared,
    Receiving,
    SendableMessage,
    State,
    as_parts,
    is_whole,
)

from ._driving import Driven

__all__ = ["WebSocket"]


class WebSocket(Driven):
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
        if key is None:
            with self._guard:
                if not self._senders and self._send_shortly(message):
                    return True
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
        receiving, connection = self._receiving, self._connection
        with self._guard:
            if receiving.free and (ready := connection.take_ready()) is not None:
                return ready
            return self._receive(_deadline(timeout))

    def _receive(self, deadline: float) -> Message:
        """What :meth:`recv` does when no message is simply there."""
        receiving, connection = self._receiving, self._connection
        with receiving:
            if self._flush_at < math.inf and not connection.in_batch:
                # What is behind it may be the end.
                self._settle()
            if receiving.parts is not None:
                receiving.leave_parts(now=time.monotonic())
                if (message := self._take()) is not None:
                    return message
            while True:
                if not connection.can_receive:
                    self._until(self._can_receive, deadline)
                elif (message := self._take()) is not None:
                    return message
                if (ready := connection.take_ready()) is not None:
                    return ready

    def _take(self) -> Message | None:
        connection = self._connection
        try:
            return connection.take_message(now=time.monotonic())
        finally:
            if not (self._flush_at < math.inf and connection.in_batch and connection.can_send):
                self._settle()

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
        self._can_receive: Final = lambda: connection.can_receive
        self._can_receive_part: Final = lambda: connection.can_receive_part
        self._senders: Final[deque[object]] = deque()
        self._receiving: Final = Receiving(connection)

    def _fail(self, cause: Cause) -> None:
        with self._guard:
            self._connection.fail(cause, now=time.monotonic())
            self._settle()

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

    def _until_can_send_part(self, deadline: float) -> None:
        connection = self._connection
        self._until(
            lambda: connection.can_send_part or connection.state is not State.OPEN, deadline
        )

    def _send_shortly(self, message: object) -> bool:
        """Send what there is little to say about; if there is more to it, nothing was done."""
        connection, stream = self._connection, self._stream
        if stream is None or self._ending:
            return False
        if self._flush_at < math.inf:
            return connection.send_behind(message)
        now = time.monotonic()
        if now - self._written_at < IN_A_ROW:
            return False
        frame = connection.frame_alone(message)
        if frame is None:
            return False
        if stream.write_alone(frame, connection, now):
            self._written_at = now
        else:
            self._settle()
        return True

    def _send_now(
        self, message: SendableMessage, compress: bool | None, key: Hashable | None
    ) -> bool:
        connection, now = self._connection, time.monotonic()
        try:
            accepted = connection.send(message, compress=compress, key=key, now=now)
        except BaseException:
            self._settle()
            raise
        in_a_row = now - self._written_at < IN_A_ROW and connection.may_hold
        if (in_a_row or connection.in_batch) and connection.can_send:
            # A lone message is written at once; more of them are together: whoever has another
            # one to answer, or has just sent one, is likely to send more.
            self._flush_soon(now)
        else:
            self._settle()
        return accepted

    def _offer(self, message: Prepared) -> bool:
        with self._guard:
            if self._send_shortly(message):
                return True
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
                    self._until_can_send_part(deadline)
                    sender.add(part, now=time.monotonic())
                    self._settle()
            with self._guard:
                self._until_can_send_part(deadline)
                sender.end(now=time.monotonic())
        except BaseException:
            with self._guard:
                sender.interrupt(now=time.monotonic())
            raise
        finally:
            with self._guard:
                self._leave_turn()


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
