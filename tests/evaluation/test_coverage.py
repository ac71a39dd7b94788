"""How often nominal 95 % intervals hold what they are meant to hold, on real pictures.

The population is half of the digits, blurred a little; samples are drawn from it again and again
and compared with the other half. An interval should hold the mean of all draws.
"""

from functools import partial

import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from ictsweep.evaluation import (
    Moments,
    difference,
    factor,
    frechet,
    frechet_infinity,
    inception_score,
    interval,
    kernel_distance,
    kernel_reference,
    manifold,
    precision,
    recall,
    unpaired,
)

DRAWS = 300


def halves():
    """The data's features [n, 64], and two models' of the same pictures: one blurs more."""
    pixels = load_digits().images.astype("float32") / 16
    rest = pixels[900:]
    models = [
        torch.from_numpy(gaussian_filter(rest, (0, sigma, sigma))).flatten(1)
        for sigma in (0.3, 0.5)
    ]
    return torch.from_numpy(pixels[:900]).flatten(1), *models


def drawn(count, n, draws=DRAWS, repeat=True):
    for i in range(draws):
        random = torch.Generator().manual_seed(i)
        every = torch.randint(count, (n,), generator=random)
        yield every if repeat else torch.randperm(count, generator=random)[:n]


def coverage(estimates):
    """(the share of intervals that hold the mean of all values, claimed over true spread)."""
    values = torch.tensor([estimate.value for estimate in estimates], dtype=torch.float64)
    inside = [low < values.mean() < high for low, high in map(interval, estimates)]
    claimed = sum(estimate.error for estimate in estimates) / len(estimates)
    return sum(map(bool, inside)) / len(inside), claimed / float(values.std())


def metric(name, data):
    if name == "kernel":
        return partial(kernel_distance, reference=kernel_reference(data[:400]))
    if name == "precision":
        return partial(precision, reference=manifold(data[:400]))
    measure = {"frechet": frechet, "infinity": frechet_infinity}[name]
    return partial(measure, reference=factor(Moments.of(data)))


@pytest.mark.parametrize("name", ["frechet", "infinity", "kernel", "precision"])
def test_intervals_cover(name):
    data, model, _ = halves()
    measure = metric(name, data)
    covered, _ = coverage([measure(model[rows]) for rows in drawn(len(model), 400)])
    assert 0.90 <= covered <= 0.975


def test_the_interval_of_a_paired_difference_covers_and_is_smaller():
    data, better, worse = halves()
    measure = metric("frechet", data)
    pairs = [(measure(worse[rows]), measure(better[rows])) for rows in drawn(len(better), 400)]
    together = [difference(a, b) for a, b in pairs]
    covered, _ = coverage(together)
    assert 0.90 <= covered <= 0.975
    assert all(
        d.error < unpaired(a, b).error / 1.5 for d, (a, b) in zip(together, pairs, strict=True)
    )


def test_the_interval_of_the_inception_score_covers():
    data, model, _ = halves()
    classes = torch.cdist(model, data[:10]).neg().softmax(1)  # of the likeness to ten digits
    scores = [inception_score(classes[rows]) for rows in drawn(len(model), 400)]
    covered, _ = coverage(scores)
    assert 0.90 <= covered <= 0.975


def test_the_interval_of_recall_is_too_wide_rather_than_too_narrow():
    """The jackknife's variance is on average above the true one. None is drawn twice here, since a
    duplicate is its own nearest neighbour."""
    data, model, _ = halves()
    prepared = manifold(data[:400])
    found = [recall(model[rows], prepared) for rows in drawn(len(model), 200, 100, repeat=False)]
    covered, ratio = coverage(found)
    assert covered >= 0.93
    assert 1 <= ratio <= 2
