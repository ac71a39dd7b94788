"""Fifty random methods whose parts fit: each has a finite loss and a finite gradient."""

import random
from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from ictsweep.consistency import (
    L2,
    Batch,
    CleanPairs,
    ContinuousPairs,
    Data,
    Denoiser,
    Doubling,
    EmaTeacher,
    Generated,
    GridPairs,
    InverseCoutSquared,
    InverseGap,
    KarrasGrid,
    LogNormal,
    MeanSquare,
    Method,
    OneSample,
    PosteriorMean,
    PseudoHuber,
    References,
    SmoothGap,
    SquareRoot,
    StagedGap,
    Student,
    Uniform,
    UniformWeight,
    consistency_loss,
)
from ictsweep.networks import UNetConfig, build, draw_mask


def random_pairs(draw: random.Random):
    density = LogNormal(mean=draw.uniform(-2.5, 0.5), std=draw.uniform(0.8, 3.0))
    gap = {"q": draw.uniform(1.5, 8), "period": draw.choice([1.0, 0.5, 0.25])}
    bend = {"k": draw.uniform(0, 10), "b": draw.uniform(0, 3)}
    s0 = draw.randint(2, 30)
    grid = KarrasGrid(sigma_min=10 ** draw.uniform(-4, -1), sigma_max=10 ** draw.uniform(0, 3))
    return draw.choice(
        [
            GridPairs(
                density=draw.choice([density, Uniform()]),
                steps=draw.choice([Doubling(s0=s0, s1=40 * s0), SquareRoot(s0=s0, s1=40 * s0)]),
                grid=replace(grid, rho=draw.uniform(1, 9)),
            ),
            ContinuousPairs(
                density=density, steps=draw.choice([StagedGap, SmoothGap])(**gap, **bend)
            ),
            CleanPairs(density=density),
        ]
    )


def random_method(draw: random.Random) -> Method:
    """A method of random parts that fit together."""
    while True:
        method = Method(
            pairs=random_pairs(draw),
            endpoint=draw.choice([Data(), Generated(share=draw.random())]),
            path=draw.choice([OneSample(), PosteriorMean(references=draw.randint(1, 20))]),
            teacher=draw.choice([Student(), EmaTeacher(mu0=draw.uniform(0.5, 0.99))]),
            distance=draw.choice(
                [PseudoHuber(c_scale=10 ** draw.uniform(-5, 0)), L2(), MeanSquare()]
            ),
            weighting=draw.choice([InverseGap(), UniformWeight(), InverseCoutSquared()]),
            sigma_data=draw.uniform(0.2, 1.0),
        )
        if not method.misfits():
            return method


@pytest.mark.parametrize("seed", range(50))
def test_a_random_method_trains(seed):
    method, generator = random_method(random.Random(seed)), torch.Generator().manual_seed(seed)
    config = UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(), dropout=0.2)
    network = build(config, (1, 4, 4), generator)
    denoiser = Denoiser(network, method.scalings)
    average = deepcopy(denoiser).eval()
    for progress in (0.0, 0.6, 1.0):
        t, r = method.pairs.sample(16, progress, generator)
        assert ((t > r) & (r >= method.pairs.boundary)).all()
        x0, noise = (torch.randn(16, 1, 4, 4, generator=generator) for _ in range(2))
        mask = draw_mask(16, network.mask_size, generator, "cpu")
        generated = method.endpoint.draw(16, generator)
        others = References(torch.randn(9, 1, 4, 4, generator=generator))
        batch = Batch(x0 / 2, noise, t, r, mask=mask, generated=generated, references=others)
        losses = consistency_loss(denoiser, denoiser, average, method, batch)
        losses.mean().backward()
        assert losses.shape == (16,)
        assert (losses.isfinite() & (losses >= 0)).all()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)
    assert any(g.abs().sum() > 0 for g in gradients)
