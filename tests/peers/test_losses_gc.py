"""Issenhuth et al.'s code (consistency_GC): iCT and generator-augmented flows, to 1e-6."""

import math
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ictsweep.consistency import (
    L2,
    METHODS,
    Batch,
    Doubling,
    Generated,
    InverseGap,
    KarrasGrid,
    LogNormal,
    PseudoHuber,
    Scalings,
    WarmupEma,
    consistency_loss,
)
from tests.peers.checkouts import edm_stubs, load, run_lines
from tests.peers.fixed import CLOSE, Fixed, Recorder, double, fixed, pictures


@pytest.fixture
def gc() -> ModuleType:
    solver = {"ortools.graph.python": SimpleNamespace(linear_sum_assignment=None)}
    parents = {"ortools": SimpleNamespace(), "ortools.graph": SimpleNamespace()}
    return load("consistency_GC", "utils", {**solver, **parents})


@pytest.mark.parametrize("total", [100_000, 400_000, 12_345])
def test_gc_curriculum(gc, total):
    # K' is rounded down to whole steps there, so a boundary may come up to 7 steps sooner.
    length = total // 8
    for k in [*range(0, total, 97), length - 1, 3 * length - 1, total - 1]:
        expected = int(gc.improved_timesteps_schedule(k, total, 10, 1280))
        assert Doubling().levels(k / total) == expected or k % length < 8


@pytest.mark.parametrize("n", [11, 161, 1281])
def test_gc_grid_and_weights(gc, n):
    with double():
        levels = gc.get_sigmas_karras(n, 0.002, 80.0)
        weights = gc.improved_loss_weighting(levels)
    ours = KarrasGrid().levels(n)
    torch.testing.assert_close(ours, levels, **CLOSE)
    torch.testing.assert_close(InverseGap()(ours[1:], ours[:-1], Scalings()), weights, **CLOSE)


@pytest.mark.parametrize("n", [11, 1281])
def test_gc_probabilities(gc, monkeypatch, n):
    # Its density is what it hands to torch.multinomial.
    seen = []
    monkeypatch.setattr(torch, "multinomial", lambda pdf, *_, **__: seen.append(pdf))
    gc.lognormal_timestep_distribution(5, KarrasGrid().levels(n))
    expected = seen[0] / seen[0].sum()
    torch.testing.assert_close(LogNormal().probabilities(KarrasGrid().levels(n)), expected, **CLOSE)


def test_gc_distances(gc):
    x, y = pictures(seed=1), pictures(seed=2)
    huber, l2 = (gc.loss_image(x, y, SimpleNamespace(loss_type=k)) for k in ("huber", "l2"))
    torch.testing.assert_close(PseudoHuber()(x, y), huber, **CLOSE)
    torch.testing.assert_close(L2()(x, y).square(), l2, **CLOSE)


def test_gc_preconditioning():
    stubs = {**edm_stubs(), "omegaconf": SimpleNamespace(OmegaConf=None)}
    networks = load("consistency_GC", "edm_networks", stubs)
    peer = networks.ConsistencyPrecond(8, 3, sigma_min=0.002, model_channels=8, num_blocks=1)
    peer.model = Fixed()
    x, sigma = pictures(4).float(), torch.tensor([0.002, 0.1, 1.5, 80.0])
    with torch.no_grad():
        expected = peer(x * sigma.view(-1, 1, 1, 1), sigma)
    ours = fixed(Scalings(sigma_min=0.002))(x * sigma.view(-1, 1, 1, 1), sigma)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)  # float32


def gc_step(gc: ModuleType, x0: Tensor, k: int, student: Any, generator: Any, **values: Any):
    """The variables of their training loop at step `k` of 1000, from the noise to the loss."""
    config = gc.Train_config(n_train_steps=1000, sigma_min=0.002, sigma_max=80.0, **values)
    names = {
        "batch_real_data": x0, "i_train": k, "train_cfg": config, "device": "cpu",
        "unet": student, "unet_ema": generator,
        "optimizer": SimpleNamespace(zero_grad=lambda: None),
    }  # fmt: skip
    with double():
        return run_lines(
            "consistency_GC", "train_consistency.py", "b_size", "loss", {**vars(gc), **names}
        )


def mixing(mix: float) -> dict[str, Any]:
    """Their options for generated endpoints; `mix` is the share of DATA endpoints, 1 - mu."""
    own = {"generator_induced_traj": True, "generator_induced_traj_ema": True}
    return {**own, "mix_gen_induced_traj": mix}


@pytest.mark.parametrize(("mix", "k"), [(None, 300), (0.5, 0), (0.7, 600), (0.0, 900)])
def test_gc_loss_of_ict_and_of_generated_endpoints(gc, mix, k):
    x0, method = pictures(200), METHODS["ict" if mix is None else "gaf"]
    student, generator = (Recorder(fixed(method.scalings, tilt)) for tilt in (0.3, -0.5))
    torch.manual_seed(3)
    peer = gc_step(gc, x0, k, student, generator, **({} if mix is None else mixing(mix)))
    t, r = peer["sigmas_ip1"], peer["sigmas_i"]
    r = torch.where(r < 0.00200001, 0.002, r)  # theirs is rounded; ours is the boundary, exactly
    assert (r == 0.002).any() or k
    generated = None if mix is None else peer["mask"].flatten()
    batch = Batch(x0, peer["batch_z"], t, r, generated=generated)
    ours = consistency_loss(student.f, student.f, generator.f, method, batch)
    torch.testing.assert_close(ours, peer["loss_weights"] * peer["loss_batch"], **CLOSE)
    torch.testing.assert_close(ours.mean(), peer["loss"], **CLOSE)


def test_gc_share_is_one_minus_its_mix(gc):
    # Two draws of 4000 at a share of 30 %: each has a standard deviation of 0.7 %.
    same = Recorder(fixed(Scalings()))
    torch.manual_seed(4)
    peer = gc_step(gc, pictures(4000), 0, same, same, **mixing(0.7))
    share = peer["mask"].double().mean().item()
    ours = Generated(share=0.3).draw(4000, torch.Generator().manual_seed(5)).double().mean().item()
    assert share == pytest.approx(0.3, abs=0.03)
    assert ours == pytest.approx(share, abs=0.04)


def test_gc_average_of_the_generator():
    """The library that it comes from: ema-pytorch 0.2.3, called as their training does."""
    library = pytest.importorskip("ema_pytorch", reason="ema-pytorch 0.2.3 is not installed")
    model = torch.nn.Linear(1, 1, bias=False)
    peer = library.EMA(model, beta=0.9999, update_after_step=0, update_every=5)
    average, ours = WarmupEma(), model.weight.item()
    for k in range(1, 400):
        torch.nn.init.constant_(model.weight, math.sin(k))
        peer.update()
        beta = average.decay(k, 512)
        ours = beta * ours + (1 - beta) * model.weight.item()
        assert peer.ema_model.weight.item() == pytest.approx(ours, rel=1e-5, abs=1e-6)  # float32
