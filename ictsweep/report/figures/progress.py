"""Best so far against the training spent: is more budget worth it?"""

from dataclasses import dataclass

import plotly.graph_objects as go

from ictsweep.report.format import scored
from ictsweep.report.theme import LIGHT, figure, log_axis, plain, wide
from ictsweep.report.view import Step, StudyView
from ictsweep.study.noise import SeedNoise


@dataclass(frozen=True, kw_only=True)
class ProgressInfo:
    """Trials that reached the full budget, searched and baseline apart, over kimg trained in the
    whole study.

    `best` is the staircase (kimg, value) of the best searched value so far; `noise` that of
    trial 0.
    """

    metric: str
    searched: tuple[Step, ...]
    baseline: tuple[Step, ...]
    best: tuple[tuple[int, float], ...]
    noise: SeedNoise | None
    spent_kimg: int


def progress_info(view: StudyView) -> ProgressInfo:
    """Only final values: nothing measured at a lower rung appears here."""
    searched = tuple(s for s in view.steps if view.trial(s.trial).searched)
    return ProgressInfo(
        metric=view.metric,
        searched=searched,
        baseline=tuple(s for s in view.steps if not view.trial(s.trial).searched),
        best=_staircase(searched),
        noise=view.noise,
        spent_kimg=sum(t.kimg for t in view.trials),
    )


def _staircase(steps: tuple[Step, ...]) -> tuple[tuple[int, float], ...]:
    best, stairs = float("inf"), []
    for step in steps:
        if step.scored.value < best:
            best = step.scored.value
            stairs.append((step.spent_kimg, best))
    return tuple(stairs)


def draw_progress(info: ProgressInfo) -> go.Figure:
    """Points with their errors, the staircase of the best, and trial 0's seeds as a band."""
    fig = figure(320)
    end = max(info.spent_kimg, 1)
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
    _draw_points(fig, info.baseline, "trial 0 and its seeds", "ink", "circle-open")
    _draw_points(fig, info.searched, "searched, full budget", "complete", "circle")
    fig.update_xaxes(title_text="kimg trained in the study", range=[0, 1.03 * end], tickformat=",")
    fig.update_yaxes(title_text=plain(info.metric))
    values = [s.scored.value for s in (*info.searched, *info.baseline)]
    if wide(values):
        fig.update_yaxes(**log_axis(values))
    return fig


def _draw_noise(fig: go.Figure, noise: SeedNoise, end: int) -> None:
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


def _draw_points(
    fig: go.Figure, steps: tuple[Step, ...], name: str, color: str, symbol: str
) -> None:
    if not steps:
        return
    fig.add_trace(
        go.Scatter(
            x=[s.spent_kimg for s in steps], y=[s.scored.value for s in steps], mode="markers",
            name=name, text=[f"trial {s.trial}<br>{scored(s.scored)}" for s in steps],
            hovertemplate="%{text}<br>after %{x:,} kimg<extra></extra>",
            error_y={"array": [s.scored.error or 0.0 for s in steps], "color": LIGHT[color]},
            marker={"size": 8, "symbol": symbol, "color": LIGHT[color], "line": {"width": 1.5}},
        )
    )  # fmt: skip
