import math
import statistics
import sys

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance as cleanfid_distance
from scipy import linalg

from ictsweep.evaluation import (
    Moments,
    difference,
    factor,
    frechet,
    frechet_distance,
    frechet_of_features,
    merged,
    unpaired,
)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def gaussian(mean, covariance):
    """The moments of a Gaussian with these parameters."""
    return Moments(count=1001, mean=mean.double(), scatter=covariance.double() * 1000)


def covariance(d, rank, seed):
    root = torch.randn(d, rank, generator=generator(seed), dtype=torch.float64)
    return root @ root.T


def sqrtm_distance(a, b):
    """The textbook formula, with scipy's matrix square root."""
    c1, c2 = a.covariance.numpy(), b.covariance.numpy()
    root = np.asarray(linalg.sqrtm(c1 @ c2))
    gap = (a.mean - b.mean).square().sum().item()
    return gap + np.trace(c1) + np.trace(c2) - 2 * np.trace(np.real(root))


def test_equal_covariances_leave_the_means():
    c = covariance(6, 6, 0)
    a, b = gaussian(torch.arange(6), c), gaussian(torch.ones(6), c)
    assert frechet_distance(a, factor(b)) == pytest.approx(1 + 0 + 1 + 4 + 9 + 16, rel=1e-12)


def test_diagonal_covariances():
    s1, s2 = torch.tensor([1.0, 2.0, 0.5, 3.0]), torch.tensor([2.0, 2.0, 1.5, 0.0])
    a, b = (
        gaussian(torch.zeros(4), s1.square().diag()),
        gaussian(torch.zeros(4), s2.square().diag()),
    )
    expected = (s1 - s2).square().sum().item()
    assert frechet_distance(a, factor(b)) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(b, factor(a)) == pytest.approx(expected, rel=1e-12)


def test_commuting_covariances():
    basis = torch.linalg.qr(torch.randn(5, 5, generator=generator(1), dtype=torch.float64))[0]
    s1 = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    s2 = s1.flip(0) / 3
    a = gaussian(torch.zeros(5), basis @ s1.square().diag() @ basis.T)
    b = gaussian(torch.ones(5), basis @ s2.square().diag() @ basis.T)
    expected = 5 + (s1 - s2).square().sum().item()
    assert frechet_distance(a, factor(b)) == pytest.approx(expected, rel=1e-12)


def test_a_point_against_a_gaussian():
    c = covariance(5, 5, 2)
    a, b = gaussian(torch.zeros(5), torch.zeros(5, 5)), gaussian(torch.ones(5), c)
    expected = 5 + c.trace().item()
    assert frechet_distance(a, factor(b)) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(b, factor(a)) == pytest.approx(expected, rel=1e-12)


def test_a_distribution_is_at_zero_from_itself():
    a = gaussian(torch.ones(30), covariance(30, 12, 3))
    assert 0 <= frechet_distance(a, factor(a)) < 1e-5 * a.covariance.trace().item()


@pytest.mark.parametrize("ranks", [(40, 40), (40, 15), (15, 40), (15, 30), (10, 10)])
def test_against_scipys_matrix_square_root(ranks):
    """Regular and singular covariances, on either side."""
    first, second = (covariance(40, rank, 10 + i) for i, rank in enumerate(ranks))
    a, b = gaussian(torch.zeros(40), first), gaussian(torch.ones(40) * 3, second)
    assert frechet_distance(a, factor(b)) == pytest.approx(sqrtm_distance(a, b), rel=1e-6)
    assert frechet_distance(b, factor(a)) == pytest.approx(sqrtm_distance(a, b), rel=1e-6)


def features(n, d, seed, shift=0.0):
    """Gaussian features whose spectrum decays, as those of networks do."""
    scale = torch.arange(1, d + 1, dtype=torch.float64).rsqrt()
    mixing = torch.randn(d, d, generator=generator(99), dtype=torch.float64)
    x = torch.randn(n, d, generator=generator(seed), dtype=torch.float64)
    return (x * scale) @ mixing + shift


def test_symmetry_of_sample_and_reference():
    a, b = Moments.of(features(100, 20, 0)), Moments.of(features(300, 20, 1, shift=0.3))
    assert frechet_distance(a, factor(b)) == pytest.approx(
        frechet_distance(b, factor(a)), rel=1e-10
    )


@pytest.mark.filterwarnings("ignore:The `disp` argument")  # clean-fid's call of scipy's sqrtm
@pytest.mark.parametrize("n", [500, 65, 64, 63, 30, 5])
def test_against_cleanfid_with_many_and_few_samples(n):
    x, reference = features(n, 64, 0, shift=0.2), features(1000, 64, 1)
    a, b = (np.mean(v.numpy(), axis=0) for v in (x, reference))
    c, d = (np.cov(v.numpy(), rowvar=False) for v in (x, reference))
    expected = cleanfid_distance(a, c, b, d)
    prepared = factor(Moments.of(reference))
    assert frechet_of_features(x, prepared) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(Moments.of(x), prepared) == pytest.approx(expected, rel=1e-6)
    assert frechet(x, prepared).value == pytest.approx(expected, rel=1e-6)


