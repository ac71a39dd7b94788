import math
import statistics

import numpy as np
import pytest
import torch
from scipy import stats

from ictsweep.errors import UserError
from ictsweep.evaluation import (
    Estimate,
    combined,
    difference,
    interval,
    unpaired,
)


def normal(n, seed):
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, generator=random, dtype=torch.float64)


def mean_of(x):
    """The estimate of a mean: each number's influence is its distance from the mean."""
    return Estimate.of(float(x.mean()), x)


def test_of_a_mean_the_error_is_the_textbooks():
    x = normal(40, 0) + 3
    found = mean_of(x)
    assert found.error == pytest.approx(stats.sem(x.numpy()), rel=1e-12)
    assert float(found.influence.mean()) == pytest.approx(0, abs=1e-12)
    assert found.influence.dtype == torch.float64


@pytest.mark.parametrize(("level", "z"), [(0.95, 1.959964), (0.68, 0.994458)])
def test_the_interval_is_normal(level, z):
    low, high = interval(Estimate(5.0, 2.0), level)
    assert (low, high) == pytest.approx((5 - 2 * z, 5 + 2 * z), rel=1e-6)
    with pytest.raises(ValueError, match="between 0 and 1, got 95"):
        interval(Estimate(5.0, 2.0), 95)


def test_the_interval_covers_as_often_as_it_says():
    inside = [
        low < 0 < high for low, high in (interval(mean_of(normal(200, i))) for i in range(800))
    ]
    assert 0.93 < np.mean(inside) < 0.97


def test_a_paired_difference_is_the_differences_mean():
    x, y = normal(60, 0), normal(60, 1)
    both = x + 0.1 * y
    a, b = mean_of(x), mean_of(both)
    found = difference(a, b)
    assert found.value == pytest.approx(float((x - both).mean()), rel=1e-12)
    assert found.error == pytest.approx(stats.sem((x - both).numpy()), rel=1e-12)
    apart = unpaired(a, b)
    assert apart.error == pytest.approx(math.hypot(a.error, b.error), rel=1e-12)
    assert found.error < apart.error / 5
    assert apart.value == found.value


def test_what_cannot_be_paired_is_refused():
    a = mean_of(normal(20, 0))
    with pytest.raises(UserError, match="same latents on both sides, got 20 and 21 samples"):
        difference(a, mean_of(normal(21, 0)))
    with pytest.raises(UserError, match="draw more samples"):
        difference(a, Estimate(1.0, 0.1))


def test_draws_give_mean_and_spread_and_the_error_of_their_own_errors():
    values, errors = [2.0, 2.6, 2.3], [0.1, 0.2, 0.2]
    found = combined([Estimate(*both) for both in zip(values, errors, strict=True)])
    assert found.mean == pytest.approx(2.3)
    assert found.spread == pytest.approx(statistics.stdev(values))
    assert found.error == pytest.approx(0.1)  # sqrt(0.01 + 0.04 + 0.04) / 3
    expected = stats.norm.interval(0.95, loc=2.3, scale=0.1)
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.values == (2.0, 2.6, 2.3)


def test_draws_that_agree_by_chance_are_not_certain():
    found = combined([Estimate(value, 0.8) for value in (101.000, 101.003, 101.006)])
    assert found.spread == pytest.approx(0.003)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.8 / math.sqrt(3), rel=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_interval_over_draws_covers_as_often_as_it_says(count):
    errors = [0.5 + i for i in range(count)]  # of each draw, known
    inside = []
    for i in range(2000):
        values = torch.tensor(errors) * normal(count, i)
        draws = combined([Estimate(float(v), e) for v, e in zip(values, errors, strict=True)])
        inside.append(draws.low < 0 < draws.high)
    assert 0.93 < np.mean(inside) < 0.97


def test_one_draw_has_no_spread():
    found = combined([Estimate(2.0, 0.1)])
    assert math.isnan(found.spread)
    assert (found.mean, found.error) == (2.0, 0.1)
    assert (found.low, found.high) == pytest.approx(interval(Estimate(2.0, 0.1)))
    with pytest.raises(ValueError, match="no draws"):
        combined([])
