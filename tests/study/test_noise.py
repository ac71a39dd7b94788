"""Seed noise against closed forms and against simulated truth."""

import math

import numpy as np
import pytest
from scipy import stats

from ictsweep.study.noise import (
    Verdict,
    compare,
    expected_minimum,
    luck_probability,
    luckiest,
    seed_noise,
    variance_share,
)

# E[min] of n standard normal draws: Harter 1961, "Expected values of normal order statistics".
MINIMA = {
    1: 0.0,
    2: -1 / math.sqrt(math.pi),
    3: -1.5 / math.sqrt(math.pi),
    10: -1.53875,
    16: -1.76599,
}


@pytest.mark.parametrize(("n", "expected"), MINIMA.items())
def test_expected_minimum_of_normal_draws(n: int, expected: float) -> None:
    assert expected_minimum(n) == pytest.approx(expected, abs=1e-5)


def test_expected_minimum_needs_a_draw() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        expected_minimum(0)


def test_seed_noise_is_the_unbiased_deviation() -> None:
    noise = seed_noise([18.0, 20.0, 22.0])
    assert (noise.seeds, noise.mean, noise.sd) == (3, 20.0, 2.0)
    assert not seed_noise([18.0]).known
    assert not seed_noise([18.0, 18.0]).known
    with pytest.raises(ValueError, match="at least one"):
        seed_noise([])


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("margin", [-1.0, 0.0, 2.0, 6.0])
def test_one_trial_is_students_t(seeds: int, margin: float) -> None:
    """For n = 1 the predictive law is t with R - 1 degrees of freedom and scale sqrt(1 + 1/R)."""
    expected = stats.t.sf(margin / math.sqrt(1 + 1 / seeds), seeds - 1)
    assert luck_probability(margin, 1, seeds) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("seeds", "tried", "margin"), [(2, 15, 5.0), (3, 15, 3.0), (6, 60, 3.5)])
def test_luck_agrees_with_simulated_studies(seeds: int, tried: int, margin: float) -> None:
    rng = np.random.default_rng(0)
    baseline = rng.normal(20, 3, size=(100_000, seeds))
    best = rng.normal(20, 3, size=(100_000, tried)).min(axis=1)
    margins = (baseline.mean(axis=1) - best) / baseline.std(axis=1, ddof=1)
    assert luck_probability(margin, tried, seeds) == pytest.approx(
        (margins >= margin).mean(), abs=0.006
    )


def test_luck_becomes_certain_knowledge_with_many_seeds() -> None:
    """As R grows, the predictive range becomes that of the minimum of n normal draws."""
    luck = luckiest(seed_noise(list(10 + stats.norm.ppf((np.arange(4000) + 0.5) / 4000))), 16)
    quantile = lambda p: 10 + stats.norm.ppf(1 - (1 - p) ** (1 / 16))  # noqa: E731
    assert luck.expected == pytest.approx(10 - 1.766, abs=2e-3)
    assert luck.low == pytest.approx(quantile(0.05), abs=5e-3)
    assert luck.high == pytest.approx(quantile(0.95), abs=5e-3)


@pytest.mark.parametrize(("seeds", "tried"), [(2, 1), (2, 2000), (3, 15), (8, 10_000)])
def test_luck_range_holds_its_probability(seeds: int, tried: int) -> None:
    noise = seed_noise([*np.linspace(18, 22, seeds)])
    luck = luckiest(noise, tried)
    for value, probability in ((luck.low, 0.05), (luck.high, 0.95)):
        margin = (noise.mean - value) / noise.sd
        assert luck_probability(margin, tried, seeds) == pytest.approx(probability, abs=1e-6)


def test_a_distance_is_not_negative_whatever_the_normal_law_says() -> None:
    """Two seeds say so little that a tenth of their mean could be luck; a kernel distance may be
    below 0, and then luck may be.
    """
    luck = compare([1.0, 2.0], 0.9, 15).luck
    assert luck is not None
    assert (luck.low, min(luck.low, luck.expected, luck.high)) == (0.0, 0.0)
    free = compare([1.0, 2.0], -0.1, 15).luck
    assert free is not None
    assert free.low == luckiest(seed_noise([1.0, 2.0]), 15).low < 0


def test_a_clear_win_lies_below_what_luck_shows() -> None:
    baseline = [19.6, 20.0, 20.4, 19.9, 20.1]
    low = compare(baseline, 19.0, 15).luck
    assert low is not None
    assert compare(baseline, low.low - 0.01, 15).verdict == Verdict.CLEAR
    assert compare(baseline, low.low + 0.01, 15).verdict == Verdict.LUCK


def test_comparison_by_value() -> None:
    found = compare([18.0, 20.0, 22.0], 15.0, 15)
    assert (found.margin, found.margin_sd, found.tried) == (5.0, 2.5, 15)
    assert found.probability == pytest.approx(luck_probability(2.5, 15, 3))
    assert found.verdict == Verdict.LUCK


def test_more_trials_need_a_larger_margin() -> None:
    chances = [luck_probability(4.0, n, 4) for n in (1, 4, 16, 64)]
    assert chances == sorted(chances)


def test_one_seed_leaves_it_unknown() -> None:
    found = compare([20.0], 10.0, 15)
    assert found.verdict == Verdict.UNKNOWN
    assert (found.margin, found.margin_sd, found.luck) == (10.0, None, None)


@pytest.mark.parametrize("truth", [0.0, 0.3, 0.8])
def test_variance_share_recovers_simulated_truth(truth: float) -> None:
    rng = np.random.default_rng(1)
    between = rng.normal(size=(400, 1)) * math.sqrt(truth)
    values = 20 + between + rng.normal(size=(400, 3)) * math.sqrt(1 - truth)
    found = variance_share(values)
    assert found.share == pytest.approx(truth, abs=0.05)
    assert found.low <= found.share <= found.high
    assert found.within_sd == pytest.approx(math.sqrt(1 - truth), abs=0.05)


def test_variance_share_by_hand() -> None:
    """Rows 1, 3 and 5, 7: MS between 16, MS within 2, so between^2 = 7 and the share 7/9."""
    found = variance_share([[1.0, 3.0], [5.0, 7.0]])
    assert found.share == pytest.approx(7 / 9)
    assert found.between_sd == pytest.approx(math.sqrt(7))


def test_variance_share_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(60):
        values = rng.normal(size=(24, 1)) + rng.normal(size=(24, 2))
        found = variance_share(values, resamples=300)
        covered += found.low <= 0.5 <= found.high
    assert covered >= 46  # 90 % nominal; the percentile bootstrap is a little narrow


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], [np.nan, 1.0]]])
def test_variance_share_refuses_what_it_cannot_tell(values: list) -> None:
    with pytest.raises(ValueError, match="needs finite values"):
        variance_share(values)
