"""One parameter at a time: where in its range are the good values, and are they at the edge?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ictsweep.report.axisnames import lies_on, short
from ictsweep.report.format import scored, setting
from ictsweep.report.theme import LIGHT, figure, log_axis, plain, shade, wide
from ictsweep.report.view import StudyView
from ictsweep.study.spec import Axis

DRAWN = 1200  # points of a figure; of more, every so manieth
MANY = 12  # figures; beyond that, only the most important parameters are drawn
TEXTS = 300  # points beyond which no point carries a text of its own
ENOUGH = 20  # trials below which no binned medians are drawn
EDGE = 0.05  # of an axis: a best quarter that crowds here is at the edge


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Values at one rung over one parameter."""

    rung_kimg: int
    trials: tuple[int, ...]
    settings: tuple[Any, ...]
    values: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Bins:
    """Medians and quartiles of a cloud's values by bins of equal count over the parameter."""

    places: tuple[float, ...]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SliceInfo:
    """One parameter: a cloud per rung (compare within a cloud only), where trial 0 and the best
    trial stand; None where these do not have it. `bins` are of the best attended rung; `edge` says
    at which end of the range ("low", "high" or "") the best trials crowd.
    """

    axis: Axis
    metric: str
    clouds: tuple[Cloud, ...]
    baseline: Any
    best: tuple[Any, float] | None
    bins: Bins | None = None
    edge: str = ""


def slice_infos(view: StudyView, order: tuple[str, ...] = ()) -> tuple[SliceInfo, ...]:
    """A slice per searched parameter, those named in `order` first."""
    place = {path: i for i, path in enumerate(order)}
    axes = sorted(view.spec.search, key=lambda axis: place.get(axis.path, len(place)))
    return tuple(_slice(view, axis) for axis in axes[:MANY])


def _slice(view: StudyView, axis: Axis) -> SliceInfo:
    best = view.trial(view.best) if view.best is not None else None
    if best is not None and not lies_on(axis, best.params):
        best = None
    zero = next((t for t in view.trials if t.number == 0 and lies_on(axis, t.params)), None)
    clouds = tuple(_cloud(view, axis, rung) for rung in view.spec.rungs)
    fullest = max(clouds, key=lambda cloud: len(cloud.trials))
    return SliceInfo(
        axis=axis,
        metric=view.metric,
        clouds=clouds,
        bins=_bins(fullest, axis),
        edge=_edge(fullest, axis),
        baseline=None if zero is None else zero.params[axis.path],
        best=(best.params.get(axis.path), best.final.value) if best and best.final else None,
    )


def _cloud(view: StudyView, axis: Axis, rung: int) -> Cloud:
    trials = [t for t in view.measured_at(rung) if lies_on(axis, t.params)]
    return Cloud(
        rung_kimg=rung,
        trials=tuple(t.number for t in trials),
        settings=tuple(t.params.get(axis.path) for t in trials),
        values=tuple(t.at_rung[rung].value for t in trials),
        texts=tuple(
            f"trial {t.number}: {scored(t.at_rung[rung])} at {rung:,} kimg<br>"
            f"{plain(short(axis.path))} = {plain(setting(t.params.get(axis.path)))}"
            for t in (trials if len(trials) <= TEXTS else ())
        ),
    )


