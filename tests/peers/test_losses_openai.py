"""OpenAI's code (consistency_models, consistency_models_cifar10): CT, to 1e-6."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ictsweep.consistency import (
    METHODS,
    Batch,
    Denoiser,
    EmaTeacher,
    Scalings,
    SquareRoot,
    consistency_loss,
)
from tests.peers.checkouts import load
from tests.peers.fixed import CLOSE, double, fixed, pictures

OPENAI = {
    "piq": SimpleNamespace(LPIPS=None),
    "blobfile": SimpleNamespace(),
    "mpi4py": SimpleNamespace(MPI=None),
}


@pytest.mark.parametrize(("s1", "mu0"), [(150, 0.9), (200, 0.95)])
def test_openai_schedules(s1, mu0):
    module = load("consistency_models", "cm.script_util", OPENAI)
    schedule = module.create_ema_and_scales_fn("adaptive", mu0, "progressive", 2, s1, 800_000, 0)
    steps, teacher = SquareRoot(s0=2, s1=s1), EmaTeacher(mu0=mu0)
    for k in [*range(0, 800_001, 997), 800_000]:
        mu, levels = schedule(k)
        assert steps.levels(k / 800_000) == levels
        assert teacher.decay(steps, k / 800_000) == pytest.approx(mu, rel=1e-6)


def test_openai_cifar_schedules():
    # Written for JAX; numpy has the same functions.
    absent = ["optax", "haiku", "flax", "jcm.checkpoints", "jcm.models", "jcm.utils", "jcm.sde_lib"]
    stubs: dict[str, Any] = {name: SimpleNamespace() for name in absent}
    stubs["jcm.models"] = SimpleNamespace(utils=None)
    stubs["jcm.utils"] = SimpleNamespace(batch_mul=None)
    jax = SimpleNamespace(numpy=np, random=None)
    losses = load(
        "consistency_models_cifar10", "jcm.losses",
        {**stubs, "jax": jax, "jax.numpy": np, "jax.random": SimpleNamespace()},
    )  # fmt: skip
    training = SimpleNamespace(
        loss="consistency_ema", target_ema_mode="adaptive", scale_mode="progressive",
        start_ema=0.9, start_scales=2, end_scales=150, n_iters=800_000,
    )  # fmt: skip
    schedule = losses.get_ema_scales_fn(SimpleNamespace(training=training))
    method = METHODS["ct"]
    assert isinstance(method.teacher, EmaTeacher)
    for k in range(0, 800_001, 1601):
        mu, levels = schedule(k)
        assert method.pairs.levels(k / 800_000) == levels
        assert method.teacher.decay(method.pairs.steps, k / 800_000) == pytest.approx(mu, rel=1e-6)


def openai_diffusion(weights: str = "uniform") -> Any:
    module = load("consistency_models", "cm.karras_diffusion", OPENAI)
    return module.KarrasDenoiser(distillation=True, loss_norm="l2", weight_schedule=weights)


def test_openai_scalings():
    s = torch.logspace(math.log10(0.002), math.log10(80), 200, dtype=torch.float64)
    ours = Scalings(sigma_min=0.002)
    expected = openai_diffusion().get_scalings_for_boundary_condition(s)
    for mine, theirs in zip((ours.c_skip(s), ours.c_out(s), ours.c_in(s)), expected, strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)
    plain = Scalings(sigma_min=0.0)
    expected = openai_diffusion().get_scalings(s)
    for mine, theirs in zip(
        (plain.c_skip(s), plain.c_out(s), plain.c_in(s)), expected, strict=True
    ):
        torch.testing.assert_close(mine, theirs, **CLOSE)


@pytest.mark.parametrize("n", [2, 16, 151])
def test_openai_consistency_loss(n):
    """Their networks are told 1000 ln(s) / 4 of the level."""
    method, x0 = METHODS["ct"], pictures()
    f, average = (fixed(method.scalings, tilt) for tilt in (0.3, -0.5))
    noise, levels = torch.randn(x0.shape, dtype=torch.float64), []

    def network(own: Denoiser) -> Callable[[Tensor, Tensor], Tensor]:
        def raw(x: Tensor, told: Tensor) -> Tensor:
            levels.append((told / 250).exp())
            return own.network(x, told / 1000)

        return raw

    torch.manual_seed(n)
    with double():
        expected = openai_diffusion().consistency_losses(
            network(f), x0, n, target_model=network(average), noise=noise
        )["loss"]
    t, r = levels
    if n == 2:
        r = torch.full_like(r, 0.002)  # the exact boundary, lost in exp(ln(r))
    ours = consistency_loss(f, average, None, method, Batch(x0, noise, t, r))
    torch.testing.assert_close(ours, expected, **CLOSE)
    grid = method.pairs.grid.levels(n)
    nearest = (t[:, None] - grid).abs().argmin(1)
    torch.testing.assert_close(t, grid[nearest], **CLOSE)
    torch.testing.assert_close(r, grid[nearest - 1], **CLOSE)
