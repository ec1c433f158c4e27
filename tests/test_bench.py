"""The only place that proves the benchmarks: goals are judged rightly, and ours can take part."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import grow, guard, measure, report
from bench.contenders import Contender, contenders
from bench.goals import Verdict, judge
from bench.measure import Party
from bench.results import STALLS, Outcome, Results
from bench.workloads import WORKLOADS, Workload

OURS = "ws-asyncio on asyncio"
PICOWS = "picows on asyncio"


def sample(wall: float, cpu: float = 2.0) -> Outcome:
    return {"wall": wall, "client": cpu / 2, "server": cpu / 2}


def results(**outcomes: list[Outcome]) -> Results:
    """Of a ping-pong of 16 bytes, with ours and picows."""
    names = {"ours": OURS, "picows": PICOWS}
    return Results({}, {names[who]: {"ping-pong 16 B": of} for who, of in outcomes.items()})


def verdict_on(results: Results) -> Verdict:
    goal = f"{OURS} against {PICOWS}: ping-pong 16 B, wall clock"
    (verdict,) = (verdict for verdict in judge(results) if verdict.goal == goal)
    return verdict


@pytest.mark.parametrize(("theirs", "met"), [(11.0, True), (10.9, False)])
def test_a_goal_is_met_by_the_ratio_it_asks_for(theirs: float, met: bool) -> None:
    verdict = verdict_on(results(ours=[sample(10.0)], picows=[sample(theirs)]))
    assert verdict.wanted == "≥ 1.1×"
    assert verdict.met is met


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    # Of the medians it would be 1.5.
    ours = [sample(10.0), sample(20.0), sample(30.0)]
    theirs = [sample(30.0), sample(20.0), sample(60.0)]
    assert verdict_on(results(ours=ours, picows=theirs)).found == "2.00×"


def test_rounds_without_a_figure_do_not_count() -> None:
    ours: list[Outcome] = [sample(10.0), None, sample(10.0)]
    theirs = [sample(20.0), sample(1.0), sample(20.0)]
    assert verdict_on(results(ours=ours, picows=theirs)).found == "2.00×"


def test_the_other_measure_is_shown_beside_the_one_that_is_judged() -> None:
    verdict = verdict_on(results(ours=[sample(10.0, cpu=2.0)], picows=[sample(20.0, cpu=6.0)]))
    assert verdict.beside == "3.00× CPU"


def test_a_peer_that_stalls_is_beaten_by_who_does_not() -> None:
    assert verdict_on(results(ours=[sample(10.0)], picows=[STALLS])).met is True
    assert verdict_on(results(ours=[sample(10.0)], picows=["fails: why?"])).met is None


def test_ours_that_stalls_misses_its_goal_and_the_one_of_never_stalling() -> None:
    stalled = results(ours=[sample(10.0), STALLS], picows=[sample(20.0), sample(20.0)])
    assert verdict_on(stalled).met is False
    assert judge(stalled)[-1].met is False
    assert OURS in judge(stalled)[-1].found


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert verdict_on(results(ours=[sample(10.0)])).met is None
    assert {verdict.met for verdict in judge(Results({}))} == {None}


@pytest.mark.parametrize(("kib", "met"), [(8.0, True), (8.1, False)])
def test_a_bound_is_met_by_what_is_below(kib: float, met: bool) -> None:
    of_memory = Results({}, {OURS: {"memory": [{"kib": kib}]}})
    assert [verdict.met for verdict in judge(of_memory) if verdict.met is not None] == [met, True]


def test_without_a_compiled_codec_ours_is_judged_as_the_pure_one() -> None:
    def goals(*names: str) -> list[str]:
        outcomes = Results({}, {name: {} for name in names})
        return [verdict.goal for verdict in judge(outcomes)]

    wanted = "ws-asyncio (pure) on asyncio against websockets on asyncio: flood 16 B, CPU"
    assert wanted not in goals(OURS)
    assert wanted in goals(OURS, "ws-asyncio (pure) on asyncio")


def test_every_goal_is_about_who_takes_part_and_what_is_measured() -> None:
    for compiled in (True, False):
        everybody = {each.name for each in contenders(compiled=compiled)}
        outcome: Outcome = {**dict.fromkeys(("wall", "client", "server", "kib"), 1.0)}
        full = Results(
            {}, {who: {each.name: [outcome] for each in WORKLOADS} for who in everybody}
        )
        assert None not in {verdict.met for verdict in judge(full)}


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = results(ours=[sample(10.0), STALLS, None], picows=[sample(20.0)])
    written.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == written


def test_tables_show_what_stalls_and_what_is_missing() -> None:
    text = report.as_text(results(ours=[sample(10.0)], picows=[STALLS]))
    rows = [line.split() for line in text.splitlines() if line.startswith(PICOWS)]
    assert rows == 2 * [[*PICOWS.split(), STALLS, *["—"] * 7]]


def test_an_exponent_tells_linear_from_worse() -> None:
    def exponent(*milliseconds: float) -> float:
        numbers = (100, 1000, 10_000)
        samples: dict[str, list[Outcome]] = {
            f"fan-in of {number}": [
                {"wall": 1.0, "client": 1.0, "server": 1.0, "p50": 1, "p99": ms}
            ]
            for number, ms in zip(numbers, milliseconds, strict=True)
        }
        found = grow.exponents(Results({}, {OURS: samples}))
        (p99,) = (each.exponent for each in found if "p99" in each.what)
        return p99

    assert exponent(1, 10, 100) == pytest.approx(1.0)
    assert exponent(1, 10, 10_000) == pytest.approx(2.0)


@pytest.mark.parametrize(("cost", "fine"), [(104, True), (106, False), (50, True)])
def test_the_guard_fails_above_its_tolerance(cost: int, fine: bool) -> None:
    assert guard.compare({"server, 16 B": cost}, {"server, 16 B": 100}) is fine


def kinds() -> Iterator[Workload]:
    """One workload of each kind, as small as can be."""
    seen = set()
    for workload in WORKLOADS:
        kind = (workload.kind, workload.deflate and workload.kind != "memory")
        if kind not in seen:
            seen.add(kind)
            yield workload._replace(times=5, crowd=min(workload.crowd, 5))


@pytest.mark.skipif(sys.platform != "linux", reason="the clocks of other processes are Linux's")
@pytest.mark.parametrize(
    "contender",
    [each for each in contenders(compiled=False) if each.is_ours],
    ids=lambda each: each.name,
)
def test_ours_takes_part_in_everything(
    contender: Contender, monkeypatch: pytest.MonkeyPatch
) -> None:
    if contender.missing:
        pytest.skip(f"no {', '.join(contender.missing)}")
    monkeypatch.setattr(measure, "REST", 0.01)
    for workload in kinds():
        with Party(contender, workload, patience=60.0) as party:
            assert party.can
            found = party.measure()
            assert found.keys() in (
                {"kib"},
                {"wall", "client", "server"},
                {"wall", "client", "server", "p50", "p99"},
            )
