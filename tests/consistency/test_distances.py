"""Pseudo-Huber distance and inverse-gap weighting by hand."""

import math

import pytest
import torch

from ictsweep.consistency import InverseGap, PseudoHuber


def test_a_345_triangle_by_hand():
    # d = 4: c = 0.00054 * 2 = 0.00108, ||x - y|| = 5.
    # sqrt(25 + 1.1664e-6) = 5 + 1.1664e-6 / 10 - (1.1664e-6)^2 / 1000 = 5.00000011663999864; minus
    # c.
    x = torch.tensor([[[[3.0, 0.0], [4.0, 0.0]]]], dtype=torch.float64)
    assert PseudoHuber()(x, torch.zeros_like(x)).item() == pytest.approx(
        4.99892011663999864, rel=1e-15
    )


def test_one_norm_per_image_not_one_per_pixel():
    # Per pixel it would be (3 - c) + (4 - c) = 6.998 for the image above, and d times less for a
    # mean.
    x = torch.tensor([[3.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 5.0]], dtype=torch.float64)
    both = PseudoHuber()(x, torch.zeros_like(x))
    assert both.shape == (2,)
    assert both[0].item() == pytest.approx(both[1].item(), rel=1e-15)


def test_c_of_a_cifar_image_is_0_0299():
    # At ||x - y|| = sqrt(3) c the distance is sqrt(4 c^2) - c = c, and c = 0.00054 sqrt(3072) =
    # 0.0299.
    c = 0.0299298
    y = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    x = torch.full_like(y, math.sqrt(3) * c / math.sqrt(3072))
    assert PseudoHuber()(x, y).item() == pytest.approx(c, rel=1e-6)
    # Another scale: c = 0.01 sqrt(3072) = 0.554256 ; ||x - y|| = sqrt(8) c gives 3c - c = 2c.
    x = torch.full_like(y, math.sqrt(8) * 0.01)
    assert PseudoHuber(c_scale=0.01)(x, y).item() == pytest.approx(2 * 0.5542562584, rel=1e-9)


def test_float32_keeps_what_the_textbook_form_loses():
    # ||x - y|| = 1e-6 << c = 0.0299: the distance is 1e-12 / (2 c) = 1.6706e-11, below float32's
    # step at c.
    x = torch.zeros(1, 3, 32, 32)
    x[0, 0, 0, 0] = 1e-6
    assert PseudoHuber()(x, torch.zeros_like(x)).item() == pytest.approx(1.67057e-11, rel=1e-4)


def test_equal_images_have_no_distance_and_no_gradient():
    x = torch.rand(3, 1, 4, 4, requires_grad=True)
    distance = PseudoHuber()(x, x.detach())
    distance.sum().backward()
    assert torch.equal(distance, torch.zeros(3))
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_half_precision_input_is_measured_in_float32():
    x = torch.full((1, 64), 1e-3, dtype=torch.bfloat16)
    assert PseudoHuber()(x, torch.zeros_like(x)).dtype == torch.float32


def test_inverse_gap_by_hand():
    t, r = torch.tensor([0.5, 80.0]), torch.tensor([0.25, 79.5])
    assert InverseGap()(t, r).tolist() == [4.0, 2.0]
