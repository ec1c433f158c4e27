"""The only place for goals, and for whether they are met.

A goal is a ratio to somebody else in the same run, round by round, or a bound. Where nothing else
is said, what is compared is CPU time, client and server together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

from bench.contenders import Contender
from bench.results import STALLS, Results

PING_PONG: Final = ("ping-pong 16 B", "ping-pong 64 KiB", "ping-pong 1 MiB")
FLOOD: Final = "flood 16 B"

MOST_KIB: Final = 8.0

UNITS: Final = {"wall": "wall clock", "cpu": "CPU", "server": "server CPU", "kib": "KiB"}


class Goal(NamedTuple):
    """What has to come out.

    :ivar against: who has to take at least ``least`` times as much.
    :ivar least: the ratio, or without an ``against`` the most of the measure itself.
    """

    who: Contender
    against: Contender | None
    workload: str
    measure: str
    least: float


class Verdict(NamedTuple):
    """What has come out.

    :ivar met: None if it was not measured.
    :ivar beside: a second figure to see, which is not judged.
    """

    goal: str
    wanted: str
    found: str
    met: bool | None
    beside: str = ""


def goals(*, compiled: bool) -> Iterator[Goal]:
    """All of them.

    :param compiled: whether ours takes part without its compiled codec as well.
    """
    asyncio, trio, sync = (Contender(f"ws-{name}", name) for name in ("asyncio", "trio", "sync"))

    def websockets(ours: Contender) -> Contender:
        return Contender("websockets", ours.runtime)

    picows = Contender("picows", "asyncio")
    yield from _row(asyncio, picows, "wall", 1.1, 1.1, 1.25, 2)
    yield from _row(asyncio, websockets(asyncio), "cpu", 1.7, 2, 2.5, 8)
    yield from _row(trio, websockets(trio), "cpu", 2.3, 2.5, 2.5, 3)
    yield from _row(trio, Contender("trio-websocket", "trio"), "cpu", 2.5, 8, 20, 3)
    yield from _row(sync, websockets(sync), "wall", 1.5, 1.8, 2, 3)
    for native in (asyncio, trio):
        runtime = f"anyio+{native.runtime}"
        ours = Contender("ws-anyio", runtime)
        yield from _row(ours, Contender("asyncwebsockets", runtime), "cpu", 1.5, 8, 15, 3)
        yield from _row(ours, native, "cpu", *[1 / 1.5] * 4)
    for ours in (asyncio, trio, sync):
        pure = ours._replace(pure=compiled)
        yield from _row(pure, websockets(ours), "cpu", 1.2, 0.6, 0.3, 3)
    # A task or a thread of another runtime alone takes a good part of it, or more.
    for ours in (asyncio, asyncio._replace(runtime="uvloop")):
        yield Goal(ours, None, "memory", "kib", MOST_KIB)
        yield Goal(ours, None, "memory, deflate", "kib", MOST_KIB)
    yield Goal(asyncio, picows, "broadcast 1 KiB", "server", 1)
    for ours in (asyncio, trio, sync):
        yield Goal(ours, websockets(ours), "handshakes", "server", 1)


def _row(who: Contender, against: Contender, measure: str, *least: float) -> Iterator[Goal]:
    for workload, ratio in zip(PING_PONG, least, strict=False):
        yield Goal(who, against, workload, measure, ratio)
    yield Goal(who, against, FLOOD, "cpu", least[-1])


def judge(results: Results) -> list[Verdict]:
    """Every goal, and what came out."""
    compiled = any("(pure)" in name for name in results.samples)
    verdicts = [_judge(results, goal) for goal in goals(compiled=compiled)]
    return [*verdicts, _judge_stalls(results)]


def _judge(results: Results, goal: Goal) -> Verdict:
    who, against, workload, measure, least = goal
    unit = UNITS[measure]
    if against is None:
        value = results.median(who.name, workload, measure)
        text = f"{who.name}: {workload}"
        found = results.problem(who.name, workload) or f"{value:.1f} {unit}"
        met = None if math.isnan(value) else value <= least
        return Verdict(text, f"≤ {least:g} {unit}", found, met)
    text = f"{who.name} against {against.name}: {workload}, {unit}"
    wanted = f"≥ {least:.3g}×"
    if problem := results.problem(who.name, workload):
        return Verdict(text, wanted, problem, met=False)
    ratio = results.ratio(who.name, against.name, workload, measure)
    if math.isnan(ratio):
        problem = results.problem(against.name, workload)
        found = f"the other one {problem}" if problem else "not measured"
        beaten = problem == STALLS and results.values(who.name, workload, measure)
        return Verdict(text, wanted, found, met=True if beaten else None)
    other = {"wall": "cpu", "cpu": "wall"}.get(measure)
    beside = (
        f"{results.ratio(who.name, against.name, workload, other):.2f}× {UNITS[other]}"
        if other
        else ""
    )
    return Verdict(text, wanted, f"{ratio:.2f}×", ratio >= least, beside)


def _judge_stalls(results: Results) -> Verdict:
    """No workload stalls or fails, at any size, in either direction."""
    problems = [
        f"{who}: {workload} {problem}"
        for who, workloads in results.samples.items()
        for workload in workloads
        if who.startswith("ws-") and (problem := results.problem(who, workload))
    ]
    found = "; ".join(problems) or ("none" if results.samples else "not measured")
    return Verdict(
        "whatever of ours stalls or fails",
        "none",
        found,
        not problems if results.samples else None,
    )
