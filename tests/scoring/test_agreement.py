"""Kendall's tau and its interval: against pairs counted one by one, and by simulation."""

import math
import random
from itertools import combinations

import numpy as np
import pytest

from ictsweep.scoring.agreement import agreement


def by_pairs(a: list[float], b: list[float]) -> float:
    """Kendall's tau-b: concordant minus discordant pairs over those that neither list ties."""
    signs = [
        (np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)
    ]
    total = sum(x * y for x, y in signs)
    return total / math.sqrt(sum(x != 0 for x, _ in signs) * sum(y != 0 for _, y in signs))


@pytest.mark.parametrize("seed", range(5))
def test_tau_counts_pairs(seed: int) -> None:
    rng = random.Random(seed)
    a, b = ([float(rng.randint(0, 6)) for _ in range(12)] for _ in range(2))
    assert agreement(a, b).tau == pytest.approx(by_pairs(a, b), abs=1e-12)


def test_one_order_and_its_reverse() -> None:
    a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    same, reverse = agreement(a, a), agreement(a, a[::-1])
    assert (same.tau, reverse.tau) == (1.0, -1.0)
    assert same.high == 1.0
    assert same.low < 1
    assert reverse.high > -1
    many = agreement([float(i) for i in range(20)], [float(i) for i in range(20)])
    assert 0.8 < many.low < 1


@pytest.mark.parametrize("n", [0, 1, 2, 4])
def test_too_few_for_an_interval(n: int) -> None:
    found = agreement([float(i) for i in range(n)], [float(i) for i in range(n)])
    assert math.isnan(found.low)
    assert math.isnan(found.tau) == (n < 2)


def test_nothing_to_order_has_no_tau() -> None:
    assert math.isnan(agreement([1.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).tau)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_the_interval_covers_as_often_as_it_says(rho: float) -> None:
    """Normal pairs of correlation rho have tau = 2/pi asin(rho) (Kendall 1949)."""
    rng, truth, hits = np.random.default_rng(3), 2 / math.pi * math.asin(rho), 0
    for _ in range(300):
        x = rng.normal(size=12)
        y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=12)
        found = agreement(list(x), list(y))
        hits += found.low <= truth <= found.high
    assert hits / 300 >= 0.91
