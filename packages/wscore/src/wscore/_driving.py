"""The only place that decides which task moves the bytes of a connection, where whoever receives
reads for itself and whoever sends writes.

That saves switching between tasks. What nobody else does, the connection's own tasks do: keep the
time, write what did not go at once, read while nobody receives.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar

from ._carrier import Carrier
from ._close import CloseCode
from ._connection import Connection, Transport
from ._facts import Facts
from ._pace import CALLS_A_TURN
from ._runtime import Event, Nudge, Runtime, TaskGroup
from ._watch import Watch

__all__ = ["Driven"]

T = TypeVar("T")


class Driven(Facts, Runtime):
    """A connection, its carrier, and the tasks that wait for it."""

    # Since it is carried.
    _watch: Watch

    def __init__(self, connection: Connection, now: Callable[[], float]) -> None:
        super().__init__(connection)
        self._now: Final = now
        self._carrier: Carrier | None = None
        self._gone = False
        # What the tasks of the connection wait for.
        self._to_write: Final = Nudge(self._event)
        self._to_read: Final = Nudge(self._event)
        self._to_tend: Final = Nudge(self._event)
        self._to_hurry: Final = Nudge(self._event)
        self._over: Final = self._event()
        self._wakes_at = math.inf
        # Where these tasks begin, while they may; and which of them have.
        self._group: TaskGroup | None = None
        self._context = _NOBODY
        self._has_writer = self._has_reader = False
        # Who else waits, and for what.
        self._waiters: Final[dict[Event, Callable[[], bool]]] = {}
        self._receiver: Callable[[], bool] | None = None
        self._received = self._event()
        self._someone_reads = False
        # How often somebody began to; how often that was, when the watch was last told to look;
        # and whether it has yet to.
        self._receives = self._seen_receives = 0
        self._is_watched = True
        # How many wait for what the peer says, and do not receive.
        self._listens = 0
        self._calls_left = 0
        self._has_waited = False
        # When something was last sent, unless something was read since; and whether what is sent
        # waits for the end of the turn, since it was sent soon after that.
        self._sent_at = -math.inf
        self._in_a_row = False

    # What carries it.

    async def _run(self, carrier: Carrier) -> None:
        """Carry the connection to its end. Whoever calls this must :meth:`_drop` the carrier."""
        connection = self._connection
        self._carrier = carrier
        self._addresses = carrier.addresses
        self._watch = Watch.of(self._watch_of_run)
        async with self._task_group() as group:
            self._group = group
            self._context = copy_context()
            try:
                # Whoever receives may have come before the carrier.
                self._received.set()
                self._settle()
                if carrier.is_shared:
                    self._let_watch()
                if not carrier.is_shared or self._listens:
                    self._let_read()
                await self._tend()
            finally:
                self._group = None
                self._watch.leave(self)
            group.cancel_scope.cancel()
        if connection.transport is Transport.CLOSE:
            # Whatever it says: the connection is at its end.
            with self._cancel_scope(deadline=connection.deadline), suppress(Exception):
                await carrier.close()

    async def _drop(self, carrier: Carrier) -> None:
        """The connection is at its end, or its tasks were cancelled."""
        await carrier.abort()
        self._carrier = None
        self._lose(None)

    async def _leave(self) -> None:
        """Abort the connection, once what need not wait has gone out. Does not wait itself."""
        self._connection.close(CloseCode.GOING_AWAY, now=self._now())
        self._settle()
        self._connection.abort(now=self._now())
        self._settle()

    def _lose(self, error: BaseException | None) -> None:
        """There is no stream any more, or there never was one."""
        self._connection.transport_lost(error, now=self._now())
        self._gone = True
        self._settle()

    def _fail(self, carrier: Carrier, error: Exception) -> None:
        """Reading or writing has failed; of the peer's last words nothing is lost for that."""
        if isinstance(error, OSError):
            carrier.read_rest()
        self._connection.transport_lost(self._what_failed(error), now=self._now())
        self._finish()

    def _finish(self) -> None:
        """The stream has no use any more."""
        self._over.set()
        self._to_tend.nudge()

    @contextmanager
    def _within_open_timeout(self) -> Iterator[None]:
        """Get as far as a stream; what goes wrong on the way is the connection's to tell."""
        connection = self._connection
        deadline = connection.deadline
        try:
            with self._cancel_scope(deadline=deadline) as scope:
                yield
            if scope.cancelled_caught:
                connection.handle_timeout(now=max(deadline, self._now()))
                self._lose(None)
        except self._stream_errors as error:
            self._lose(self._what_failed(error))

    # What follows from what happened.

    def _settle(self) -> None:
        """After any input, command or take: carry out the outputs, wake whoever can go on."""
        connection, carrier = self._connection, self._carrier
        if carrier is not None:
            self._write_now(carrier)
            if self._to_read.is_awaited and connection.want_read:
                self._to_read.nudge()
            if (end := connection.transport) is not _KEEP:
                self._end(carrier, end)
        if connection.deadline < self._wakes_at:
            self._to_tend.nudge()
        for event, ready in self._waiters.items():
            if ready():
                event.set()
        if self._receiver is not None and self._receiver():
            self._wake_receiver()

    def _write_now(self, carrier: Carrier) -> None:
        """Write what goes at once; the rest is the writer's, behind which nothing overtakes."""
        if not self._connection.want_write or carrier.is_writing:
            return
        try:
            if not carrier.write_now():
                self._let_write(carrier)
        except OSError as error:
            self._fail(carrier, error)

    def _end(self, carrier: Carrier, end: Transport) -> None:
        if end is not Transport.END_WRITE:
            self._finish()
        elif not carrier.write_ended:
            self._let_write(carrier)

    def _let_write(self, carrier: Carrier) -> None:
        """Leave it to the connection's own task to write what there is."""
        if self._has_writer:
            self._to_write.nudge()
        elif self._group is not None:
            self._has_writer = True
            self._begin(self._group, self._write, carrier)

    def _let_read(self) -> None:
        """Leave it to the connection's own task to read, and at once, unless somebody does."""
        if self._to_hurry.is_awaited:
            self._to_hurry.nudge()
        elif not (self._has_reader or self._group is None or self._carrier is None):
            self._has_reader = True
            self._begin(self._group, self._read, self._carrier)

    def _let_watch(self) -> None:
        """Leave it to who receives to read, as long as somebody comes again and again."""
        self._is_watched = True
        if self._is_carried:
            self._seen_receives = self._receives
            self._watch.add(self, now=self._now())

    def _begin(
        self,
        group: TaskGroup,
        task: Callable[[Carrier], Coroutine[Any, Any, None]],
        carrier: Carrier,
    ) -> None:
        """Begin a task of the connection: what is kept in the context of whoever is the cause of
        it is none of its business.
        """
        self._context.copy().run(group.start_soon, task, carrier)

    def _wake_receiver(self) -> None:
        """Whoever waits to receive looks again, whatever it is that it waits for."""
        self._received.set()
        if self._carrier is not None:
            self._carrier.interrupt_read()

    # What the watch calls.

    @property
    def _is_carried(self) -> bool:
        return self._group is not None

    def _keep_time(self) -> None:
        self._to_tend.nudge()

    def _look(self) -> bool:
        if self._receives != self._seen_receives and not self._someone_reads:
            self._seen_receives = self._receives
            return True
        self._is_watched = False
        if not self._someone_reads:
            self._let_read()
        return False

    # The tasks of the connection.

    async def _tend(self) -> None:
        """Keep the time until it is over. The other tasks begin when they are needed: of a
        connection whose receiver reads and whose sender writes, that is never.
        """
        connection, watch = self._connection, self._watch
        while not self._over.is_set():
            looks_at = watch.look(self, now=self._now())
            self._wakes_at = min(connection.deadline, looks_at)
            with self._cancel_scope(deadline=self._wakes_at) as scope:
                await self._to_tend.wait()
            if scope.cancelled_caught and connection.deadline <= self._now():
                connection.handle_timeout(now=self._now())
                self._settle()

    async def _write(self, carrier: Carrier) -> None:
        connection = self._connection
        while True:
            self._in_a_row = False
            try:
                while connection.want_write:
                    await carrier.write()
                    self._settle()
                if connection.transport is Transport.END_WRITE and not carrier.write_ended:
                    await carrier.end_write()
            except Exception as error:  # noqa: BLE001  (whatever a stream raises, it is broken)
                self._fail(carrier, error)
            await self._to_write.wait()

    async def _read(self, carrier: Carrier) -> None:
        """Read when nobody else does.

        A socket is read by whoever receives, which saves switching between tasks; once nobody
        has for a while, here. What was begun here is not handed back: the receiver waits for it.
        """
        while True:
            receives = self._receives
            if self._someone_reads:
                await self._to_hurry.wait()
            elif self._connection.want_read:
                await self._read_once(carrier)
                if self._receiver is not None:
                    # Whoever receives reads the rest.
                    self._wake_receiver()
                if carrier.is_shared and self._receives != receives and not self._listens:
                    if not self._is_watched:
                        # Who came may have left before this was done.
                        self._let_watch()
                    await self._to_hurry.wait()
            else:
                await self._to_read.wait()

    async def _read_once(self, carrier: Carrier, *, by_receiver: bool = False) -> bool:
        """Returns what :meth:`wscore.Connection.receive_data` says: whether there are messages."""
        self._someone_reads = True
        self._sent_at = -math.inf
        only_messages = False
        try:
            only_messages = await carrier.read()
        except Exception as error:  # noqa: BLE001  (whatever a stream raises, it is broken)
            self._fail(carrier, error)
        except BaseException:
            # Cancelled, it may have handed something over.
            self._settle()
            raise
        finally:
            self._someone_reads = False
            if by_receiver:
                # It need not be woken.
                self._receiver = None
        # Of messages alone, only who receives is to know; whoever reads sees to that.
        if not only_messages or self._waiters:
            self._settle()
        return only_messages

    # Whoever else waits.

    def _is_others_turn(self) -> bool:
        """Whether a checkpoint is due after what did not wait: but not right behind one, nor
        within a batch or a row, which the others' turn would tear apart.
        """
        self._calls_left -= 1
        together = self._has_waited or self._in_a_row or self._connection.in_batch
        self._has_waited = False
        if together and self._calls_left >= 0:
            return False
        self._calls_left = CALLS_A_TURN
        return True

    async def _until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is so; at least a checkpoint."""
        await self._checkpoint()
        while not ready():
            event = self._event()
            self._waiters[event] = ready
            try:
                await event.wait()
            finally:
                del self._waiters[event]

    async def _until_heard(self, ready: Callable[[], bool]) -> None:
        """Wait until the peer has said it, whether anybody receives or not; at least a
        checkpoint.
        """
        self._listens += 1
        try:
            if not ready() and not self._someone_reads and self._connection.want_read:
                self._let_read()
            await self._until(ready)
        finally:
            self._listens -= 1

    async def _until_opening(self, ready: Callable[[], bool]) -> None:
        """Wait for what the handshake brings; at least a checkpoint. Nobody can receive yet."""
        if ready():
            await self._checkpoint()
        else:
            await self._until_received(ready)

    async def _until_deadline(self, answer: Awaitable[T]) -> T | None:
        """Wait for it until the connection's deadline; then tell the connection, and give None."""
        deadline = self._connection.deadline
        with self._cancel_scope(deadline=deadline):
            return await answer
        self._connection.handle_timeout(now=max(deadline, self._now()))
        return None

    async def _until_received(self, ready: Callable[[], bool]) -> None:
        """Wait until something was received, and read it if nobody else does; it is not so yet."""
        self._receives += 1
        # Where nothing is there to be received, more is wanted.
        wants_read = True
        try:
            while True:
                self._receiver = ready
                carrier = self._carrier
                if (
                    carrier is None
                    or not carrier.is_shared
                    or self._someone_reads
                    or not wants_read
                ):
                    self._received = self._event()
                    await self._received.wait()
                elif await self._read_once(carrier, by_receiver=True):
                    return
                if ready():
                    return
                wants_read = self._connection.want_read > 0
        finally:
            self._receiver = None
            if not self._is_watched:
                self._let_watch()
            if self._listens:
                self._let_read()


_NOBODY: Final = Context()

# An attribute of an enumeration takes several times as long to look up.
_KEEP: Final = Transport.KEEP
