"""Training on augmented images: the network is told in every call of a step and in none of a
sample."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ictsweep.config import TrialConfig
from ictsweep.errors import Diverged
from ictsweep.training.divergence import find_culprit
from ictsweep.training.samplers import samplers
from ictsweep.training.step import share_of
from tests.training.small import losses, method, poison, step, trainer


def augmented(name: str, **changes) -> TrialConfig:
    network = {"preset": "tiny", "channels": 4, "dropout": 0.2, "augment": True}
    data = {"name": "digits", "augment": 0.3, "flip": True}
    return method(name, network=network, data=data, **changes)


def told(run) -> list[Tensor | None]:
    """What the networks of a run are told from now on, call by call."""
    seen: list[Tensor | None] = []

    def note(network, arguments, keywords):
        seen.append(keywords.get("augment", arguments[4] if len(arguments) > 4 else None))

    state = run.state
    averages = [a.module for a in (state.ema, state.teacher, state.generator) if a is not None]
    for model in (state.model, *averages):
        model.network.register_forward_pre_hook(note, with_kwargs=True)
    return seen


@pytest.mark.parametrize(("name", "calls"), [("ict", 2), ("ct", 2), ("gaf", 3)])
def test_student_teacher_and_generator_are_told_the_same(name, calls, cache: Path, tmp_path: Path):
    """The generator of its part; the teacher of a grid is asked for the whole batch."""
    run = trainer(tmp_path, cache, config=augmented(name))
    seen = told(run)
    step(run)
    expected = run.feed.batch(0, 0, 200)
    assert expected.augment is not None
    assert len(seen) == calls
    for labels in seen[-2:]:
        assert labels is not None
        assert torch.equal(labels, expected.augment)
    if name == "gaf":
        assert expected.generated is not None
        assert seen[0] is not None
        assert torch.equal(seen[0], expected.augment[expected.generated])


def test_samples_are_asked_for_without_a_word_of_it(cache: Path, tmp_path: Path):
    run = trainer(tmp_path, cache, config=augmented("ict"))
    step(run)
    seen, z = told(run), torch.randn(4, 2, 1, 8, 8)
    model = run.state.ema.module.eval()
    draws = samplers(run.job.config, model, 8, torch.device("cpu"))
    for sampler in draws.values():
        sampler(z, None)
    assert seen
    assert all(labels is None for labels in seen)


def test_the_weights_of_what_is_told_are_learnt(cache: Path, tmp_path: Path):
    run = trainer(tmp_path, cache, config=augmented("ict"))
    weight = run.state.model.network.condition.augment.weight
    run.objective.losses(run.feed.batch(0, 0, 200)).sum().backward()
    assert weight.grad is not None
    assert weight.grad.any(0).all()  # of each of the nine


@pytest.mark.parametrize("name", ["ict", "gaf_ect"])
def test_micro_batches_do_not_change_the_loss(name, cache: Path, tmp_path: Path):
    whole = losses(trainer(tmp_path / "a", cache, config=augmented(name)), 3)
    parts = losses(trainer(tmp_path / "b", cache, config=augmented(name), micro_batch=56), 3)
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_see_the_same_images_each_once(workers, cache: Path, tmp_path: Path):
    """Bit by bit those of one worker, augmentation included, also of a run that goes on."""
    run = trainer(tmp_path, cache, config=augmented("ict"))
    again = trainer(tmp_path / "again", cache, config=augmented("ict"))
    for seen in (0, 1800):  # the second batch crosses the end of the first epoch
        whole = run.feed.batch(seen, 0, 200)
        shares = [share_of(200, 25, rank, workers, 50) for rank in range(workers)]
        parts = [again.feed.batch(seen, *part) for share in shares for part in share.parts()]
        for name in ("x0", "augment", "noise", "t"):
            assert torch.equal(getattr(whole, name), torch.cat([getattr(p, name) for p in parts]))


def test_coarse_precision_is_told_too(cache: Path, tmp_path: Path):
    run = trainer(tmp_path, cache, config=augmented("ict", precision="bf16_at_any_level"))
    seen = told(run)
    step(run)  # measures its own precision too
    assert len(seen) > 2
    assert all(labels is not None for labels in seen)


def test_an_image_that_breaks_the_step_is_found(cache: Path, tmp_path: Path):
    """Its part of the batch is cut out with what the network is told of it."""
    run = step(trainer(tmp_path, cache, config=augmented("ict")))
    batch = run.feed.batch(run.seen, 0, 200)
    place = int((batch.t > 20.1).nonzero()[0])
    poison(run, lambda c_noise: c_noise > 0.75, float("inf"))
    share = share_of(200, 25, 0, 1, 100)
    inputs = lambda offset, count: run.feed.batch(run.seen, offset, count)  # noqa: E731
    culprit = find_culprit(run.objective, share, inputs, lambda rows: rows)
    assert culprit.place == place
    with pytest.raises(Diverged):
        step(run)
