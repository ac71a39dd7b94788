"""Geng et al.'s code (ect): mapping, loss, preconditioning and sampler of ECT, to 1e-6."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ictsweep.consistency import (
    METHODS,
    Batch,
    ContinuousPairs,
    Denoiser,
    Method,
    PseudoHuber,
    StagedGap,
    consistency_loss,
    sample,
)
from tests.peers.checkouts import edm_stubs, load
from tests.peers.fixed import CLOSE, Fixed, Recorder, double, fixed, pictures


def ect_loss(**values: Any) -> Any:
    return load("ect", "training.loss", edm_stubs()).ECMLoss(**values)


@pytest.mark.parametrize(("q", "stages"), [(2.0, 8), (4.0, 4), (256.0, 1)])
def test_ect_mapping(q, stages):
    peer, steps = ect_loss(q=q), StagedGap(q=q, period=1 / stages)
    t = torch.logspace(-3, 2, 500, dtype=torch.float64)
    for stage in range(stages):
        peer.update_schedule(stage)
        for progress in (stage / stages, (stage + 0.999) / stages):
            torch.testing.assert_close(steps.lower(t, progress), peer.t_to_r(t), **CLOSE)
    assert (steps.lower(t, 0.0) == 0).any() == (q < 9)


def ect_step(peer: Any, method: Method, stage: int) -> tuple[Tensor, Batch, Denoiser]:
    """The loss that the peer computes, and the batch that it drew."""
    net, x0 = Recorder(fixed(method.scalings)), pictures()
    peer.update_schedule(stage)
    torch.manual_seed(stage)
    with double():
        expected = peer(net, x0)
    x_t, t = net.calls[0]
    noise = (x_t - x0) / t.view(-1, 1, 1, 1)
    return expected, Batch(x0, noise, t, peer.t_to_r(t)), net.f


@pytest.mark.parametrize("stage", [0, 1, 4, 7])
@pytest.mark.parametrize("c", [0.0, 0.06])
def test_ect_loss(stage, c):
    distance = PseudoHuber(c_scale=c / math.sqrt(3 * 8 * 8)) if c else METHODS["ect"].distance
    method = replace(METHODS["ect"], distance=distance)
    expected, batch, f = ect_step(ect_loss(c=c), method, stage)
    assert (batch.r == 0).any() == (stage < 2)
    ours = consistency_loss(f, f, None, method, batch)
    torch.testing.assert_close(ours, expected, **CLOSE)


def test_ect_levels_come_from_the_same_density():
    # The quartiles of ln t of 20 000 draws each; their standard error is 0.02.
    peer, method = ect_loss(), METHODS["ect"]
    net = Recorder(fixed(method.scalings))
    torch.manual_seed(0)
    with double():
        peer(net, torch.zeros(20_000, 1, 1, 1))
    t, _ = ContinuousPairs().sample(20_000, 0.0, torch.Generator().manual_seed(0))
    at = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    expected = net.calls[0][1].log().quantile(at)
    torch.testing.assert_close(t.double().log().quantile(at), expected, rtol=0, atol=0.1)


def test_ect_preconditioning_in_training_and_in_sampling():
    networks = load("ect", "training.networks", edm_stubs())
    peer = networks.ECMPrecond(8, 3, model_type="SongUNet", model_channels=8, num_blocks=1)
    peer.model = Fixed()
    x, sigma = pictures(4).float(), torch.tensor([0.003, 0.1, 1.5, 80.0])
    x = x * sigma.view(-1, 1, 1, 1)
    method = METHODS["ect"]
    for training, scalings in ((True, method.scalings), (False, method.eval_scalings)):
        peer.train(training)
        torch.testing.assert_close(fixed(scalings)(x, sigma), peer(x, sigma), rtol=1e-6, atol=1e-6)


def test_ect_sampler():
    stubs = {
        **edm_stubs(), "psutil": SimpleNamespace(), "metrics": SimpleNamespace(metric_main=None)
    }  # fmt: skip
    loop = load("ect", "training.ct_training_loop", stubs)
    f = fixed(METHODS["ect"].eval_scalings)

    def net(x: Tensor, t: Tensor, labels: None) -> Tensor:
        return f(x, t.expand(len(x)))

    net.round_sigma = torch.as_tensor  # type: ignore[attr-defined]
    latents = torch.randn(5, 3, 3, 8, 8, generator=torch.Generator().manual_seed(6)).double()
    extra = iter(latents[:, 1:].unbind(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn_like", lambda x: next(extra))
        expected = loop.generator_fn(net, latents[:, 0], mid_t=[0.821, 0.3])
    ours = sample(f, latents, (80.0, 0.821, 0.3), sigma_min=0.0)
    torch.testing.assert_close(ours, expected, **CLOSE)
