import statistics

import pytest
import torch

from ictsweep.errors import UserError
from ictsweep.evaluation import Moments, factor, frechet, frechet_distance, frechet_infinity
from ictsweep.evaluation.infinity import samples_needed

D = 24


def gaussian(mean, covariance):
    return Moments(count=2, mean=mean, scatter=covariance)


def world():
    """A reference Gaussian, a model's mean and root of its covariance, and their distance."""
    random = torch.Generator().manual_seed(0)
    scale = torch.arange(1, D + 1, dtype=torch.float64).rsqrt()
    root = torch.randn(D, D, generator=random, dtype=torch.float64) * scale
    mean = 0.1 * torch.randn(D, generator=random, dtype=torch.float64)
    prepared = factor(gaussian(torch.zeros(D).double(), (root * 0.9) @ (root * 0.9).T))
    return prepared, mean, root, frechet_distance(gaussian(mean, root @ root.T), prepared)


def draw(n, mean, root, seed):
    x = torch.randn(n, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x @ root.T + mean


@pytest.mark.parametrize("n", [100, 400, 1001])
def test_the_distance_of_a_gaussian_is_found_where_the_plain_one_is_biased(n):
    """200 redraws: the bias of the extrapolation is gone within its error, the plain one's not."""
    prepared, mean, root, truth = world()
    sets = [draw(n, mean, root, seed) for seed in range(200)]
    found = [frechet_infinity(x, prepared) for x in sets]
    plain = statistics.mean(frechet(x, prepared).value for x in sets)
    average = statistics.mean(estimate.value for estimate in found)
    spread = statistics.stdev(estimate.value for estimate in found)
    claimed = statistics.mean(estimate.error for estimate in found)
    assert abs(average - truth) < 0.1 * (plain - truth)
    assert spread / 1.3 < claimed < spread * 1.3


def test_a_line_in_one_over_n_is_read_at_zero():
    """Two blocks: twice the distance of all samples less the mean of the halves'."""
    prepared, mean, root, _ = world()
    x = draw(100, mean, root, 0)
    whole, a, b = (frechet(part, prepared) for part in (x, x[:50], x[50:]))
    found = frechet_infinity(x, prepared)
    assert found.value == pytest.approx(2 * whole.value - (a.value + b.value) / 2, rel=1e-9)
    halves = torch.cat([a.influence, b.influence])
    torch.testing.assert_close(found.influence, 2 * whole.influence - halves)


def test_too_few_samples():
    prepared, mean, root, _ = world()
    assert samples_needed(D) == 96
    assert frechet_infinity(draw(96, mean, root, 0), prepared).error > 0
    with pytest.raises(UserError, match="at least 96 samples for features of 24 dimensions"):
        frechet_infinity(draw(95, mean, root, 0), prepared)
