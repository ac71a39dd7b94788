"""The four coefficients by hand, and the boundary condition to the last bit."""

import math

import pytest
import torch
from torch import Tensor, nn

from ictsweep.consistency import Denoiser, Scalings


class Wild(nn.Module):
    """A network with large outputs, in a precision of its choice; remembers what it was given."""

    def __init__(self, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        mask: Tensor | None,
        labels: Tensor | None,
        augment: Tensor | None,
    ) -> Tensor:
        self.seen = (x, c_noise, mask, labels, augment)
        return (1e4 * (x + 1).exp() + c_noise[:, None, None, None]).to(self.dtype or x.dtype)


def test_coefficients_by_hand():
    # s = 1.202, so s - eps = 1.2; sd = 0.5.
    # c_skip = 0.25 / (1.44 + 0.25) = 0.147928994;  s^2 + sd^2 = 1.444804 + 0.25 = 1.694804, root
    # 1.301846380 c_out = 0.5 * 1.2 / 1.30184638 = 0.460884;  c_in = 1 / 1.30184638 = 0.768140.
    s, scalings = torch.tensor([1.202], dtype=torch.float64), Scalings()
    assert scalings.c_skip(s).item() == pytest.approx(0.25 / 1.69, rel=1e-12)
    assert scalings.c_out(s).item() == pytest.approx(0.6 / 1.694804**0.5, rel=1e-12)
    assert scalings.c_out(s).item() == pytest.approx(0.460884, abs=1e-6)  # not 0.6 / 1.3 = 0.461538
    assert scalings.c_in(s).item() == pytest.approx(0.768140, abs=1e-6)
    assert scalings.c_noise(s).item() == pytest.approx(math.log(1.202) / 4, rel=1e-12)
    assert scalings.c_noise(torch.tensor([math.e**2])).item() == pytest.approx(0.5)


def test_the_denoiser_is_their_composition():
    # One pixel, F = 1e4 e^(c_in x + 1) + c_noise, x = 2, s = 1.202: f = c_skip 2 + c_out F.
    x = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    sigma = torch.tensor([1.202], dtype=torch.float64)
    c_in = 1 / 1.694804**0.5
    raw = 1e4 * math.exp(2 * c_in + 1) + math.log(1.202) / 4
    expected = 2 * 0.25 / 1.69 + 0.6 * c_in * raw
    assert Denoiser(Wild(), Scalings())(x, sigma).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("sigma_data", [0.5, 0.3, 0.7, 1.1])
@pytest.mark.parametrize("sigma_min", [0.002, 0.003, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_the_boundary_the_image_is_returned_bit_by_bit(sigma_data, sigma_min, dtype):
    denoiser = Denoiser(Wild(), Scalings(sigma_data=sigma_data, sigma_min=sigma_min))
    x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=dtype)
    assert torch.equal(denoiser(x, torch.full((5,), sigma_min, dtype=dtype)), x)


def test_the_boundary_holds_when_the_network_works_in_bfloat16():
    x = torch.randn(2, 1, 4, 4)
    out = Denoiser(Wild(torch.bfloat16), Scalings())(x, torch.full((2,), 0.002))
    assert out.dtype == torch.float32
    assert torch.equal(out, x)


def test_each_image_has_its_own_level_and_the_rest_passes_through():
    network, mask = Wild(), torch.zeros(2, 3, dtype=torch.int16)
    labels, augment = torch.tensor([1, -1]), torch.zeros(2, 9)
    denoiser = Denoiser(network, Scalings())
    x, sigma = torch.ones(2, 1, 2, 2), torch.tensor([0.5, 80.0])
    out = denoiser(x, sigma, mask, labels, augment)
    assert network.seen[2] is mask
    assert network.seen[3] is labels
    assert network.seen[4] is augment
    torch.testing.assert_close(network.seen[0][:, 0, 0, 0], 1 / (sigma**2 + 0.25).sqrt())
    torch.testing.assert_close(out[:1], denoiser(x[:1], sigma[:1]))
    torch.testing.assert_close(out[1:], denoiser(x[1:], sigma[1:]))


def test_half_precision_images_are_combined_in_float32():
    out = Denoiser(Wild(), Scalings())(torch.ones(1, 1, 2, 2).half(), torch.tensor([1.0]).half())
    assert out.dtype == torch.float32


def test_a_boundary_at_zero_is_the_denoiser_of_diffusion_models():
    # Table 1 of Karras et al. 2022 at s = 1.2: c_skip = 0.25 / 1.69, c_out = 0.6 / 1.3.
    s, scalings = torch.tensor([1.2], dtype=torch.float64), Scalings(sigma_min=0.0)
    assert scalings.c_skip(s).item() == pytest.approx(0.25 / 1.69, rel=1e-15)
    assert scalings.c_out(s).item() == pytest.approx(0.6 / 1.3, rel=1e-15)