def _bins(cloud: Cloud, axis: Axis) -> Bins | None:
    """Bins of about equal count; None for choices and for few trials."""
    if axis.choices is not None or len(cloud.trials) < ENOUGH:
        return None
    settings, values = np.asarray(cloud.settings, float), np.asarray(cloud.values)
    order = np.argsort(settings, kind="stable")
    parts = np.array_split(order, min(12, len(order) // 8))
    quartiles = [np.quantile(values[part], [0.25, 0.5, 0.75]) for part in parts]
    low, median, high = (tuple(float(q[i]) for q in quartiles) for i in range(3))
    places = tuple(float(np.median(settings[part])) for part in parts)
    return Bins(places=places, low=low, median=median, high=high)


def _edge(cloud: Cloud, axis: Axis) -> str:
    """At which end the best quarter crowds: more than a third of it within EDGE of that end, where
    the axis is cut in shares of its (logarithmic) length.
    """
    if axis.choices is not None or len(cloud.trials) < ENOUGH or axis.low == axis.high:
        return ""
    order = np.argsort(cloud.values, kind="stable")[: max(5, len(cloud.values) // 4)]
    shares = [_share(axis, float(cloud.settings[i])) for i in order]
    reach = max(EDGE, 0.5 * (axis.step or 0) / (float(axis.high or 0) - float(axis.low or 0)))
    for name, near in (
        ("low", [s <= reach for s in shares]),
        ("high", [s >= 1 - reach for s in shares]),
    ):
        if sum(near) > len(near) / 3:
            return name
    return ""


def _share(axis: Axis, value: float) -> float:
    """How far along its axis a value lies, 0 to 1."""
    low, high = float(axis.low or 0), float(axis.high or 0)
    if axis.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def draw_slice(info: SliceInfo) -> go.Figure:
    """Points coloured and sized by rung, a line at trial 0's value, a ring around the best
    trial.
    """
    fig = figure(250)
    for i, cloud in enumerate(info.clouds):
        color = LIGHT[f"ramp{shade(i, len(info.clouds))}"]
        _draw_cloud(fig, info, cloud, color, 6 + 1.5 * i)
    if info.bins is not None:
        _draw_bins(fig, info.bins)
    if info.best is not None:
        fig.add_trace(
            go.Scatter(
                x=[_place(info.axis, info.best[0])], y=[info.best[1]], mode="markers",
                hoverinfo="skip", cliponaxis=False,
                marker={
                    "size": 17, "symbol": "circle-open", "color": LIGHT["accent"],
                    "line": {"width": 2},
                },
            )
        )  # fmt: skip
    if info.baseline is not None:
        line = {"color": LIGHT["muted"], "width": 1, "dash": "dot"}
        x = _place(info.axis, info.baseline)
        fig.add_shape(
            type="line", x0=x, x1=x, y0=0, y1=1, yref="paper", line=line, layer="below", opacity=0.6
        )
    fig.update_layout(showlegend=False, margin={"l": 48, "r": 8, "t": 8, "b": 44})
    _scale(fig, info)
    return fig


def _draw_cloud(fig: go.Figure, info: SliceInfo, cloud: Cloud, color: str, size: float) -> None:
    total = sum(len(other.trials) for other in info.clouds)
    every = max(1, math.ceil(total / DRAWN))  # thinned evenly, in order of the trials
    settings, values, trials = (
        part[::every] for part in (cloud.settings, cloud.values, cloud.trials)
    )
    hover = {} if cloud.texts else {"hovertemplate": "trial %{customdata}: %{y:.4g}<extra></extra>"}
    many = not cloud.texts
    if many and info.axis.choices is None:
        places: Any = np.asarray(settings, "f4")
    else:
        places = [_place(info.axis, s) for s in settings]
    fig.add_trace(
        go.Scatter(
            x=places, y=_compact(values, many), mode="markers",
            text=cloud.texts[::every] or None, name=f"{cloud.rung_kimg:,} kimg",
            customdata=_compact(trials, many), **hover,
            marker={"size": size / (1 + len(trials) / 250) ** 0.5, "color": color,
                    "opacity": 0.6 if many else 0.85},
        )
    )  # fmt: skip


def _compact(numbers: Sequence[float], many: bool) -> Any:
    """Many numbers in four bytes each."""
    whole = all(isinstance(n, int) for n in numbers[:1])
    return np.asarray(numbers, "i4" if whole else "f4") if many else list(numbers)


def _draw_bins(fig: go.Figure, bins: Bins) -> None:
    fig.add_trace(
        go.Scatter(
            x=[*bins.places, *bins.places[::-1]], y=[*bins.high, *bins.low[::-1]], fill="toself",
            mode="lines", line={"width": 0}, fillcolor=LIGHT["band"], opacity=0.6, hoverinfo="skip",
        )
    )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=bins.places, y=bins.median, mode="lines", hoverinfo="skip",
            line={"color": LIGHT["ink"], "width": 2},
        )
    )  # fmt: skip


def _place(axis: Axis, value: Any) -> Any:
    """Where a setting lies: numbers as they are, choices by name."""
    return value if axis.choices is None else plain(setting(value))


def _scale(fig: go.Figure, info: SliceInfo) -> None:
    title = plain(short(info.axis.path))
    if info.axis.choices is None and info.axis.log:
        settings = [s for cloud in info.clouds for s in cloud.settings]
        ends = [float(end) for end in (info.axis.low, info.axis.high) if end]
        fig.update_xaxes(**log_axis([*settings, *ends], most=5))
    elif info.axis.choices is not None:
        names = [plain(setting(c)) for c in info.axis.choices]
        fig.update_xaxes(type="category", categoryorder="array", categoryarray=names)
    else:
        low, high = float(info.axis.low or 0), float(info.axis.high or 0)
        room = 0.04 * (high - low)
        fig.update_xaxes(range=[low - room, high + room])  # the box, not only where points fell
    fig.update_xaxes(title_text=title, nticks=6, showgrid=False)
    fig.update_yaxes(title_text=plain(info.metric))
    values = [v for cloud in info.clouds for v in cloud.values]
    if wide(values):
        fig.update_yaxes(**log_axis(values, most=5))
