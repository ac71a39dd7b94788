"""Karras et al.'s code (edm): the diffusion loss, its average and the Heun sampler, to 1e-6."""

import math

import pytest
import torch
from torch import Tensor

from ictsweep.consistency import (
    METHODS,
    Batch,
    CleanPairs,
    HalfLifeEma,
    KarrasGrid,
    consistency_loss,
    heun,
)
from tests.peers.checkouts import edm_stubs, load, run_lines
from tests.peers.fixed import CLOSE, Recorder, double, fixed, pictures


@pytest.mark.parametrize("ratio", [0.05, None])
def test_edm_average(ratio):
    average = HalfLifeEma(kimg=500.0, rampup=ratio)
    for update in (1, 2, 1000, 30_000, 10**6):
        names = {
            "ema_halflife_kimg": 500, "ema_rampup_ratio": ratio, "batch_size": 512,
            "cur_nimg": 512 * (update - 1),
        }  # fmt: skip
        peer = run_lines("edm", "training/training_loop.py", "ema_halflife_nimg", "ema_beta", names)
        assert average.decay(update, 512) == pytest.approx(peer["ema_beta"], rel=1e-12)


def test_edm_loss():
    method, x0 = METHODS["edm"], pictures()
    net = Recorder(fixed(method.scalings))
    torch.manual_seed(7)
    with double():
        expected = load("edm", "training.loss", edm_stubs()).EDMLoss()(net, x0)
    x, t = net.calls[0]
    batch = Batch(x0, (x - x0) / t.view(-1, 1, 1, 1), t, torch.zeros_like(t))
    ours = consistency_loss(net.f, net.f, None, method, batch)
    torch.testing.assert_close(ours, expected.mean((1, 2, 3)), **CLOSE)


def test_edm_levels_come_from_the_same_density():
    net = Recorder(fixed(METHODS["edm"].scalings))
    torch.manual_seed(8)
    with double():
        load("edm", "training.loss", edm_stubs()).EDMLoss()(net, torch.zeros(20_000, 1, 1, 1))
    t, _ = CleanPairs().sample(20_000, 0.0, torch.Generator().manual_seed(1))
    at = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    expected = net.calls[0][1].log().quantile(at)
    torch.testing.assert_close(t.double().log().quantile(at), expected, rtol=0, atol=0.06)


@pytest.mark.parametrize("n", [2, 18])
def test_edm_sampler(n):
    f = fixed(METHODS["edm"].scalings)

    def net(x: Tensor, t: Tensor, labels: None) -> Tensor:
        return f(x, t.expand(len(x)))

    net.round_sigma, net.sigma_min, net.sigma_max = torch.as_tensor, 0.0, math.inf  # type: ignore
    latents = torch.randn(5, 1, 3, 8, 8, generator=torch.Generator().manual_seed(9)).double()
    with torch.no_grad():
        expected = load("edm", "generate", edm_stubs()).edm_sampler(net, latents[:, 0], num_steps=n)
    levels = KarrasGrid().levels(n).flip(0).tolist()
    torch.testing.assert_close(heun(f, latents, levels), expected, **CLOSE)
