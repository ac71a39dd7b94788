"""Which searched parameters mattered: PED-ANOVA with its uncertainty, against what chance alone
would show; at every rung, over all trials and among the best quarter.

Only parameters that every trial has are compared: where some are there in some trials alone
(`when`), the best of all trials and the best of those with a parameter are different things.
Whiskers come from resampling trials; the level of chance from shuffling the values among them.
Values of different rungs are never mixed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ictsweep.report.figures.ped_anova import Array, Grid, against, shares
from ictsweep.report.theme import LIGHT, figure, plain
from ictsweep.report.view import StudyView, TrialView
from ictsweep.seeds import derive_seed
from ictsweep.study.spec import Axis

ENOUGH = 8  # trials below which nothing is said
RESAMPLES = 30
TOP = 5  # PED-ANOVA wants at least so many trials among the best
QUARTER = 0.25


@dataclass(frozen=True, kw_only=True)
class Importance:
    """One parameter's share of the importances (they sum to 1), its 5-95 % bootstrap range, and
    the share that shuffled values exceed only once in twenty.
    """

    path: str
    share: float
    low: float
    high: float
    chance: float

    @property
    def stands_out(self) -> bool:
        """Whether the share is more than chance shows."""
        return self.share > self.chance


@dataclass(frozen=True, kw_only=True)
class ImportanceInfo:
    """Importances at one rung, the greatest first; none when fewer than ENOUGH trials were
    measured there. `quantile` is the share of trials called the best; `among_best`: only the best
    quarter is looked at. `conditional` are the parameters left out because only some trials have
    them.
    """

    rung_kimg: int
    first_rung: bool
    trials: int
    quantile: float
    bars: tuple[Importance, ...]
    conditional: tuple[str, ...] = ()
    among_best: bool = False


def importance_info(view: StudyView, resamples: int = RESAMPLES) -> ImportanceInfo:
    """Importances at the highest rung with enough trials."""
    rung, trials = view.matched_rung(ENOUGH)
    return importance_at(view, rung, trials, resamples=resamples)


def importance_infos(view: StudyView, resamples: int = RESAMPLES) -> Iterator[ImportanceInfo]:
    """Importances at every rung with enough trials, the highest first: over all trials, then among
    the best quarter where that is enough.
    """
    for rung in reversed(view.spec.rungs):
        trials = view.measured_at(rung)
        for among_best in (False, True):
            info = importance_at(view, rung, trials, resamples=resamples, among_best=among_best)
            if info.bars:
                yield info


def importance_at(
    view: StudyView,
    rung: int,
    trials: Sequence[TrialView],
    *,
    resamples: int = RESAMPLES,
    among_best: bool = False,
) -> ImportanceInfo:
    """Importances among `trials` at a rung; replicates, values outside an axis and parameters that
    some trials do not have are left out.
    """
    axes = [axis for axis in view.spec.search if not axis.when]
    inside = [t for t in trials if all(axis.holds(t.params.get(axis.path)) for axis in axes)]
    if among_best:
        inside.sort(key=lambda t: t.at_rung[rung].value)
        inside = inside[: int(QUARTER * len(inside))]
    quantile = min(0.5, max(0.1, TOP / max(len(inside), 1)))
    bars: list[Importance] = []
    if len(inside) >= ENOUGH and axes:
        values = np.array([t.at_rung[rung].value for t in inside])
        rng = np.random.default_rng(derive_seed(view.spec.seed, "importance", rung))
        bars = _bars(axes, inside, values, quantile, rng, resamples)
    return ImportanceInfo(
        rung_kimg=rung, first_rung=rung == view.spec.rungs[0], trials=len(inside),
        quantile=quantile, bars=tuple(bars), among_best=among_best,
        conditional=tuple(axis.path for axis in view.spec.search if axis.when),
    )  # fmt: skip


def _bars(
    axes: Sequence[Axis],
    trials: Sequence[TrialView],
    values: Array,
    quantile: float,
    rng: np.random.Generator,
    resamples: int,
) -> list[Importance]:
    grids = [Grid.of(axis, [t.params[axis.path] for t in trials]) for axis in axes]
    rows = np.arange(len(values))
    density = [grid.density(rows) for grid in grids]
    share = against(density, grids, rows, values, quantile)
    drawn = [rng.integers(len(rows), size=len(rows)) for _ in range(resamples)]
    spread = [shares(grids, some, values[some], quantile) for some in drawn]
    shuffled = [rng.permutation(values) for _ in range(resamples)]
    chance = [against(density, grids, rows, some, quantile) for some in shuffled]
    low, high = np.quantile(spread, [0.05, 0.95], axis=0)
    level = np.quantile(chance, 0.95, axis=0)
    bars = [
        Importance(path=axis.path, share=float(s), low=float(a), high=float(b), chance=float(c))
        for axis, s, a, b, c in zip(axes, share, low, high, level, strict=True)
    ]
    return sorted(bars, key=lambda bar: -bar.share)


SHOWN = 24  # bars of a figure; beyond that, the greatest


def draw_importance(info: ImportanceInfo) -> go.Figure:
    """Horizontal bars with whiskers; a tick where chance ends."""
    bars = info.bars[:SHOWN][::-1]
    fig = figure(90 + 34 * len(bars))
    names = [plain(bar.path) for bar in bars]
    fig.add_trace(
        go.Bar(
            x=[b.share for b in bars], y=names, orientation="h", width=0.56,
            marker={"color": [LIGHT["complete" if b.stands_out else "ramp1"] for b in bars]},
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.2, "width": 4,
                "color": LIGHT["ink"],
                "array": [max(0.0, b.high - b.share) for b in bars],
                "arrayminus": [max(0.0, b.share - b.low) for b in bars],
            },
            customdata=[[b.low, b.high, b.chance] for b in bars],
            hovertemplate="%{y}: %{x:.2f}<br>5–95 %: %{customdata[0]:.2f} to %{customdata[1]:.2f}"
            "<br>chance: up to %{customdata[2]:.2f}<extra></extra>",
        )
    )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=[b.chance for b in bars], y=names, mode="markers", hoverinfo="skip",
            marker={
                "symbol": "line-ns", "size": 20, "line": {"width": 2, "color": LIGHT["stopped"]}
            },
        )
    )  # fmt: skip
    fig.update_layout(showlegend=False, margin={"t": 8, "b": 44})
    fig.update_xaxes(title_text="share of the importance", rangemode="tozero")
    fig.update_yaxes(
        tickfont={"color": LIGHT["ink"], "size": 12}, showgrid=False, ticklabelstandoff=6
    )
    return fig