def test_few_samples_on_both_sides():
    x, reference = features(20, 64, 0), features(30, 64, 1)
    expected = sqrtm_distance(Moments.of(x), Moments.of(reference))
    prepared = factor(Moments.of(reference))
    assert frechet_of_features(x, prepared) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(Moments.of(x), prepared) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(100, 100), (25, 40), (12, 13)])
def test_of_few_samples_the_error_is_what_leaving_blocks_out_gives(n, d):
    x, prepared = features(n, d, 0, shift=0.5), factor(Moments.of(features(500, d, 1)))
    blocks = torch.arange(n).tensor_split(min(20, n))
    theta = []
    for block in blocks:
        kept = torch.ones(n, dtype=torch.bool)
        kept[block] = False
        theta.append(frechet_distance(Moments.of(x[kept]), prepared))
    g = len(blocks)
    expected = math.sqrt((g - 1) / g * sum((t - statistics.mean(theta)) ** 2 for t in theta))
    found = frechet(x, prepared)
    assert found.error == pytest.approx(expected, rel=1e-6)
    assert found.value == pytest.approx(frechet_distance(Moments.of(x), prepared), rel=1e-7)
    assert found.influence is None


@pytest.mark.parametrize("rank", [12, 7])  # of the samples' covariance and of the reference's
@pytest.mark.parametrize("i", [0, 17])
def test_the_influence_is_the_derivative_by_a_samples_weight(rank, i):
    """Against the distance of moments with a little more weight on a sample, less its mean."""
    mixing = torch.randn(rank, 12, generator=generator(5), dtype=torch.float64)
    x, data = features(60, rank, 0, 0.3) @ mixing, features(90, rank, 1) @ mixing
    prepared, whole = factor(Moments.of(data)), Moments.of(x)

    def moved(j, step):
        gap = x[j] - whole.mean
        covariance = (1 - step) * whole.covariance + step * torch.outer(gap, gap)
        return frechet_distance(gaussian(whole.mean + step * gap, covariance), prepared)

    slopes = [(moved(j, 1e-4) - moved(j, -1e-4)) / 2e-4 for j in range(60)]
    found = frechet(x, prepared)
    expected = slopes[i] - statistics.mean(slopes)
    assert float(found.influence[i]) == pytest.approx(expected, rel=1e-4)
    assert found.error == pytest.approx(statistics.stdev(slopes) / math.sqrt(60), rel=1e-4)


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_blocks_of_rows_and_known_moments_change_nothing(monkeypatch, block):
    x, prepared = features(50, 6, 0, 0.2), factor(Moments.of(features(80, 6, 1)))
    whole = frechet(x, prepared)
    for module in (Moments.__module__, frechet.__module__):
        monkeypatch.setattr(sys.modules[module], "BLOCK", block)
    parts = merged([Moments.of(part) for part in x.split(11)])
    for found in (frechet(x, prepared), frechet(x, prepared, parts)):
        assert found.value == pytest.approx(whole.value, rel=1e-9)
        torch.testing.assert_close(found.influence, whole.influence, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_standard_error_is_the_spread_of_redraws(shift):
    """150 redraws of 400 samples: the mean estimated error against the true spread, within 1.5x."""
    prepared = factor(Moments.of(features(2000, 16, 0)))
    drawn = [frechet(features(400, 16, 100 + i, shift), prepared) for i in range(150)]
    spread = statistics.stdev(found.value for found in drawn)
    claimed = statistics.mean(found.error for found in drawn)
    assert spread / 1.5 < claimed < spread * 1.5


def test_a_paired_difference_spreads_as_it_says_and_less_than_an_unpaired_one():
    """Two models from the same latents: one is the other with an error of its own."""
    prepared = factor(Moments.of(features(2000, 16, 0)))
    drawn = []
    for i in range(150):
        x = features(400, 16, 100 + i, 0.2)
        worse = x + 0.1 * features(400, 16, 1000 + i, 0.1)
        a, b = frechet(worse, prepared), frechet(x, prepared)
        drawn.append((difference(a, b), unpaired(a, b).error))
    spread = statistics.stdev(found.value for found, _ in drawn)
    claimed = statistics.mean(found.error for found, _ in drawn)
    assert spread / 1.25 < claimed < spread * 1.25
    assert claimed < statistics.mean(apart for _, apart in drawn) / 2


def test_a_standard_error_needs_three_samples():
    prepared = factor(Moments.of(features(50, 4, 0)))
    assert frechet(features(3, 4, 1), prepared).error > 0
    with pytest.raises(ValueError, match="at least 3 samples, got 2"):
        frechet(features(2, 4, 1), prepared)


def test_samples_at_one_place_have_the_influence_of_their_mean():
    """No covariance: the derivative is that of |mean - mean of the data|^2 alone, and is 0."""
    prepared = factor(Moments.of(features(50, 4, 0)))
    found = frechet(torch.ones(9, 4), prepared)
    expected = (1 - prepared.mean).square().sum() + prepared.trace
    assert found.value == pytest.approx(float(expected), rel=1e-12)
    assert found.error == 0
