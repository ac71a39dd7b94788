"""Averaging profiles: closed form against quadrature, mixtures against what they imitate."""

import numpy as np
import pytest
from scipy.integrate import quad

from ictsweep.consistency import PowerEma, gamma_of
from ictsweep.training.profiles import Profile, inner, mix


def height(profile: Profile, s: float) -> float:
    gamma = gamma_of(profile.sigma_rel)
    return (gamma + 1) / profile.end * (s / profile.end) ** gamma if s <= profile.end else 0.0


def grid(count: int, *widths: float) -> list[Profile]:
    return [Profile(width, (i + 1) / count) for i in range(count) for width in widths]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Profile(0.05, 3.0), Profile(0.10, 3.0)),
        (Profile(0.05, 2.0), Profile(0.10, 5.0)),
        (Profile(0.20, 5.0), Profile(0.05, 2.0)),
    ],
)
def test_the_inner_product_is_the_integral(a: Profile, b: Profile) -> None:
    numeric, _ = quad(lambda s: height(a, s) * height(b, s), 0, min(a.end, b.end), epsabs=1e-13)
    assert inner(a, b) == pytest.approx(numeric, rel=1e-9)
    assert inner(a, b) == inner(b, a)


def test_a_profile_that_was_kept_is_its_own_mixture() -> None:
    kept = grid(8, 0.05, 0.10)
    for i in (3, 14, 15):
        mixture = mix(kept, kept[i])
        assert mixture.shares == pytest.approx(np.eye(16)[i], abs=1e-9)
        assert mixture.error < 1e-7


def test_shares_sum_to_one_and_the_error_is_that_of_the_profile() -> None:
    """The error against a Riemann sum over the squared difference of the profiles."""
    kept, wanted = grid(8, 0.05, 0.10), Profile(0.15, 1.0)
    mixture = mix(kept, wanted)
    assert mixture.shares.sum() == pytest.approx(1.0, abs=1e-12)
    times = (np.arange(40_000) + 0.5) / 40_000
    target = np.array([height(wanted, s) for s in times])
    made = sum(
        share * np.array([height(p, s) for s in times])
        for share, p in zip(mixture.shares, kept, strict=True)
    )
    error = np.sqrt(((made - target) ** 2).sum() / (target**2).sum())
    assert mixture.error == pytest.approx(error, rel=1e-3)
    assert 0.01 < mixture.error < 0.05


def test_no_other_shares_come_closer() -> None:
    kept, wanted = grid(4, 0.05, 0.10), Profile(0.08, 1.0)
    shares = mix(kept, wanted).shares
    products = np.array([[inner(p, q) for q in kept] for p in kept])
    towards = np.array([inner(p, wanted) for p in kept])

    def distance(x: np.ndarray) -> float:
        return float(x @ products @ x - 2 * x @ towards)

    rng = np.random.default_rng(0)
    for _ in range(50):
        step = rng.normal(size=8) * 1e-3
        assert distance(shares + step - step.mean()) > distance(shares)


@pytest.mark.parametrize(("count", "most"), [(8, 2e-2), (32, 2e-3)])
def test_more_snapshots_come_closer(count: int, most: float) -> None:
    """Between the two widths that are kept; at one width alone it is an order worse."""
    for width in (0.06, 0.075, 0.09):
        assert mix(grid(count, 0.05, 0.10), Profile(width, 1.0)).error < most
        assert mix(grid(count, 0.05), Profile(width, 1.0)).error > most


def test_a_scalar_trajectory_is_reconstructed() -> None:
    """A weight that wanders for 2000 steps; averages tracked step by step in float64. By Cauchy and
    Schwarz the error is at most that of the profile, times the profile's size, times how far the
    weight wanders.
    """
    rng = np.random.default_rng(1)
    path = 10.0 + np.cumsum(rng.normal(size=2000)) * 0.05

    def tracked(width: float) -> np.ndarray:
        value, out = 0.0, []
        for k, weight in enumerate(path, 1):
            keep = PowerEma(sigma_rel=width).decay(k, 1)
            value = keep * value + (1 - keep) * weight
            out.append(value)
        return np.array(out)

    ends = [250 * (i + 1) for i in range(8)]
    kept = [Profile(width, float(end)) for end in ends for width in (0.05, 0.10)]
    narrow, wide = tracked(0.05), tracked(0.10)
    values = [track[end - 1] for end in ends for track in (narrow, wide)]
    for width in (0.06, 0.075, 0.12):
        wanted = Profile(width, 2000.0)
        mixture = mix(kept, wanted)
        error = abs(mixture.shares @ np.array(values) - tracked(width)[-1])
        assert error <= mixture.error * (2000.0 * inner(wanted, wanted)) ** 0.5 * path.std()
        assert error < 0.01 * path.std()
