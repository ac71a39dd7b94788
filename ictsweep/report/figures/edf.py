"""How good is a random configuration of this space: the distribution of values at each rung."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ictsweep.report.theme import LIGHT, figure, log_axis, plain, shade, wide
from ictsweep.report.view import StudyView

MOST_STEPS = 400  # of a drawn curve


@dataclass(frozen=True, kw_only=True)
class Edf:
    """Sorted values of the configurations measured at a rung."""

    rung_kimg: int
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class EdfInfo:
    """A distribution per rung, and trial 0's mean at each where it has one."""

    metric: str
    rungs: tuple[Edf, ...]
    baseline: dict[int, float]


def edf_info(view: StudyView) -> EdfInfo:
    """Every value a configuration had at a rung; replicates left out."""
    measured = {rung: view.measured_at(rung) for rung in view.spec.rungs}
    seeds = [t for t in view.trials if not t.searched and t.comparable]
    at = {r: [t.at_rung[r].value for t in seeds if r in t.at_rung] for r in view.spec.rungs}
    return EdfInfo(
        metric=view.metric,
        rungs=tuple(
            Edf(rung_kimg=rung, values=tuple(sorted(t.at_rung[rung].value for t in trials)))
            for rung, trials in measured.items()
            if len(trials) > 1
        ),
        baseline={rung: float(np.mean(values)) for rung, values in at.items() if values},
    )


def draw_edf(info: EdfInfo) -> go.Figure:
    """One staircase per rung; a circle where trial 0's mean stands on it."""
    fig = figure(360)
    for i, edf in enumerate(info.rungs):
        color = LIGHT[f"ramp{shade(i, len(info.rungs))}"]
        xs, ys = steps(edf.values)
        fig.add_trace(
            go.Scatter(
                x=xs, y=ys, mode="lines", name=f"at {edf.rung_kimg:,} kimg ({len(edf.values):,})",
                line={"shape": "hv", "color": color, "width": 2},
                hovertemplate="%{y:.0%} at or below %{x:.4g}<extra></extra>",
            )
        )  # fmt: skip
        mean = info.baseline.get(edf.rung_kimg)
        if mean is not None:
            share = float(np.mean(np.asarray(edf.values) <= mean))
            fig.add_trace(
                go.Scatter(
                    x=[mean], y=[share], mode="markers", showlegend=False,
                    hovertemplate="trial 0: %{x:.4g}<br>%{y:.0%} are at or below<extra></extra>",
                    marker={"symbol": "circle-open", "size": 11, "color": LIGHT["ink"],
                            "line": {"width": 2}},
                )
            )  # fmt: skip
    fig.update_yaxes(title_text="share of configurations", tickformat=".0%", range=[0, 1.02])
    fig.update_xaxes(title_text=plain(info.metric))
    values = [v for edf in info.rungs for v in (edf.values[0], edf.values[-1])]
    if wide(values):
        fig.update_xaxes(**log_axis(values))
    return fig


def steps(values: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """A staircase of at most MOST_STEPS: places and the share at or below them."""
    n = len(values)
    picks = range(n) if n <= MOST_STEPS else np.linspace(0, n - 1, MOST_STEPS).astype(int)
    return [float(values[i]) for i in picks], [(int(i) + 1) / n for i in picks]
