"""Lion against its algorithm, one weight at a time."""

import pytest
import torch
from torch import nn

from ictsweep.training.lion import Lion


def by_hand(w: float, gradients: list[float], lr: float, b1: float, b2: float, decay: float):
    """Algorithm 2 of arXiv:2302.06675, the scalar form."""
    m, weights = 0.0, []
    for g in gradients:
        update = b1 * m + (1 - b1) * g
        w -= lr * ((update > 0) - (update < 0) + decay * w)
        m = b2 * m + (1 - b2) * g
        weights.append(w)
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_every_weight_follows_the_algorithm(decay: float) -> None:
    """The second gradient points back, and wins: 0.9 x 0.01 - 0.1 x 0.2 < 0. Were the two betas
    equal, whichever, the momentum would win. The fourth, weaker one loses.
    """
    gradients = [1.0, -0.2, 2.0, -0.05, -4.0, 0.0]
    weight = nn.Parameter(torch.tensor([0.7, -0.2], dtype=torch.float64))
    optimizer = Lion([weight], lr=0.1, betas=(0.9, 0.99), weight_decay=decay)
    expected = [by_hand(w, gradients, 0.1, 0.9, 0.99, decay) for w in (0.7, -0.2)]
    for i, gradient in enumerate(gradients):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        assert weight.tolist() == pytest.approx([e[i] for e in expected], abs=1e-14)


def test_a_zero_gradient_at_first_moves_nothing() -> None:
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.zeros(3)
    Lion([weight], lr=0.1).step()
    assert torch.equal(weight.data, torch.ones(3))


def test_a_restored_optimiser_goes_on_as_it_would_have() -> None:
    def run(cut: int) -> torch.Tensor:
        weight = nn.Parameter(torch.linspace(-1, 1, 5))
        optimizer = Lion([weight], lr=0.1)
        for i in range(6):
            if i == cut:
                fresh = Lion([weight], lr=0.1)
                fresh.load_state_dict(optimizer.state_dict())
                optimizer = fresh
            weight.grad = torch.sin(torch.arange(5.0) * (i + 1))
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(3), run(99))
