"""The only place for how results look: tables for a terminal and for the docs, and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import drawing
from bench.goals import Verdict, judge
from bench.measure import ROOT
from bench.results import STALLS, Results
from bench.workloads import KIB, MIB, SIZES

DOCS: Final = ROOT / "docs" / "performance"
"""Where the pages include what is made here."""


class Column(NamedTuple):
    """A column of a table: a measure of a workload.

    :ivar per: what a rate is multiplied with, such as megabytes a message.
    """

    title: str
    workload: str
    measure: str
    per: float = 1.0


class Table(NamedTuple):
    """A table: a row for each contender."""

    title: str
    columns: Sequence[Column]


Row = Sequence[str]


def _each_size(kind: str, sizes: Iterable[int], measure: str) -> list[Column]:
    names = [f"{kind} {SIZES[size]}" for size in sizes]
    return [Column(name, name, measure) for name in names]


_ECHOES: Final = (16, KIB, 64 * KIB, MIB)
_ONE_WAY: Final = (16, 64 * KIB, MIB)

TABLES: Final = [
    Table(
        "CPU time of an echo, client and server, µs",
        [*_each_size("ping-pong", _ECHOES, "cpu"), *_each_size("flood", _ECHOES, "cpu")],
    ),
    Table(
        "Echoes a second",
        [*_each_size("ping-pong", _ECHOES, "rate"), *_each_size("flood", _ECHOES, "rate")],
    ),
    Table(
        "CPU time of a message one way, client and server, µs",
        [*_each_size("up", _ONE_WAY, "cpu"), *_each_size("down", _ONE_WAY, "cpu")],
    ),
    Table(
        "One way, MB a second",
        [
            Column(f"{kind} {SIZES[size]}", f"{kind} {SIZES[size]}", "rate", size / 1e6)
            for kind in ("up", "down")
            for size in _ONE_WAY[1:]
        ],
    ),
    Table(
        "Servers with many connections",
        [
            Column("fan-in of 100, server CPU µs", "fan-in 16 B", "server"),
            Column("p50 ms", "fan-in 16 B", "p50"),
            Column("p99 ms", "fan-in 16 B", "p99"),
            Column("broadcast to 500, server CPU µs each", "broadcast 1 KiB", "server"),
            Column("open and close, server CPU µs", "handshakes", "server"),
            Column("idle, KiB each", "memory", "kib"),
            Column("idle with deflate, KiB each", "memory, deflate", "kib"),
        ],
    ),
    Table(
        "CPU time of an echo with deflate, client and server, µs",
        [
            Column("1 KiB", "ping-pong 1 KiB, deflate", "cpu"),
            Column("16 KiB", "ping-pong 16 KiB, deflate", "cpu"),
        ],
    ),
]


def rows(results: Results, table: Table) -> Iterator[Row]:
    """The head, and what is to be said of each contender; none of those without any figure."""
    yield ["", *(column.title for column in table.columns)]
    for name in results.samples:
        cells = [_cell(results, name, column) for column in table.columns]
        if any(cells):
            yield [name, *(cell or "—" for cell in cells)]


def _cell(results: Results, name: str, column: Column) -> str:
    if problem := results.problem(name, column.workload):
        return STALLS if problem == STALLS else "fails"
    return number(results.median(name, column.workload, column.measure) * column.per)


def number(value: float) -> str:
    """With three digits that count; nothing for NaN."""
    if math.isnan(value):
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def goal_rows(verdicts: Iterable[Verdict]) -> Iterator[Row]:
    """The head, and each goal."""
    yield ["goal", "wanted", "found", "", "beside it"]
    for goal, wanted, found, met, beside in verdicts:
        yield [goal, wanted, found, {True: "met", False: "MISSED", None: "?"}[met], beside]


def said_of(results: Results) -> dict[str, str]:
    """What one has to know of a run."""
    return {**results.about, "rounds": f"{results.rounds}, of which the median is shown"}


# --------------------------------------------------------------------------- text


def as_text(results: Results) -> str:
    """Everything, for a terminal."""
    blocks = ["\n".join(f"{name}: {value}" for name, value in said_of(results).items())]
    blocks += [text_table(table.title, [*rows(results, table)]) for table in TABLES]
    verdicts = judge(results)
    blocks.append(text_table("Goals", [*goal_rows(verdicts)]))
    met = sum(verdict.met is True for verdict in verdicts)
    missed = sum(verdict.met is False for verdict in verdicts)
    unknown = len(verdicts) - met - missed
    blocks.append(f"{met} goals met, {missed} missed, {unknown} not measured.")
    return "\n\n".join(block for block in blocks if block)


def text_table(title: str, table: list[Row]) -> str:
    if len(table) < 2:
        return ""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    return "\n".join([title, "-" * len(title), *lines])


# --------------------------------------------------------------------------- for the docs


def write_docs(results: Results, name: str = "comparison") -> None:
    """Write what the page about performance includes."""
    blocks = [about(results)]
    blocks.append(rst_table("Goals", [*goal_rows(judge(results))]))
    blocks += [rst_table(table.title, [*rows(results, table)]) for table in TABLES]
    write_rst(name, blocks)
    _draw(results, DOCS / f"{name}.svg")


def write_rst(name: str, blocks: list[str]) -> None:
    DOCS.mkdir(exist_ok=True)
    # By this suffix, Sphinx takes it for a part of a page, not for a page.
    (DOCS / f"{name}.inc").write_text("\n\n".join(block for block in blocks if block) + "\n")


def about(results: Results) -> str:
    return "\n".join(f":{name}: {value}" for name, value in said_of(results).items())


def rst_table(title: str, table: list[Row]) -> str:
    if len(table) < 2:
        return ""
    lines = [f".. list-table:: {title}", "   :header-rows: 1", "   :stub-columns: 1", ""]
    for row in table:
        first, *others = [_rst(cell) for cell in row]
        lines += [f"   * - {first}".rstrip(), *(f"     - {cell}".rstrip() for cell in others)]
    return "\n".join(lines)


def _rst(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("|", "\\|")


_PANELS: Final = [
    Column("16 B there and back, a second", "ping-pong 16 B", "rate"),
    Column("64 KiB there and back, a second", "ping-pong 64 KiB", "rate"),
    Column("1 MiB there and back, a second", "ping-pong 1 MiB", "rate"),
    Column("flood of 16 B, echoes per second of CPU", "flood 16 B", "cpu rate"),
]


def _draw(results: Results, path: Path) -> None:
    names = [*results.samples]
    panels = [
        drawing.Panel(
            column.title,
            [results.median(name, column.workload, column.measure) for name in names],
            [_cell(results, name, column) or "—" for name in names],
        )
        for column in _PANELS
    ]
    drawing.bars(path, names, panels)
