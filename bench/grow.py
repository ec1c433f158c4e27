"""The only place for how cost grows: with connections, with sizes, with receivers of a broadcast.

``python -m bench.grow``, as ``make bench-grow`` does. Nothing may grow worse than linearly.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from bench import drawing, report
from bench.contenders import RAW, Contender
from bench.results import DIRECTORY, Results, about
from bench.rounds import compare, find_codec, installed, prepare
from bench.workloads import KIB, MIB, Workload

PATH: Final = DIRECTORY / "growth.json"

PATIENCE: Final = 120.0

LINEAR: Final = 1.25
"""The most that an exponent may be: what no longer fits into a cache costs a few times as much per
unit, for everybody; a square would be 2."""

WHO: Final = [
    Contender("ws-asyncio", "asyncio"),
    Contender("ws-trio", "trio"),
    Contender("ws-sync", "sync"),
    Contender("ws-anyio", "anyio+asyncio"),
    Contender("picows", "asyncio"),
    Contender("websockets", "asyncio"),
    # What the runtime's own cost does.
    Contender(RAW, "trio"),
]


def _unchanged(value: float, _: int) -> float:
    return value


def _times(value: float, number: int) -> float:
    return value * number


def _milliseconds_of_all(value: float, number: int) -> float:
    return value * number / 1000


class Chart(NamedTuple):
    """Something that grows.

    :ivar of: the workload for each number on the axis.
    :ivar shown: what the chart shows, of the measure and the number.
    :ivar total: what must not grow worse than linearly, of the same.
    :ivar begin: from where: below, what does not depend on the number is most of it.
    """

    title: str
    measure: str
    numbers: tuple[int, ...]
    of: Callable[[int], Workload]
    begin: int
    shown: Callable[[float, int], float] = _unchanged
    total: Callable[[float, int], float] = _times

    def name(self, number: int) -> str:
        """What results call the workload."""
        workload = self.of(number)
        return f"{workload.kind} of {number}"


class Axis(NamedTuple):
    """What is increased."""

    title: str
    ticks: dict[float, str]
    charts: list[Chart]


def _fan_in(clients: int) -> Workload:
    return Workload("fan-in", 16, max(2000, 2 * clients), crowd=clients)


def _memory(clients: int) -> Workload:
    return Workload("memory", 0, clients, crowd=clients)


def _echo(size: int) -> Workload:
    return Workload("ping-pong", size, max(2, min(2000, 128 * MIB // size)))


def _broadcast(receivers: int) -> Workload:
    return Workload("broadcast", KIB, max(2000, 10 * receivers), crowd=receivers)


CLIENTS: Final = (1, 10, 100, 1000, 10_000)
SIZES: Final = (16, 256, 4 * KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB)
RECEIVERS: Final = (1, 10, 100, 1000, 5000)

AXES: Final = {
    "connections": Axis(
        "connections",
        {number: f"{number:,}" for number in CLIENTS},
        [
            Chart("idle, KiB each", "kib", CLIENTS[2:], _memory, 100),
            Chart("p50 of an echo for each, ms", "p50", CLIENTS, _fan_in, 100, total=_unchanged),
            Chart("p99 of an echo for each, ms", "p99", CLIENTS, _fan_in, 100, total=_unchanged),
            Chart("server CPU of a 16 B echo, µs", "server", CLIENTS, _fan_in, 100),
        ],
    ),
    "sizes": Axis(
        "bytes of a message",
        dict(zip(SIZES, ["16", "256", "4Ki", "64Ki", "1Mi", "16Mi", "64Mi"], strict=True)),
        [
            Chart(
                "CPU of an echo, client and server, µs",
                "cpu",
                SIZES,
                _echo,
                64 * KIB,
                total=_unchanged,
            ),
            Chart("an echo, µs", "wall", SIZES, _echo, 64 * KIB, total=_unchanged),
        ],
    ),
    "receivers": Axis(
        "receivers of a broadcast of 1 KiB",
        {number: f"{number:,}" for number in RECEIVERS},
        [
            Chart("server CPU for each, µs", "server", RECEIVERS, _broadcast, 10),
            Chart(
                "until all have it, ms", "wall", RECEIVERS, _broadcast, 10, _milliseconds_of_all
            ),
        ],
    ),
}


class Growth(NamedTuple):
    """How somebody's cost grows.

    :ivar exponent: of the number; NaN if it was not measured. 1 is linear.
    """

    who: str
    what: str
    exponent: float


def exponents(results: Results) -> Iterator[Growth]:
    """How everything grows, for everybody."""
    for axis in AXES.values():
        for chart in axis.charts:
            for who in results.samples:
                points = [
                    (number, chart.total(value, number))
                    for number, value in _measured(results, who, chart)
                    if number >= chart.begin
                ]
                yield Growth(who, f"{axis.title}: {chart.title}", _exponent(points))


def _exponent(points: list[tuple[int, float]]) -> float:
    if len(points) < 2:
        return math.nan
    (from_number, from_cost), (to_number, to_cost) = points[0], points[-1]
    return math.log(to_cost / from_cost) / math.log(to_number / from_number)


def _measured(results: Results, who: str, chart: Chart) -> Iterator[tuple[int, float]]:
    for number in chart.numbers:
        value = results.median(who, chart.name(number), chart.measure)
        # A server may be done before it is noticed that it had begun.
        if value > 0:
            yield number, value


def workloads(most: float = math.inf) -> dict[str, Workload]:
    """All of them, the small ones first."""
    of_all = {
        chart.name(number): (number, chart.of(number))
        for axis in AXES.values()
        for chart in axis.charts
        for number in chart.numbers
        if number <= most
    }
    ordered = sorted(of_all.items(), key=lambda named: named[1][0])
    return {name: workload for name, (_, workload) in ordered}


def growth_rows(results: Results) -> Iterator[report.Row]:
    """The head, and each growth of ours, and of a peer for comparison."""
    yield ["", "what grows", "exponent", ""]
    for who, what, exponent in exponents(results):
        if not math.isnan(exponent):
            judged = who.startswith("ws-")
            verdict = ("linear or better" if exponent <= LINEAR else "WORSE") if judged else ""
            yield [who, what, f"{exponent:.2f}", verdict]


def draw(results: Results) -> None:
    """Write a picture for each axis."""
    for name, axis in AXES.items():
        charts = {
            chart.title: [
                drawing.Line(who, [(x, chart.shown(y, x)) for x, y in points])
                for who in results.samples
                if (points := [*_measured(results, who, chart)])
            ]
            for chart in axis.charts
        }
        drawing.lines(report.DOCS / f"{name}.svg", charts, along=axis.title, ticks=axis.ticks)


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench.grow")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--report", action="store_true", help="show the last run again")
    arguments.add_argument(
        "--most", type=float, default=math.inf, help="the largest number of anything"
    )
    arguments.add_argument("--only", default="", metavar="REGEX", help="of these contenders")
    options = arguments.parse_args()
    if options.report:
        results = Results.load(PATH)
    else:
        prepare()
        everybody = [each for each in installed(WHO) if re.search(options.only, each.name)]
        results = Results(about("make bench-grow", everybody, find_codec()))
        compare(
            results,
            everybody,
            workloads(options.most),
            rounds=options.rounds,
            patience=PATIENCE,
        )
        results.save(PATH)
    table = [*growth_rows(results)]
    print(report.text_table("How cost grows", table))
    report.write_rst("growth", [report.about(results), report.rst_table("Growth", table)])
    draw(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
