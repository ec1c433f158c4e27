"""Random traffic and random faults, by a seed: thousands of runs in a minute.

``SEEDS=10000`` sets how many runs there are, ``SEEDS=4711:4712`` which. What a failure prints
first is its seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.wscore.simulation import ACTIONS, POLICIES, Simulation, Violated

from wscore import Cause, CloseReason, Config, Connection, Message
from wscore._inbox import Inbox
from wscore._outbox import Outbox
from wscore._timers import Timer, Timers

STEPS = 40

WEIGHTS = {"send": 6, "take": 6, "run": 6, "send_part": 3, "end": 0.3, "cut": 0.2, "vanish": 0.1}
"""What happens oftener than the rest, or more rarely: what ends a connection ends the story."""


def seeds(default: int) -> range:
    first, _, last = os.environ.get("SEEDS", str(default)).rpartition(":")
    return range(int(first or 0), int(last))


def one_of_each(rng: random.Random, choices: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    return {name: rng.choice(each) for name, each in choices.items()}


def simulate(seed: int) -> None:
    """Let happen what the seed says.

    :raises AssertionError: something did not hold.
    """
    rng = random.Random(seed)
    client, server = (Config(**one_of_each(rng, POLICIES)) for _ in range(2))
    weights = [WEIGHTS.get(name, 1) for name in ACTIONS]
    simulation = Simulation(client, server)
    try:
        for action in rng.choices([*ACTIONS], weights, k=STEPS):
            simulation.act(action, one_of_each(rng, ACTIONS[action]))
        simulation.finish()
    finally:
        simulation.undo()


@pytest.mark.seeds
def test_whatever_happens_the_rules_hold() -> None:
    for seed in seeds(1000):
        try:
            simulate(seed)
        except Exception as error:
            error.add_note(f"SEEDS={seed}:{seed + 1}")
            raise


# ------------------------------------------------------------------------ that the rules can fail

# A rule that no bug can break checks nothing. Each of these is a bug that a rule is there for.

Patch = pytest.MonkeyPatch


def deliver_twice(patch: Patch) -> None:
    take, again = Inbox.take, dict[Inbox, Message]()

    def twice(self: Inbox) -> Message | None:
        if self in again:
            return again.pop(self)
        message = take(self)
        if message is not None and len(message) % 7 == 0:
            again[self] = message
        return message

    patch.setattr(Inbox, "take", twice)


def reorder(patch: Patch) -> None:
    fill = Outbox._fill

    def swapped(self: Outbox) -> None:
        if len(self._lane) > 1:
            self._lane.rotate()
        fill(self)

    patch.setattr(Outbox, "_fill", swapped)


def alter(patch: Patch) -> None:
    take = Inbox.take

    def altered(self: Inbox) -> Message | None:
        message = take(self)
        return message[:-1] if message and len(message) > 1000 else message

    patch.setattr(Inbox, "take", altered)


def forget_a_message(patch: Patch) -> None:
    put = Outbox.put

    def forget(self: Outbox, message: Any, *arguments: Any) -> bool:
        return len(message) == 25 or put(self, message, *arguments)

    patch.setattr(Outbox, "put", forget)


def forget_to_count_the_unsent(patch: Patch) -> None:
    patch.setattr(Outbox, "lost", 0)
    patch.setattr(Outbox, "unsent", 0)


def forget_to_count_the_unread(patch: Patch) -> None:
    patch.setattr(Inbox, "lost", 0)


def never_give_up_closing(patch: Patch) -> None:
    start = Timers.start

    def start_others(self: Timers, timer: Timer, when: float) -> None:
        if timer is not Timer.CLOSE:
            start(self, timer, when)

    patch.setattr(Timers, "start", start_others)


def queue_without_end(patch: Patch) -> None:
    note = Inbox._note_fullness

    def never_full(self: Inbox) -> None:
        note(self)
        self.full = False
        self._high = 1000

    patch.setattr(Inbox, "_note_fullness", never_full)


def buffer_without_end(patch: Patch) -> None:
    def room(self: Outbox, size: int) -> bool:
        self._stats.send_buffer_high_water += 1_000_000
        return True

    patch.setattr(Outbox, "_make_room", room)


def last_cause_wins(patch: Patch) -> None:
    current = Connection._current_reason

    def latest(self: Connection) -> CloseReason:
        reason = current(self)
        if self._gone is not None and self._gone.value == "abort":
            return replace(reason, cause=Cause.TRANSPORT_ERROR)
        return reason

    patch.setattr(Connection, "_current_reason", latest)


def blame_the_peer(patch: Patch) -> None:
    current = Connection._current_reason

    def blaming(self: Connection) -> CloseReason:
        reason = current(self)
        timeout = reason.cause is Cause.SEND_TIMEOUT
        return replace(reason, cause=Cause.PROTOCOL_ERROR) if timeout else reason

    patch.setattr(Connection, "_current_reason", blaming)


def want_to_write_nothing(patch: Patch) -> None:
    patch.setattr(Outbox, "want_write", True)


BUGS: dict[Callable[[Patch], None], str] = {
    deliver_twice: "messages_arrive_once_in_order_and_whole",
    reorder: "messages_arrive_once_in_order_and_whole",
    alter: "messages_arrive_once_in_order_and_whole",
    forget_a_message: "what_is_accepted_arrives",
    forget_to_count_the_unsent: "nothing_is_lost_silently",
    forget_to_count_the_unread: "nothing_is_lost_silently",
    never_give_up_closing: "both_sides_end",
    queue_without_end: "what_is_held_stays_within_its_bounds",
    buffer_without_end: "what_is_held_stays_within_its_bounds",
    last_cause_wins: "the_first_cause_stays_and_the_transport_only_ends",
    blame_the_peer: "the_cause_is_something_that_happened",
    want_to_write_nothing: "outputs_agree",
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_bug_put_in_on_purpose_is_caught(
    bug: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    rule, broken = BUGS[bug], set()
    bug(monkeypatch)
    for seed in range(300):
        try:
            simulate(seed)
        except Violated as violated:
            broken.add(violated.rule)
        except AssertionError:
            # The pair, too, notices some.
            continue
        if rule in broken:
            return
    pytest.fail(f"{rule} held; broken were {broken or 'none'}")
