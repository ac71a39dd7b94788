"""The pairs against their distributions, on the grid and off it."""

import math
import re

import pytest
import torch

from ictsweep.consistency import (
    METHODS,
    CleanPairs,
    ContinuousPairs,
    Doubling,
    GridPairs,
    KarrasGrid,
    LogNormal,
    SmoothGap,
    SquareRoot,
    StagedGap,
    Uniform,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pairs_are_neighbours_on_the_grid_of_the_moment():
    pairs = GridPairs()
    for progress, n in ((0.0, 11), (0.3, 41), (1.0, 1281)):
        levels = KarrasGrid().levels(n, dtype=torch.float32)
        assert pairs.levels(progress) == n
        t, r = pairs.sample(500, progress, generator(), "cpu")
        assert t.dtype == r.dtype == torch.float32
        assert (t > r).all()
        lower = torch.searchsorted(levels, r)
        assert torch.equal(levels[lower], r)
        assert torch.equal(levels[lower + 1], t)


@pytest.mark.parametrize("density", [LogNormal(), Uniform()])
def test_intervals_are_visited_as_often_as_their_density_says(density):
    pairs, n = GridPairs(density=density), 400_000
    levels = KarrasGrid().levels(11, dtype=torch.float32)
    _, r = pairs.sample(n, 0.0, generator(1))
    counts = torch.bincount(torch.searchsorted(levels, r), minlength=10).double()
    expected = n * density.probabilities(levels.double())
    chi2 = ((counts - expected) ** 2 / expected).sum().item()
    assert chi2 < 27.9  # 99.9 % of chi-square with 9 degrees of freedom


def test_the_inverse_distribution_by_hand(monkeypatch):
    # A density so wide that mass is proportional to ln s: ln(2.125/0.25) = 2.1401 below,
    # ln(4/2.125) = 0.6325 above, so u < 2.1401 / 2.7726 = 0.7719 is the lower interval.
    grid = KarrasGrid(sigma_min=0.25, sigma_max=4.0, rho=1.0)
    wide = LogNormal(mean=0.0, std=1e6)
    pairs = GridPairs(grid=grid, density=wide, steps=Doubling(s0=2, s1=2))
    for u, lower, upper in ((0.0, 0.25, 2.125), (0.771, 0.25, 2.125), (0.7725, 2.125, 4.0)):
        monkeypatch.setattr(torch, "rand", lambda *a, u=u, **k: torch.tensor([u]).double())
        t, r = pairs.sample(1, 0.0, generator())
        assert (r.item(), t.item()) == (lower, upper)


def test_an_interval_without_mass_is_never_visited(monkeypatch):
    # ln s ~ N(4, 0.1^2) leaves exactly nothing, in float64, below s = 20; not even u = 0 may fall
    # there.
    monkeypatch.setattr(torch, "rand", lambda *a, **k: torch.zeros(1).double())
    t, _ = GridPairs(density=LogNormal(mean=4.0, std=0.1)).sample(1, 0.0, generator())
    assert t.item() > 20


@pytest.mark.parametrize("pairs", [ContinuousPairs(), CleanPairs()])
def test_continuous_levels_follow_their_density(pairs):
    t, r = pairs.sample(200_000, 0.5, generator(2))
    assert t.dtype == r.dtype == torch.float32
    assert ((t > r) & (r >= 0)).all()
    z = (t.double().log() - pairs.density.mean) / pairs.density.std
    bins = torch.tensor([-2.0, -1, -0.5, 0, 0.5, 1, 2], dtype=torch.float64)
    share = torch.special.ndtr(bins)
    ends = torch.cat([torch.zeros(1), share, torch.ones(1)]).double()
    expected = 200_000 * ends.diff()
    counts = torch.bincount(torch.bucketize(z, bins), minlength=8).double()
    assert ((counts - expected) ** 2 / expected).sum().item() < 24.3  # 99.9 %, 7 degrees


def test_partners_follow_the_curriculum_of_the_moment():
    for progress, a in ((0.0, 1), (0.5, 5), (1.0, 8)):
        t, r = ContinuousPairs().sample(1000, progress, generator(3))
        s = t.double()
        expected = (s * (1 - (1 + 8 / (1 + s.exp())) / 2**a)).clamp(min=0)
        torch.testing.assert_close(r, expected.float(), rtol=1e-6, atol=1e-6)
    t, r = CleanPairs().sample(10, 0.5, generator(4))
    assert torch.equal(r, torch.zeros(10))


def test_the_density_reaches_past_the_level_where_sampling_starts():
    # P(t > 80) = 1 - Phi((ln 80 + 1.1) / 2) = 0.31 %; nothing is cut off or moved there.
    t, _ = ContinuousPairs().sample(100_000, 1.0, generator(5))
    assert (t > 80).float().mean().item() == pytest.approx(0.0031, abs=0.0006)
    assert t.unique().numel() > 99_000


def test_a_uniform_number_of_zero_is_a_level_too(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *a, **k: torch.zeros(1).double())
    for pairs in (ContinuousPairs(), CleanPairs()):
        t, r = pairs.sample(1, 0.9, generator())
        assert 0 <= r.item() < t.item() < 1e-4


def test_levels_counts_the_path_from_the_top_to_zero():
    # q = 2, a = 1: 80, 40, 20, 10, 5 - 5 n(5)/2 = 2.366, r(2.366) = 0.37, 0.  8 levels:
    path = [80.0]
    while path[-1]:
        t = path[-1]
        path.append(max(0.0, t * (1 - (1 + 8 / (1 + math.exp(t))) / 2)))
    assert ContinuousPairs().levels(0.0) == len(path) == 8
    assert CleanPairs().levels(0.3) == 2
    # k = 0, q = 10: each level is 0.9 of the last; 80 0.9^101 = 0.0019 is the first under 0.002.
    steady = ContinuousPairs(steps=StagedGap(q=10.0, k=0.0, period=1.0))
    assert steady.levels(0.0) == 102
    counts = [ContinuousPairs().levels(p / 8) for p in range(8)]
    assert counts == sorted(counts)
    assert 1200 < counts[-1] < 1400  # as fine as iCT's 1281


def test_stages_and_boundaries():
    assert [GridPairs().stage(p) for p in (0, 0.5, 1.0)] == [0, 4, 7]
    assert [ContinuousPairs().stage(p) for p in (0, 0.5, 1.0)] == [0, 4, 7]
    assert CleanPairs().stage(1.0) == 0
    assert GridPairs(grid=KarrasGrid(sigma_min=0.01, sigma_max=50.0)).boundary == 0.01
    assert GridPairs(grid=KarrasGrid(sigma_max=50.0)).sigma_max == 50.0
    assert ContinuousPairs().boundary == CleanPairs().boundary == 0.0
    assert ContinuousPairs().sigma_max == CleanPairs().sigma_max == 80.0


@pytest.mark.parametrize("name", METHODS)
def test_the_generator_is_the_only_randomness(name):
    pairs = METHODS[name].pairs
    before = torch.get_rng_state()
    first, again = pairs.sample(64, 0.5, generator(3)), pairs.sample(64, 0.5, generator(3))
    other = pairs.sample(64, 0.5, generator(4))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_values_that_are_equal_sample_equally_and_others_do_not():
    default, same = GridPairs(), GridPairs(density=LogNormal(mean=-1.1, std=2.0))
    moved = GridPairs(density=LogNormal(mean=0.5))
    t = [p.sample(256, 1.0, generator(5))[0] for p in (default, same, moved)]
    assert torch.equal(t[0], t[1])
    assert t[2].log().mean() > t[0].log().mean() + 1


@pytest.mark.parametrize(
    ("pairs", "path", "message"),
    [
        (GridPairs(steps=Doubling(s0=20, s1=10)), ("steps", "s1"), "got 10.*at least s0 20"),
        (GridPairs(steps=SquareRoot(s0=9, s1=8)), ("steps", "s1"), "got 8.*at least s0 9"),
        (
            GridPairs(grid=KarrasGrid(sigma_min=2.0, sigma_max=1.0)),
            ("grid", "sigma_max"),
            r"got 1\.0; expected more than sigma_min 2\.0",
        ),
        (GridPairs(density=LogNormal(mean=300.0)), ("density",), "no mass between"),
        (GridPairs(grid=KarrasGrid(rho=1e-5)), ("grid", "rho"), "overflows"),
        (ContinuousPairs(density=LogNormal(std=9.0)), ("density",), "reaches sigma 1e-33 to 9e"),
        (CleanPairs(density=LogNormal(mean=40.0)), ("density",), "float32 squares levels"),
        (
            ContinuousPairs(steps=StagedGap(q=4.0, period=0.1)),
            ("steps", "period"),
            r"got 0\.1; with q 4\.0 the gap ends at 9\.5e-07",
        ),
        (ContinuousPairs(steps=SmoothGap(q=300.0, period=0.3)), ("steps", "period"), "gap ends"),
        (ContinuousPairs(sigma_max=0.001), ("sigma_max",), "expected more than 0.002"),
        (CleanPairs(sigma_max=0.001), ("sigma_max",), "expected more than 0.002"),
    ],
)
def test_misfits_are_located_and_name_both_sides(pairs, path, message):
    ((where, text),) = pairs.misfits()
    assert where == path
    assert re.search(message, text), text


def test_a_misfit_does_not_hang_the_count_of_levels():
    assert ContinuousPairs(steps=StagedGap(q=100.0, period=0.01)).levels(1.0) < 2_000_000
