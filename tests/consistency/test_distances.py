"""The distances by hand, and the perceptual one around a stand-in for its network."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from ictsweep.consistency import L2, METHODS, MeanSquare, Method, Perceptual, PseudoHuber, distances


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


@pytest.mark.parametrize("measure", [PseudoHuber(), L2(), MeanSquare()])
def test_equal_images_have_no_distance_and_no_gradient(measure):
    x = torch.rand(3, 1, 4, 4, requires_grad=True)
    distance = measure(x, x.detach())
    distance.sum().backward()
    assert torch.equal(distance, torch.zeros(3))
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


@pytest.mark.parametrize("measure", [PseudoHuber(), L2(), MeanSquare()])
def test_half_precision_input_is_measured_in_float32(measure):
    x = torch.full((1, 64), 1e-3, dtype=torch.bfloat16)
    assert measure(x, torch.zeros_like(x)).dtype == torch.float32


def test_l2_and_the_mean_square_by_hand():
    x = torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    x[0, 0, 0, 0], x[0, 0, 1, 0], x[1, 0, 1, 1] = 3.0, 4.0, 1e-20
    assert L2()(x, torch.zeros_like(x)).tolist() == pytest.approx([5.0, 1e-20], rel=1e-15, abs=0)
    assert MeanSquare()(x, torch.zeros_like(x)).tolist() == pytest.approx([6.25, 2.5e-41], abs=0)


def test_l2_has_a_gradient_of_length_one_next_to_an_equal_pair():
    x = torch.tensor([[3.0, 4.0], [1.0, 2.0]], requires_grad=True)
    L2()(x, torch.tensor([[0.0, 0.0], [1.0, 2.0]])).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([[0.6, 0.8], [0.0, 0.0]]))


@pytest.fixture
def seen(monkeypatch):
    """The images that a stand-in for LPIPS, half the mean absolute difference, was shown."""
    shown = []

    class Lpips(torch.nn.Module):
        def __init__(self, net, verbose):
            super().__init__()
            assert net == "vgg"

        def forward(self, x, y):
            shown.extend([x, y])
            return (x - y).abs().mean((1, 2, 3), keepdim=True) / 2

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=Lpips))
    distances._lpips.cache_clear()
    yield shown
    distances._lpips.cache_clear()


@pytest.mark.parametrize("channels", [1, 3])
def test_perceptual_shows_the_network_224_pixels_in_three_channels(seen, channels):
    x = torch.full((2, channels, 32, 32), 0.5, requires_grad=True)
    distance = Perceptual()(x, torch.zeros(2, channels, 32, 32))
    assert [image.shape for image in seen] == [(2, 3, 224, 224)] * 2
    assert distance.tolist() == pytest.approx([0.25, 0.25])
    distance.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_perceptual_resizes_bilinearly(seen):
    # From 2 pixels to 224, 112 of them for one: the middle column is half way between both.
    x = torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    Perceptual()(x, x)
    row = seen[0][0, 0, 0]
    assert (row[0].item(), row[-1].item()) == (0.0, 1.0)
    assert row[111].item() == pytest.approx(0.5 - 0.5 / 112)


def test_perceptual_says_what_keeps_its_network_from_being_built(seen, monkeypatch):
    assert Perceptual.obstacle() is None
    distances._lpips.cache_clear()

    def damaged(net, verbose):
        raise RuntimeError("invalid hash value")

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=damaged))
    found = Perceptual.obstacle()
    assert found is not None
    assert "RuntimeError: invalid hash value. It needs torchvision and its weights" in found


def test_perceptual_without_its_package_is_refused(monkeypatch):
    method = Method(distance=Perceptual())
    monkeypatch.setattr(Perceptual, "available", staticmethod(lambda: False))
    ((path, message),) = method.misfits()
    assert path == ("distance",)
    assert "lpips is not installed: pip install 'ictsweep[perceptual]'" in message
    monkeypatch.setattr(Perceptual, "available", staticmethod(lambda: True))
    assert method.misfits() == METHODS["ict"].misfits() == []
