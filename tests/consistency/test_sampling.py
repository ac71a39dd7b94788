"""Sampling with the one consistency function known in closed form: that of Gaussian data."""

import pytest
import torch

from ictsweep.consistency import sample

EPS, SD = 0.002, 0.5


def gaussian(x, sigma):
    """Data N(0, SD^2): the flow dx/ds = s x / (SD^2 + s^2) has x proportional to sqrt(SD^2 + s^2),
    so from level s to EPS it multiplies by sqrt((SD^2 + EPS^2) / (SD^2 + s^2))."""
    return x * ((SD**2 + EPS**2) / (SD**2 + sigma**2)).sqrt().view(-1, 1, 1, 1)


def latents(n, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, steps, 1, 2, 2, generator=generator, dtype=torch.float64)


def test_one_step_by_hand():
    # 80 z sqrt(0.250004 / 6400.25) = 0.499984... z:  0.250004 / 6400.25 = 3.906160e-5, root
    # 6.2499280e-3, x 80
    z = latents(3, 1)
    torch.testing.assert_close(
        sample(gaussian, z, (80.0,)), 0.49999424 * z[:, 0], rtol=1e-6, atol=0
    )


def test_two_steps_by_hand():
    # x1 = 0.49999424 z1;  noise to add: sqrt(0.821^2 - 0.002^2) = sqrt(0.674037) = 0.82099756
    # second f: sqrt(0.250004 / (0.25 + 0.674041)) = sqrt(0.27055509) = 0.52014911
    z = latents(3, 2)
    expected = 0.52014911 * (0.49999424 * z[:, 0] + 0.82099756 * z[:, 1])
    torch.testing.assert_close(sample(gaussian, z, (80.0, 0.821)), expected, rtol=1e-6, atol=0)


def test_noise_is_added_so_that_the_variance_comes_out_right():
    # From far away the first step has variance SD^2 + EPS^2 exactly; adding level^2 - EPS^2 makes
    # it that of the level, and the second f returns to SD^2 + EPS^2. Adding level^2 instead would
    # overshoot by a relative 4e-6.
    unit = torch.zeros(2, 2, 1, 1, 1, dtype=torch.float64)
    unit[0, 0] = unit[1, 1] = 1.0
    gains = sample(gaussian, unit, (1e9, 0.821)).flatten()
    assert gains.square().sum().item() == pytest.approx(SD**2 + EPS**2, rel=1e-9)


def test_three_steps_and_another_floor():
    unit = torch.zeros(3, 3, 1, 1, 1, dtype=torch.float64)
    for j in range(3):
        unit[j, j] = 1.0
    gains = sample(lambda x, s: x, unit, (80.0, 5.0, 1.3), sigma_min=0.5).flatten()
    # f = identity: 80 z1 + sqrt(25 - 0.25) z2 + sqrt(1.69 - 0.25) z3
    assert gains.tolist() == pytest.approx([80.0, 24.75**0.5, 1.2], rel=1e-12)


@pytest.mark.parametrize("levels", [(80.0,), (80.0, 0.821)])
def test_images_do_not_depend_on_the_batch_size(levels):
    z = latents(10, 2)
    whole = sample(gaussian, z, levels)
    parts = torch.cat([sample(gaussian, part, levels) for part in z.split(3)])
    assert torch.equal(whole, parts)


def test_one_and_two_steps_start_from_the_same_noise():
    z = latents(2, 2)
    assert torch.equal(sample(gaussian, z, (80.0,)), sample(gaussian, z[:, :1], (80.0,)))


def test_no_gradient_is_recorded():
    assert not sample(gaussian, latents(1, 1).requires_grad_(), (80.0,)).requires_grad


@pytest.mark.parametrize("levels", [(), (80.0, 0.8, 0.2)])
def test_latents_must_suffice(levels):
    with pytest.raises(ValueError, match="levels need as many latents; there are 2"):
        sample(gaussian, latents(1, 2), levels)
