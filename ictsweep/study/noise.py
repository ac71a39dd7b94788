"""Seed noise and honesty: is the best of a study more than the luckiest of many equal trials?

Model: every trial of one configuration scores N(mean, sd^2), the spread coming from the training
seed alone. Trial 0 on R seeds estimates both. If all n searched configurations were equal to
trial 0, their minimum would still lie below its mean; a winner is one that lies below what that
minimum would show. Because R is small the sd itself is uncertain, so everything is predictive
(Student-t, R - 1 degrees of freedom): for n = 1, (x - mean) / (sd sqrt(1 + 1/R)) is
t-distributed, and for n > 1 the n draws share the same error of mean and sd.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, optimize, special, stats

LEVEL = 0.05  # a win is called clear when luck alone does as well less often than this


class Verdict(StrEnum):
    """What may be said of the best searched trial."""

    CLEAR = "clear"
    LUCK = "not distinguishable from luck"
    UNKNOWN = "unknown (one seed)"


@dataclass(frozen=True, kw_only=True)
class SeedNoise:
    """One configuration on several seeds: mean and unbiased standard deviation of its values (sd
    0 for one seed).
    """

    seeds: int
    mean: float
    sd: float

    @property
    def known(self) -> bool:
        """Whether there is a spread to measure a margin against."""
        return self.seeds > 1 and self.sd > 0


@dataclass(frozen=True, kw_only=True)
class Luck:
    """The minimum of `tried` equal trials: its expectation at the estimated sd, and its
    predictive 5-95 % range.
    """

    tried: int
    expected: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The best searched value against the baseline's seeds.

    `margin` = baseline mean - best (positive is better, in the metric's unit), `margin_sd` the
    same in seed standard deviations, `probability` that the luckiest of `tried` equal trials
    does at least as well. None where one seed leaves it unknown.
    """

    noise: SeedNoise
    best: float
    tried: int
    margin: float
    margin_sd: float | None
    luck: Luck | None
    probability: float | None
    verdict: Verdict


def seed_noise(values: Sequence[float]) -> SeedNoise:
    """Mean and standard deviation over seeds; ValueError without any value."""
    if not values:
        raise ValueError("seed noise needs at least one value")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return SeedNoise(seeds=len(values), mean=float(np.mean(values)), sd=sd)


def compare(baseline: Sequence[float], best: float, tried: int) -> Comparison:
    """The best of `tried` searched configurations (lower is better) against the baseline's
    values over seeds.
    """
    noise = seed_noise(baseline)
    margin = noise.mean - best
    if not noise.known:
        return Comparison(
            noise=noise, best=best, tried=tried, margin=margin, margin_sd=None,
            luck=None, probability=None, verdict=Verdict.UNKNOWN,
        )  # fmt: skip
    probability = luck_probability(margin / noise.sd, tried, noise.seeds)
    return Comparison(
        noise=noise, best=best, tried=tried, margin=margin, margin_sd=margin / noise.sd,
        luck=luckiest(noise, tried, least=0.0 if min(*baseline, best) >= 0 else -math.inf),
        probability=probability,
        verdict=Verdict.CLEAR if probability < LEVEL else Verdict.LUCK,
    )  # fmt: skip


def luckiest(noise: SeedNoise, tried: int, *, least: float = -math.inf) -> Luck:
    """What the luckiest of `tried` trials equal to the baseline would show; nothing below `least`
    (0 for a distance), whatever the normal law says.
    """
    low, high = (
        noise.mean - noise.sd * _margin_at(p, tried, noise.seeds) for p in (LEVEL, 1 - LEVEL)
    )
    expected = noise.mean + noise.sd * expected_minimum(tried)
    low, expected, high = (max(value, least) for value in (low, expected, high))
    return Luck(tried=tried, expected=expected, low=low, high=high)


