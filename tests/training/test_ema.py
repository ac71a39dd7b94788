"""The power-function average against its definition and the paper's numbers."""

import pytest
import torch
from torch import nn

from ictsweep.training.ema import averaged, decay, gamma_of


@pytest.mark.parametrize(("sigma_rel", "gamma"), [(0.05, 16.97), (0.10, 6.94), (0.01, 97.0)])
def test_gamma_of_published_widths(sigma_rel: float, gamma: float) -> None:
    """Karras et al. 2023, section 3.1: gamma = 16.97 at 0.05, 6.94 at 0.10; 97.0 at 0.01."""
    assert gamma_of(sigma_rel) == pytest.approx(gamma, rel=2e-3)


def test_decay_by_hand() -> None:
    """(1 - 1/4)^(1 + 1) = 0.5625; the first update forgets the initial weights."""
    assert decay(4, 1.0) == pytest.approx(0.5625, abs=1e-15)
    assert decay(1, 16.97) == 0.0


def test_average_equals_the_weighted_sum_of_all_weights() -> None:
    """Unrolled: weight of update i after n is (1 - b_i) b_{i+1} ... b_n. In float64, to 1e-14."""
    model = nn.Linear(2, 1, dtype=torch.float64)
    ema = averaged(model, 0.1)
    gamma, history = gamma_of(0.1), []
    for k in range(1, 8):
        with torch.no_grad():
            model.weight.fill_(float(k * k))
        history.append(float(k * k))
        ema.update_parameters(model)
    betas = [(1 - 1 / k) ** (gamma + 1) for k in range(1, 8)]
    expected = 0.0
    for beta, value in zip(betas, history, strict=True):
        expected = beta * expected + (1 - beta) * value
    assert float(ema.module.weight[0, 0]) == pytest.approx(expected, rel=1e-14)
    assert not ema.module.weight.requires_grad
    assert not ema.module.training
