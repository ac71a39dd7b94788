"""Each layer against the plain definition of what it does."""

import math

import pytest
import torch
import torch.nn.functional as F

from ictsweep.networks.dropout import Dropout
from ictsweep.networks.embeddings import FourierEmbedding, PositionalEmbedding
from ictsweep.networks.layers import (
    Attention,
    Block,
    Conv,
    Downsample,
    Linear,
    ShrinkConv,
    Upsample,
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


def test_attention_is_a_softmax_average_of_values():
    layer = Attention(8)
    for conv in (layer.qkv, layer.out):
        conv.initialize(generator())
        torch.nn.init.xavier_uniform_(conv.weight, generator=generator(1))
    layer.double()
    x = torch.randn(2, 8, 3, 4, dtype=torch.float64)
    q, k, v = layer.qkv(layer.norm(x)).flatten(2).chunk(3, dim=1)  # [n, c, pixels]
    weights = torch.einsum("ncq,nck->nqk", q, k).div(math.sqrt(8)).softmax(-1)
    seen = torch.einsum("nqk,nck->ncq", weights, v).view_as(x)
    torch.testing.assert_close(layer(x), (x + layer.out(seen)) / math.sqrt(2))


def make_block(**options) -> Block:
    block = Block(8, 12, 16, Dropout(0.5, 0, (12, 4, 4)), **options)
    for module in block.modules():
        if isinstance(module, Conv | Linear):
            module.initialize(generator())
    return block


def test_a_block_is_its_definition():
    block = make_block().double()
    torch.nn.init.xavier_uniform_(block.conv_out.weight, generator=generator(1))
    x, level = torch.randn(2, 8, 4, 4).double(), torch.randn(2, 16).double()
    mask = torch.randint(-(2**15), 2**15, (2, 192), generator=generator()).to(torch.int16)
    y = F.conv2d(F.silu(F.group_norm(x, 2, eps=1e-6)), block.conv_in.weight, padding=1)
    y = y + (level @ block.level.weight.T)[:, :, None, None]
    y = F.silu(F.group_norm(y, 3, eps=1e-6)) * 2.0 * (mask.view(2, 12, 4, 4) >= 0)
    y = F.conv2d(y, block.conv_out.weight, padding=1)
    expected = (y + F.conv2d(x, block.get_parameter("skip.weight"))) / math.sqrt(2)
    torch.testing.assert_close(block(x, level, mask), expected)


def test_a_new_block_is_its_skip():
    block = make_block().eval()
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(
        block(x, torch.randn(2, 16), None), block.skip(x) / math.sqrt(2), atol=1e-3, rtol=0
    )


def test_a_resampling_block_shrinks_both_branches():
    block = make_block(resample=Downsample((1, 1))).eval()
    x = torch.randn(2, 8, 8, 8)
    expected = block.skip(F.avg_pool2d(x, 2)) / math.sqrt(2)
    torch.testing.assert_close(block(x, torch.zeros(2, 16), None), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("channels", "groups"), [(128, 32), (256, 32), (32, 8), (8, 2), (4, 1), (144, 24), (3, 1)]
)
def test_groups_hold_four_channels_or_more(channels, groups):
    assert norm(channels).num_groups == groups


def test_weights_are_xavier_uniform_with_their_gain():
    conv = Conv(16, 48, 3, gain=0.5)
    conv.initialize(generator())
    bound = 0.5 * math.sqrt(6 / (16 * 9 + 48 * 9))
    assert conv.weight.abs().max() <= bound
    assert conv.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.03)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_positional_embedding_by_hand():
    # Width 4: frequencies 1 and 1/10000.
    got = PositionalEmbedding(4)(torch.tensor([0.5]))
    expected = [math.sin(0.5), math.sin(5e-5), math.cos(0.5), math.cos(5e-5)]
    assert got[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_fourier_embedding_has_the_scale_and_is_part_of_the_state():
    layer = FourierEmbedding(4000, scale=0.02)
    layer.initialize(generator())
    assert layer.frequencies.std().item() == pytest.approx(0.02, rel=0.05)
    f = layer.frequencies[7].item()
    got = layer(torch.tensor([-1.5]))[0]
    assert got[7].item() == pytest.approx(math.cos(2 * math.pi * -1.5 * f), abs=1e-6)
    assert got[2007].item() == pytest.approx(math.sin(2 * math.pi * -1.5 * f), abs=1e-6)
    assert "frequencies" in layer.state_dict()
    assert not list(layer.parameters())
