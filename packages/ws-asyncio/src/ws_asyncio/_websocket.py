"""The only place where a connection of the core meets asyncio.

Policy is in :mod:`wscore`; here is only how bytes, time and wake-ups get there and back.
"""

from __future__ import annotations

import asyncio
import math
import os
import ssl as tls
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

from wscore import (
    IN_A_ROW,
    Arrival,
    Cause,
    CloseCode,
    CloseReason,
    Connection,
    ConnectionClosed,
    Facts,
    FairShare,
    Message,
    Overflow,
    Parts,
    Prepared,
    ReceivedParts,
    Receiving,
    SendableMessage,
    SendTurn,
    State,
    Transport,
    as_parts,
    is_whole,
    receive_rest,
    send_parts,
)

__all__ = ["WebSocket", "tls_options"]

T = TypeVar("T")


class WebSocket(Facts):
    """A WebSocket connection on asyncio; :func:`connect` and :func:`serve` make them.

    Every method belongs to the thread of the connection's event loop. Any number of tasks may
    send; one at a time may receive. Cancelling a method never corrupts the stream: a cancelled
    send either did not start or completes.
    """

    # ------------------------------------------------------------------ for everyone

    async def send(
        self,
        message: SendableMessage | Parts,
        *,
        compress: bool | None = None,
        key: Hashable | None = None,
    ) -> bool:
        """Send a message; wait while the send buffer is full, first come, first served.

        Returns when the message is queued, not when the peer has it. Cancelled while it waits,
        nothing was sent. An iterable, or an asynchronous one, is sent as one message, a frame for
        each part: other messages wait until it ends, and no parts are no message. If it raises or
        is cancelled after the first part, the connection is failed with 1011, since a message
        cannot be taken back.

        :param message: str is sent as text, bytes-like as binary; an iterable of either.
        :param compress: whether to compress this message, if compression is negotiated; None: if
            it is larger than the threshold.
        :param key: with ``overflow="replace"``, a queued message with the same key is replaced.
        :returns: False if ``overflow`` dropped the message, else True.
        :raises ConnectionClosed: the connection is closing or closed.
        :raises SendBufferFull: as ``overflow`` says.
        :raises TypeError, ValueError: not a message, or ``compress`` or ``key`` for an iterable;
            nothing was sent, unless it is a later part of an iterable that is wrong.
        """
        connection = self._connection
        greedy = self._fair_share.used_up()
        crowded = self._send_turn.wanted
        if key is None and not greedy and not crowded:
            if self._will_write:
                if connection.send_behind(message):
                    return True
            elif self._write_alone(message):
                return True
        if not is_whole(message):
            parts = as_parts(message, compress=compress, key=key)
            async with self._send_turn:
                await send_parts(
                    connection,
                    parts,
                    now=self._now,
                    settle=self._settle,
                    until_can_send=self._until_can_send_part,
                )
            return True
        if self._overflow is not _WAIT:
            if greedy:
                await self._turn()
        elif greedy or crowded or not connection.can_send:
            async with self._send_turn:
                await self._until_can_send()
                return self._send_now(message, compress, key)
        return self._send_now(message, compress, key)

    async def recv(self) -> Message:
        """Receive a message: str for text, bytes for binary.

        Cancelled, it has taken nothing. What was received before the peer closed, before the end
        of the stream and before a failure is still given.

        :raises ConnectionClosed: there will never be another message.
        :raises ConcurrencyError: another task is receiving.
        """
        receiving, connection = self._receiving, self._connection
        if receiving.free and (ready := connection.take_ready()) is not None:
            return ready
        with receiving:
            if self._fair_share.used_up():
                await self._turn()
            if self._will_write and not connection.in_batch:
                # What is behind it may be the end.
                self._write_together()
            if receiving.parts is not None:
                receiving.leave_parts(now=self._now())
                if (message := self._take()) is not None:
                    return message
            while True:
                if not connection.can_receive:
                    await self._arrival
                elif (message := self._take()) is not None:
                    return message
                if (ready := connection.take_ready()) is not None:
                    return ready

    def _take(self) -> Message | None:
        try:
            return self._connection.take_message(now=self._now())
        finally:
            self._settle()

    def __aiter__(self) -> AsyncIterator[Message]:
        """Receive messages until the connection is closed.

        The loop ends when either side closed with 1000, 1001 or no code, and raises
        ConnectionClosed else.
        """
        return self

    async def __anext__(self) -> Message:
        if self._receiving.free and (ready := self._connection.take_ready()) is not None:
            return ready
        try:
            return await self.recv()
        except ConnectionClosed as closed:
            if closed.reason.ok:
                raise StopAsyncIteration from None
            raise

    def recv_streaming(self) -> AsyncIterator[Message]:
        """Receive a message in parts, as they arrive: str, cut between characters, or bytes.

        Left early, the rest of the message is discarded.

        :raises ConnectionClosed: the connection ended before the message did.
        :raises ConcurrencyError: another task is receiving, or took over.
        """
        return ReceivedParts(
            self._receiving,
            now=self._now,
            settle=self._settle,
            checkpoint=self._turn_if_due,
            until_can_receive=lambda: self._until(self._can_receive_part),
        )

    async def ping(self, payload: bytes | None = None) -> float:
        """Send a ping and wait for its pong; return the round-trip time in seconds.

        Cancelled, the ping is on its way and its pong is ignored.

        :param payload: at most 125 bytes, unlike those in flight; None: four random bytes.
        :raises ConnectionClosed: the connection closed before it was answered.
        :raises ValueError: the payload is too long, or in flight.
        """
        connection = self._connection
        ping = connection.ping(payload, now=self._now())
        self._settle()
        try:
            await self._until(
                lambda: ping.round_trip is not None or connection.state is not State.OPEN
            )
            round_trip = connection.poll_pong(ping)
            assert round_trip is not None
            return round_trip
        finally:
            connection.forget_ping(ping)

    async def pong(self, payload: bytes = b"") -> None:
        """Send a pong that nobody asked for: a one-way heartbeat. Does not wait for anything.

        :param payload: at most 125 bytes.
        :raises ConnectionClosed: the connection is closing or closed.
        :raises ValueError: the payload is too long.
        """
        if self._fair_share.used_up():
            await self._turn()
        self._connection.pong(payload, now=self._now())
        self._settle()

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection and wait until the transport is closed, ``close_timeout`` at most.

        What was sent before goes out first. Harmless if it is closing or closed. Cancelled, the
        connection goes on closing by itself.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text.
        """
        self._connection.close(code, reason, now=self._now())
        self._settle()
        await self.wait_closed()

    async def wait_closed(self) -> CloseReason:
        """Wait until the transport is closed; return why. Cancelling it changes nothing."""
        await self._until(lambda: self._gone)
        reason = self._connection.poll_close()
        assert reason is not None
        return reason

    def abort(self) -> None:
        """End the connection at once: nothing is said, what is queued is dropped."""
        self._connection.abort(now=self._now())
        self._settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection: with 1011 if the block raised, else with 1000.

        It waits for that under cancellation, too: ``close_timeout`` at most.
        """
        # For the end of this connection it is harmless; another one's is a failure, too.
        if isinstance(exc, Exception):
            self._connection.fail(Cause.HANDLER_ERROR, now=self._now())
            self._settle()
        await self.close()

    # -------------------------------------------------------- between the core and asyncio

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """Not public: use :func:`connect` or :func:`serve`."""
        super().__init__(connection)
        self._loop: Final = loop
        self._now: Final = clock_of(loop)
        self._overflow: Final = connection.config.overflow
        self._transport: asyncio.Transport | None = None
        # Its socket's number, if what is written is what goes out.
        self._socket: int | None = None
        self._gone = False
        # Written to the transport and, as far as it tells, still there.
        self._in_flight = 0
        # When a message was last written alone, if nothing was read or written together since; and
        # whether others wait for the end of this turn of the loop, to be written together.
        self._written_at = -math.inf
        self._will_write = False
        self._reading = True
        # Bytes that the next read may bring.
        self._wanted = 0
        self._write_ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        # Who waits to receive, or for the handshake as long as nobody can receive; who else waits,
        # and for what.
        self._arrival: Final = _Arrival(loop)
        self._opening = True
        self._waiters: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._send_turn: Final = SendTurn(asyncio.Lock)
        self._receiving: Final = Receiving(connection)
        self._fair_share: Final = FairShare(connection.stats)

    def _settle(self) -> None:
        """After any input, command or take: carry out the outputs, wake whoever can go on."""
        self._carry_out()
        if self._arrival.is_awaited and (self._opening or self._connection.can_receive):
            self._arrival.wake()

    def _carry_out(self) -> None:
        """The same, but for who waits to receive."""
        transport = self._transport
        if transport is not None:
            connection = self._connection
            if connection.want_write and not (self._will_write and connection.can_send):
                self._write(transport)
            self._obey(transport)
        self._arm()
        if self._waiters:
            self._wake()

    def _write(self, transport: asyncio.Transport) -> None:
        connection = self._connection
        if self._in_flight:
            self._note_progress(transport)
        # What a closing transport is given is lost, and would count as sent.
        while (
            not self._in_flight
            and (buffers := connection.data_to_send())
            and not transport.is_closing()
        ):
            size = 0
            for buffer in buffers:
                size += len(buffer)
                transport.write(buffer)
            # uvloop writes at the end of the turn; what it holds has not left.
            self._in_flight = min(size, transport.get_write_buffer_size())
            connection.data_sent(size - self._in_flight, now=self._now())

    def _arm(self) -> None:
        deadline = self._connection.deadline
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._on_time)
            self._timer_at = deadline

    def _obey(self, transport: asyncio.Transport) -> None:
        connection = self._connection
        self._wanted = wanted = connection.want_read
        reading = wanted > 0 or connection.state is State.CLOSED
        if reading is not self._reading:
            self._reading = reading
            if reading:
                transport.resume_reading()
            else:
                transport.pause_reading()
        if (end := connection.transport) is _KEEP:
            return
        match end:
            case Transport.END_WRITE if not self._write_ended:
                self._write_ended = True
                # A peer that has just reset the connection leaves nothing to end.
                with suppress(OSError):
                    if transport.can_write_eof():
                        transport.write_eof()
            # Closed twice, a transport over TLS forgets how to abort.
            case Transport.CLOSE if not transport.is_closing():
                transport.close()
            case Transport.ABORT:
                transport.abort()

    def _note_progress(self, transport: asyncio.Transport) -> None:
        """What left the transport's buffer was sent."""
        still_there = min(self._in_flight, transport.get_write_buffer_size())
        sent = self._in_flight - still_there
        if sent:
            self._in_flight = still_there
            self._connection.data_sent(sent, now=self._now())

    def _on_time(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        if self._transport is not None and self._in_flight:
            self._note_progress(self._transport)
        self._connection.handle_timeout(now=self._now())
        self._settle()

    def _on_connected(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        name = transport.get_extra_info
        sock = name("socket")
        if sock is not None and sys.platform != "win32" and name("ssl_object") is None:
            self._socket = sock.fileno()
        self._addresses = name("sockname"), name("peername")
        transport.set_write_buffer_limits(high=0)
        self._settle()

    def _on_data(self, data: memoryview) -> None:
        if self._will_write:
            # What comes may be the end of what waits.
            self._write_together()
        self._fair_share.begin()
        self._written_at = -math.inf
        connection = self._connection
        if connection.receive_data(data, now=self._now()):
            self._arrival.wake_here()
            if self._waiters:
                self._wake()
        else:
            self._go_on()

    def _on_landed(self, size: int) -> None:
        if self._will_write:
            self._write_together()
        self._fair_share.begin()
        self._written_at = -math.inf
        self._connection.received(size, now=self._now())
        self._go_on()

    def _go_on(self) -> None:
        """Settle within a read."""
        self._carry_out()
        if self._opening or self._connection.can_receive:
            self._arrival.wake_here()

    def _on_end(self) -> None:
        self._write_together()
        self._connection.receive_data(b"", now=self._now())
        self._settle()

    def _on_lost(self, error: Exception | None) -> None:
        if isinstance(error, OSError):
            self._read_rest()
        self._transport = self._socket = None
        self._gone = True
        self._connection.transport_lost(error, now=self._now())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._settle()

    def _read_rest(self) -> None:
        """Take in what the system received before writing failed, if the socket is still there.

        Transports of asyncio and of uvloop close it only behind ``connection_lost``, and what they
        give for it has no number from then on: that could be another socket's. What a transport
        over TLS has not read is lost with it.
        """
        number, transport = self._socket, self._transport
        if number is None or transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.fileno() == number:
            receive_rest(
                self._connection,
                lambda buffer: os.readv(number, [buffer]),
                _scratch.buffer,
                now=self._now(),
            )

    def _wake(self) -> None:
        for waiter, ready in self._waiters.items():
            if not waiter.done() and ready():
                waiter.set_result(None)

    def _can_receive_part(self) -> bool:
        return self._connection.can_receive_part

    async def _until_opening(self, ready: Callable[[], bool]) -> None:
        """Wait for what the handshake brings; then it is for others to wait for what comes."""
        while not ready():
            await self._arrival
        self._opening = False

    async def _until_deadline(self, answer: Awaitable[T]) -> T | None:
        """Wait for it until the connection's deadline; then tell the connection, and give None."""
        deadline = self._connection.deadline
        timeout = asyncio.timeout_at(None if deadline == math.inf else deadline)
        try:
            async with timeout:
                return await answer
        except TimeoutError:
            if not timeout.expired():
                raise
            # Two timers of a loop for one time are two times.
            self._connection.handle_timeout(now=deadline)
            return None

    @staticmethod
    def _cancelled_error() -> type[BaseException]:
        return asyncio.CancelledError

    @staticmethod
    async def _checkpoint_if_cancelled() -> None:
        """Raise if this task is cancelled, and not only something that it waited for."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError

    async def _until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            waiter = self._loop.create_future()
            self._waiters[waiter] = ready
            try:
                await waiter
            finally:
                del self._waiters[waiter]
                if not self._waiters:
                    # It would keep the memory for more of them.
                    self._waiters.clear()

    async def _turn(self) -> None:
        self._fair_share.begin()
        await asyncio.sleep(0)

    async def _turn_if_due(self) -> None:
        if self._fair_share.used_up():
            await self._turn()

    async def _until_can_send(self) -> None:
        if self._fair_share.used_up():
            await self._turn()
        connection = self._connection
        await self._until(lambda: connection.can_send or connection.state is not State.OPEN)

    async def _until_can_send_part(self) -> None:
        if self._fair_share.used_up():
            await self._turn()
        connection = self._connection
        await self._until(lambda: connection.can_send_part or connection.state is not State.OPEN)

    def _send_now(
        self, message: SendableMessage, compress: bool | None, key: Hashable | None
    ) -> bool:
        connection, now = self._connection, self._now()
        try:
            accepted = connection.send(message, compress=compress, key=key, now=now)
        except BaseException:
            self._settle()
            raise
        # A lone message is written at once; more of them are together, once a turn: whoever has
        # another one to answer, or has just sent one, is likely to send more.
        if not connection.can_send:
            self._settle()
        elif connection.may_hold and (now - self._written_at < IN_A_ROW or connection.in_batch):
            if not self._will_write:
                self._will_write = True
                self._loop.call_soon(self._write_together)
        else:
            self._written_at = now
            self._write_now()
        return accepted

    def _write_alone(self, message: object) -> bool:
        """Send a message that is written at once; if there is more to it, nothing was done."""
        now = self._now()
        connection, transport = self._connection, self._transport
        if (
            now - self._written_at < IN_A_ROW
            or transport is None
            or transport.is_closing()
            or (frame := connection.frame_alone(message)) is None
        ):
            return False
        self._written_at = now
        sent = 0
        if self._socket is not None:
            # What a transport does itself when nothing is left in it, but with more ado; uvloop's
            # waits for the end of the turn.
            try:
                sent = os.write(self._socket, frame)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                # The transport would meet another one: this has been told once and for all.
                connection.sent_alone(frame, 0, now=now)
                self._read_rest()
                connection.transport_lost(error, now=now)
                self._settle()
                return True
            if sent == len(frame):
                connection.sent_alone(frame, sent, now=now)
                return True
        transport.write(frame[sent:])
        self._in_flight = left = min(len(frame) - sent, transport.get_write_buffer_size())
        connection.sent_alone(frame, len(frame) - left, now=now)
        if left:
            self._settle()
        return True

    def _write_now(self) -> None:
        """All there is to settle after a message was accepted."""
        if self._transport is not None:
            self._write(self._transport)
        self._arm()

    def _write_together(self) -> None:
        if self._will_write:
            self._written_at = -math.inf
            self._will_write = False
            self._settle()

    def _offer(self, message: Prepared) -> bool:
        if self._write_alone(message):
            return True
        try:
            accepted = self._connection.offer(message, now=self._now())
        except BaseException:
            self._settle()
            raise
        if accepted:
            self._write_now()
        else:
            self._settle()
        return accepted


class Link(asyncio.BufferedProtocol):
    """What the transport calls.

    All connections of a thread read into the same scratch buffer, since the core copies what it
    keeps; with completion-based I/O (Windows) a read may outlast the turn and needs its own.
    """

    __slots__ = ("_landing", "_scratch", "_shared", "websocket")

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket: Final = websocket
        self._shared: Final = sys.platform != "win32"
        self._scratch: Final = (
            _scratch.buffer if self._shared else memoryview(bytearray(_SCRATCH_SIZE))
        )
        # Whether what is read next goes where the core wants it.
        self._landing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports are none by inheritance.
        self.websocket._on_connected(cast(asyncio.Transport, transport))

    def get_buffer(self, sizehint: int) -> memoryview:
        websocket = self.websocket
        if self._shared and (landing := websocket._connection.receive_buffer()) is not None:
            self._landing = True
            return landing
        self._landing = False
        # asyncio does not take an empty buffer, and what comes after the end is ignored.
        return self._scratch[: websocket._wanted or _SCRATCH_SIZE]

    def buffer_updated(self, nbytes: int) -> None:
        if self._landing:
            self.websocket._on_landed(nbytes)
        else:
            self.websocket._on_data(self._scratch[:nbytes])

    def eof_received(self) -> bool:
        self.websocket._on_end()
        # Keep the transport: there may be something left to say. TLS cannot.
        transport = self.websocket._transport
        return transport is not None and transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.websocket._on_lost(exc)

    def pause_writing(self) -> None:
        """Nothing to do: with a high mark of 0 this says no more than the buffer's size."""

    def resume_writing(self) -> None:
        # TLS also calls this from within a write, when what is written does not count yet.
        if self.websocket._in_flight:
            # Not from here: a selector's transport that is closed in this call, with nothing left
            # to write, ends twice (CPython, _SelectorSocketTransport._write_ready).
            self.websocket._loop.call_soon(self.websocket._settle)


class _Arrival(Arrival):
    """What the transport brings."""

    __slots__ = ()

    _current_task = staticmethod(asyncio.current_task)
    _cancelled_error = asyncio.CancelledError


# An attribute of an enumeration takes several times as long to look up.
_KEEP: Final = Transport.KEEP
_WAIT: Final = Overflow.WAIT

_SCRATCH_SIZE = 256 * 1024


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(_SCRATCH_SIZE))


_scratch = _Scratch()


def tls_options(
    context: tls.SSLContext, *, close_timeout: float, open_timeout: float = math.inf
) -> dict[str, Any]:
    """Arguments for transports over TLS.

    :param close_timeout: seconds for its end: a stream that is cut off, without close_notify,
        ends for asyncio only when these are over.
    :param open_timeout: seconds for its handshake, unless that is within a timeout already, which
        then is the one to say that it passed.
    """
    return {
        "ssl": context,
        "ssl_handshake_timeout": min(open_timeout, _A_DAY),
        "ssl_shutdown_timeout": min(close_timeout, _A_DAY),
    }


_A_DAY = 86_400.0
"""In seconds: event loops do not take inf."""


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """The loop's clock: the system's own, if it is that one, rather than the loop's view of it.

    uvloop looks at it once a turn, in milliseconds: too coarse for round-trip times.
    """
    same = abs(loop.time() - time.monotonic()) < 1
    return time.monotonic if same else loop.time
