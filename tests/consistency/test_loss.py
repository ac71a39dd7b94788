"""The whole iCT loss against a scalar program that knows only the math module, and what the teacher
may see."""

import math

import pytest
import torch
from torch import Tensor, nn

from ictsweep.consistency import METHODS, Denoiser, consistency_loss
from ictsweep.networks import UNet, UNetConfig, draw_mask

ICT = METHODS["ict"]


class Linear(nn.Module):
    """F(x, c) = a x + b c + e for every pixel, in float64."""

    def __init__(self, a: float, b: float, e: float) -> None:
        super().__init__()
        self.abe = nn.Parameter(torch.tensor([a, b, e], dtype=torch.float64))

    def forward(self, x: Tensor, c_noise: Tensor, mask: Tensor | None) -> Tensor:
        return self.abe[0] * x + self.abe[1] * c_noise[:, None, None, None] + self.abe[2]


def scalar_loss(image, noise, i, n, student, teacher):
    """iCT's loss of one image (a list of pixels) on interval i = 1..n-1 of n levels; networks are
    (a, b, e)."""
    eps, top, rho, sd = 0.002, 80.0, 7.0, 0.5

    def level(j):
        return (eps ** (1 / rho) + (j - 1) / (n - 1) * (top ** (1 / rho) - eps ** (1 / rho))) ** rho

    def denoise(x, s, network):
        a, b, e = network
        raw = a * x / math.sqrt(s * s + sd * sd) + b * math.log(s) / 4 + e
        skip = sd**2 / ((s - eps) ** 2 + sd**2)
        out = sd * (s - eps) / math.sqrt(s * s + sd * sd)
        return skip * x + out * raw

    r, t = level(i), level(i + 1)
    square = sum(
        (denoise(x + t * z, t, student) - denoise(x + r * z, r, teacher)) ** 2
        for x, z in zip(image, noise, strict=True)
    )
    c = 0.00054 * math.sqrt(len(image))
    return (math.sqrt(square + c * c) - c) / (t - r)


IMAGES = [[0.3, -0.8, 0.1, 1.0], [-1.0, 0.5, 0.25, 0.0], [0.9, 0.9, -0.9, 0.2]]
NOISES = [[0.7, -1.3, 0.4, 2.1], [0.2, 0.1, -0.6, -1.5], [1.1, 0.3, 0.8, -0.4]]
WEIGHTS = (0.7, -1.2, 0.4)


def batch(n):
    """The three images, their noise, and the levels of intervals 1, n // 2 and n - 1."""
    x0 = torch.tensor(IMAGES, dtype=torch.float64).view(3, 1, 2, 2)
    noise = torch.tensor(NOISES, dtype=torch.float64).view(3, 1, 2, 2)
    levels = ICT.pairs.grid.levels(n)
    i = torch.tensor([1, n // 2, n - 1])
    return x0, noise, levels[i], levels[i - 1], i.tolist()


@pytest.mark.parametrize("n", [11, 161, 1281])
def test_loss_equals_the_scalar_program(n):
    x0, noise, t, r, i = batch(n)
    denoiser = Denoiser(Linear(*WEIGHTS), ICT.scalings)
    got = consistency_loss(denoiser, denoiser, ICT, x0, noise, t, r, None)
    expected = [scalar_loss(IMAGES[j], NOISES[j], i[j], n, WEIGHTS, WEIGHTS) for j in range(len(i))]
    assert got.shape == (3,)
    assert got.tolist() == pytest.approx(expected, rel=1e-12)


def test_gradient_is_that_of_the_student_alone():
    # Central differences of the scalar program with the teacher's weights held.
    x0, noise, t, r, i = batch(11)
    network = Linear(*WEIGHTS)
    denoiser = Denoiser(network, ICT.scalings)
    consistency_loss(denoiser, denoiser, ICT, x0, noise, t, r, None).sum().backward()

    def total(weights):
        return sum(scalar_loss(IMAGES[j], NOISES[j], i[j], 11, weights, WEIGHTS) for j in range(3))

    h, numeric = 1e-5, []
    for k in range(3):
        up = [w + h * (k == j) for j, w in enumerate(WEIGHTS)]
        down = [w - h * (k == j) for j, w in enumerate(WEIGHTS)]
        numeric.append((total(up) - total(down)) / (2 * h))
    assert network.abe.grad is not None
    assert network.abe.grad.tolist() == pytest.approx(numeric, rel=1e-7)


def test_teacher_and_student_get_the_same_mask_and_their_own_level():
    calls = []

    def spy(name):
        def denoise(x, sigma, mask):
            calls.append((name, x, sigma, mask, torch.is_grad_enabled()))
            return x

        return denoise

    x0, noise, t, r, _ = batch(11)
    mask = torch.zeros(3, 8, dtype=torch.int16)
    consistency_loss(spy("student"), spy("teacher"), ICT, x0, noise, t, r, mask)
    seen = {name: rest for name, *rest in calls}
    assert len(calls) == 2
    assert seen["student"][2] is mask
    assert seen["teacher"][2] is mask
    assert seen["student"][1] is t
    assert seen["teacher"][1] is r
    assert (seen["student"][3], seen["teacher"][3]) == (True, False)
    # The same noise on both: x_t - x_r = (t - r) z.
    gap = (t - r).view(3, 1, 1, 1)
    torch.testing.assert_close(seen["student"][0] - seen["teacher"][0], gap * noise)


def test_a_separate_teacher_gets_no_gradient():
    x0, noise, t, r, _ = batch(11)
    student, teacher = Linear(*WEIGHTS), Linear(0.1, 0.2, 0.3)
    pair = [Denoiser(network, ICT.scalings) for network in (student, teacher)]
    consistency_loss(pair[0], pair[1], ICT, x0, noise, t, r, None).mean().backward()
    assert student.abe.grad is not None
    assert teacher.abe.grad is None


@pytest.fixture
def noisy_unet():
    """A U-Net whose dropout matters at once: last layers as large as any other, half of all
    features dropped."""
    config = UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(), dropout=0.5)
    network = UNet(config, (1, 4, 4))
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter, generator=generator)
    return network


def test_equal_levels_and_images_give_equal_outputs_with_the_mask_only(noisy_unet):
    denoiser, generator = Denoiser(noisy_unet, ICT.scalings), torch.Generator().manual_seed(1)
    x, sigma = torch.randn(4, 1, 4, 4), torch.full((4,), 0.9)
    mask, other = (draw_mask(4, noisy_unet.mask_size, generator, "cpu") for _ in range(2))
    with torch.no_grad():
        teacher = denoiser(x, sigma, mask)
    student = denoiser(x, sigma, mask)
    assert torch.equal(student, teacher)
    assert (denoiser(x, sigma, other) - teacher).abs().mean() > 0.05


def test_a_teacher_with_another_mask_would_show_in_the_loss(noisy_unet):
    # Levels so close that all of the loss is what dropout does, if it is not shared.
    denoiser, generator = Denoiser(noisy_unet, ICT.scalings), torch.Generator().manual_seed(2)
    size = noisy_unet.mask_size
    mask, other = (draw_mask(4, size, generator, "cpu") for _ in range(2))
    x0, noise, t = torch.rand(4, 1, 4, 4), torch.randn(4, 1, 4, 4), torch.full((4,), 1.0)
    r = t - 1e-3

    def wrong(x, sigma, _):
        return denoiser(x, sigma, other)

    shared = consistency_loss(denoiser, denoiser, ICT, x0, noise, t, r, mask).mean()
    apart = consistency_loss(denoiser, wrong, ICT, x0, noise, t, r, mask).mean()
    assert apart > 50 * shared
