"""The averages against their sources' numbers and against programs of their own."""

import pytest

from ictsweep.consistency import FixedEma, HalfLifeEma, PowerEma, WarmupEma, gamma_of


@pytest.mark.parametrize(("sigma_rel", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_gamma_of_published_widths(sigma_rel, gamma):
    assert gamma_of(sigma_rel) == pytest.approx(gamma, rel=2e-3)


def test_a_width_is_the_standard_deviation_of_its_profile():
    # The weights t^gamma on [0, 1] have variance (g+1) / ((g+2)^2 (g+3)).
    for sigma_rel in (0.02, 0.1, 0.25):
        g = gamma_of(sigma_rel)
        assert ((g + 1) / ((g + 2) ** 2 * (g + 3))) ** 0.5 == pytest.approx(sigma_rel, rel=1e-9)


def weights(average, updates, batch=128):
    """What each update's weights count in the average after the last one; first what it began
    with."""
    shares = [1.0]
    for k in range(1, updates + 1):
        beta = average.decay(k, batch)
        assert 0 <= beta <= 1
        shares = [beta * w for w in shares] + [1 - beta]
    return shares


def test_the_power_average_weighs_like_a_power():
    # prod_{j>k} (1 - 1/j)^(g+1) (1 - (1 - 1/k)^(g+1)) = (k^(g+1) - (k-1)^(g+1)) / K^(g+1)
    g, total = gamma_of(0.1), 50
    got = weights(PowerEma(sigma_rel=0.1), total)
    expected = [(k ** (g + 1) - (k - 1) ** (g + 1)) / total ** (g + 1) for k in range(1, 51)]
    assert got == pytest.approx([0.0, *expected], rel=1e-9)


def test_a_fixed_average_is_the_same_for_ever():
    assert FixedEma().decay(1, 512) == FixedEma().decay(10**6, 1) == 0.9999
    assert weights(FixedEma(beta=0.5), 2) == [0.25, 0.25, 0.5]


def test_a_half_life_is_counted_in_images():
    average = HalfLifeEma(kimg=500.0, rampup=None)
    # 500 000 images in steps of 125: what it began with counts half.
    assert weights(average, 4000, 125)[0] == pytest.approx(0.5, rel=1e-9)
    assert weights(average, 2000, 250)[0] == pytest.approx(0.5, rel=1e-9)


def test_the_ramp_shortens_the_half_life_at_the_start():
    # Before step 11 of 100 images 1000 were seen: H = 0.05 1000 = 50 images; beta = 2^-2.
    average = HalfLifeEma()
    assert average.decay(1, 100) == 0.0
    assert average.decay(11, 100) == pytest.approx(0.25)
    # From 500 kimg / 0.05 = 10 000 kimg on H is 500 kimg.
    assert average.decay(100_001, 100) == average.decay(10**6, 100) == 0.5 ** (100 / 500_000)


def test_the_warm_up_by_hand():
    # Steps 1 and 6 copy; step e = 11, 16, ... keeps 1 - e^(-2/3); the others leave it alone.
    average = WarmupEma()
    got = [average.decay(k, 512) for k in range(1, 17)]
    kept = {1: 0.0, 6: 0.0, 11: 1 - 11 ** (-2 / 3), 16: 1 - 16 ** (-2 / 3)}
    assert got == pytest.approx([kept.get(k, 1.0) for k in range(1, 17)], rel=1e-12)


def test_after_100_000_steps_the_average_is_still_warming_up():
    # 1 - 100 001^(-2/3) = 0.999536 per five steps: a half-life of 1494 averagings, 7.5 k steps.
    beta = WarmupEma().decay(100_001, 512)
    assert beta == pytest.approx(0.999536, abs=5e-7)
    assert WarmupEma().decay(10_000_001, 512) == 0.9999


def test_the_warm_up_waits_and_then_counts_from_there():
    average = WarmupEma(after=12, every=5)
    got = [average.decay(k, 1) for k in range(1, 27)]
    kept = {1: 0.0, 6: 0.0, 11: 0.0, 16: 0.0, 21: 1 - 9 ** (-2 / 3), 26: 1 - 14 ** (-2 / 3)}
    assert got == pytest.approx([kept.get(k, 1.0) for k in range(1, 27)], rel=1e-12)
