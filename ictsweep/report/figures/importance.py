"""Which searched parameters mattered: PED-ANOVA with its uncertainty, against what chance alone
would show.

Only parameters that every trial has are compared: where some are there in some trials alone
(`when`), the best of all trials and the best of those with a parameter are different things.
Watanabe et al. 2023, "PED-ANOVA", arXiv:2304.10255, through Optuna, on a clean study made of our
records at one budget: importance is how differently the best trials are distributed from all.
Whiskers come from resampling trials; the level of chance from shuffling the values among them.
Values of different rungs are never mixed.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import optuna
import plotly.graph_objects as go
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, create_trial

from ictsweep.report.theme import LIGHT, figure, plain
from ictsweep.report.view import StudyView
from ictsweep.seeds import derive_seed
from ictsweep.study.spec import Axis

ENOUGH = 8  # trials below which nothing is said
RESAMPLES = 30
TOP = 5  # PED-ANOVA wants at least so many trials among the best


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
    measured there. `quantile` is the share of trials called the best; `conditional` are the
    parameters left out because only some trials have them.
    """

    rung_kimg: int
    first_rung: bool
    trials: int
    quantile: float
    bars: tuple[Importance, ...]
    conditional: tuple[str, ...] = ()


def importance_info(view: StudyView, resamples: int = RESAMPLES) -> ImportanceInfo:
    """Importances at the highest rung with enough trials; replicates, values outside an axis and
    parameters that some trials do not have are left out.
    """
    rung, trials = view.matched_rung(ENOUGH)
    axes = [axis for axis in view.spec.search if not axis.when]
    inside = [t for t in trials if all(axis.holds(t.params.get(axis.path)) for axis in axes)]
    quantile = min(0.5, max(0.1, TOP / max(len(inside), 1)))
    bars: list[Importance] = []
    if len(inside) >= ENOUGH and axes:
        values = np.array([t.at_rung[rung].value for t in inside])
        distributions = {axis.path: _distribution(axis) for axis in axes}
        params = [{axis.path: t.params[axis.path] for axis in axes} for t in inside]
        rng = np.random.default_rng(derive_seed(view.spec.seed, "importance", rung))
        ped = _Ped(distributions, params, quantile)
        bars = _bars(ped, values, rng, resamples)
    return ImportanceInfo(
        rung_kimg=rung, first_rung=rung == view.spec.rungs[0], trials=len(inside),
        quantile=quantile, bars=tuple(bars),
        conditional=tuple(axis.path for axis in view.spec.search if axis.when),
    )  # fmt: skip


@dataclass(frozen=True)
class _Ped:
    """PED-ANOVA of any values given to any rows of a fixed set of parameters."""

    distributions: dict[str, BaseDistribution]
    params: list[dict]
    quantile: float

    def shares(self, rows: Sequence[int], values: np.ndarray) -> np.ndarray:
        """Importances in order of the distributions, summing to 1; equal when nothing differs."""
        trials = [self._trial(row, float(v)) for row, v in zip(rows, values, strict=True)]
        study = optuna.create_study(direction="minimize")
        study.add_trials(trials)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=self.quantile)
        found = get_param_importances(study, evaluator=evaluator)
        return np.array([found.get(path, 0.0) for path in self.distributions])

    def _trial(self, row: int, value: float) -> FrozenTrial:
        return create_trial(params=self.params[row], distributions=self.distributions, value=value)


def _bars(
    ped: _Ped, values: np.ndarray, rng: np.random.Generator, resamples: int
) -> list[Importance]:
    n = len(values)
    everything = range(n)
    with _quiet():
        shares = ped.shares(everything, values)
        drawn = [rng.integers(n, size=n) for _ in range(resamples)]
        spread = np.array([ped.shares(rows.tolist(), values[rows]) for rows in drawn])
        chance = np.array(
            [ped.shares(everything, rng.permutation(values)) for _ in range(resamples)]
        )
    low, high = np.quantile(spread, [0.05, 0.95], axis=0)
    level = np.quantile(chance, 0.95, axis=0)
    bars = [
        Importance(path=path, share=float(s), low=float(a), high=float(b), chance=float(c))
        for path, s, a, b, c in zip(ped.distributions, shares, low, high, level, strict=True)
    ]
    return sorted(bars, key=lambda bar: -bar.share)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna announces every study it makes; these are none of the user's."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(axis: Axis) -> BaseDistribution:
    if axis.choices is not None:
        return CategoricalDistribution(axis.choices)
    assert axis.low is not None
    assert axis.high is not None
    if all(isinstance(n, int) for n in (axis.low, axis.high, axis.step or 1)):
        return IntDistribution(
            int(axis.low), int(axis.high), log=axis.log, step=int(axis.step or 1)
        )
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)


def draw_importance(info: ImportanceInfo) -> go.Figure:
    """Horizontal bars with whiskers; a tick where chance ends."""
    bars = info.bars[::-1]
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
