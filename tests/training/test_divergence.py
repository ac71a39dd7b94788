"""A broken step says which sample broke it, in any process, and leaves the last good checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ictsweep.errors import Diverged
from ictsweep.training import Trainer, load_model
from ictsweep.training.checkpoints import checkpoints, is_whole
from ictsweep.training.divergence import Culprit, find_culprit
from ictsweep.training.step import Share
from tests.training.small import config, losses, method, poison, step, trainer

HIGH = 0.75  # c_noise = ln(t) / 4 above it: t > 20.1


def found(run: Trainer, shares: list[Share], gather: Callable[[Tensor], Tensor]) -> list[Culprit]:
    def inputs(offset: int, count: int):
        return run.feed.batch(run.seen, offset, count)

    return [find_culprit(run.objective, share, inputs, gather) for share in shares]


def first_above(run: Trainer, level: float) -> tuple[int, float, float]:
    batch = run.feed.batch(run.seen, 0, 200)
    place = int((batch.t > level).nonzero()[0])
    return place, float(batch.t[place]), float(batch.r[place])


def test_the_message_names_the_level(cache: Path, tmp_path: Path) -> None:
    """A network that overflows above one level: that sample's, found among 200."""
    run = step(trainer(tmp_path, cache))
    place, t, r = first_above(run, 20.1)
    poison(run, lambda c_noise: c_noise > HIGH, float("inf"))
    with pytest.raises(Diverged) as stopped:
        step(run)
    message = str(stopped.value)
    assert f"noise level t = {t:.4g} (r = {r:.4g})" in message
    assert "at 0.2 kimg, N = 11" in message
    assert message.startswith("loss nan, gradient norm nan") or message.startswith("loss inf")
    batch = run.feed.batch(200, 0, 200)
    assert f"{int((batch.t > 20.1).sum())} image(s) without a finite loss" in message
    assert place > 0  # not simply the first of the batch


def test_a_gradient_that_breaks_alone_is_found_too(cache: Path, tmp_path: Path) -> None:
    """Finite losses; the output's gradient of one sample is infinite."""
    run = step(trainer(tmp_path, cache))
    batch = run.feed.batch(run.seen, 0, 200)
    chosen = float(batch.t[137])
    network = run.state.model.network
    forward = network.forward

    def breaking(x: Tensor, c_noise: Tensor, *rest):
        out = forward(x, c_noise, *rest)
        if out.requires_grad:
            here = (c_noise == torch.tensor(chosen).log() / 4).view(-1, 1, 1, 1)
            out.register_hook(lambda g: torch.where(here, g * float("inf"), g))
        return out

    network.forward = breaking
    (culprit,) = found(run, [run.share], lambda row: row)
    same_level = (batch.t == batch.t[137]).nonzero().flatten().tolist()
    assert culprit.place == same_level[0]
    assert culprit.t == chosen
    with pytest.raises(Diverged, match="the first image without a finite gradient is at noise"):
        step(run)


def test_every_rank_learns_of_the_same_sample(cache: Path, tmp_path: Path) -> None:
    """Two shares of one batch, the second in micro-batches; their rows gathered by hand."""
    run = step(trainer(tmp_path, cache))
    poison(run, lambda c_noise: c_noise > HIGH, float("nan"))
    (whole,) = found(run, [Share(0, 200, 200)], lambda row: row)
    rows: list[Tensor] = []
    halves = [Share(0, 100, 100), Share(100, 100, 25)]
    found(run, halves, lambda row: rows.append(row) or row)
    both = found(run, halves, lambda row: torch.cat(rows))
    assert [str(culprit) for culprit in both] == [str(whole)] * 2
    assert both[0].place == both[1].place == whole.place


def test_without_a_broken_sample_the_greatest_loss_is_named(cache: Path, tmp_path: Path) -> None:
    run = step(trainer(tmp_path, cache))
    culprits = found(run, [Share(0, 200, 200)], lambda row: row)
    values = run.objective.losses(run.feed.batch(200, 0, 200)).detach()
    assert culprits[0].place == int(values.argmax())
    assert culprits[0].loss == pytest.approx(float(values.max()))
    assert "the greatest loss is at noise level" in str(culprits[0])


@pytest.mark.parametrize("name", ["gaf", "sct", "edm"])
def test_other_methods_name_theirs(name: str, cache: Path, tmp_path: Path) -> None:
    run = step(trainer(tmp_path, cache, config=method(name)))
    poison(run, lambda c_noise: c_noise > 0.5, float("inf"))  # t > 7.4
    with pytest.raises(Diverged, match=r"image\(s\) without a finite loss, the first at"):
        losses(run, 3)


def test_the_optimiser_does_not_move(cache: Path, tmp_path: Path) -> None:
    run = step(trainer(tmp_path, cache))
    with torch.no_grad():
        next(run.state.model.parameters()).fill_(float("nan"))
    before = [p.clone() for p in run.state.model.parameters()][1:]
    with pytest.raises(Diverged, match=r"0\.2 kimg, N = 11: 200 image\(s\) without a finite loss"):
        step(run)
    assert all(map(torch.equal, before, list(run.state.model.parameters())[1:]))


def test_the_last_good_checkpoint_stays_whole(cache: Path, tmp_path: Path) -> None:
    run = trainer(tmp_path, cache)
    move = run._move

    def poisoned(loss: float, norm: float) -> None:
        move(float("nan") if run.seen == 2400 else loss, norm)

    run._move = poisoned
    with pytest.raises(Diverged, match=r"2\.4 kimg"):
        run.fit()
    left = checkpoints(tmp_path / "checkpoints")
    assert [path.name for path in left] == ["000004-000001", "000004-000002"]
    assert all(map(is_whole, left))
    assert load_model(tmp_path).meta.images == 2000
    assert json.loads((left[-1] / "meta.json").read_text())["config"] == config().to_dict()
