"""Each layer against the plain definition of what it does."""

import math

import pytest
import torch
import torch.nn.functional as F

from ictsweep.networks.layers import (
    Conv,
    Downsample,
    Linear,
    ShrinkConv,
    Upsample,
    like_inputs,
    norm,
)

TAPS = [(1, 1), (1, 3, 3, 1), (1, 2, 2, 1), (1, 5, 10, 10, 5, 1)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("taps", TAPS)
def test_downsampling_keeps_a_ramp_and_its_centres(taps):
    # A symmetric filter of unit sum reads a ramp at its centre, 2 i + 1/2, away from the border.
    ramp = torch.arange(16.0).expand(1, 2, 16, 16)
    out = Downsample(taps)(ramp)
    assert out.shape == (1, 2, 8, 8)
    torch.testing.assert_close(
        out[..., 2:-2, 2:-2], (2 * torch.arange(8.0) + 0.5)[2:-2].expand(1, 2, 4, 4)
    )


@pytest.mark.parametrize("taps", TAPS)
def test_upsampling_doubles_and_keeps_constants(taps):
    out = Upsample(taps)(torch.full((1, 3, 8, 8), 2.5))
    assert out.shape == (1, 3, 16, 16)
    torch.testing.assert_close(out[..., 4:-4, 4:-4], torch.full((1, 3, 8, 8), 2.5))


def test_upsampling_by_1331_by_hand():
    # One bright pixel spreads as [1, 3, 3, 1] / 8 * 2 in each direction.
    x = torch.zeros(1, 1, 4, 4)
    x[..., 1, 1] = 1.0
    line = torch.tensor([0, 1, 3, 3, 1, 0, 0, 0]) / 4
    torch.testing.assert_close(Upsample((1, 3, 3, 1))(x)[0, 0], torch.outer(line, line))


@pytest.mark.parametrize("layer", [Downsample, Upsample])
def test_the_fast_path_for_two_taps_is_the_general_one(layer):
    fast, general = layer((1, 1)), layer((1, 1))
    general.pair = False
    x = torch.randn(2, 3, 8, 6)
    torch.testing.assert_close(fast(x), general(x))


@pytest.mark.parametrize("taps", TAPS)
def test_shrinking_convolution_is_convolution_then_filter(taps):
    layer = ShrinkConv(2, 5, taps)
    layer.conv.initialize(generator())
    layer.double()
    assert layer.conv.bias is not None
    x = torch.randn(2, 2, 8, 8, dtype=torch.float64)
    pad = (len(taps) - 1) // 2
    line = torch.tensor(taps, dtype=torch.float64)
    kernel = (torch.outer(line, line) / line.sum() ** 2).expand(5, 1, -1, -1)
    wide = F.conv2d(x, layer.conv.weight, padding=1 + pad)
    expected = F.conv2d(wide, kernel, stride=2, groups=5) + layer.conv.bias.view(-1, 1, 1)
    assert expected.shape == (2, 5, 4, 4)
    torch.testing.assert_close(layer(x), expected, rtol=1e-6, atol=1e-6)  # taps are float32


@pytest.mark.parametrize(
    ("channels", "groups"), [(128, 32), (256, 32), (32, 8), (8, 2), (4, 1), (144, 24), (3, 1)]
)
def test_groups_hold_four_channels_or_more(channels, groups):
    layer = norm(channels, 1e-3)
    assert (layer.num_groups, layer.eps) == (groups, 1e-3)


def test_weights_are_xavier_uniform_with_their_gain():
    conv = Conv(16, 48, 3, gain=0.5)
    conv.initialize(generator())
    bound = 0.5 * math.sqrt(6 / (16 * 9 + 48 * 9))
    assert conv.weight.abs().max() <= bound
    assert conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert conv.bias is not None
    assert not conv.bias.any()


@pytest.mark.parametrize("layer", [Conv(16, 48, 3, like_inputs, 0.5), Linear(144, 48, like_inputs)])
def test_weights_and_biases_of_adm_are_uniform_within_the_root_of_the_inputs(layer):
    layer.initialize(generator())
    bound = (0.5 if isinstance(layer, Conv) else 1.0) / 12  # 1 / sqrt(16 * 9)
    for part, tolerance in ((layer.weight, 0.03), (layer.bias, 0.3)):
        assert part.abs().max() <= bound
        assert part.std().item() == pytest.approx(bound / math.sqrt(3), rel=tolerance)


def test_a_gain_of_zero_is_zero():
    conv = Conv(4, 4, 3, like_inputs, 0.0)
    conv.initialize(generator())
    assert conv.bias is not None
    assert not conv.weight.any()
    assert not conv.bias.any()
