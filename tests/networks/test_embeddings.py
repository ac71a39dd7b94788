"""What blocks are told of noise level and class, by hand."""

import math

import pytest
import torch

from ictsweep.networks.embeddings import (
    FourierEmbedding,
    LabelEmbedding,
    PositionalEmbedding,
    TimestepEmbedding,
)
from ictsweep.networks.layers import xavier


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_positional_embedding_by_hand():
    # Width 4: frequencies 1 and 1/10000.
    got = PositionalEmbedding(4)(torch.tensor([0.5]))
    expected = [math.sin(0.5), math.sin(5e-5), math.cos(0.5), math.cos(5e-5)]
    assert got[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_timestep_embedding_by_hand():
    # Width 4: frequencies 1 and 1/100; cosines first.
    got = TimestepEmbedding(4)(torch.tensor([0.5]))
    expected = [math.cos(0.5), math.cos(5e-3), math.sin(0.5), math.sin(5e-3)]
    assert got[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_fourier_embedding_has_the_scale_and_is_part_of_the_state():
    layer = FourierEmbedding(4000, scale=0.02)
    layer.initialize(generator())
    assert layer.frequencies.std().item() == pytest.approx(0.02, rel=0.05)
    f = layer.frequencies[7].item()
    got = layer(torch.tensor([-1.5]))[0]
    assert got[7].item() == pytest.approx(math.sin(2 * math.pi * -1.5 * f), abs=1e-6)
    assert got[2007].item() == pytest.approx(math.cos(2 * math.pi * -1.5 * f), abs=1e-6)
    assert "frequencies" in layer.state_dict()
    assert not list(layer.parameters())


def test_a_label_picks_its_column_and_none_picks_nothing():
    layer = LabelEmbedding(3, 5, xavier, scale=2.0)
    layer.initialize(generator())
    torch.nn.init.normal_(layer.bias, generator=generator(1))
    got = layer(torch.tensor([2, -1, 0]), 3)
    torch.testing.assert_close(got[0], 2 * layer.weight[:, 2] + layer.bias)
    torch.testing.assert_close(got[1], layer.bias)
    torch.testing.assert_close(got[2], 2 * layer.weight[:, 0] + layer.bias)
    torch.testing.assert_close(layer(None, 2), layer.bias.expand(2, 5))


def test_every_label_has_a_gradient_though_none_occurs():
    layer = LabelEmbedding(3, 5, xavier)
    layer.initialize(generator())
    layer(None, 4).sum().backward()
    assert layer.weight.grad is not None
    assert not layer.weight.grad.any()
