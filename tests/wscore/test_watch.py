"""One connection of an event loop looks after those whose receiver may be away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.wscore.carried import Scene, recv
from tests.wscore.kernel import Kernel, Task, Variable

from wscore import Config, State, Watch


class Watched:
    """What a watch sees of a connection.

    :ivar looks: how often it is to be looked at again; the looks at it so far.
    :ivar asked: how often its task was told to ask.
    """

    def __init__(self, again: int = 0) -> None:
        self.again = again
        self.looks = self.asked = 0
        self._is_carried = True

    def _keep_time(self) -> None:
        self.asked += 1

    def _look(self) -> bool:
        self.looks += 1
        return self.looks <= self.again


def test_who_comes_first_looks_after_all() -> None:
    watch, first, second = Watch(), Watched(), Watched()
    watch.add(first, now=1.0)
    watch.add(second, now=1.01)
    assert (first.asked, second.asked) == (1, 0)
    assert watch.look(second, now=1.0) == math.inf
    assert watch.look(first, now=1.0) == 1.02
    assert watch.look(first, now=1.019) == 1.02
    assert (first.looks, second.looks) == (0, 0)
    assert watch.look(first, now=1.02) == 1.03
    assert (first.looks, second.looks) == (1, 0)
    assert watch.look(first, now=1.03) == math.inf
    assert (first.looks, second.looks) == (1, 1)


def test_looks_are_some_time_apart() -> None:
    watch, each = Watch(), [Watched() for _ in range(10)]
    for number, watched in enumerate(each):
        watch.add(watched, now=number / 1000)
    assert watch.look(each[0], now=0.02) == pytest.approx(0.025)
    assert watch.look(each[0], now=0.025) == pytest.approx(0.03)
    assert [watched.looks for watched in each] == [1] * 6 + [0] * 4


def test_who_still_comes_and_goes_is_looked_at_again() -> None:
    watch, watched = Watch(), Watched(again=2)
    watch.add(watched, now=0.0)
    assert watch.look(watched, now=0.5) == pytest.approx(0.52)
    assert watch.look(watched, now=0.52) == pytest.approx(0.54)
    assert watch.look(watched, now=0.54) == math.inf
    assert watched.looks == 3


def test_when_nobody_is_left_the_next_one_looks() -> None:
    watch, first, second = Watch(), Watched(), Watched()
    watch.add(first, now=0.0)
    assert watch.look(first, now=0.02) == math.inf
    watch.add(second, now=1.0)
    assert (first.asked, second.asked) == (1, 1)
    assert watch.look(first, now=1.1) == math.inf
    assert watch.look(second, now=1.1) == math.inf
    assert second.looks == 1


def test_who_leaves_hands_over_to_one_who_is_still_there() -> None:
    watch, first, ended, last = Watch(), Watched(), Watched(), Watched()
    for watched in (first, ended, last):
        watch.add(watched, now=0.0)
    first._is_carried = ended._is_carried = False
    watch.leave(ended)
    assert last.asked == 0
    watch.leave(first)
    assert last.asked == 1
    assert watch.look(last, now=0.02) == math.inf
    assert (ended.looks, last.looks) == (0, 1)


def test_the_last_one_leaves_nothing_behind() -> None:
    watch, watched, next_one = Watch(), Watched(), Watched()
    watch.add(watched, now=0.0)
    watched._is_carried = False
    watch.leave(watched)
    watch.add(next_one, now=1.0)
    assert next_one.asked == 1
    assert watch.look(next_one, now=1.02) == math.inf
    assert watched.looks == 0


def test_each_run_of_an_event_loop_has_one() -> None:
    here, there = Variable(), Variable()
    watch = Watch.of(here)
    assert Watch.of(here) is watch
    assert Watch.of(there) is not watch


@pytest.fixture
def crowd() -> Iterator[list[Scene]]:
    """Scenes on one runtime."""
    kernel = Kernel()
    scenes = [Scene(kernel=kernel) for _ in range(5)]
    yield scenes
    for scene in scenes:
        scene.websocket.abort()
    kernel.end()


def receive_one(scene: Scene) -> None:
    """Let the peer say something to who receives."""
    task = recv(scene)
    scene.peer.say("hello")
    scene.kernel.settle()
    assert task.ended


def ping(scene: Scene) -> None:
    scene.peer.connection.ping(now=scene.kernel.now)
    scene.peer.write()


def is_answered(scene: Scene) -> bool:
    scene.peer.read()
    return scene.peer.connection.latency is not None


def test_who_receives_rarely_and_waits_in_between_takes_no_task_for_that(
    crowd: list[Scene],
) -> None:
    """The connection need not read, for all the time that passes between two messages."""
    kernel = crowd[0].kernel
    for _ in range(5):
        tasks = [recv(scene) for scene in crowd]
        kernel.wait(1)
        for scene in crowd:
            scene.peer.say("hello")
        kernel.settle()
        assert [task.result() for task in tasks] == ["hello"] * 5
        for scene, task in zip(crowd, tasks, strict=True):
            assert {*scene.socket.readers} == {task}
            scene.socket.readers.clear()
    assert kernel.children == set()


def test_the_time_of_all_is_kept_by_one(crowd: list[Scene]) -> None:
    kernel = crowd[0].kernel
    turns = []
    for count in (1, 5):
        kernel.wait(1)
        for scene in crowd[:count]:
            receive_one(scene)
            recv(scene)
        before = kernel.turns
        kernel.wait(0.1)
        turns.append(kernel.turns - before)
    # It takes no more of them to look after five than after one.
    assert turns[0] == turns[1]


def test_when_its_keeper_ends_the_others_are_still_looked_after(crowd: list[Scene]) -> None:
    keeper, *others = crowd
    keeper.kernel.wait(0.01)
    keeper.websocket.abort()
    keeper.kernel.settle()
    assert keeper.carried.ended
    for scene in others:
        ping(scene)
    keeper.kernel.wait(0.03)
    assert all(is_answered(scene) for scene in others)


def test_who_was_receiving_when_it_ended_keeps_no_time(crowd: list[Scene]) -> None:
    ended, *others = crowd
    task = recv(ended)
    ended.kernel.wait(1)
    ended.websocket.abort()
    ended.kernel.settle()
    assert task.ended
    # The others have read for themselves for long.
    for scene in others:
        receive_one(scene)
        ping(scene)
    ended.kernel.wait(0.05)
    assert all(is_answered(scene) for scene in others)


class Member(Scene):
    """A scene among others, and who waits for something in it."""

    def __init__(self, config: Config, kernel: Kernel) -> None:
        super().__init__(config, kernel=kernel)
        self.receiver: Task[Any] | None = None
        self.waiters: list[Task[Any]] = []

    @property
    def is_open(self) -> bool:
        return State.OPEN is self.websocket.state is self.peer.connection.state

    def ping(self) -> bool:
        """Let the peer ping; whether there is a way to be answered."""
        for _ in range(2):
            self.peer.read()
            self.kernel.settle()
        if self.is_open:
            self._ping = self.peer.connection.ping(now=self.kernel.now)
            self.peer.write()
        return self.is_open

    def is_answered(self) -> bool:
        self.peer.read()
        full = not self.websocket._connection.want_read
        return full or not self.is_open or self._ping.round_trip is not None


CONFIGS = [{}, {"max_queue": 1}, {"max_queue": 1, "control_look_ahead": 0}]
MEMBERS = st.integers(0, 1)
PAUSES = st.sampled_from([0.001, 0.012, 0.019, 0.021, 0.06])


class ComingAndGoing(RuleBasedStateMachine):
    """Whoever receives, leaves, waits or ends, on any of some connections: no peer is left
    without an answer, and nobody looks for nothing.
    """

    @initialize(policies=st.lists(st.sampled_from(CONFIGS), min_size=2, max_size=2))
    def open(self, policies: list[dict[str, Any]]) -> None:
        self.kernel = Kernel()
        self.members = [
            Member(Config(ping_interval=math.inf, **policy), self.kernel) for policy in policies
        ]

    @rule(which=MEMBERS)
    def receive(self, which: int) -> None:
        member = self.members[which]
        if member.receiver is None or member.receiver.ended:
            member.receiver = self.kernel.start(member.websocket.recv())

    @rule(which=MEMBERS)
    def stop_receiving(self, which: int) -> None:
        if (receiver := self.members[which].receiver) is not None:
            receiver.cancel()

    @rule(which=MEMBERS, seconds=PAUSES)
    def receive_for_a_while(self, which: int, seconds: float) -> None:
        self.receive(which)
        self.wait(seconds)
        self.stop_receiving(which)

    @rule(which=MEMBERS, count=st.sampled_from([1, 2, 30]))
    def say(self, which: int, count: int) -> None:
        if self.members[which].is_open:
            self.members[which].peer.say(*["x"] * count)

    @rule(which=MEMBERS, verb=st.sampled_from(["ping", "wait_closed"]))
    def wait_for_something_else(self, which: int, verb: str) -> None:
        member = self.members[which]
        member.waiters.append(self.kernel.start(getattr(member.websocket, verb)()))

    @rule(which=MEMBERS)
    def stop_waiting(self, which: int) -> None:
        if self.members[which].waiters:
            self.members[which].waiters.pop().cancel()

    @rule(which=MEMBERS)
    def abort(self, which: int) -> None:
        self.members[which].websocket.abort()

    @rule(seconds=PAUSES)
    def wait(self, seconds: float) -> None:
        self.kernel.wait(seconds)

    @rule()
    def turn(self) -> None:
        self.kernel.turn()

    @rule()
    def answer_everybody(self) -> None:
        self.kernel.settle()
        pinged = [member for member in self.members if member.ping()]
        self.kernel.wait(0.056)
        assert all(member.is_answered() for member in pinged)

    @rule()
    def rest(self) -> None:
        self.kernel.settle()
        turns = self.kernel.turns
        self.kernel.wait(10)
        assert self.kernel.turns - turns < 500

    def teardown(self) -> None:
        if not hasattr(self, "kernel"):
            return
        try:
            self.answer_everybody()
            self.rest()
        finally:
            for member in self.members:
                member.websocket.abort()
            self.kernel.end()


TestComingAndGoing = ComingAndGoing.TestCase
