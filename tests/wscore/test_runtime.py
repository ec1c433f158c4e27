"""What wakes the tasks of a connection."""

from __future__ import annotations

from tests.wscore.kernel import Event, Kernel

from wscore._runtime import Nudge


def test_a_nudge_wakes_who_waits_and_only_once() -> None:
    kernel = Kernel()
    nudge = Nudge(Event)
    task = kernel.start(nudge.wait())
    assert not nudge.is_awaited
    kernel.settle()
    assert nudge.is_awaited
    nudge.nudge()
    nudge.nudge()
    kernel.settle()
    assert task.ended
    assert not nudge.is_awaited
    again = kernel.start(nudge.wait())
    kernel.settle()
    assert not again.ended
    kernel.end()


def test_a_nudge_that_nobody_waits_for_is_kept_for_the_next() -> None:
    kernel = Kernel()
    nudge = Nudge(Event)
    nudge.nudge()
    kernel.run(nudge.wait())
    assert not nudge.is_awaited


def test_nobody_is_left_waiting_who_was_cancelled() -> None:
    kernel = Kernel()
    nudge = Nudge(Event)
    task = kernel.start(nudge.wait())
    kernel.settle()
    task.cancel()
    kernel.settle()
    assert task.cancelled
    assert not nudge.is_awaited
    nudge.nudge()
    kernel.run(nudge.wait())
