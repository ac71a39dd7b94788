"""Sampling with the consistency function and the denoiser of Gaussian data, both in closed form."""

import pytest
import torch

from ictsweep.consistency import KarrasGrid, guided, heun, sample

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


def test_eta_moves_every_level_but_the_first():
    # f = identity: 80 z1 + sqrt((0.9 * 5)^2 - 0.5^2) z2 + sqrt((0.9 * 1.3)^2 - 0.5^2) z3, and f is
    # told of 4.5 and 1.17.
    unit = torch.zeros(3, 3, 1, 1, 1, dtype=torch.float64)
    for j in range(3):
        unit[j, j] = 1.0
    told = []

    def identity(x, sigma):
        told.append(sigma[0].item())
        return x

    gains = sample(identity, unit, (80.0, 5.0, 1.3), sigma_min=0.5, eta=0.9).flatten()
    expected = [80.0, (4.5**2 - 0.25) ** 0.5, (1.17**2 - 0.25) ** 0.5]
    assert gains.tolist() == pytest.approx(expected, rel=1e-12)
    assert told == pytest.approx([80.0, 4.5, 1.17])


def test_an_eta_below_the_boundary_adds_no_noise():
    z = latents(2, 2)
    moved = sample(lambda x, s: x, z, (80.0, 0.0021), eta=0.5)
    torch.testing.assert_close(moved, 80 * z[:, 0])


def posterior(x, sigma):
    """E[x0 | x] for data N(0, SD^2): SD^2 x / (SD^2 + s^2)."""
    return x * (SD**2 / (SD**2 + sigma**2)).view(-1, 1, 1, 1)


def karras(n):
    return KarrasGrid().levels(n).flip(0).tolist()


def test_one_heun_step_and_the_last_euler_step_by_hand():
    # From 1 to 0.5 with x = 2: slope 2 - 0.25 / 1.25 * 2 = 1.6; Euler x = 2 - 0.5 * 1.6 = 1.2 with
    # slope (1.2 - 0.5 * 1.2) / 0.5 = 1.2; trapezium x = 2 - 0.5 * 1.4 = 1.3. To 0: the denoised
    # 0.5 * 1.3 = 0.65.
    z = torch.full((1, 1, 1, 1, 1), 2.0, dtype=torch.float64)
    assert heun(posterior, z, [1.0, 0.5]).item() == pytest.approx(0.65, rel=1e-14)
    assert heun(posterior, z, [1.0]).item() == pytest.approx(0.25 / 1.25 * 2, rel=1e-14)


def test_heun_solves_the_ode_to_second_order():
    # The flow takes x at level T to x SD / sqrt(SD^2 + T^2).
    z = latents(5, 1)
    exact = 80 * z[:, 0] * SD / (SD**2 + 6400) ** 0.5
    errors = [(heun(posterior, z, karras(n)) / exact - 1).abs().max().item() for n in (18, 36, 72)]
    assert errors[0] < 0.06  # 0.0553, 0.0122, 0.0029: a step half as long, a quarter of the error
    assert errors[1] < errors[0] / 3.5
    assert errors[2] < errors[1] / 3.5


def test_heun_calls_twice_a_step_but_once_at_the_end():
    levels = []

    def spy(x, sigma):
        levels.append(sigma[0].item())
        assert x.dtype == sigma.dtype == torch.float32
        return x / 2

    out = heun(spy, latents(2, 3).float(), [4.0, 2.0, 1.0])
    assert levels == [4.0, 2.0, 2.0, 1.0, 1.0]  # 18 levels: 35 calls, as published
    assert out.dtype == torch.float32


def test_heun_keeps_its_state_in_float64():
    # 400 steps in float32 would gather an error of some 1e-6.
    z = latents(3, 1).float()
    exact = heun(posterior, z.double(), karras(400))
    got = heun(lambda x, s: posterior(x.double(), s.double()), z, karras(400))
    torch.testing.assert_close(got.double(), exact, rtol=2e-7, atol=0)


def test_heun_depends_on_the_first_latents_alone():
    z = latents(10, 3)
    whole = heun(posterior, z, karras(6))
    assert torch.equal(whole, heun(posterior, z[:, :1], karras(6)))
    assert torch.equal(whole, torch.cat([heun(posterior, p, karras(6)) for p in z.split(3)]))
    assert not heun(posterior, z.requires_grad_(), karras(3)).requires_grad
    with pytest.raises(ValueError, match="0 levels"):
        heun(posterior, z, [])


def test_guidance_by_hand():
    x, sigma = torch.ones(1, 1, 1, 1), torch.ones(1)

    def strong(x, sigma):
        return 3 * x

    def weaker(x, sigma):
        return 2 * x

    # 3 + (w - 1) (3 - 2): 1 is the model itself, 0 the weaker one, 2.5 goes beyond.
    for scale, value in ((0.0, 2.0), (2.5, 4.5)):
        assert guided(strong, weaker, scale)(x, sigma).item() == value
    assert guided(strong, weaker, 1.0) is strong
    assert sample(guided(strong, weaker, 2.0), torch.ones(1, 1, 1, 1, 1), (5.0,)).item() == 20.0
