"""The only place for a runtime in virtual time, on which a connection is driven.

Tasks are coroutines, which run in the order in which they began, a step each a turn, until each
waits for something that is not so. Then time passes, to where the next one waits for. Nothing
sleeps, and the same happens each time.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from types import TracebackType, coroutine
from typing import Any, Final, Generic, Self, TypeVar, TypeVarTuple

from wscore import CallerDriven, Carrier, Config, Connection, Role, Runtime, Watch

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MANY: Final = 10_000
"""Turns without end, more likely than something that takes so many."""


class Cancelled(BaseException):
    """Whoever waits is cancelled."""


class Broken(Exception):
    """A stream is, or closed."""


class Task(Generic[T]):
    """A coroutine, and what it waits for.

    :ivar ended: whether it has.
    :ivar cancelled: whether it ended because it was cancelled.
    """

    def __init__(self, coro: Coroutine[Any, Any, T], scopes: Sequence[Scope]) -> None:
        self.coro: Final = coro
        self.scopes = [*scopes]
        self.ready: Callable[[], bool] = lambda: True
        self.shielded = False
        self.ended = self.cancelled = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def is_cancelled(self) -> bool:
        return not self.shielded and any_over(self.scopes)

    def step(self) -> None:
        try:
            cancelled, self.shielded = self.is_cancelled(), False
            self.ready, self.shielded = (
                self.coro.throw(Cancelled()) if cancelled else self.coro.send(None)
            )
        except StopIteration as end:
            self.ended, self._result = True, end.value
        except Cancelled:
            self.ended = self.cancelled = True
        except Exception as error:  # noqa: BLE001  (for whoever asks for the result)
            self.ended, self._error = True, error

    def cancel(self) -> None:
        """Cancel all of it."""
        self.scopes[0].cancel()

    def result(self) -> T:
        """What it returned, once it has ended; or raise what it raised."""
        assert self.ended
        assert not self.cancelled
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


@coroutine
def until(
    ready: Callable[[], bool], *, shielded: bool = False
) -> Generator[tuple[Callable[[], bool], bool], None, None]:
    """Wait, a turn at least, until it is so."""
    yield ready, shielded


def always() -> bool:
    return True


class Event:
    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    async def wait(self) -> None:
        await until(self.is_set)


class Lock:
    """First come, first served."""

    def __init__(self) -> None:
        self._queue: list[object] = []

    async def __aenter__(self) -> None:
        me = object()
        self._queue.append(me)
        try:
            await until(lambda: self._queue[0] is me)
        except BaseException:
            self._queue.remove(me)
            raise

    async def __aexit__(self, *_: object) -> None:
        del self._queue[0]


class Scope:
    """What is cancelled together."""

    def __init__(
        self, kernel: Kernel, deadline: float = math.inf, *, shield: bool = False
    ) -> None:
        self._kernel = kernel
        self.deadline = deadline
        self.shield = shield
        self.cancel_called = False
        self.cancelled_caught = False

    def is_over(self) -> bool:
        return self.cancel_called or self._kernel.now >= self.deadline

    def cancel(self) -> None:
        self.cancel_called = True

    def __enter__(self) -> Self:
        self._kernel.running.scopes.append(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool:
        scopes = self._kernel.running.scopes
        assert scopes.pop() is self
        ours = self.is_over() and (self.shield or not any_over(scopes))
        self.cancelled_caught = ours and isinstance(exc, Cancelled)
        return self.cancelled_caught


def any_over(scopes: Sequence[Scope]) -> bool:
    """Whether who is in these scopes is cancelled."""
    for scope in reversed(scopes):
        if scope.is_over():
            return True
        if scope.shield:
            return False
    return False


class Group:
    """Tasks that end before its block does."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._tasks: list[Task[None]] = []
        self.cancel_scope = Scope(kernel)

    def start_soon(self, task: Callable[[*Ts], Coroutine[Any, Any, None]], /, *args: *Ts) -> None:
        child = self._kernel.start(task(*args), self._scopes)
        self._kernel.children.add(child)
        self._tasks.append(child)

    async def __aenter__(self) -> Self:
        self.cancel_scope.__enter__()
        self._scopes = [*self._kernel.running.scopes]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool:
        if exc is not None:
            self.cancel_scope.cancel()
        await until(lambda: all(task.ended for task in self._tasks), shielded=True)
        return self.cancel_scope.__exit__(exc_type, exc, traceback)


class Variable:
    """What has a value in each run of the runtime."""

    def __init__(self) -> None:
        self._values: list[Watch] = []

    def get(self) -> Watch:
        if not self._values:
            raise LookupError
        return self._values[-1]

    def set(self, value: Watch, /) -> None:
        self._values.append(value)


