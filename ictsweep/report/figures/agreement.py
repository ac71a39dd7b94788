"""Can the early stopping be trusted: do the ranks of trials at a rung agree with those at a later
one?

Kendall's tau-b with a bootstrap interval over trials. Only trials that were let through have values
at both: the others, and what they might have become, are not in it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from scipy.stats import rankdata

from ictsweep.report.theme import LIGHT, figure, log_axis, plain, wide
from ictsweep.report.view import StudyView
from ictsweep.seeds import derive_seed

FEWEST = 5  # trials below which no agreement is stated
RESAMPLES = 200
MOST = 1500  # trials of a tau: above, a random part, for it costs their square

Array = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Trials measured at rungs `early` and `late`, their values there, and Kendall's tau with its
    5-95 % range (None below FEWEST trials). `stopped` were judged at `early` and have no value at
    `late`.
    """

    metric: str
    early: int
    late: int
    trials: tuple[int, ...]
    early_values: tuple[float, ...]
    late_values: tuple[float, ...]
    stopped: int
    tau: float | None
    low: float | None
    high: float | None


def agreements(view: StudyView) -> tuple[Agreement, ...]:
    """Of every pair of rungs that some trials reached, the full budget first."""
    pairs = list(combinations(view.spec.rungs, 2))
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    found = (agreement(view, early, late) for early, late in pairs)
    return tuple(info for info in found if info.trials)


def agreement(view: StudyView, early: int, late: int) -> Agreement:
    """Of two rungs."""
    at_early = view.measured_at(early)
    both = [t for t in at_early if late in t.at_rung]
    first = [t.at_rung[early].value for t in both]
    last = [t.at_rung[late].value for t in both]
    rng = np.random.default_rng(derive_seed(view.spec.seed, "agreement", early, late))
    tau, low, high = _interval(np.array(first), np.array(last), rng)
    return Agreement(
        metric=view.metric, early=early, late=late, trials=tuple(t.number for t in both),
        early_values=tuple(first), late_values=tuple(last), stopped=len(at_early) - len(both),
        tau=tau, low=low, high=high,
    )  # fmt: skip


def _interval(
    first: Array, last: Array, rng: np.random.Generator
) -> tuple[float | None, float | None, float | None]:
    if len(first) < FEWEST:
        return None, None, None
    if len(first) > MOST:
        part = rng.choice(len(first), MOST, replace=False)
        first, last = first[part], last[part]
    pairs = _Pairs.of(first, last)
    drawn = [_resampled(pairs, rng) for _ in range(RESAMPLES if len(first) < 400 else 40)]
    finite = [tau for tau in drawn if tau is not None]
    tau = pairs.tau(np.ones(len(first), np.float32))
    if tau is None or not finite:
        return None, None, None
    low, high = np.quantile(finite, [0.05, 0.95])
    return tau, float(low), float(high)


@dataclass(frozen=True)
class _Pairs:
    """All pairs of trials [n, n]: ordered alike (1), against each other (-1) or tied (0); and
    whether they are untied on each side.
    """

    alike: Array
    untied_first: Array
    untied_last: Array

    @classmethod
    def of(cls, first: Array, last: Array) -> "_Pairs":
        a, b = _signs(first), _signs(last)
        return cls(a * b, a * a, b * b)

    def tau(self, weights: Array) -> float | None:
        """Kendall's tau-b of weighted trials; None where all are tied on one side."""
        alike, first, last = (
            float(weights @ matrix @ weights)
            for matrix in (self.alike, self.untied_first, self.untied_last)
        )
        return alike / math.sqrt(first * last) if first * last > 0 else None


def _signs(values: Array) -> Array:
    """[n, n]: which of two trials is the higher."""
    ranks = rankdata(values, method="dense").astype(np.float32)
    return np.sign(ranks[:, None] - ranks[None, :])


def _resampled(pairs: _Pairs, rng: np.random.Generator) -> float | None:
    """Tau of trials drawn again: a trial drawn k times counts as k."""
    n = len(pairs.alike)
    weights = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float32)
    return pairs.tau(weights)


def draw_agreement(info: Agreement) -> go.Figure:
    """Value at the early rung across, at the late one up."""
    fig = figure(420)
    kind = go.Scattergl if len(info.trials) > 2000 else go.Scatter
    fig.add_trace(
        kind(
            x=np.asarray(info.early_values), y=np.asarray(info.late_values), mode="markers",
            customdata=np.array(info.trials, "i4"),
            hovertemplate=f"trial %{{customdata}}<br>%{{x:.4g}} at {info.early:,} kimg<br>"
            f"%{{y:.4g}} at {info.late:,} kimg<extra></extra>",
            marker={"size": 8 if len(info.trials) < 300 else 4, "color": LIGHT["complete"],
                    "opacity": 0.85},
        )
    )  # fmt: skip
    fig.update_layout(showlegend=False)
    fig.update_xaxes(title_text=f"{plain(info.metric)} at {info.early:,} kimg")
    fig.update_yaxes(title_text=f"at {info.late:,} kimg")
    for values, update in (
        (info.early_values, fig.update_xaxes), (info.late_values, fig.update_yaxes)
    ):  # fmt: skip
        if wide(list(values)):
            update(**log_axis(values))
    return fig


def trusted(infos: tuple[Agreement, ...]) -> Iterator[Agreement]:
    """Those with the full budget, by the rung they start from."""
    last = max((info.late for info in infos), default=0)
    yield from sorted((i for i in infos if i.late == last), key=lambda info: info.early)
