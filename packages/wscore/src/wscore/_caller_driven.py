"""The only place for the verbs of a connection whose receiver reads for itself: what adapters on
runtimes with async, await and structured concurrency offer to everyone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from types import TracebackType
from typing import Any, Final, Protocol, Self

from ._close import Cause, CloseCode, CloseReason
from ._config import Overflow
from ._connection import Connection, State
from ._driving import Driven
from ._errors import ConnectionClosed
from ._inbox import Message
from ._outbox import Prepared
from ._pace import IN_A_ROW
from ._receiving import ReceivedParts, Receiving
from ._sending import Parts, SendableMessage, SendTurn, as_parts, is_whole, send_parts

__all__ = ["CallerDriven"]


class Carried(Protocol):
    """What a :class:`CallerDriven` needs of an adapter: for a subclass to define."""

    async def _carry(self, stream: Any, /) -> None:
        """The life of the connection on a stream, as a task: it raises nothing but Cancelled."""
        ...

    async def _carry_until_cancelled(self, stream: Any, /) -> None:
        """The same in a task group that is not ours: cancelled, the connection ends."""
        ...


class CallerDriven(Driven, Carried):
    """Base of an adapter's WebSocket whose receiver reads for itself, and whose sender writes.

    A subclass brings the :class:`Runtime`, and ``_carry`` and ``_carry_until_cancelled``, which
    make a :class:`Carrier` of a stream and run the connection on it: ``_run`` to its end, and
    then, whatever happens, ``_drop``.

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
        await self._checkpoint_if_cancelled()
        connection = self._connection
        if key is None and not self._send_turn.wanted and self._send_shortly(message):
            if self._is_others_turn():
                await self._cancel_shielded_checkpoint()
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
        crowded = self._send_turn.wanted or not connection.can_send
        if crowded and self._overflow is Overflow.WAIT:
            async with self._send_turn:
                await self._until_can_send()
                return self._send_now(message, compress, key)
        taken = self._send_now(message, compress, key)
        if self._is_others_turn():
            await self._cancel_shielded_checkpoint()
        return taken

    async def recv(self) -> Message:
        """Receive a message: str for text, bytes for binary.

        Cancelled, it has taken nothing. What was received before the peer closed, before the end
        of the stream and before a failure is still given.

        :raises ConnectionClosed: there will never be another message.
        :raises ConcurrencyError: another task is receiving.
        """
        receiving, connection = self._receiving, self._connection
        await self._checkpoint_if_cancelled()
        if receiving.free and (ready := connection.take_ready()) is not None:
            if self._is_others_turn():
                with receiving:
                    await self._let_others_run(ready)
            return ready
        with receiving:
            waited = connection.want_write and not connection.in_batch
            if waited:
                # A failure that this meets would drop what is still to be written.
                await self._checkpoint()
            if receiving.parts is not None:
                receiving.leave_parts(now=self._now())
                self._settle()
            while not connection.can_receive or (message := self._take()) is None:
                await self._until_received(self._can_receive)
                self._has_waited = waited = True
                if (ready := connection.take_ready()) is not None:
                    return ready
            if not waited and self._is_others_turn():
                await self._let_others_run(message)
            return message

    async def _let_others_run(self, message: Message) -> None:
        """A checkpoint before a message is handed over."""
        try:
            await self._cancel_shielded_checkpoint()
        except BaseException:
            # cancel() of a task of asyncio passes every shield.
            self._connection.put_back(message)
            raise

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
        return ReceivedParts(
            self._receiving,
            now=self._now,
            settle=self._settle,
            checkpoint=self._checkpoint,
            until_can_receive=lambda: self._until_received(self._can_receive_part),
        )

    async def ping(self, payload: bytes | None = None) -> float:
        """Send a ping and wait for its pong; return the round-trip time in seconds.

        Cancelled, the ping is on its way and its pong is ignored.

        :param payload: at most 125 bytes, unlike those in flight; None: four random bytes.
        :raises ConnectionClosed: the connection closed before it was answered.
        :raises ValueError: the payload is too long, or in flight.
        """
        await self._checkpoint_if_cancelled()
        connection = self._connection
        ping = connection.ping(payload, now=self._now())
        self._settle()
        try:
            await self._until_heard(
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
        await self._checkpoint_if_cancelled()
        self._connection.pong(payload, now=self._now())
        self._settle()
        await self._cancel_shielded_checkpoint()

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection and wait until the transport is closed, ``close_timeout`` at most.

        What was sent before goes out first. Harmless if it is closing or closed. Cancelled, the
        connection goes on closing by itself, unless its nursery, or task group, is cancelled, too.

        :param code: 1000-1003, 1007-1014 or 3000-4999.
        :param reason: cut at a character to 123 bytes of UTF-8.
        :raises ValueError, TypeError: such a code must not be sent; the reason is not text.
        """
        self._connection.close(code, reason, now=self._now())
        self._settle()
        await self.wait_closed()

    async def aclose(self) -> None:
        """Close the connection with 1000, as any resource of the runtime.

        Cancelled, it is aborted once a Close frame that need not wait has gone out.
        """
        try:
            await self.close()
        except BaseException:
            await self._leave()
            raise

    async def wait_closed(self) -> CloseReason:
        """Wait until the transport is closed; return why. Cancelling it changes nothing."""
        connection = self._connection
        if connection.state is State.OPEN:
            # There is nothing to hear yet that whoever receives would not.
            await self._until(lambda: connection.state is not State.OPEN)
        await self._until_heard(lambda: self._gone)
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

    # ------------------------------------------------------------------ what they share

    def __init__(self, connection: Connection, now: Callable[[], float]) -> None:
        super().__init__(connection, now)
        self._overflow: Final = connection.config.overflow
        self._can_receive: Final = lambda: connection.can_receive
        self._can_receive_part: Final = lambda: connection.can_receive_part
        self._send_turn: Final = SendTurn(self._lock)
        self._receiving: Final = Receiving(connection)

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
        if self._in_a_row:
            return connection.send_behind(message)
        now = self._now()
        in_a_row = now - self._sent_at < IN_A_ROW
        frame = None if in_a_row else connection.frame_alone(message)
        if frame is None:
            return connection.in_batch and connection.send_behind(message)
        self._sent_at = now
        try:
            if not carrier.write_alone(frame, now):
                self._settle()
        except OSError as error:
            self._fail(carrier, error)
        return True

    def _send_now(
        self, message: SendableMessage, compress: bool | None, key: Hashable | None
    ) -> bool:
        connection, carrier, now = self._connection, self._carrier, self._now()
        try:
            accepted = connection.send(message, compress=compress, key=key, now=now)
        except BaseException:
            self._settle()
            raise
        in_a_row = now - self._sent_at < IN_A_ROW and connection.may_hold
        self._sent_at = now
        if carrier is not None and connection.can_send and (in_a_row or connection.in_batch):
            # Answers to what came together are written together, at the end of the turn; and so
            # are messages that are sent one after the other.
            self._in_a_row = in_a_row
            self._let_write(carrier)
        elif carrier is not None:
            self._write_now(carrier)
        if connection.deadline < self._wakes_at:
            self._to_tend.nudge()
        return accepted

    def _offer(self, message: Prepared) -> bool:
        if self._send_shortly(message):
            return True
        try:
            return self._connection.offer(message, now=self._now())
        finally:
            self._settle()
