"""The timers of a connection: which of them comes first."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscore._timers import Timer, Timers

PRECEDENCE = ["OPEN", "CLOSE", "SEND", "FAIL", "PONG", "MESSAGE", "IDLE", "PING"]


def started(**times: float) -> Timers:
    timers = Timers()
    for name, when in times.items():
        timers.start(Timer[name], when)
    return timers


def taken(timers: Timers, now: float) -> list[tuple[Timer, float]]:
    due = []
    while (timer := timers.take_due(now)) is not None:
        due.append(timer)
    return due


def test_without_timers_nothing_is_ever_due() -> None:
    timers = Timers()
    assert timers.earliest == math.inf
    assert timers.take_due(math.inf) is None
    assert all(timers.when(timer) == math.inf for timer in Timer)


def test_the_earliest_timer_is_due_at_its_time_and_not_before() -> None:
    timers = started(PING=20.0, IDLE=30.0)
    assert timers.earliest == 20.0
    assert timers.take_due(19.999) is None
    assert timers.take_due(20.0) == (Timer.PING, 20.0)


def test_a_timer_that_was_taken_does_not_run_any_more() -> None:
    timers = started(PING=20.0, IDLE=30.0)
    timers.take_due(25.0)
    assert timers.when(Timer.PING) == math.inf
    assert timers.earliest == 30.0
    assert timers.take_due(25.0) is None


def test_timers_that_are_due_are_taken_by_their_times_and_tell_them() -> None:
    timers = started(OPEN=3.0, PING=1.0, SEND=2.0, IDLE=9.0)
    assert taken(timers, 5.0) == [(Timer.PING, 1.0), (Timer.SEND, 2.0), (Timer.OPEN, 3.0)]


def test_timers_due_at_the_same_instant_are_taken_by_precedence() -> None:
    """What ends the connection goes before what keeps it alive."""
    timers = started(**dict.fromkeys(reversed(PRECEDENCE), 7.0))
    assert [timer.name for timer, _ in taken(timers, 7.0)] == PRECEDENCE


def test_every_timer_has_a_place_in_the_precedence() -> None:
    assert [timer.name for timer in sorted(Timer)] == PRECEDENCE


@pytest.mark.parametrize(("when", "earliest"), [(1.0, 1.0), (5.0, 5.0), (50.0, 10.0)])
def test_a_timer_that_is_started_anew_has_only_its_new_time(when: float, earliest: float) -> None:
    timers = started(PING=3.0, IDLE=10.0)
    timers.start(Timer.PING, when)
    assert timers.when(Timer.PING) == when
    assert timers.earliest == earliest


def test_infinity_stops_a_timer() -> None:
    timers = started(PING=3.0, IDLE=10.0)
    timers.start(Timer.PING, math.inf)
    assert timers.when(Timer.PING) == math.inf
    assert taken(timers, math.inf) == [(Timer.IDLE, 10.0)]


def test_stopping_a_timer_that_does_not_run_is_harmless() -> None:
    timers = started(IDLE=10.0)
    timers.stop(Timer.PING)
    assert timers.earliest == 10.0


def test_one_of_two_timers_at_the_same_instant_can_be_stopped() -> None:
    timers = started(PING=3.0, IDLE=3.0)
    timers.stop(Timer.PING)
    assert timers.earliest == 3.0
    assert taken(timers, 3.0) == [(Timer.IDLE, 3.0)]


def test_all_timers_can_be_stopped() -> None:
    timers = started(PING=3.0, IDLE=3.0)
    timers.stop_all()
    assert timers.earliest == math.inf
    assert taken(timers, 100.0) == []


any_timer = st.sampled_from(Timer)
# Few different times, so that many of them are equal.
any_time = st.sampled_from([0.0, 1.0, 1.5, 2.0, math.inf])
any_step = st.one_of(
    st.tuples(st.just("start"), any_timer, any_time),
    st.tuples(st.just("stop"), any_timer, st.none()),
    st.tuples(st.just("take"), st.none(), any_time),
    st.tuples(st.just("stop all"), st.none(), st.none()),
)


@given(st.lists(any_step, max_size=60))
def test_whatever_is_done_the_earliest_is_the_least_of_those_that_run(
    steps: list[tuple[str, Timer | None, float | None]],
) -> None:
    timers = Timers()
    model: dict[Timer, float] = {}
    for step, timer, when in steps:
        if step == "stop all":
            timers.stop_all()
            model.clear()
        elif timer is None:
            assert when is not None
            due = min(((at, each) for each, at in model.items() if at <= when), default=None)
            assert timers.take_due(when) == (None if due is None else (due[1], due[0]))
            if due is not None:
                del model[due[1]]
        elif when is None or when == math.inf:
            if when is None:
                timers.stop(timer)
            else:
                timers.start(timer, when)
            model.pop(timer, None)
        else:
            timers.start(timer, when)
            model[timer] = when
        assert timers.earliest == min(model.values(), default=math.inf)
        assert {each: timers.when(each) for each in Timer} == {
            each: model.get(each, math.inf) for each in Timer
        }