def expected_minimum(n: int) -> float:
    """E[min of n standard normal draws] = integral of x n phi(x) (1 - Phi(x))^(n-1): 0, -0.5642,
    -0.8463, ...
    """
    if n < 1:
        raise ValueError(f"the minimum of {n} draws does not exist; at least 1 is needed")

    def integrand(x: float) -> float:
        return x * n * np.exp(stats.norm.logpdf(x) + (n - 1) * special.log_ndtr(-x))

    return float(integrate.quad(integrand, -12, 12, limit=200)[0])


def luck_probability(margin_sd: float, tried: int, seeds: int) -> float:
    """P(the minimum of `tried` equal trials lies at least `margin_sd` estimated sds below the
    estimated mean of `seeds` >= 2).

    With Z the error of the mean (N(0, 1/R)) and v = sqrt(chi2(R-1) / (R-1)) the estimated over
    the true sd, a draw lies that low with probability Phi(Z - margin v); averaged over Z and v
    after the n draws are combined.
    """
    if seeds < 2:
        raise ValueError("one seed gives no standard deviation; at least 2 are needed")
    error, weight, ratio = _errors(seeds)
    none_as_low = np.exp(tried * special.log_ndtr(margin_sd * ratio[:, None] - error[None, :]))
    return float(1.0 - (none_as_low @ weight).mean())


def _errors(seeds: int) -> tuple[NDArray, NDArray, NDArray]:
    """Quadrature over the error of the mean (nodes, weights) and quantile midpoints of the sd
    ratio.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(48)
    middles = (np.arange(4000) + 0.5) / 4000
    ratio = np.sqrt(stats.chi2.ppf(middles, seeds - 1) / (seeds - 1))
    return nodes / np.sqrt(seeds), weights / weights.sum(), ratio


def _margin_at(probability: float, tried: int, seeds: int) -> float:
    """The margin, in sds, which the luckiest of `tried` reaches with the given probability."""
    scale = float(stats.t.isf(probability / (2 * tried), seeds - 1)) * np.sqrt(1 + 1 / seeds)
    found = optimize.root_scalar(
        lambda m: luck_probability(m, tried, seeds) - probability, bracket=(-scale - 9, scale + 9)
    )
    return float(found.root)


@dataclass(frozen=True, kw_only=True)
class VarianceShare:
    """The share of the variance of values that configurations explain (0..1), with a 5-95 %
    bootstrap interval over configurations, and the two standard deviations it is made of.
    """

    share: float
    low: float
    high: float
    between_sd: float
    within_sd: float


def variance_share(values: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> VarianceShare:
    """One-way random effects on values [configurations, seeds]: ANOVA estimator, clipped at 0.

    between^2 = (MS between - MS within) / seeds, share = between^2 / (between^2 + within^2)
    (Searle, Casella & McCulloch 1992, chapter 3). At least 2 x 2 finite values, else
    ValueError.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError(
            f"needs finite values [configurations >= 2, seeds >= 2], got shape {table.shape}"
        )
    between, within = _components(table)
    rows = np.random.default_rng(seed).integers(len(table), size=(resamples, len(table)))
    low, high = np.quantile(_share(*_components(table[rows])), [0.05, 0.95])
    return VarianceShare(
        share=float(_share(between, within)), low=float(low), high=float(high),
        between_sd=float(np.sqrt(between)), within_sd=float(np.sqrt(within)),
    )  # fmt: skip


def _components(table: NDArray) -> tuple[NDArray, NDArray]:
    """Variances between and within configurations of [..., configurations, seeds]."""
    within = table.var(axis=-1, ddof=1).mean(axis=-1)
    of_means = table.mean(axis=-1).var(axis=-1, ddof=1)
    return np.maximum(of_means - within / table.shape[-1], 0.0), within


def _share(between: NDArray, within: NDArray) -> NDArray:
    total = between + within
    return np.divide(between, total, out=np.zeros_like(total), where=total > 0)
