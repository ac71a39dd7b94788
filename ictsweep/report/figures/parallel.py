"""Parallel coordinates: which combinations work? Brushing an axis filters the table (plotly's
own Parcoords: Optuna's cannot be brushed any more).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log10
from typing import Any

import plotly.graph_objects as go

from ictsweep.report.axisnames import lies_on, short
from ictsweep.report.figures.importance import ENOUGH
from ictsweep.report.format import setting, tick
from ictsweep.report.theme import LIGHT, figure, log_marks, plain, wide
from ictsweep.report.view import StudyView
from ictsweep.study.spec import Axis

LACKING = "—"  # where a trial without the parameter passes its axis
MOST = 30  # axes: browsers have no canvas for hundreds, nor people an eye
TEETH = 80  # a brush may end at every 80th of a continuous axis


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One axis: where each trial lies on it, its range, and its ticks (place, text); `path` is
    None for results. Where it is not `continuous`, there is nothing between the ticks.
    """

    name: str
    path: str | None
    places: tuple[float, ...]
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    continuous: bool


@dataclass(frozen=True, kw_only=True)
class ParallelInfo:
    """Trials as lines over their parameters, the furthest rung and the value at one common rung;
    `order` is each line's rank at that rung (0 best .. 1 worst), which colours it. `lacking`:
    whether some trial has not all parameters; `hidden` counts parameters without an axis here.
    """

    metric: str
    rung_kimg: int
    trials: tuple[int, ...]
    dimensions: tuple[Dimension, ...]
    order: tuple[float, ...]
    missing: int
    lacking: bool = False
    hidden: int = 0


def parallel_info(view: StudyView, strongest: Sequence[str] = ()) -> ParallelInfo:
    """All configurations measured at the highest rung that enough of them reached, over all
    parameters, or over the MOST `strongest` (the first ones where that says too little).
    """
    rung, trials = view.matched_rung(ENOUGH)
    values = [t.at_rung[rung].value for t in trials]
    ranked = sorted(range(len(values)), key=lambda i: values[i])
    place = {i: position / max(1, len(values) - 1) for position, i in enumerate(ranked)}
    kept = set(list(dict.fromkeys([*strongest, *view.paths]))[:MOST])
    searched = [axis for axis in view.spec.search if axis.path in kept]
    axes = [_dimension(axis, [t.params for t in trials]) for axis in searched]
    results = [
        _reached(view.spec.rungs, [t.reached for t in trials]),
        _value(f"at {rung:,} kimg", values),
    ]
    configurations = [t for t in view.trials if t.replicate_of is None]
    return ParallelInfo(
        metric=view.metric,
        rung_kimg=rung,
        trials=tuple(t.number for t in trials),
        dimensions=(*axes, *results) if trials else (),
        order=tuple(place[i] for i in range(len(values))),
        missing=len(configurations) - len(trials),
        lacking=any(axis.path not in t.params for t in trials for axis in searched),
        hidden=len(view.paths) - len(searched),
    )


def _dimension(axis: Axis, params: Sequence[Mapping[str, Any]]) -> Dimension:
    """The axis of a parameter; a trial that does not have it lies on a mark of its own below."""
    having = _parameter(axis, [p[axis.path] for p in params if lies_on(axis, p)])
    if len(having.places) == len(params):
        return having
    below = round(having.low - 0.08 * ((having.high - having.low) or 1.0), 6)
    places = iter(having.places)
    return replace(
        having,
        places=tuple(next(places) if lies_on(axis, p) else below for p in params),
        low=below,
        ticks=((below, LACKING), *having.ticks),
    )


def _parameter(axis: Axis, values: Sequence[Any]) -> Dimension:
    if axis.choices is not None:
        choices = list(axis.choices)
        places = tuple(float(choices.index(v)) if v in choices else -1.0 for v in values)
        ticks = tuple((float(i), setting(choice)) for i, choice in enumerate(choices))
        return Dimension(
            name=short(axis.path), path=axis.path, places=places, low=min([0.0, *places]),
            high=len(choices) - 1.0, ticks=ticks, continuous=False,
        )  # fmt: skip
    assert axis.low is not None
    assert axis.high is not None
    low, high = (min([axis.low, *values]), max([axis.high, *values]))
    return _scale(short(axis.path), axis.path, values, low, high, log=axis.log)


def _value(name: str, values: Sequence[float]) -> Dimension:
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _scale(name, None, values, low, high, log=wide(list(values)))


def _reached(rungs: Sequence[int], reached: Sequence[int]) -> Dimension:
    return Dimension(
        name="reached (kimg)", path=None, places=tuple(float(rungs.index(r)) for r in reached),
        low=-0.1, high=len(rungs) - 0.9,
        ticks=tuple((float(i), f"{r:,}") for i, r in enumerate(rungs)), continuous=False,
    )  # fmt: skip


def _scale(
    name: str, path: str | None, values: Sequence[float], low: float, high: float, *, log: bool
) -> Dimension:
    """A linear or logarithmic axis; plotly's Parcoords knows no logarithms, so places are taken
    before.
    """
    move = log10 if log else float
    return Dimension(
        name=name, path=path, places=tuple(round(move(v), 6) for v in values), low=move(low),
        high=move(high), ticks=_log_ticks(low, high) if log else _ticks(low, high),
        continuous=True,
    )  # fmt: skip


def _ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    return tuple((mark, tick(mark)) for mark in (low + i * (high - low) / 4 for i in range(5)))


def _log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    return tuple((log10(m), tick(m)) for m in (low, *log_marks(low * 1.2, high / 1.2), high))


def draw_parallel(info: ParallelInfo) -> go.Figure:
    """One line per trial, the best on top; `customdata` carries the trial numbers for the page's
    filter.
    """
    fig = figure(420)
    lines = sorted(range(len(info.trials)), key=lambda line: -info.order[line])
    fig.add_trace(
        go.Parcoords(
            customdata=[info.trials[line] for line in lines],
            dimensions=[
                {
                    "label": plain(d.name), "range": [d.low, d.high],
                    "values": [d.places[line] for line in lines],
                    "tickvals": list(_comb(d)),
                    "ticktext": [plain(text) for text in _comb(d).values()],
                }
                for d in info.dimensions
            ],
            line={
                "color": [info.order[line] for line in lines], "cmin": 0, "cmax": 1,
                "colorscale": [[0, LIGHT["accent"]], [1, LIGHT["worst"]]],
            },
            labelfont={"size": 12, "color": LIGHT["ink"]},
            tickfont={"size": 11, "color": LIGHT["muted"]},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
            unselected={"line": {"color": LIGHT["rule"], "opacity": 0.35}},
        )
    )  # fmt: skip
    fig.update_layout(margin={"l": 72, "r": 88, "t": 64, "b": 24})
    return fig


def _comb(dimension: Dimension) -> dict[float, str]:
    """Place and text of the ticks, with invisible ones between them on a continuous axis.

    Plotly's Parcoords lets a brush end at ticks alone wherever ticks are given, knows no other way
    to label a logarithmic axis, and takes ticks of equal text for one.
    """
    named = {text: place for place, text in dimension.ticks}
    comb = {place: text for text, place in named.items()}
    if dimension.continuous:
        step = (dimension.high - dimension.low) / TEETH
        for i in range(1, TEETH):
            comb.setdefault(dimension.low + i * step, _invisible(i))
    return dict(sorted(comb.items()))


def _invisible(i: int) -> str:
    """A text of its own for each i, of characters without width."""
    return f"{i:b}".translate({ord("0"): "\u200b", ord("1"): "\u200c"})
