"""A wait that ends within the call that wakes it: what a task of asyncio makes of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

import pytest

from wscore import Arrival


class Cancelled(BaseException):
    """Whoever waits is cancelled."""


class Loop:
    """A loop, of which each turn is asked for.

    :ivar running: the task that is.
    """

    def __init__(self) -> None:
        self.running: Task | None = None
        self._soon: list[tuple[Callable[..., object], Any, Context]] = []

    def call_soon(
        self, callback: Callable[..., object], argument: Any, *, context: Context
    ) -> None:
        self._soon.append((callback, argument, context))

    def turn(self) -> None:
        soon, self._soon = self._soon, []
        for callback, argument, context in soon:
            context.run(callback, argument)


class Task:
    """What asyncio's tasks do with what is awaited.

    :ivar error: what it raised.
    """

    def __init__(self, loop: Loop, coro: Coroutine[Any, Any, None]) -> None:
        self.ended = False
        self.error: BaseException | None = None
        self.waits_for: Any = None
        self._loop = loop
        self._coro = coro
        self._context = copy_context()
        self._context.run(self._step)

    def _step(self, woken_by: Any = None) -> None:
        before, self._loop.running = self._loop.running, self
        self.waits_for = None
        try:
            if woken_by is not None:
                # As a future says what it came to.
                try:
                    woken_by.result()
                except BaseException as error:  # noqa: BLE001  (for the coroutine)
                    awaited = self._coro.throw(error)
                else:
                    awaited = self._coro.send(None)
            else:
                awaited = self._coro.send(None)
        except StopIteration:
            self.ended = True
        except BaseException as error:  # noqa: BLE001  (for whoever looks)
            self.ended, self.error = True, error
        else:
            assert awaited._asyncio_future_blocking
            assert awaited.get_loop() is self._loop
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._step, context=self._context)
            self.waits_for = awaited
        finally:
            self._loop.running = before


class OnLoop(Arrival):
    __slots__ = ()

    _cancelled_error = Cancelled

    @staticmethod
    def _current_task(loop: Loop, /) -> object | None:
        return loop.running


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def arrival(loop: Loop) -> OnLoop:
    return OnLoop(loop)


class Waiter:
    """A task that waits again and again; how often it went on."""

    def __init__(self, loop: Loop, arrival: OnLoop, times: int = 99) -> None:
        self.count = 0
        self._arrival = arrival
        self._times = times
        self.task = Task(loop, self._wait())

    async def _wait(self) -> None:
        for _ in range(self._times):
            await self._arrival
            self.count += 1


def test_a_task_goes_on_within_the_call_that_wakes_it(loop: Loop, arrival: OnLoop) -> None:
    waiter = Waiter(loop, arrival, times=2)
    assert arrival.is_awaited
    assert not arrival.done()
    arrival.wake_here()
    assert waiter.count == 1
    assert arrival.is_awaited
    arrival.wake_here()
    assert waiter.task.ended
    assert not arrival.is_awaited
    assert arrival.done()


def test_a_task_goes_on_in_its_own_context(loop: Loop, arrival: OnLoop) -> None:
    variable = ContextVar("variable", default="outside")
    seen = []

    async def look() -> None:
        variable.set("inside")
        for _ in range(2):
            await arrival
            seen.append(variable.get())

    Task(loop, look())
    arrival.wake_here()
    arrival.wake()
    loop.turn()
    assert seen == ["inside", "inside"]
    assert variable.get() == "outside"


def test_a_task_does_not_run_within_another(loop: Loop, arrival: OnLoop) -> None:
    waiter = Waiter(loop, arrival)

    async def wake() -> None:
        arrival.wake_here()
        # It is on its way: nobody waits any more.
        assert not arrival.is_awaited
        assert waiter.count == 0

    other = Task(loop, wake())
    assert other.ended
    assert other.error is None
    loop.turn()
    assert waiter.count == 1


def test_a_task_can_go_on_in_the_next_turn(loop: Loop, arrival: OnLoop) -> None:
    waiter = Waiter(loop, arrival)
    arrival.wake()
    arrival.wake()
    arrival.wake_here()
    assert waiter.count == 0
    loop.turn()
    assert waiter.count == 1
    loop.turn()
    assert waiter.count == 1


def test_to_wake_nobody_is_harmless_and_is_not_kept(loop: Loop, arrival: OnLoop) -> None:
    arrival.wake()
    arrival.wake_here()
    waiter = Waiter(loop, arrival)
    loop.turn()
    assert waiter.count == 0
    assert arrival.is_awaited


@pytest.mark.parametrize("message", [None, "on purpose"])
def test_a_wait_that_is_cancelled_raises_in_the_next_turn(
    loop: Loop, arrival: OnLoop, message: str | None
) -> None:
    waiter = Waiter(loop, arrival)
    # As a task that is cancelled asks what it waits for.
    assert waiter.task.waits_for.cancel(message)
    # Too late to be woken, or to be cancelled again.
    arrival.wake_here()
    assert not arrival.cancel()
    assert not waiter.task.ended
    loop.turn()
    assert isinstance(waiter.task.error, Cancelled)
    assert waiter.task.error.args == (() if message is None else (message,))
    assert waiter.count == 0


def test_the_next_wait_knows_nothing_of_one_that_was_cancelled(
    loop: Loop, arrival: OnLoop
) -> None:
    first = Waiter(loop, arrival)
    first.task.waits_for.cancel("once")
    loop.turn()
    second = Waiter(loop, arrival, times=1)
    arrival.wake_here()
    assert second.task.ended
    assert second.task.error is None
    assert second.count == 1


def test_nobody_can_be_cancelled_who_does_not_wait(arrival: OnLoop) -> None:
    assert not arrival.cancel()
