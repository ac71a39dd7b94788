"""The curriculum against its published values, and the pairs against their distribution."""

import pytest
import torch

from ictsweep.consistency import Doubling, GridPairs, KarrasGrid, LogNormal


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("budget", [400_000, 100_000])
def test_the_published_curriculum_has_eight_stages_of_an_eighth(budget):
    # K' = floor(K / (log2 floor(1280/10) + 1)) = K / 8: 50k of 400k, 12.5k of 100k.
    length = budget // 8
    assert length == {400_000: 50_000, 100_000: 12_500}[budget]
    steps = Doubling()
    for stage, levels in enumerate([11, 21, 41, 81, 161, 321, 641, 1281]):
        first, last = stage * length, (stage + 1) * length - 1
        assert steps.levels(first / budget) == steps.levels(last / budget) == levels
    assert steps.levels(1.0) == 1281


def test_every_iteration_agrees_with_integer_arithmetic():
    # 3 200 iterations with a period of 1/5 of them, s0 = 4 and an s1 that is no power-of-two
    # multiple.
    steps = Doubling(s0=4, s1=50, period=0.2)
    for k in range(3201):
        assert steps.intervals(k / 3200) == min(4 * 2 ** (k // 640), 50)


@pytest.mark.parametrize("period", [0.06, 0.07, 0.1, 0.125, 0.15, 0.2, 0.3])
def test_a_boundary_belongs_to_the_new_stage_despite_rounding(period):
    # 0.3 / 0.1 is 2.9999999999999996 in binary; the third stage must start there all the same.
    steps = Doubling(period=period)
    for j in range(1, int(1 / period) + 1):
        assert steps.stage(j * period) == steps.stage(round(j * period, 10)) == j
        assert steps.stage(j * period - 1e-6) == j - 1


def test_a_tiny_period_costs_nothing():
    assert Doubling(period=1e-300).intervals(1e-3) == 1280
    assert Doubling(s0=7, s1=7).intervals(1.0) == 7


def test_pairs_are_neighbours_on_the_grid_of_the_moment():
    pairs = GridPairs()
    for progress, n in ((0.0, 11), (0.3, 41), (1.0, 1281)):
        levels = KarrasGrid().levels(n, dtype=torch.float32)
        t, r = pairs.sample(500, progress, generator(), "cpu")
        assert t.dtype == r.dtype == torch.float32
        assert (t > r).all()
        lower = torch.searchsorted(levels, r)
        assert torch.equal(levels[lower], r)
        assert torch.equal(levels[lower + 1], t)


def test_intervals_are_visited_as_often_as_their_density_says():
    pairs, n = GridPairs(), 400_000
    levels = KarrasGrid().levels(11, dtype=torch.float32)
    _, r = pairs.sample(n, 0.0, generator(1))
    counts = torch.bincount(torch.searchsorted(levels, r), minlength=10).double()
    expected = n * LogNormal().probabilities(levels.double())
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


def test_the_generator_is_the_only_randomness():
    pairs = GridPairs()
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
