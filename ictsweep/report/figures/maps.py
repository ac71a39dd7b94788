"""Which combinations of two parameters are good: the strongest pairs on a grid of ranks."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from ictsweep.report.axisnames import short
from ictsweep.report.figures.importance import ENOUGH
from ictsweep.report.format import setting, tick
from ictsweep.report.theme import LIGHT, figure, log_marks, plain
from ictsweep.report.view import StudyView
from ictsweep.study.spec import Axis

STRONGEST = 4  # parameters paired with each other
MOST = 60  # bins on a side
PER_BIN = 3  # trials wanted in a bin on average
POINTS = 400  # trials that are also drawn one by one


@dataclass(frozen=True, kw_only=True)
class Side:
    """One parameter of a map: its path, the bins' number, and ticks (place in bins, text)."""

    path: str
    bins: int
    ticks: tuple[tuple[float, str], ...]
    places: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class MapInfo:
    """Trials measured at one rung over two parameters: in each bin the mean rank (0 best .. 1
    worst) and how many trials; NaN where there is none.
    """

    metric: str
    rung_kimg: int
    trials: tuple[int, ...]
    across: Side
    up: Side
    ranks: NDArray[np.float32]
    counts: NDArray[np.int32]
    order: tuple[float, ...]


def map_infos(view: StudyView, strongest: Sequence[str]) -> Iterator[MapInfo]:
    """The pairs of the first few parameters of `strongest`."""
    rung, _ = view.matched_rung(ENOUGH)
    axes = {axis.path: axis for axis in view.spec.search}
    chosen = [axes[path] for path in strongest if path in axes][:STRONGEST]
    for across, up in combinations(chosen, 2):
        info = map_info(view, rung, across, up)
        if len(info.trials) >= ENOUGH:
            yield info


def map_info(view: StudyView, rung: int, across: Axis, up: Axis) -> MapInfo:
    """One pair at one rung."""
    trials = [
        t for t in view.measured_at(rung)
        if all(a.path in t.params and a.holds(t.params[a.path]) for a in (across, up))
    ]  # fmt: skip
    most = max(4, min(MOST, int(math.sqrt(len(trials) / PER_BIN))))
    sides = [_side(axis, [t.params[axis.path] for t in trials], most) for axis in (across, up)]
    values = np.array([t.at_rung[rung].value for t in trials])
    ranks = values.argsort(kind="stable").argsort(kind="stable") / max(1, len(values) - 1)
    shape = sides[1].bins, sides[0].bins
    cells = np.ravel_multi_index((_cells(sides[1]), _cells(sides[0])), shape)
    counts = np.bincount(cells, minlength=shape[0] * shape[1])
    sums = np.bincount(cells, weights=ranks, minlength=shape[0] * shape[1])
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return MapInfo(
        metric=view.metric, rung_kimg=rung, trials=tuple(t.number for t in trials),
        across=sides[0], up=sides[1], ranks=means.reshape(shape).astype(np.float32),
        counts=counts.reshape(shape).astype(np.int32), order=tuple(ranks.tolist()),
    )  # fmt: skip


def _side(axis: Axis, values: Sequence[Any], most: int) -> Side:
    """Places in bins: 0 .. bins on a range (-0.5 of it is the left edge of the picture)."""
    if axis.choices is not None:
        names = [(type(c), c) for c in axis.choices]
        places = tuple(float(names.index((type(v), v))) for v in values)
        ticks = tuple((float(i), setting(c)) for i, c in enumerate(axis.choices))
        return Side(path=axis.path, bins=len(names), ticks=ticks, places=places)
    low, high = float(axis.low or 0), float(axis.high or 0)
    bins = most
    if axis.step:
        bins = min(most, round((high - low) / axis.step) + 1)
    move = math.log if axis.log else float
    width = (move(high) - move(low)) / bins or 1.0
    marks = (low, *log_marks(low * 1.2, high / 1.2, 4), high) if axis.log else _round(low, high)
    return Side(
        path=axis.path, bins=bins,
        ticks=tuple(((move(m) - move(low)) / width - 0.5, tick(m)) for m in marks),
        places=tuple((move(v) - move(low)) / width - 0.5 for v in values),
    )  # fmt: skip


def _round(low: float, high: float) -> tuple[float, ...]:
    return tuple(low + i * (high - low) / 4 for i in range(5))


def _cells(side: Side) -> NDArray[np.int64]:
    places = np.floor(np.asarray(side.places) + 0.5).astype(int)
    return np.clip(places, 0, side.bins - 1)


def draw_map(info: MapInfo) -> go.Figure:
    """Bins by colour, from blue (good ranks) to sand (bad); single trials where they are few."""
    fig = figure(400)
    scale = [[0, LIGHT["accent"]], [1, LIGHT["worst"]]]
    fig.add_trace(
        go.Heatmap(
            z=info.ranks, customdata=info.counts, zmin=0, zmax=1, colorscale=scale, xgap=1, ygap=1,
            hovertemplate="mean rank %{z:.0%} of %{customdata} trials<extra></extra>",
            colorbar={
                "thickness": 10, "outlinewidth": 0, "tickvals": [0, 1],
                "ticktext": ["best", "worst"], "title": {"text": "mean rank", "side": "right"},
                "tickfont": {"color": LIGHT["muted"]},
            },
        )
    )  # fmt: skip
    if len(info.trials) <= POINTS:
        fig.add_trace(
            go.Scatter(
                x=info.across.places, y=info.up.places, mode="markers",
                customdata=list(info.trials), cliponaxis=False,
                hovertemplate="trial %{customdata}<extra></extra>",
                marker={"size": 7, "color": LIGHT["paper"],
                        "line": {"color": LIGHT["ink"], "width": 1}},
            )
        )  # fmt: skip
    fig.update_layout(showlegend=False)
    for side, update in ((info.across, fig.update_xaxes), (info.up, fig.update_yaxes)):
        update(
            title_text=plain(short(side.path)),
            showgrid=False,
            range=[-0.5, side.bins - 0.5],
            tickvals=[place for place, _ in side.ticks],
            ticktext=[plain(text) for _, text in side.ticks],
        )
    return fig
