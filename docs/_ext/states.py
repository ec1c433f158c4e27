"""The only place for the drawing of the connection's states, as SVG that can stand in a page.

What is drawn comes from :data:`wscore.TRANSITIONS`; only where it stands is decided here. An edge
without a place, or a place without an edge, is an error, so that the drawing cannot fall behind.
Colours are the page's own, which makes it readable in light and in dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TypeAlias

from wscore import State

Edge: TypeAlias = tuple[State, State]
Transitions: TypeAlias = Mapping[Edge, Sequence[str]]

COLUMN = (State.CONNECTING, State.OPEN, State.CLOSING, State.CLOSED)
"""The boxes, from top to bottom."""

LANES: dict[Edge, int] = {
    (State.CONNECTING, State.CLOSED): 230,
    (State.CONNECTING, State.CLOSING): 355,
    (State.OPEN, State.CLOSED): 730,
}
"""Where an edge that passes a box runs down, in pixels from the left. The others go straight."""

WIDTH = 845
BOX_LEFT, BOX_RIGHT, BOX_HEIGHT = 385, 525, 38
MIDDLE = (BOX_LEFT + BOX_RIGHT) // 2
LINE = 17
LETTER = 7
"""Pixels that a letter takes, at most on average."""

GAP = 34
"""Pixels between two boxes, besides the lines of text beside the arrow."""

SPREAD = 9
"""Pixels between the arrows that leave or enter a box at its side."""


def draw(transitions: Transitions) -> str:
    """The drawing as an ``<svg>`` element.

    :raises ValueError: an edge has no place here, a place has no edge, or a cause is too long.
    """
    if astray := {*pairwise(COLUMN), *LANES} ^ set(transitions):
        names = ", ".join(sorted(f"{a.name} to {b.name}" for a, b in astray))
        raise ValueError(f"drawing and wscore.TRANSITIONS differ in: {names}; see LANES")
    tops = _tops(transitions)
    height = tops[COLUMN[-1]] + BOX_HEIGHT + 2
    parts = [
        *(_box(state, tops[state]) for state in COLUMN),
        *(_straight(edge, tops, transitions[edge]) for edge in pairwise(COLUMN)),
        *(_around(edge, tops, transitions[edge]) for edge in LANES),
    ]
    return "\n".join(
        [
            f'<svg class="states" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-labelledby="states-title states-description" '
            'xmlns="http://www.w3.org/2000/svg">',
            '<title id="states-title">The states of a connection</title>',
            f'<desc id="states-description">{escape("; ".join(_sentences(transitions)))}</desc>',
            '<defs><marker id="states-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
            'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/>'
            "</marker></defs>",
            *parts,
            "</svg>",
        ]
    )


def _tops(transitions: Transitions) -> dict[State, int]:
    """Where each box begins: as far below the last as the text between them needs."""
    tops = {COLUMN[0]: 2}
    for above, below in pairwise(COLUMN):
        lines = len(transitions[above, below])
        tops[below] = tops[above] + BOX_HEIGHT + GAP + lines * LINE
    return tops


def _box(state: State, top: int) -> str:
    return (
        f'<rect x="{BOX_LEFT}" y="{top}" width="{BOX_RIGHT - BOX_LEFT}" height="{BOX_HEIGHT}" '
        'rx="6"/>'
        f'<text class="state" x="{MIDDLE}" y="{top + BOX_HEIGHT // 2}">{state.name}</text>'
    )


def _straight(edge: Edge, tops: Mapping[State, int], causes: Sequence[str]) -> str:
    start, end = tops[edge[0]] + BOX_HEIGHT, tops[edge[1]]
    path = f"M{MIDDLE} {start}V{end}"
    return _arrow(path) + _text(causes, MIDDLE + 14, (start + end) // 2, anchor="start")


def _around(edge: Edge, tops: Mapping[State, int], causes: Sequence[str]) -> str:
    lane = LANES[edge]
    left = lane < MIDDLE
    side = BOX_LEFT if left else BOX_RIGHT
    start, end = (_side(state, edge, tops) for state in edge)
    label = lane - 10 if left else lane + 10
    path = f"M{side} {start}H{lane}V{end}H{side}"
    middle = (start + end) // 2
    return _arrow(path) + _text(causes, label, middle, anchor="end" if left else "start")


def _side(state: State, edge: Edge, tops: Mapping[State, int]) -> int:
    """Where an edge meets the side of a box: lanes farther out at the outer end, so none cross."""
    middle = tops[state] + BOX_HEIGHT // 2
    sharing = [other for other in LANES if state in other and _is_left(other) is _is_left(edge)]
    if len(sharing) == 1:
        return middle
    outermost = edge == max(sharing, key=lambda other: abs(LANES[other] - MIDDLE))
    upwards = (state is edge[0]) is outermost
    return middle - SPREAD if upwards else middle + SPREAD


def _is_left(edge: Edge) -> bool:
    return LANES[edge] < MIDDLE


def _arrow(path: str) -> str:
    return f'<path d="{path}" marker-end="url(#states-tip)"/>'


def _text(lines: Sequence[str], x: int, middle: int, *, anchor: str) -> str:
    room = x - max([0, *(lane for lane in LANES.values() if lane < x)])
    if anchor == "start":
        room = min([WIDTH, *(lane for lane in LANES.values() if lane > x)]) - x
    if too_long := [line for line in lines if len(line) * LETTER > room]:
        raise ValueError(f"no room in the drawing for {', '.join(too_long)}; see LANES")
    first = middle - (len(lines) - 1) * LINE // 2
    return "".join(
        f'<text x="{x}" y="{first + i * LINE}" text-anchor="{anchor}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    )


def _sentences(transitions: Transitions) -> Iterator[str]:
    for (before, after), causes in transitions.items():
        yield f"{before.name} to {after.name}: {', '.join(causes)}"
