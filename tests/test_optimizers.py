"""Learning rates against hand values; defaults as published."""

import pytest

from ictsweep.optimizers import Adam, AdamW, Lion, RAdam


@pytest.mark.parametrize(
    ("warmup", "decay_after", "rates"),
    [
        (0.0, 1.0, {0.0: 8.0, 0.5: 8.0, 1.0: 8.0}),
        (0.2, 1.0, {0.0: 0.0, 0.05: 2.0, 0.1: 4.0, 0.2: 8.0, 0.6: 8.0, 1.0: 8.0}),
        (0.0, 0.25, {0.0: 8.0, 0.25: 8.0, 0.5: 8.0 / 2**0.5, 1.0: 4.0}),
        (0.1, 0.04, {0.05: 8.0 * 0.5 / 1.25**0.5, 0.16: 4.0, 0.64: 2.0, 1.0: 1.6}),
    ],
)
def test_rates_rise_linearly_and_fall_with_the_root(
    warmup: float, decay_after: float, rates: dict[float, float]
) -> None:
    optimizer = RAdam(batch=8, lr=8.0, warmup=warmup, decay_after=decay_after)
    assert {p: optimizer.lr_at(p) for p in rates} == pytest.approx(rates)


def test_the_published_rate_of_ect_on_imagenet() -> None:
    """lr / sqrt(max(it / 2000, 1)) over 100,000 iterations: 2,000 of them are 2 % of the budget."""
    optimizer = Adam(batch=128, betas=(0.9, 0.99), decay_after=0.02)
    for iteration in (0, 1_000, 2_000, 8_000, 50_000, 100_000):
        expected = 1e-3 / max(iteration / 2_000, 1) ** 0.5
        assert optimizer.lr_at(iteration / 100_000) == pytest.approx(expected)


def test_each_has_its_fields_own_defaults() -> None:
    for optimizer, name, lr, betas in (
        (RAdam(batch=1), "radam", 1e-4, (0.9, 0.999)),
        (Adam(batch=1), "adam", 1e-3, (0.9, 0.999)),
        (AdamW(batch=1), "adamw", 1e-4, (0.9, 0.999)),
        (Lion(batch=1), "lion", 1e-4, (0.9, 0.99)),
    ):
        assert (optimizer.name, optimizer.lr, optimizer.betas) == (name, lr, betas)
        assert (optimizer.clip, optimizer.warmup, optimizer.decay_after) == (None, 0.0, 1.0)
    assert (AdamW(batch=1).weight_decay, Lion(batch=1).weight_decay) == (0.01, 0.0)
