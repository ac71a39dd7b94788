"""Dropout with an explicit mask: the draw, the rate, the scale, and what is left untouched."""

import pytest
import torch

from ictsweep.networks import draw_mask
from ictsweep.networks.dropout import Dropout, DropoutPlan


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def every_draw() -> torch.Tensor:
    """A mask of one image that holds each 16-bit number once."""
    return torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(1, -1)


@pytest.mark.parametrize(
    ("rate", "dropped"), [(0.5, 32768), (0.1, 6554), (0.3, 19661), (1e-9, 0), (0.999999, 65535)]
)
def test_of_all_65536_draws_the_rate_is_dropped_and_the_mean_kept(rate, dropped):
    # 0.1 * 65536 = 6553.6 and 0.3 * 65536 = 19660.8, rounded; never all of them.
    ones = torch.ones(1, 1, 256, 256, dtype=torch.float64)
    out = Dropout(rate, 0, (1, 256, 256))(ones, every_draw())
    assert (out == 0).sum() == dropped
    assert out.mean().item() == pytest.approx(1.0, rel=1e-13)
    assert out.max().item() == pytest.approx(65536 / (65536 - dropped), rel=1e-15)


def test_the_smallest_draws_are_dropped():
    draws = torch.tensor([[-32768, -1, 0, 32767]], dtype=torch.int16)
    out = Dropout(0.5, 0, (1, 2, 2))(torch.full((1, 1, 2, 2), 3.0), draws)
    assert out.flatten().tolist() == [0.0, 0.0, 6.0, 6.0]


def test_the_features_of_a_pixel_lie_side_by_side_in_the_mask():
    low, high = -32768, 32767
    draws = torch.tensor([[high, low, high, high, low, high]], dtype=torch.int16)
    out = Dropout(0.5, 0, (2, 1, 3))(torch.ones(1, 2, 1, 3), draws)
    assert out[0, 0, 0].tolist() == [2.0, 2.0, 0.0]
    assert out[0, 1, 0].tolist() == [0.0, 2.0, 2.0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_features_keep_their_layout_and_lose_the_same(layout):
    x = torch.randn(2, 6, 4, 4, generator=generator(1))
    mask = draw_mask(2, 96, generator(), "cpu")
    layer = Dropout(0.5, 0, (6, 4, 4))
    out = layer(x.contiguous(memory_format=layout), mask)
    assert out.is_contiguous(memory_format=layout)
    assert torch.equal(out, layer(x, mask))


def test_the_gradient_passes_where_the_value_did():
    x = torch.ones(2, 4, 4, 4, requires_grad=True)
    out = Dropout(0.4, 0, (4, 4, 4))(x, draw_mask(2, 64, generator(), "cpu"))
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_and_double_features_keep_their_type(dtype):
    out = Dropout(0.5, 0, (1, 256, 256))(torch.ones(1, 1, 256, 256, dtype=dtype), every_draw())
    assert out.dtype == dtype
    assert (out == 2).sum() == (out == 0).sum() == 32768


def test_each_of_the_four_numbers_in_a_word_is_uniform():
    draws = draw_mask(1, 400_000, generator(), "cpu").view(-1, 4).float() / 65536
    assert draws.shape == (100_000, 4)
    # Uniform on [-1/2, 1/2): mean 0 +- 0.00091 (one standard error), variance 1/12 +- 0.00024.
    assert draws.mean(0).abs().max() < 0.004
    assert (draws.var(0) - 1 / 12).abs().max() < 0.001
    assert draws.T.corrcoef().fill_diagonal_(0).abs().max() < 0.015


def test_a_mask_is_made_by_its_generator_alone():
    before = torch.get_rng_state()
    first, again = (draw_mask(3, 50, generator(7), "cpu") for _ in range(2))
    other = draw_mask(3, 50, generator(8), "cpu")
    assert first.dtype == torch.int16
    assert first.shape == (3, 50)
    assert torch.equal(first, again)
    assert (first == other).float().mean() < 0.05
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [0, 1, 6, 64])
def test_an_image_keeps_its_row_whatever_the_batch(size):
    few, many = draw_mask(2, size, generator(), "cpu"), draw_mask(5, size, generator(), "cpu")
    assert many.shape == (5, size)
    assert torch.equal(few, many[:2])


def test_layers_read_disjoint_parts():
    plan = DropoutPlan(0.25)
    first, second = plan.layer(2, 3, 4), plan.layer(1, 2, 2)
    assert (first.start, second.start, plan.size) == (0, 24, 28)
    mask = torch.full((1, 28), 32767, dtype=torch.int16)
    mask[:, 24:] = -32768
    assert (first(torch.ones(1, 2, 3, 4), mask) > 1).all()
    assert (second(torch.ones(1, 1, 2, 2), mask) == 0).all()


def test_layers_above_a_resolution_drop_nothing():
    plan = DropoutPlan(0.25, below=8)
    wide, narrow = plan.layer(2, 16, 8), plan.layer(2, 8, 16)
    assert (wide.rate, narrow.rate, plan.size) == (0.0, 0.25, 2 * 8 * 16)
    x = torch.randn(2, 2, 16, 8)
    assert wide(x, None) is x
    with pytest.raises(ValueError, match="needs a mask"):
        narrow(x, None)


def test_without_dropout_no_mask_is_needed():
    plan = DropoutPlan(0.0)
    x = torch.randn(2, 3, 4, 4)
    assert plan.layer(3, 4, 4)(x, None) is x
    assert plan.size == 0


def test_eval_ignores_the_mask_and_training_demands_it():
    layer, x = Dropout(0.5, 0, (1, 2, 2)), torch.randn(2, 1, 2, 2)
    with pytest.raises(ValueError, match="needs a mask"):
        layer(x, None)
    layer.eval()
    assert layer(x, None) is x
    assert layer(x, torch.zeros(2, 4, dtype=torch.int16)) is x
