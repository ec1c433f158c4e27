"""The only place where a connection of the core meets trio.

Policy is in :mod:`wscore`; here is only how bytes, time and wake-ups get there and back.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Final, Self

import trio
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint, checkpoint_if_cancelled

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
    as_parts,
    each_part,
    is_whole,
)

from ._stream import Carrier, carrier_of

__all__ = ["WebSocket"]


class WebSocket(Facts, trio.abc.AsyncResource):
    """A WebSocket connection on trio; :func:`connect` and :func:`serve` make them.

    Every method belongs to the thread of the connection's event loop. Any number of tasks may
    send; one at a time may receive. Cancelling a method never corrupts the stream: a cancelled
    send either did not start or completes. Every method that waits is a checkpoint.
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
        await checkpoint_if_cancelled()
        connection = self._connection
        if key is None and not self._send_turn.locked() and self._send_shortly(message):
            await self._let_others_run()
            return True
        if not is_whole(message):
            parts = as_parts(message, compress=compress, key=key)
            async with self._send_turn:
                await self._send_parts(parts)
            return True
        crowded = self._send_turn.locked() or not connection.can_send
        if crowded and self._overflow is Overflow.WAIT:
            async with self._send_turn:
                await self._until_can_send()
                return self._send_now(message, compress, key)
        taken = self._send_now(message, compress, key)
        await self._let_others_run()
        return taken

    async def recv(self) -> Message:
        """Receive a message: str for text, bytes for binary.

        Cancelled, it has taken nothing. What was received before the peer closed, before the end
        of the stream and before a failure is still given.

        :raises ConnectionClosed: there will never be another message.
        :raises ConcurrencyError: another task is receiving.
        """
        receiving, connection = self._receiving, self._connection
        await checkpoint_if_cancelled()
        if receiving.free and (ready := connection.take_ready()) is not None:
            await self._let_others_run()
            return ready
        with receiving:
            waited = connection.want_write and not connection.in_batch
            if waited:
                # A failure that this meets would drop what is still to be written.
                await checkpoint()
            if receiving.in_parts:
                receiving.leave_parts(now=self._now())
                if (message := self._take()) is not None:
                    await self._let_others_run()
                    return message
            while True:
                if not connection.can_receive:
                    await self._until_received(self._can_receive)
                    self._has_waited = waited = True
                elif (message := self._take()) is not None:
                    if not waited:
                        await self._let_others_run()
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
        return _Parts(self)

    async def ping(self, payload: bytes | None = None) -> float:
        """Send a ping and wait for its pong; return the round-trip time in seconds.

        Cancelled, the ping is on its way and its pong is ignored.

        :param payload: at most 125 bytes, unlike those in flight; None: four random bytes.
        :raises ConnectionClosed: the connection closed before it was answered.
        :raises ValueError: the payload is too long, or in flight.
        """
        await checkpoint_if_cancelled()
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
        await checkpoint_if_cancelled()
        self._connection.pong(payload, now=self._now())
        self._settle()
        await cancel_shielded_checkpoint()

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection and wait until the transport is closed, ``close_timeout`` at most.

        What was sent before goes out first. Harmless if it is closing or closed. Cancelled, the
        connection goes on closing by itself, unless its nursery is cancelled, too.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text.
        """
        self._connection.close(code, reason, now=self._now())
        self._settle()
        await self.wait_closed()

    async def aclose(self) -> None:
        """Close the connection with 1000, as any resource of trio.

        Cancelled, it is aborted once a Close frame that need not wait has gone out.
        """
        try:
            await self.close()
        except trio.Cancelled:
            self._leave()
            raise

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

        Cancelled, it is aborted once a Close frame that need not wait has gone out.
        """
        # For the end of this connection it is harmless; another one's is a failure, too.
        if isinstance(exc, Exception):
            self._connection.fail(Cause.HANDLER_ERROR, now=self._now())
            self._settle()
        await self.aclose()

    # ------------------------------------------------------------ between the core and trio

    def __init__(self, connection: Connection) -> None:
        """Not public: use :func:`connect` or :func:`serve`."""
        super().__init__(connection)
        self._now: Final = trio.current_time
        self._overflow: Final = connection.config.overflow
        self._carrier: Carrier | None = None
        self._gone = False
        self._can_receive: Final = lambda: connection.can_receive
        self._can_receive_part: Final = lambda: connection.can_receive_part
        # What the tasks of the connection wait for.
        self._to_write: Final = _Nudge()
        self._to_read: Final = _Nudge()
        self._to_time: Final = _Nudge()
        self._over: Final = _Nudge()
        self._left: Final = _Nudge()
        self._timer_at = math.inf
        # Who else waits, and for what.
        self._waiters: dict[trio.Event, Callable[[], bool]] = {}
        self._receiver: Callable[[], bool] | None = None
        self._received = trio.Event()
        self._send_turn: Final = trio.Lock()
        self._receiving: Final = Receiving(connection)
        self._someone_reads = False
        self._receives = 0
        self._calls_left = 0
        self._has_waited = False

    def _settle(self) -> None:
        """After any input, command or take: carry out the outputs, wake whoever can go on."""
        connection, carrier = self._connection, self._carrier
        if carrier is not None:
            self._write_now(carrier)
            if self._to_read.is_awaited and connection.want_read:
                self._to_read.nudge()
            if (end := connection.transport) is not _KEEP:
                self._end(carrier, end)
        if connection.deadline < self._timer_at:
            self._to_time.nudge()
        for event, ready in self._waiters.items():
            if ready():
                event.set()
        if self._receiver is not None and self._receiver():
            self._wake_receiver()

    def _end(self, carrier: Carrier, end: Transport) -> None:
        if end is not Transport.END_WRITE:
            self._over.nudge()
        elif not carrier.write_ended:
            self._to_write.nudge()

    def _wake_receiver(self) -> None:
        """Whoever waits to receive looks again, whatever it is that it waits for."""
        self._received.set()
        if self._carrier is not None:
            self._carrier.interrupt_read()

    def _write_now(self, carrier: Carrier) -> None:
        """Write what goes at once; the rest is the writer's, behind which nothing overtakes."""
        if not self._connection.want_write or carrier.is_writing:
            return
        try:
            if not carrier.write_now():
                self._to_write.nudge()
        except OSError as error:
            self._fail(error)

    async def _carry(self, stream: trio.abc.Stream) -> None:
        """The life of the connection on a stream, as a task: it raises nothing but Cancelled."""
        connection = self._connection
        carrier = self._carrier = carrier_of(stream, connection)
        self._addresses = carrier.addresses
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_time)
                nursery.start_soon(self._write, carrier)
                nursery.start_soon(self._read, carrier)
                self._settle()
                await self._over.wait()
                nursery.cancel_scope.cancel()
            if connection.transport is Transport.CLOSE:
                # Whatever it says: the connection is at its end.
                with trio.CancelScope(deadline=connection.deadline), suppress(Exception):
                    await stream.aclose()
        finally:
            # Harmless unless the nursery that carries the connection was cancelled.
            self._leave()
            await carrier.abort()
            self._carrier = None
            self._lose(None)

    def _leave(self) -> None:
        """Abort the connection, once what need not wait has gone out."""
        self._connection.close(CloseCode.GOING_AWAY, now=self._now())
        self._settle()
        self.abort()

    def _lose(self, error: BaseException | None) -> None:
        """There is no stream any more, or there never was one."""
        self._connection.transport_lost(error, now=self._now())
        self._gone = True
        self._settle()

    def _fail(self, error: BaseException) -> None:
        # The error of TLS or of the system says more than trio's around it.
        self._connection.transport_lost(error.__cause__ or error, now=self._now())
        self._over.nudge()

    async def _keep_time(self) -> None:
        while True:
            self._timer_at = deadline = self._connection.deadline
            with trio.move_on_at(deadline) as scope:
                await self._to_time.wait()
            if scope.cancelled_caught:
                self._connection.handle_timeout(now=self._now())
                self._settle()

    async def _write(self, carrier: Carrier) -> None:
        connection = self._connection
        while True:
            try:
                while connection.want_write:
                    await carrier.write()
                    self._settle()
                if connection.transport is Transport.END_WRITE and not carrier.write_ended:
                    await carrier.end_write()
            except Exception as error:  # noqa: BLE001  (whatever a stream raises, it is broken)
                self._fail(error)
            await self._to_write.wait()

    async def _read(self, carrier: Carrier) -> None:
        """Read when nobody else does.

        A socket is read by whoever receives, which saves switching between tasks; once nobody
        has for a while, here. What was begun here is not handed back: the receiver waits for it.
        """
        while True:
            if carrier.is_shared and self._receives:
                receives = self._receives
                await trio.sleep(_HANDOVER)
                if self._someone_reads:
                    await self._left.wait()
                    continue
                if receives != self._receives:
                    continue
            if self._connection.want_read:
                await self._read_once(carrier)
                if self._receiver is not None:
                    # Whoever receives reads the rest.
                    self._wake_receiver()
            else:
                await self._to_read.wait()

    async def _read_once(self, carrier: Carrier, *, by_receiver: bool = False) -> None:
        self._someone_reads = True
        only_messages = False
        try:
            only_messages = await carrier.read()
        except Exception as error:  # noqa: BLE001  (whatever a stream raises, it is broken)
            self._fail(error)
        finally:
            self._someone_reads = False
            if by_receiver:
                # It need not be woken.
                self._receiver = None
        if not only_messages or self._waiters or self._receiver is not None:
            self._settle()

    async def _let_others_run(self) -> None:
        """A checkpoint after what did not wait; but not right behind one, nor within a batch."""
        self._calls_left -= 1
        if self._calls_left < 0 or not (self._has_waited or self._connection.in_batch):
            self._calls_left = _CALLS_A_TURN
            await cancel_shielded_checkpoint()
        self._has_waited = False

    async def _until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is so; at least a checkpoint."""
        await checkpoint()
        while not ready():
            event = trio.Event()
            self._waiters[event] = ready
            try:
                await event.wait()
            finally:
                del self._waiters[event]

    async def _until_received(self, ready: Callable[[], bool]) -> None:
        """Wait until something was received, and read it if nobody else does; it is not so yet."""
        self._receives += 1
        while True:
            self._receiver = ready
            try:
                carrier = self._carrier
                if (
                    carrier is None
                    or not carrier.is_shared
                    or self._someone_reads
                    or not self._connection.want_read
                ):
                    self._received = trio.Event()
                    await self._received.wait()
                else:
                    await self._read_once(carrier, by_receiver=True)
            finally:
                self._receiver = None
                if self._left.is_awaited:
                    self._left.nudge()
            if ready():
                return

    async def _until_can_send(self) -> None:
        connection = self._connection
        await self._until(lambda: connection.can_send or connection.state is not State.OPEN)

    async def _until_can_send_part(self) -> None:
        connection = self._connection
        await self._until(lambda: connection.can_send_part or connection.state is not State.OPEN)

    def _send_shortly(self, message: object) -> bool:
        """Send what there is little to say about; if there is more to it, nothing was done."""
        connection, carrier = self._connection, self._carrier
        if carrier is None:
            return False
        if connection.in_batch:
            return connection.send_behind(message)
        now = self._now()
        frame = connection.send_alone(message, now=now)
        if frame is None:
            return False
        try:
            if not carrier.write_alone(frame, now):
                self._settle()
        except OSError as error:
            self._fail(error)
        return True

    def _send_now(
        self, message: SendableMessage, compress: bool | None, key: Hashable | None
    ) -> bool:
        connection = self._connection
        try:
            accepted = connection.send(message, compress=compress, key=key, now=self._now())
        except BaseException:
            self._settle()
            raise
        if connection.in_batch and connection.can_send:
            # Answers to what came together are written together, at the end of the turn.
            self._to_write.nudge()
        elif self._carrier is not None:
            self._write_now(self._carrier)
        if connection.deadline < self._timer_at:
            self._to_time.nudge()
        return accepted

    def _offer(self, message: Prepared) -> bool:
        if self._send_shortly(message):
            return True
        try:
            return self._connection.offer(message, now=self._now())
        finally:
            self._settle()

    async def _send_parts(self, parts: Parts) -> None:
        sender = PartSender(self._connection)
        async with aclosing(each_part(parts)) as source:
            try:
                async for part in source:
                    await self._until_can_send_part()
                    sender.add(part, now=self._now())
                    self._settle()
                await self._until_can_send_part()
                sender.end(now=self._now())
            except BaseException:
                sender.interrupt(now=self._now())
                raise
            finally:
                self._settle()


_HANDOVER = 0.02
"""Seconds after which the connection's own task reads: pings are to be answered soon, and whoever
receives again and again is to be left alone."""


_CALLS_A_TURN = 16
"""Calls within a batch until it is the others' turn: a turn costs many times what a call does."""


class _Nudge:
    """Wakes the one task that waits, or the next that does.

    :ivar is_awaited: whether one waits.
    """

    def __init__(self) -> None:
        self._event = trio.Event()
        self.is_awaited = False

    def nudge(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        self.is_awaited = True
        try:
            await self._event.wait()
        finally:
            self.is_awaited = False
        self._event = trio.Event()


# An attribute of an enumeration takes several times as long to look up.
_KEEP: Final = Transport.KEEP


class _Parts(AsyncIterator[Message]):
    """The parts of one message; no generator, since cancelling that would end it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket: Final = websocket
        self._receiver: Final = PartReceiver(websocket._receiving)

    async def __anext__(self) -> Message:
        websocket, receiver = self._websocket, self._receiver
        with websocket._receiving:
            await checkpoint()
            while not receiver.ended:
                try:
                    part = receiver.take(now=websocket._now())
                finally:
                    websocket._settle()
                if part is not None:
                    return part.data
                await websocket._until_received(websocket._can_receive_part)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Discard the rest of the message, at once instead of with the next that is received."""
        self._receiver.leave(now=self._websocket._now())
        self._websocket._settle()
        await checkpoint()
