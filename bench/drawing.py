"""The only place for pictures: bars for a comparison, lines for growth."""

# In the group "bench" alone; the same in pyproject.toml, for mypy.
# pyright: reportMissingImports=false

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS: Final = "#2a6fbb"
PEER: Final = "#b8bec6"
LIMIT: Final = "#444444"


class Panel(NamedTuple):
    """Bars beside one another: a text and a value for each name; NaN where there is none."""

    title: str
    values: Sequence[float]
    texts: Sequence[str]


class Line(NamedTuple):
    """Points of somebody, in the order of the first coordinate."""

    name: str
    points: Sequence[tuple[float, float]]


def colour(name: str) -> str:
    if name.startswith("ws-"):
        return OURS
    return LIMIT if name.startswith("raw ") else PEER


def bars(path: Path, names: Sequence[str], panels: Sequence[Panel]) -> None:
    """Draw panels of horizontal bars, side by side."""
    plt = _pyplot()
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(15, 0.26 * len(names) + 1.2), sharey=True, layout="constrained"
    )
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_bars(axes, names, panel)
    _save(figure, path)


def _draw_bars(axes: Axes, names: Sequence[str], panel: Panel) -> None:
    places = range(len(names))
    lengths = [0 if math.isnan(value) else value for value in panel.values]
    axes.barh(places, lengths, color=[colour(name) for name in names])
    most = max(lengths, default=0)
    for place, length, text in zip(places, lengths, panel.texts, strict=True):
        inside = length > most / 2
        light = inside and colour(names[place]) != PEER
        axes.annotate(
            text,
            (length, place),
            (-3 if inside else 3, 0),
            textcoords="offset points",
            horizontalalignment="right" if inside else "left",
            verticalalignment="center",
            fontsize=7,
            color="white" if light else "black",
        )
    axes.set_title(panel.title, fontsize=9)
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xticks([])
    axes.margins(y=0.01)
    axes.spines[:].set_visible(False)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()


def lines(
    path: Path, charts: Mapping[str, Sequence[Line]], *, along: str, ticks: Mapping[float, str]
) -> None:
    """Draw charts of lines with logarithmic axes, side by side, each under its title."""
    plt = _pyplot()
    figure, all_axes = plt.subplots(
        1, len(charts), figsize=(5.5 * len(charts), 4.2), squeeze=False, layout="constrained"
    )
    for axes, (title, of_all) in zip(all_axes[0], charts.items(), strict=True):
        for line in of_all:
            xs, ys = zip(*line.points, strict=True)
            style = "-o" if line.name.startswith("ws-") else "--s"
            axes.plot(xs, ys, style, markersize=3, linewidth=1.2, label=line.name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([*ticks], [*ticks.values()], fontsize=7)
        axes.minorticks_off()
        axes.set_xlabel(along, fontsize=8)
        axes.set_title(title, fontsize=9)
        axes.grid(color="#dddddd", linewidth=0.5)
    all_axes[0][-1].legend(fontsize=7)
    _save(figure, path)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    # The same picture for the same figures.
    mpl.rcParams["svg.hashsalt"] = "bench"
    from matplotlib import pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    _pyplot().close(figure)
