"""One parameter at a time: where in its range are the good values, and are they at the edge?"""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from ictsweep.report.figures.parallel import short
from ictsweep.report.format import scored, setting
from ictsweep.report.theme import LIGHT, figure, log_axis, plain, shade, wide
from ictsweep.report.view import StudyView
from ictsweep.study.spec import Axis

MANY = 12  # figures; beyond that, only the most important parameters are drawn


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Values at one rung over one parameter."""

    rung_kimg: int
    trials: tuple[int, ...]
    settings: tuple[Any, ...]
    values: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SliceInfo:
    """One parameter: a cloud per rung (compare within a cloud only), where trial 0 and the best
    trial stand; None where these do not have it.
    """

    axis: Axis
    metric: str
    clouds: tuple[Cloud, ...]
    baseline: Any
    best: tuple[Any, float] | None


def slice_infos(view: StudyView, order: tuple[str, ...] = ()) -> tuple[SliceInfo, ...]:
    """A slice per searched parameter, those named in `order` first."""
    place = {path: i for i, path in enumerate(order)}
    axes = sorted(view.spec.search, key=lambda axis: place.get(axis.path, len(place)))
    return tuple(_slice(view, axis) for axis in axes[:MANY])


def _slice(view: StudyView, axis: Axis) -> SliceInfo:
    best = view.trial(view.best) if view.best is not None else None
    if best is not None and axis.path not in best.params:
        best = None
    baseline = next((t.params.get(axis.path) for t in view.trials if t.number == 0), None)
    return SliceInfo(
        axis=axis,
        metric=view.metric,
        clouds=tuple(_cloud(view, axis, rung) for rung in view.spec.rungs),
        baseline=baseline,
        best=(best.params.get(axis.path), best.final.value) if best and best.final else None,
    )


def _cloud(view: StudyView, axis: Axis, rung: int) -> Cloud:
    trials = [t for t in view.measured_at(rung) if axis.path in t.params]
    return Cloud(
        rung_kimg=rung,
        trials=tuple(t.number for t in trials),
        settings=tuple(t.params.get(axis.path) for t in trials),
        values=tuple(t.at_rung[rung].value for t in trials),
        texts=tuple(
            f"trial {t.number}: {scored(t.at_rung[rung])} at {rung:,} kimg<br>"
            f"{plain(short(axis.path))} = {plain(setting(t.params.get(axis.path)))}"
            for t in trials
        ),
    )


def draw_slice(info: SliceInfo) -> go.Figure:
    """Points coloured and sized by rung, a line at trial 0's value, a ring around the best
    trial.
    """
    fig = figure(250)
    for i, cloud in enumerate(info.clouds):
        color = LIGHT[f"ramp{shade(i, len(info.clouds))}"]
        fig.add_trace(
            go.Scatter(
                x=[_place(info.axis, s) for s in cloud.settings], y=cloud.values, mode="markers",
                text=cloud.texts, name=f"{cloud.rung_kimg:,} kimg", cliponaxis=False,
                marker={"size": 6 + 1.5 * i, "color": color, "opacity": 0.9},
            )
        )  # fmt: skip
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
    values = [v for cloud in info.clouds for v in cloud.values]
    if wide(values):
        fig.update_yaxes(**log_axis(values, most=5))
