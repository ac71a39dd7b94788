"""The residual block and its attention against the plain definition of what they do."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ictsweep.networks.blocks import AddedLevel, Attention, Block, ScaledLevel, Style
from ictsweep.networks.dropout import Dropout, draw_mask
from ictsweep.networks.layers import Conv, Downsample, Linear, xavier

ADDED = Style(
    eps=1e-3,
    scale=math.sqrt(0.5),
    head_channels=None,
    project=True,
    level=AddedLevel,
    fill=xavier,
    last=1e-5,
    attention=1.0,
)
SCALED = Style(
    eps=1e-2,
    scale=1.0,
    head_channels=4,
    project=False,
    level=ScaledLevel,
    fill=xavier,
    last=0.0,
    attention=1.0,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def filled(module: nn.Module, loud: bool = False) -> nn.Module:
    """With weights; `loud`: also in the last layers, so that what happens inside is seen
    outside."""
    for part in module.modules():
        if isinstance(part, Conv | Linear):
            part.initialize(generator())
            if loud:
                nn.init.xavier_uniform_(part.weight, generator=generator(1))
                assert part.bias is not None
                nn.init.normal_(part.bias, generator=generator(2))
    return module


def make_block(style: Style = ADDED, loud: bool = False, **options) -> Block:
    block = Block(8, 12, 16, Dropout(0.5, 0, (12, 4, 4)), style, **options)
    filled(block, loud)
    return block


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def some_mask() -> Tensor:
    return torch.randint(-(2**15), 2**15, (2, 192), generator=generator()).to(torch.int16)


def kept(mask: Tensor) -> Tensor:
    """What a rate of 1/2 leaves of 12 features at 4x4, which lie last in the mask."""
    return 2.0 * (mask.view(2, 4, 4, 12).permute(0, 3, 1, 2) >= 0)


@pytest.mark.parametrize(("style", "heads"), [(ADDED, 1), (SCALED, 2)])
def test_attention_is_a_softmax_average_of_values(style, heads):
    layer = Attention(8, style)
    filled(layer, loud=True)
    layer.double()
    x = normal(2, 8, 3, 4)
    parts = layer.qkv(layer.norm(x)).reshape(2, 3, heads, 8 // heads, 12)
    q, k, v = parts.unbind(1)  # [n, heads, features of a head, pixels]
    weights = torch.einsum("nhcq,nhck->nhqk", q, k).div(math.sqrt(8 / heads)).softmax(-1)
    seen = torch.einsum("nhqk,nhck->nhcq", weights, v).reshape(x.shape)
    torch.testing.assert_close(layer(x), (x + layer.out(seen)) * style.scale)


def test_a_block_told_by_addition_is_its_definition():
    block = make_block(loud=True).double()
    x, level, mask = normal(2, 8, 4, 4), normal(2, 16, seed=1), some_mask()
    p = dict(block.named_parameters())
    y = F.silu(F.group_norm(x, 2, eps=1e-3))
    y = F.conv2d(y, p["conv_in.weight"], p["conv_in.bias"], padding=1)
    y = y + (level @ p["level.weight"].T + p["level.bias"])[:, :, None, None]
    y = F.silu(F.group_norm(y, 3, eps=1e-3)) * kept(mask)
    y = F.conv2d(y, p["conv_out.weight"], p["conv_out.bias"], padding=1)
    expected = (y + F.conv2d(x, p["skip.weight"], p["skip.bias"])) / math.sqrt(2)
    torch.testing.assert_close(block(x, level, mask), expected)


def test_a_block_told_by_scale_and_shift_is_its_definition():
    block = make_block(SCALED, loud=True).double()
    x, level, mask = normal(2, 8, 4, 4), normal(2, 16, seed=1), some_mask()
    p = dict(block.named_parameters())
    y = F.silu(F.group_norm(x, 2, eps=1e-2))
    y = F.conv2d(y, p["conv_in.weight"], p["conv_in.bias"], padding=1)
    told = level @ p["level.weight"].T + p["level.bias"]
    scale, shift = told[:, :12, None, None], told[:, 12:, None, None]
    y = F.silu(F.group_norm(y, 3, eps=1e-2) * (1 + scale) + shift) * kept(mask)
    y = F.conv2d(y, p["conv_out.weight"], p["conv_out.bias"], padding=1)
    torch.testing.assert_close(
        block(x, level, mask), y + F.conv2d(x, p["skip.weight"], p["skip.bias"])
    )


def test_what_is_appended_comes_after():
    block = make_block(loud=True).double().eval()
    x, level = normal(2, 8, 4, 4), normal(2, 16, seed=1)
    whole = block(x, level, None)
    torch.testing.assert_close(block(x[:, :5], level, None, x[:, 5:]), whole, rtol=0, atol=0)


@pytest.mark.parametrize("style", [ADDED, SCALED])
def test_a_new_block_is_its_skip(style):
    block = make_block(style).eval()
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(
        block(x, torch.randn(2, 16), None), block.skip(x) * style.scale, atol=1e-3, rtol=0
    )


def test_a_resampling_block_shrinks_both_branches():
    block = make_block(resample=Downsample((1, 1))).eval()
    x = torch.randn(2, 8, 8, 8)
    expected = block.skip(F.avg_pool2d(x, 2)) / math.sqrt(2)
    torch.testing.assert_close(block(x, torch.zeros(2, 16), None), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("style", "projected"), [(ADDED, True), (SCALED, False)])
def test_only_one_family_projects_what_is_resampled(style, projected):
    block = Block(8, 8, 16, Dropout(0, 0, (8, 4, 4)), style, resample=Downsample((1, 1)))
    assert isinstance(block.skip, Conv) == projected


@pytest.mark.parametrize("style", [ADDED, SCALED])
def test_a_block_changes_none_of_its_inputs(style):
    block = make_block(style, loud=True, attention=True).double()
    inputs = [normal(2, 4, 4, 4), normal(2, 16), some_mask(), normal(2, 4, 4, 4, seed=3)]
    before = [tensor.clone() for tensor in inputs]
    block(*inputs).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True))


@pytest.mark.parametrize("style", [ADDED, SCALED])
def test_gradients_are_those_of_finite_differences(style):
    block = make_block(style, loud=True, attention=True).double()
    mask = draw_mask(1, 192, generator())
    x, skip = normal(1, 4, 4, 4).requires_grad_(), normal(1, 4, 4, 4, seed=1).requires_grad_()
    level = normal(1, 16, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b, c: block(a, b, mask, c), (x, level, skip))
