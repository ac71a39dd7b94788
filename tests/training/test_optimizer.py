"""Each optimiser of a configuration, the learning rate it is told, and the clipped gradient."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ictsweep.optimizers import Adam, AdamW, RAdam
from ictsweep.optimizers import Lion as LionConfig
from ictsweep.training.lion import Lion
from ictsweep.training.optimizer import build_optimizer, total_norm
from tests.training.small import config, step, trainer


@pytest.mark.parametrize(
    ("wanted", "kind", "options"),
    [
        (RAdam(batch=8, lr=2e-4), torch.optim.RAdam, {"lr": 2e-4, "betas": (0.9, 0.999)}),
        (Adam(batch=8, betas=(0.9, 0.99)), torch.optim.Adam, {"lr": 1e-3, "betas": (0.9, 0.99)}),
        (AdamW(batch=8, weight_decay=0.02), torch.optim.AdamW, {"weight_decay": 0.02}),
        (LionConfig(batch=8, weight_decay=0.1), Lion, {"betas": (0.9, 0.99), "weight_decay": 0.1}),
    ],
)
def test_each_variant_builds_its_optimiser(wanted, kind: type, options: dict) -> None:
    optimizer = build_optimizer(wanted, [nn.Parameter(torch.ones(2))])
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert {key: group[key] for key in options} == options


def test_adam_and_adamw_differ_in_their_decay_alone() -> None:
    """Plain Adam has none: with the gradient 0 its weights stay."""
    moved = {}
    for wanted in (Adam(batch=8), AdamW(batch=8, lr=1e-3)):
        weight = nn.Parameter(torch.ones(1))
        weight.grad = torch.zeros(1)
        build_optimizer(wanted, [weight]).step()
        moved[wanted.name] = float(weight.detach())
    assert moved == {"adam": 1.0, "adamw": pytest.approx(1 - 1e-3 * 0.01)}


def test_the_norm_is_that_before_clipping() -> None:
    """(3, 4) has norm 5; clipped to 1 it is (0.6, 0.8)."""
    model = nn.Linear(2, 1, bias=False)
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    assert float(total_norm(model, None)) == pytest.approx(5.0)
    assert model.weight.grad.tolist() == [[3.0, 4.0]]
    assert float(total_norm(model, 1.0)) == pytest.approx(5.0)
    assert model.weight.grad[0].tolist() == pytest.approx([0.6, 0.8], rel=1e-5)


def test_a_run_clips_and_records_the_norm_before(tmp_path: Path, cache: Path) -> None:
    norms = {}
    for clip in (None, 1e-3):
        what = config(optimizer={"lr": 1e-3, "batch": 200, "clip": clip})
        run = step(trainer(tmp_path / str(clip), cache, config=what))
        norms[clip] = (run.meta.grad_norm, float(total_norm(run.state.model, None)))
    assert norms[1e-3][0] == norms[None][0]
    assert norms[None][1] == pytest.approx(norms[None][0])
    assert norms[1e-3][1] == pytest.approx(1e-3, rel=1e-3)


def test_the_learning_rate_follows_progress(tmp_path: Path, cache: Path) -> None:
    """Rises over the first quarter of 20 steps, falls from half on: 1e-3 / sqrt(2) at the end."""
    optimizer = {"lr": 1e-3, "batch": 200, "warmup": 0.25, "decay_after": 0.5}
    run = trainer(tmp_path, cache, config=config(optimizer=optimizer))
    rates = []
    for _ in range(20):
        rates.append(step(run).state.optimizer.param_groups[0]["lr"])
    assert rates[:6] == pytest.approx([0, 2e-4, 4e-4, 6e-4, 8e-4, 1e-3])
    assert rates[10] == pytest.approx(1e-3)
    assert rates[19] == pytest.approx(1e-3 / (0.95 / 0.5) ** 0.5)


def test_a_rate_of_nothing_moves_nothing(tmp_path: Path, cache: Path) -> None:
    """The first step of a warm-up has rate 0: the rate that is set is the rate that is used."""
    optimizer = {"lr": 1e-3, "batch": 200, "warmup": 0.25}
    run = trainer(tmp_path, cache, config=config(optimizer=optimizer))
    before = [p.clone() for p in run.state.model.parameters()]
    step(run)
    assert all(map(torch.equal, before, run.state.model.parameters()))
    step(run)
    assert not all(map(torch.equal, before, run.state.model.parameters()))


def test_lion_trains(tmp_path: Path, cache: Path) -> None:
    what = config(optimizer={"name": "lion", "lr": 1e-3, "batch": 200})
    run = trainer(tmp_path, cache, config=what)
    before = [p.clone() for p in run.state.model.parameters()]
    step(run)
    after = run.state.model.parameters()
    moved = [(a - b).abs().max().item() for a, b in zip(before, after, strict=True)]
    assert max(moved) == pytest.approx(1e-3, rel=1e-3)
