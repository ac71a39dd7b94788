"""The Karras grid and the discretised log-normal against numbers worked out by hand."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
import torch

from ictsweep.consistency import KarrasGrid, LogNormal, Uniform


def test_the_middle_of_three_levels_by_hand():
    # 0.002^(1/7) = exp(-6.214608/7) = 0.411560;  80^(1/7) = exp(4.382027/7) = 1.870122
    # their mean 1.140841;  1.140841^7 = exp(7 * 0.131766) = exp(0.922363) = 2.51523
    levels = KarrasGrid().levels(3)
    assert levels.dtype == torch.float64
    assert levels[1].item() == pytest.approx(2.51523, rel=1e-5)


@pytest.mark.parametrize("n", [2, 11, 21, 1281])
def test_levels_ascend_between_exact_ends(n):
    for dtype in (torch.float32, torch.float64):
        levels = KarrasGrid().levels(n, dtype=dtype)
        assert levels.shape == (n,)
        assert torch.equal(levels[[0, -1]], torch.tensor([0.002, 80.0], dtype=dtype))
        assert (levels.diff() > 0).all()


def test_other_ends_and_exponent_follow_the_formula():
    # rho = 1 is an even grid, rho = 2 an even grid of square roots: sqrt of 1, 4, 9, 16 is 1, 2, 3,
    # 4.
    even = KarrasGrid(sigma_min=1.0, sigma_max=4.0, rho=1.0).levels(4)
    square = KarrasGrid(sigma_min=1.0, sigma_max=16.0, rho=2.0).levels(4)
    torch.testing.assert_close(even, torch.tensor([1.0, 2, 3, 4], dtype=torch.float64))
    torch.testing.assert_close(square, torch.tensor([1.0, 4, 9, 16], dtype=torch.float64))


def test_probabilities_are_normal_distribution_differences():
    sigmas = KarrasGrid().levels(11)
    cdf = [NormalDist(-1.1, 2.0).cdf(math.log(s)) for s in sigmas.tolist()]
    expected = [(b - a) / (cdf[-1] - cdf[0]) for a, b in pairwise(cdf)]
    got = LogNormal().probabilities(sigmas)
    assert got.dtype == torch.float64
    assert got.tolist() == pytest.approx(expected, abs=1e-14)


def test_two_intervals_by_hand():
    # Levels e^-1, 1, e around mean 0, std 1: both intervals hold 34.1 % of the mass, half of what
    # is there. With mean 1 the shares are Phi(0)-Phi(-1) = .341345 above and Phi(-1)-Phi(-2) =
    # .135905 below.
    sigmas = torch.tensor([math.exp(-1), 1.0, math.e], dtype=torch.float64)
    assert LogNormal(mean=0.0, std=1.0).probabilities(sigmas).tolist() == pytest.approx([0.5, 0.5])
    below, above = LogNormal(mean=1.0, std=1.0).probabilities(sigmas).tolist()
    assert (below, above) == pytest.approx((0.135905 / 0.47725, 0.341345 / 0.47725), abs=1e-5)


def test_sanity_values_of_the_full_grid():
    levels = KarrasGrid().levels(1281)
    p = LogNormal().probabilities(levels)
    below = p.cumsum(0)
    half = int((below < 0.5).sum())  # the interval that holds the median
    assert levels[half].item() == pytest.approx(0.33, abs=0.006)
    assert levels[half + 1].item() == pytest.approx(0.33, abs=0.008)
    assert p[levels[1:] <= 0.1].sum().item() == pytest.approx(0.27, abs=0.005)
    assert p[levels[:-1] >= 10].sum().item() == pytest.approx(0.04, abs=0.005)
    gap = levels.diff()
    assert (1 / gap).min().item() == pytest.approx(2.9, abs=0.05)
    assert (1 / gap).max().item() == pytest.approx(2.6e4, rel=0.02)


def test_a_density_off_the_grid_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match=r"no mass between sigma 0\.002 and 80.*move its mean"):
        LogNormal(mean=300.0, std=0.5).probabilities(KarrasGrid().levels(11))


def test_quantiles_are_those_of_the_normal_distribution():
    u = [1e-12, 0.025, 0.5, 0.8, 1 - 1e-9]
    expected = [math.exp(NormalDist(-1.2, 1.2).inv_cdf(v)) for v in u]
    got = LogNormal(mean=-1.2, std=1.2).quantile(torch.tensor(u, dtype=torch.float64))
    assert got.dtype == torch.float64
    assert got.tolist() == pytest.approx(expected, rel=1e-12)


def test_uniform_counts_intervals_not_their_widths():
    shares = Uniform().probabilities(KarrasGrid().levels(5))
    assert shares.dtype == torch.float64
    assert shares.tolist() == [0.25] * 4
