"""Each method learns the function that is known in closed form: that of Gaussian data.

Pixels are N(MEAN, SD^2), independent of each other. Their probability-flow ODE takes x at level t
to MEAN + (x - MEAN) sqrt((SD^2 + eps^2) / (SD^2 + t^2)) at level eps; the best denoiser is the
posterior mean, MEAN + (x - MEAN) SD^2 / (SD^2 + t^2).
"""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from ictsweep.consistency import (
    METHODS,
    Batch,
    CleanPairs,
    Denoiser,
    Doubling,
    EmaTeacher,
    Generated,
    GridPairs,
    Method,
    PosteriorMean,
    PowerEma,
    References,
    SquareRoot,
    Uniform,
    consistency_loss,
)

MEAN, SD = 0.3, 0.4
LEVELS = torch.tensor([0.05, 0.2, 0.6, 2.0, 8.0, 80.0])


class Affine(nn.Module):
    """F(x, c) = a(c) x + b(c) for every pixel, a and b from a small network."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 2)
        )
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3, generator=generator)

    def forward(self, x: Tensor, c_noise: Tensor, *_: Tensor | None) -> Tensor:
        a, b = self.layers(c_noise.view(-1, 1)).view(-1, 2, 1, 1, 1).unbind(1)
        return a * x + b


def drawn(n: int, generator: torch.Generator) -> Tensor:
    return MEAN + SD * torch.randn(n, 1, 2, 2, generator=generator)


def lerp(average: nn.Module, network: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for old, new in zip(average.parameters(), network.parameters(), strict=True):
            old.lerp_(new, 1 - keep)


def train(method: Method, steps: int, seed: int = 0, n: int = 256) -> tuple[float, float]:
    """The error of a fresh network and of the average of the trained one."""
    generator = torch.Generator().manual_seed(seed)
    student = Denoiser(Affine(generator), method.scalings)
    before = error(student, method)
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-3)
    average, teacher, made = deepcopy(student), deepcopy(student), deepcopy(student)
    for k in range(steps):
        progress = k / steps
        loss = one_loss(method, student, teacher, made, progress, generator, n)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lerp(average, student, PowerEma(sigma_rel=0.1).decay(k + 1, n))
        if isinstance(method.teacher, EmaTeacher) and isinstance(method.pairs, GridPairs):
            lerp(teacher, student, method.teacher.decay(method.pairs.steps, progress))
        if isinstance(method.endpoint, Generated):
            lerp(made, student, method.endpoint.ema.decay(k + 1, n))
    return before, error(average, method)


def one_loss(method, student, teacher, made, progress, generator, n) -> Tensor:
    t, r = method.pairs.sample(n, progress, generator)
    x0, noise = drawn(n, generator), torch.randn(n, 1, 2, 2, generator=generator)
    others = None
    if isinstance(method.path, PosteriorMean):
        others = References(drawn(method.path.references - 1, generator))
    batch = Batch(x0, noise, t, r, generated=method.endpoint.draw(n, generator), references=others)
    teacher = teacher if isinstance(method.teacher, EmaTeacher) else student
    return consistency_loss(student, teacher, made, method, batch).mean()


@torch.no_grad()
def error(denoiser: Denoiser, method: Method) -> float:
    """The root mean square of f - f* at noisy data of all LEVELS, in units of SD."""
    generator = torch.Generator().manual_seed(99)
    total = 0.0
    levels = LEVELS[:-2] if isinstance(method.pairs, CleanPairs) else LEVELS
    for level in levels:
        sigma = level.expand(500)
        x = drawn(500, generator)
        x = x + level * torch.randn(x.shape, generator=generator)
        share = SD**2 / (SD**2 + level**2)
        if not isinstance(method.pairs, CleanPairs):
            share = ((SD**2 + method.pairs.boundary**2) / (SD**2 + level**2)).sqrt()
        total += (denoiser(x, sigma) - MEAN - (x - MEAN) * share).square().mean().item()
    return math.sqrt(total / len(levels)) / SD


def on_grid(name: str, **parts) -> Method:
    """40 to 320 intervals in four stages: what a short run can follow."""
    pairs = GridPairs(steps=Doubling(s0=40, s1=320, period=1 / 4))
    return replace(METHODS[name], pairs=pairs, **parts)


FEW = PosteriorMean(references=64)
COARSE = GridPairs(density=Uniform(), steps=SquareRoot(s0=2, s1=45))
# Method, steps of training, and the error that it must undercut, in units of SD. The last column is
# what three seeds reach, from 0.30 (edm) and 0.94 (the others) with the seed of the test.
LEARNERS = {
    "edm": (METHODS["edm"], 600, 0.10),  # 0.03-0.04
    # A short run needs a teacher that follows fast.
    "ct": (
        replace(METHODS["ct"], pairs=COARSE, teacher=EmaTeacher(mu0=0.5)),
        1200,
        0.18,
    ),  # 0.10-0.13
    "ict": (on_grid("ict"), 600, 0.12),  # 0.03-0.05
    "ect": (METHODS["ect"], 600, 0.15),  # 0.06-0.08
    "sct": (replace(METHODS["sct"], path=FEW), 600, 0.15),  # 0.03-0.09
    "sct_ict": (on_grid("sct_ict", path=FEW), 600, 0.15),  # 0.07-0.10
    # The generator's paths are not quite those of the ODE: less exact, the more of them there are.
    "gaf": (on_grid("gaf"), 600, 0.20),  # 0.12-0.14
    "gaf_ect": (METHODS["gaf_ect"], 600, 0.18),  # 0.06-0.09
}


@pytest.mark.parametrize("name", LEARNERS)
def test_training_approaches_the_function_in_closed_form(name):
    method, steps, bound = LEARNERS[name]
    before, after = train(method, steps)
    assert before > 2.5 * bound
    assert after < bound, f"{name}: {before:.3f} before training, {after:.3f} after it"


class OtherNoise:
    """A path that is none: the noise of x_r is another sample's."""

    def __call__(self, endpoint: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        t, r = (level.view(-1, 1, 1, 1) for level in (batch.t, batch.r))
        return endpoint + t * batch.noise, endpoint + r * batch.noise.roll(1, 0)


def test_a_path_with_other_noise_does_not_get_there():
    _, after = train(on_grid("ict", path=OtherNoise()), 600)
    assert after > 3 * LEARNERS["ict"][2]
