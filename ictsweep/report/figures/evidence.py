"""The evidence in three rows: trial 0 over its seeds, what luck alone would show, and the
searched trials that finished.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ictsweep.report.format import scored
from ictsweep.report.theme import LIGHT, figure, plain
from ictsweep.report.view import Scored, StudyView
from ictsweep.study.noise import Luck, SeedNoise

FEW = 200  # points with whiskers and texts of their own
SEARCHED, BASELINE = "searched, full budget", "trial 0, by seed"


@dataclass(frozen=True, kw_only=True)
class EvidenceInfo:
    """Final values only: (trial, value) of the baseline's seeds and of the searched
    configurations, with the noise of the one and the luck range of the other where they are
    known.
    """

    metric: str
    baseline: tuple[tuple[int, Scored], ...]
    searched: tuple[tuple[int, Scored], ...]
    noise: SeedNoise | None
    luck: Luck | None
    best: int | None


def evidence_info(view: StudyView) -> EvidenceInfo:
    """What the first screen's claim rests on."""
    finals = [(t, t.final) for t in view.trials if t.final is not None and t.comparable]
    return EvidenceInfo(
        metric=view.metric,
        baseline=tuple((t.number, final) for t, final in finals if not t.searched),
        searched=tuple((t.number, final) for t, final in finals if t.searched),
        noise=view.noise,
        luck=view.comparison.luck if view.comparison else None,
        best=view.best,
    )


def draw_evidence(info: EvidenceInfo) -> go.Figure:
    """Points and intervals on one common axis of the metric."""
    luckiest = f"luckiest of {info.luck.tried} equals" if info.luck else None
    rows = [row for row in (SEARCHED, luckiest, BASELINE) if row]
    fig = figure(66 + 48 * len(rows))
    if info.noise is not None and info.noise.known:
        low, high = info.noise.mean - info.noise.sd, info.noise.mean + info.noise.sd
        _draw_bar(fig, BASELINE, low, high, info.noise.mean, "mean ± standard deviation over seeds")
    if info.luck is not None and luckiest is not None:
        text = f"5–95 % of the luckiest of {info.luck.tried} equal trials"
        _draw_bar(fig, luckiest, info.luck.low, info.luck.high, info.luck.expected, text)
    others = tuple(pair for pair in info.searched if pair[0] != info.best)
    best = tuple(pair for pair in info.searched if pair[0] == info.best)
    _draw_points(fig, info.baseline, BASELINE, "ink", "circle-open", 9)
    _draw_points(fig, others, SEARCHED, "complete", "circle", 9)
    _draw_points(fig, best, SEARCHED, "accent", "diamond", 13, label=f"trial {info.best}")
    fig.update_layout(showlegend=False, margin={"l": 8, "r": 12, "t": 6, "b": 44})
    fig.update_yaxes(
        categoryorder="array", categoryarray=rows, range=[-0.6, len(rows) - 0.4], showgrid=False,
        tickfont={"color": LIGHT["ink"], "size": 12}, fixedrange=True,
    )  # fmt: skip
    fig.update_xaxes(
        title_text=f"{plain(info.metric)} (lower is better)", nticks=7, range=_range(info)
    )
    return fig


def _range(info: EvidenceInfo) -> list[float]:
    """Everything drawn, and a little air."""
    pairs = (*info.baseline, *info.searched)
    ends = [s.value + sign * (s.error or 0.0) for _, s in pairs for sign in (-1, 1)]
    ends += [info.luck.low, info.luck.high] if info.luck else []
    ends += [info.noise.mean - info.noise.sd, info.noise.mean + info.noise.sd] if info.noise else []
    air = 0.04 * (max(ends) - min(ends)) or 1.0
    return [min(ends) - air, max(ends) + air]


def _draw_bar(fig: go.Figure, row: str, low: float, high: float, middle: float, text: str) -> None:
    hover = f"{text}<br>%{{x:.4g}}<extra></extra>"
    fig.add_trace(
        go.Scatter(
            x=[low, high], y=[row, row], mode="lines", hovertemplate=hover,
            line={"color": LIGHT["band"], "width": 22},
        )
    )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=[middle], y=[row], mode="markers", hovertemplate=hover,
            marker={"symbol": "line-ns", "size": 22, "line": {"width": 2, "color": LIGHT["muted"]}},
        )
    )  # fmt: skip


def _draw_points(
    fig: go.Figure,
    points: tuple[tuple[int, Scored], ...],
    row: str,
    color: str,
    symbol: str,
    size: int,
    *,
    label: str = "",
) -> None:
    if not points:
        return
    many = len(points) > FEW
    errors = None if many else {"array": [s.error or 0.0 for _, s in points], "color": LIGHT[color]}
    fig.add_trace(
        go.Scatter(
            x=np.array([s.value for _, s in points]), y=[row] * len(points),
            mode="markers+text" if label else "markers", cliponaxis=False,
            customdata=np.array([n for n, _ in points], "i4"),
            hovertext=None if many else [f"trial {n}<br>{scored(s)}" for n, s in points],
            hovertemplate=f"{'trial %{customdata}: %{x:.4g}' if many else '%{hovertext}'}"
            "<extra></extra>",
            text=[label] * len(points) if label else None, textposition="top center",
            textfont={"size": 12, "color": LIGHT[color]},
            error_x=errors,
            marker={"size": size / 2 if many else size, "symbol": symbol, "color": LIGHT[color],
                    "line": {"width": 1.5}},
        )
    )  # fmt: skip
