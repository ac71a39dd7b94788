"""Averages of weights: the update itself, and each average against its unrolled sum."""

import pytest
import torch
from torch import nn

from ictsweep.consistency import FixedEma, HalfLifeEma, PowerEma, WarmupEma, gamma_of
from ictsweep.training.ema import Averaged, averaged


def model_at(value: float) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(model.weight, value)
    return model


def through(average: Averaged, values: list[float]) -> list[float]:
    """The average after each of the weights' values."""
    out = []
    for value in values:
        average.update(model_at(value))
        out.append(float(average.module.weight))
    return out


def test_the_power_function_average_is_the_weighted_sum_of_all_weights() -> None:
    """Unrolled: weight of update i after n is (1 - b_i) b_{i+1} ... b_n; float64, to 1e-14. The
    first update forgets the initial weights.
    """
    history = [float(k * k) for k in range(1, 8)]
    average = averaged(model_at(99.0), PowerEma(sigma_rel=0.1), batch=10)
    got = through(average, history)
    assert got[0] == 1.0
    betas = [(1 - 1 / k) ** (gamma_of(0.1) + 1) for k in range(1, 8)]
    expected = 0.0
    for beta, value in zip(betas, history, strict=True):
        expected = beta * expected + (1 - beta) * value
    assert got[-1] == pytest.approx(expected, rel=1e-14)


def test_a_fixed_decay_remembers_the_initial_weights() -> None:
    """0.9 x 5 + 0.1 x 1 = 4.6; 0.9 x 4.6 + 0.1 x 2 = 4.34."""
    got = through(averaged(model_at(5.0), FixedEma(beta=0.9), batch=10), [1.0, 2.0])
    assert got == pytest.approx([4.6, 4.34], rel=1e-14)


def test_a_half_life_counts_images() -> None:
    """500 images of a half-life of 1000: 2^(-1/2) is kept."""
    average = averaged(model_at(1.0), HalfLifeEma(kimg=1.0, rampup=None), batch=500)
    assert through(average, [0.0, 0.0]) == pytest.approx([0.5**0.5, 0.5], rel=1e-14)


def test_between_its_updates_the_warm_up_average_stays() -> None:
    """Copies at the first, then looks at every fifth step only."""
    average = averaged(model_at(9.0), WarmupEma(), batch=10)
    got = through(average, [float(k) for k in range(1, 12)])
    assert got[:5] == [1.0] * 5
    assert got[5:10] == [got[5]] * 5
    assert got[10] != got[9]


def test_an_average_takes_no_gradient_and_is_no_part_of_the_model() -> None:
    model = model_at(1.0)
    average = averaged(model, FixedEma(beta=0.5), batch=1)
    assert not average.module.weight.requires_grad
    assert not average.module.training
    average.update(model_at(3.0))
    assert (model.weight.item(), average.module.weight.item()) == (1.0, 2.0)


def test_a_restored_average_counts_on() -> None:
    """The decay depends on the number of updates, which is in the state."""
    whole, cut = (averaged(model_at(0.0), PowerEma(sigma_rel=0.1), batch=1) for _ in range(2))
    expected = through(whole, [1.0, 4.0, 9.0])[-1]
    through(cut, [1.0, 4.0])
    fresh = averaged(model_at(7.0), PowerEma(sigma_rel=0.1), batch=1)
    fresh.load_state_dict(cut.state_dict())
    assert through(fresh, [9.0]) == [expected]
