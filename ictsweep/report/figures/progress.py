"""Best so far against what the study has spent: is more budget worth it?"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ictsweep.report.format import scored
from ictsweep.report.theme import LIGHT, figure, log_axis, plain, wide
from ictsweep.report.view import Scored, Step, StudyView
from ictsweep.study.noise import SeedNoise


@dataclass(frozen=True, kw_only=True)
class Spending:
    """One way to count what was spent: its name on the axis, in a menu, and how a number of it is
    written (d3's format).
    """

    axis: str
    menu: str
    format: str = ",.3~g"


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A trial that reached the full budget, after so much of the study was spent."""

    trial: int
    spent: float
    scored: Scored


@dataclass(frozen=True, kw_only=True)
class ProgressInfo:
    """Trials that reached the full budget, searched and baseline apart, over one kind of spending.

    `best` is the staircase (spent, value) of the best searched value so far; `noise` that of
    trial 0; `end` what the whole study has spent, as far as it is known.
    """

    metric: str
    spending: Spending
    searched: tuple[Reached, ...]
    baseline: tuple[Reached, ...]
    best: tuple[tuple[float, float], ...]
    noise: SeedNoise | None
    end: float
    spent_kimg: int


def spendings(view: StudyView) -> tuple[Spending, ...]:
    """What a study's spending can be counted in, the most honest first."""
    price = view.spec.limits.gpu_hour_price
    money = f"cost of training and evaluation, at {price:g} per GPU-hour" if price else ""
    return (
        Spending(axis=f"{view.cost_unit} of training and evaluation", menu=view.cost_unit),
        Spending(axis="hours on the clock", menu="clock"),
        Spending(axis="trials ended", menu="trials", format=","),
        Spending(axis="kimg trained in the study", menu="kimg", format=","),
        *([Spending(axis=money, menu="cost")] if price and view.gpus else []),
    )


def progress_infos(view: StudyView) -> tuple[ProgressInfo, ...]:
    """Best so far over each kind of spending."""
    return tuple(_info(view, kind, i) for i, kind in enumerate(spendings(view)))


def progress_info(view: StudyView) -> ProgressInfo:
    """Best so far over GPU-hours."""
    return progress_infos(view)[0]


def _info(view: StudyView, kind: Spending, place: int) -> ProgressInfo:
    """Only final values: nothing measured at a lower rung appears here."""

    def reached(step: Step) -> Reached:
        return Reached(trial=step.trial, spent=_spent(view, step)[place], scored=step.scored)

    steps = [(view.trial(s.trial).searched, reached(s)) for s in view.steps]
    searched = tuple(step for is_searched, step in steps if is_searched)
    return ProgressInfo(
        metric=view.metric,
        spending=kind,
        searched=searched,
        baseline=tuple(step for is_searched, step in steps if not is_searched),
        best=_staircase(searched),
        noise=view.noise,
        end=_total(view)[place],
        spent_kimg=sum(t.kimg for t in view.trials),
    )


def _spent(view: StudyView, step: Step) -> tuple[float, ...]:
    """In the order of `spendings`."""
    hours = view.cost(step.spent_s)
    clock, ended, kimg = step.clock_s / 3600, float(step.ended), float(step.spent_kimg)
    return hours, clock, ended, kimg, hours * (view.spec.limits.gpu_hour_price or 0.0)


def _total(view: StudyView) -> tuple[float, ...]:
    hours = view.cost(sum(t.train_s + t.evaluate_s for t in view.trials))
    clock = (view.updated or 0.0) - (view.started or 0.0)
    ended = sum(n for state, n in view.states.items() if state != "running")
    kimg = float(sum(t.kimg for t in view.trials))
    price = view.spec.limits.gpu_hour_price or 0.0
    return hours, clock / 3600, float(ended), kimg, hours * price


def _staircase(steps: tuple[Reached, ...]) -> tuple[tuple[float, float], ...]:
    best, stairs = float("inf"), []
    for step in sorted(steps, key=lambda step: step.spent):
        if step.scored.value < best:
            best = step.scored.value
            stairs.append((step.spent, best))
    return tuple(stairs)


def draw_progress(info: ProgressInfo) -> go.Figure:
    """Points with their errors, the staircase of the best, and trial 0's seeds as a band."""
    fig = figure(360)
    end = max([info.end, *(s.spent for s in (*info.searched, *info.baseline))], default=0) or 1.0
    if info.noise is not None:
        _draw_noise(fig, info.noise, end)
    if info.best:
        xs = [x for x, _ in info.best]
        ys = [y for _, y in info.best]
        fig.add_trace(
            go.Scatter(
                x=[*xs, end], y=[*ys, ys[-1]], mode="lines", name="best searched so far",
                hoverinfo="skip", line={"shape": "hv", "color": LIGHT["accent"], "width": 2},
            )
        )  # fmt: skip
    _draw_points(fig, info, info.baseline, "trial 0 and its seeds", "ink", "circle-open")
    _draw_points(fig, info, info.searched, "searched, full budget", "complete", "circle")
    fig.update_xaxes(
        title_text=info.spending.axis, range=[0, 1.03 * end], tickformat=info.spending.format
    )
    fig.update_yaxes(title_text=plain(info.metric))
    values = [s.scored.value for s in (*info.searched, *info.baseline)]
    if wide(values):
        fig.update_yaxes(**log_axis(values))
    return fig


def _draw_noise(fig: go.Figure, noise: SeedNoise, end: float) -> None:
    low, high = noise.mean - noise.sd, noise.mean + noise.sd
    name = f"trial 0, {noise.seeds} seeds (mean ± sd)" if noise.seeds > 1 else "trial 0"
    fig.add_trace(
        go.Scatter(
            x=[0, end, end, 0], y=[high, high, low, low], fill="toself", mode="lines",
            hoverinfo="skip", fillcolor=LIGHT["band"], line={"width": 0}, name=name,
        )
    )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=[0, end], y=[noise.mean, noise.mean], mode="lines", showlegend=False,
            hoverinfo="skip", line={"color": LIGHT["muted"], "width": 1, "dash": "dot"},
        )
    )  # fmt: skip


_WHO = {True: "trial %{customdata}<br>%{y:.4g}", False: "%{text}"}  # by whether they are many


def _draw_points(
    fig: go.Figure, info: ProgressInfo, steps: tuple[Reached, ...], name: str, color: str,
    symbol: str,
) -> None:  # fmt: skip
    if not steps:
        return
    many = len(steps) > 200  # whiskers would be all one saw
    fig.add_trace(
        go.Scatter(
            x=np.array([s.spent for s in steps]), y=np.array([s.scored.value for s in steps]),
            mode="markers", name=name, customdata=np.array([s.trial for s in steps], "i4"),
            text=None if many else [f"trial {s.trial}<br>{scored(s.scored)}" for s in steps],
            hovertemplate=f"{_WHO[many]}<br>after %{{x:{info.spending.format}}} "
            f"{plain(info.spending.axis)}<extra></extra>",
            error_y=None if many
            else {"array": [s.scored.error or 0.0 for s in steps], "color": LIGHT[color]},
            marker={"size": 5 if many else 8, "symbol": symbol, "color": LIGHT[color],
                    "line": {"width": 1.5}},
        )
    )  # fmt: skip