class Kernel:
    """The runtime, and its clock.

    :ivar now: the time, in seconds.
    :ivar turns: how many there were.
    :ivar running: the task whose step it is.
    :ivar watch: that of this run.
    :ivar children: the tasks of groups: what they raise is a mistake of ours.
    """

    running: Task[Any]

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.children: set[Task[Any]] = set()
        self.watch: Final = Variable()
        self._tasks: list[Task[Any]] = []

    # -- what tests do

    def start(
        self, coro: Coroutine[Any, Any, T], scopes: Sequence[Scope] | None = None
    ) -> Task[T]:
        """Begin a task; nothing of it happens before the next turn."""
        task = Task(coro, [Scope(self)] if scopes is None else scopes)
        self._tasks.append(task)
        return task

    def turn(self) -> bool:
        """Let each task that can go on take a step; whether one did."""
        self.turns += 1
        going = [task for task in self._tasks if task.is_cancelled() or task.ready()]
        for task in going:
            self.running = task
            task.step()
            if task in self.children and task.ended and not task.cancelled:
                # It would be lost, or hang the group.
                task.result()
        self._tasks = [task for task in self._tasks if not task.ended]
        return bool(going)

    def settle(self) -> None:
        """Let them go on until all wait; no time passes."""
        for _ in range(MANY):
            if not self.turn():
                return
        raise AssertionError("somebody goes on for ever")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        self.settle()
        while (at := self._next_alarm()) <= end:
            self.now = at
            self.settle()
        self.now = end

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Let time pass until this is done."""
        task = self.start(coro)
        self.settle()
        while not task.ended:
            at = self._next_alarm()
            assert at < math.inf, "it waits for what never happens"
            self.now = at
            self.settle()
        return task.result()

    def end(self) -> None:
        """Cancel whoever is left, and see that they go."""
        for task in self._tasks:
            for scope in task.scopes:
                scope.cancel()
        self.settle()
        assert self._tasks == []

    def _next_alarm(self) -> float:
        scopes = (scope.deadline for task in self._tasks for scope in task.scopes)
        return min((at for at in scopes if at > self.now), default=math.inf)

    # -- what a runtime brings

    def clock(self) -> float:
        return self.now

    def task(self) -> Task[Any]:
        return self.running

    def cancel_scope(self, *, deadline: float = math.inf, shield: bool = False) -> Scope:
        return Scope(self, deadline, shield=shield)

    def task_group(self) -> Group:
        return Group(self)

    async def checkpoint(self) -> None:
        await until(always)

    async def checkpoint_if_cancelled(self) -> None:
        if self.running.is_cancelled():
            await until(always)

    async def cancel_shielded_checkpoint(self) -> None:
        await until(always, shielded=True)

    @property
    def runtime(self) -> Any:
        """All of this, for what is driven on it to inherit."""

        class OnKernel(Runtime):
            _watch_of_run = self.watch
            _stream_errors = (OSError, Broken)
            _group_name = "group"
            _current_time = staticmethod(self.clock)
            _current_task = staticmethod(self.task)
            _event = staticmethod(Event)
            _lock = staticmethod(Lock)
            _cancel_scope = staticmethod(self.cancel_scope)
            _task_group = staticmethod(self.task_group)
            _checkpoint = staticmethod(self.checkpoint)
            _checkpoint_if_cancelled = staticmethod(self.checkpoint_if_cancelled)
            _cancel_shielded_checkpoint = staticmethod(self.cancel_shielded_checkpoint)

            @staticmethod
            async def _accept_tls(stream: Any, context: Callable[[Any], Awaitable[Any]]) -> Any:
                return await context(stream)

            @staticmethod
            async def _abort_stream(stream: Any) -> None:
                stream.number = -1

            @staticmethod
            def _cancelled_error() -> type[BaseException]:
                return Cancelled

            @staticmethod
            def _what_failed(error: Exception, /) -> BaseException:
                return error.__cause__ or error

        return OnKernel

    def websocket(self, config: Config | None = None, role: Role = Role.SERVER) -> CallerDriven:
        """An open connection of this runtime, which nothing carries yet."""
        return self.websocket_of(Connection.upgraded(role, config, now=self.now))

    def websocket_of(
        self,
        connection: Connection,
        carrier_of: Callable[[Any, Connection], Carrier] = lambda stream, _: stream,
    ) -> CallerDriven:
        """A connection of this runtime, which nothing carries yet.

        :param carrier_of: makes one of a stream; without, streams are carriers.
        """

        class WebSocket(self.runtime, CallerDriven):  # type: ignore[misc, name-defined]
            async def _carry(self, stream: Any) -> None:
                carrier = carrier_of(stream, self._connection)
                try:
                    await self._run(carrier)
                finally:
                    await self._leave()
                    await self._drop(carrier)

            _carry_until_cancelled = _carry

        make: Any = WebSocket
        return make(connection, self.clock)  # type: ignore[no-any-return]
