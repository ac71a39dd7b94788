"""What is traded for what: one-step against two-step values, recall and cost, at the full budget.

Each pair of quantities has its own picture; which are lower and which are higher the better is said
on the axis. Only trials that reached the full budget have these values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ictsweep.report.format import scored
from ictsweep.report.table import rises
from ictsweep.report.theme import LIGHT, figure, plain
from ictsweep.report.view import Scored, StudyView, TrialView


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One axis: its name, and whether more of it is better."""

    name: str
    rises: bool = False


@dataclass(frozen=True, kw_only=True)
class ParetoInfo:
    """Final values of two quantities by trial; `front` are the places in `trials` that no other
    beats in both.
    """

    across: Quantity
    up: Quantity
    trials: tuple[int, ...]
    xs: tuple[Scored, ...]
    ys: tuple[Scored, ...]
    front: tuple[int, ...]


def pareto_infos(view: StudyView) -> Iterator[ParetoInfo]:
    """The minimised value against every other final metric and against cost."""
    done = [t for t in view.trials if t.final is not None and t.comparable]
    across = Quantity(name=f"{view.metric}, lower is better")
    for key in sorted({key for t in done for key in t.others}):
        up = Quantity(
            name=f"{key}, {'higher' if rises(key) else 'lower'} is better", rises=rises(key)
        )
        having = [t for t in done if key in t.others and not t.others[key].below]
        yield from _info(across, up, having, [t.others[key] for t in having])
    costs = [Scored(value=view.cost(t.train_s + t.evaluate_s)) for t in done]
    yield from _info(across, Quantity(name=f"{view.cost_unit} of the trial"), done, costs)


def _info(
    across: Quantity, up: Quantity, trials: Sequence[TrialView], ys: Sequence[Scored]
) -> Iterator[ParetoInfo]:
    xs = [t.final for t in trials if t.final is not None]
    if len(xs) > 1:
        sign = -1 if up.rises else 1
        front = undominated([(x.value, sign * y.value) for x, y in zip(xs, ys, strict=True)])
        numbers = tuple(t.number for t in trials)
        yield ParetoInfo(
            across=across, up=up, trials=numbers, xs=tuple(xs), ys=tuple(ys), front=front
        )


def undominated(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """The places of the points that no other beats in both (lower is better), from left to
    right.
    """
    front, least = [], float("inf")
    for place in sorted(range(len(points)), key=lambda i: points[i]):
        if points[place][1] < least:
            least = points[place][1]
            front.append(place)
    return tuple(front)


def _whiskers(values: Sequence[Scored]) -> dict[str, Any]:
    return {"array": [value.error or 0.0 for value in values], "color": LIGHT["muted"]}


def draw_pareto(info: ParetoInfo) -> go.Figure:
    """All points, and the undominated ones joined."""
    fig = figure(380)
    few = len(info.trials) <= 300
    line = [info.xs[i].value for i in info.front], [info.ys[i].value for i in info.front]
    fig.add_trace(
        go.Scatter(
            x=line[0], y=line[1], mode="lines", name="not beaten in both", hoverinfo="skip",
            line={"shape": "hv", "color": LIGHT["accent"], "width": 2},
        )
    )  # fmt: skip
    texts = [
        f"trial {n}<br>{scored(x)}<br>{scored(y)}"
        for n, x, y in zip(info.trials, info.xs, info.ys, strict=True)
        if few
    ]
    hover = (
        {} if few else {"hovertemplate": "trial %{customdata}<br>%{x:.4g}, %{y:.4g}<extra></extra>"}
    )
    fig.add_trace(
        go.Scatter(
            x=np.array([x.value for x in info.xs]), y=np.array([y.value for y in info.ys]),
            mode="markers", name="reached the full budget", text=texts or None, **hover,
            customdata=np.array(info.trials, "i4"),
            error_x=_whiskers(info.xs) if few else None,
            error_y=_whiskers(info.ys) if few else None,
            marker={"size": 8 if few else 4, "color": LIGHT["complete"]},
        )
    )  # fmt: skip
    fig.update_xaxes(title_text=plain(info.across.name))
    fig.update_yaxes(title_text=plain(info.up.name))
    return fig
