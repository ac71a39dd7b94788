"""Every method through the trainer: it steps, resumes, and does not see micro-batches; equal
compositions train equally; the memory layout changes nothing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ictsweep.config import TrialConfig
from ictsweep.consistency import Generated, PosteriorMean
from ictsweep.training import Trainer
from ictsweep.training.checkpoints import Meta
from tests.training.small import (
    METHODS,
    Recorder,
    job,
    losses,
    method,
    same,
    step,
    tensors,
    trainer,
)


@pytest.mark.parametrize("name", METHODS)
def test_it_takes_its_steps(name: str, cache: Path, tmp_path: Path) -> None:
    """The loss is finite, the weights move, and the state holds what the method needs alone."""
    run = trainer(tmp_path, cache, config=method(name))
    before = [p.clone() for p in run.state.model.parameters()]
    assert all(0 < loss < 1e4 for loss in losses(run, 2))
    after = run.state.model.parameters()
    moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert (
        sum(moved) > len(moved) / 2
    )  # the steps of a new network are below some weights' rounding
    extra = {"ct": {"teacher"}, "gaf": {"generator"}, "gaf_ect": {"generator"}}
    expected = {"model", "ema", "optimizer"} | extra.get(name, set())
    assert set(run.state.state_dict()) == expected
    assert (run.objective.teacher is run.state.model) == (name != "ct")


def test_a_class_conditional_network_trains_and_is_guided(cache: Path, tmp_path: Path) -> None:
    network = {"preset": "tiny", "channels": 4, "classes": 10, "label_dropout": 0.2}
    evaluate = {"every_kimg": 1, "images": 32, "grid": 16}
    scores = {}
    for scale in (1.0, 2.0):
        what = method("sct_ict", network=network, evaluate={**evaluate, "guidance": scale})
        run = trainer(tmp_path / str(scale), cache, config=what)
        assert all(0 < loss < 1e4 for loss in losses(run, 3))
        with torch.no_grad():  # a new network is nearly the sum of its skips, whatever the class
            for weight in run.state.ema.module.parameters():
                weight.add_(torch.linspace(-0.2, 0.2, weight.numel()).view_as(weight))
        scores[scale] = run._evaluate().values["fd"]
    assert scores[1.0] != scores[2.0]


@pytest.mark.parametrize("name", ["ct", "gaf", "sct"])
def test_micro_batches_do_not_change_the_loss(name: str, cache: Path, tmp_path: Path) -> None:
    """The same sums in another order: float32, 4 steps, 1e-5 relative."""
    whole = losses(trainer(tmp_path / "a", cache, config=method(name)), 4)
    parts = losses(trainer(tmp_path / "b", cache, config=method(name), micro_batch=56), 4)
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize(("name", "precision"), [("ict", "fp32"), ("gaf", "bf16_at_any_level")])
def test_recomputed_activations_give_the_same_numbers(
    name: str, precision: str, cache: Path, tmp_path: Path
) -> None:
    what = method(name, precision=precision)
    kept = trainer(tmp_path / "a", cache, config=what)
    again = trainer(tmp_path / "b", cache, config=what, recompute=True)
    assert losses(kept, 3) == losses(again, 3)
    assert same(kept, again)


@pytest.mark.parametrize("name", ["ct", "gaf"])
def test_resuming_is_bitwise_the_same_when_an_average_takes_part(
    name: str, cache: Path, tmp_path: Path
) -> None:
    what = replace(method(name), budget_kimg=2)
    whole = trainer(tmp_path / "a", cache, config=what)
    whole.fit()
    Trainer(job(tmp_path / "b", cache, config=what, rungs=(1,)), Recorder(stop_at=(1,))).fit()
    resumed = trainer(tmp_path / "b", cache, config=what, recorded={1})
    resumed.fit()
    assert same(whole, resumed)
    part = "teacher" if name == "ct" else "generator"
    assert len(tensors(resumed, part)) == len(tensors(resumed, "ema"))


def test_the_teacher_is_an_average_that_follows_its_decay(cache: Path, tmp_path: Path) -> None:
    """mu = exp(2 ln(0.9) / (N - 1)) with N of the step that was taught: 2, 34, 48. Lion moves every
    weight by 0.1 a step.
    """
    what = method("ct", optimizer={"name": "lion", "lr": 0.1, "batch": 200})
    run = trainer(tmp_path, cache, config=what)
    assert run.state.teacher is not None
    assert run.state.teacher.module.training  # it shares the student's mask
    teacher = next(run.state.teacher.module.parameters())
    start = teacher.clone()
    for intervals in (1, 33, 47):
        mu = 0.9 ** (2 / intervals)
        step(run)
        start = mu * start + (1 - mu) * next(run.state.model.parameters()).detach()
        torch.testing.assert_close(teacher, start, rtol=1e-6, atol=1e-7)


def test_the_student_learns_from_its_teacher(cache: Path, tmp_path: Path) -> None:
    """With other weights in the average, the loss is another; not at the very first step, whose
    only pair reaches the boundary.
    """
    a, b = (trainer(tmp_path / n, cache, config=method("ct")) for n in "ab")
    assert b.state.teacher is not None
    with torch.no_grad():
        for weight in b.state.teacher.module.parameters():
            weight.add_(0.1)
    (first, second), (same_first, other) = losses(a, 2), losses(b, 2)
    assert first == same_first
    assert abs(other - second) > 1e-3 * second


def test_endpoints_come_from_the_generator_s_own_average(cache: Path, tmp_path: Path) -> None:
    a, b, c = (trainer(tmp_path / n, cache, config=method("gaf")) for n in "abc")
    assert b.state.generator is not None
    with torch.no_grad():
        for weight in b.state.generator.module.parameters():
            weight.add_(0.1)
        for weight in c.state.ema.module.parameters():  # only ever evaluated
            weight.add_(0.1)
    first = losses(a, 1)
    assert losses(b, 1) != first
    assert losses(c, 1) == first


def with_part(name: str, **parts) -> TrialConfig:
    what = method(name)
    return replace(what, method=replace(what.method, **parts))


@pytest.mark.parametrize(
    ("composed", "plain"),
    [
        (with_part("gaf", endpoint=Generated(share=0.0)), method("ict")),
        (with_part("sct_ict", path=PosteriorMean(references=1)), method("ict")),
    ],
)
def test_a_part_that_does_nothing_changes_no_bit(
    composed: TrialConfig, plain: TrialConfig, cache: Path, tmp_path: Path
) -> None:
    """GAF without generated endpoints and SCT with one reference are iCT, step by step."""
    a = trainer(tmp_path / "a", cache, config=composed)
    b = trainer(tmp_path / "b", cache, config=plain)
    assert losses(a, 3) == losses(b, 3)
    assert same(a, b, "model", "ema")


def test_the_layout_in_memory_changes_nothing(cache: Path, tmp_path: Path) -> None:
    """channels_last against contiguous weights and images: float32, 3 steps, 1e-5 relative."""
    fast = trainer(tmp_path / "a", cache)
    slow = trainer(tmp_path / "b", cache)
    slow.state.model.to(memory_format=torch.contiguous_format)
    batch = slow.feed.batch

    def contiguous(*place: int):
        made = batch(*place)
        return replace(made, x0=made.x0.contiguous(), noise=made.noise.contiguous())

    object.__setattr__(slow.feed, "batch", contiguous)
    weights = [p for p in fast.state.model.parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    assert losses(fast, 3) == pytest.approx(losses(slow, 3), rel=1e-5)


def test_the_curriculum_s_stage_is_in_what_a_checkpoint_knows(cache: Path, tmp_path: Path) -> None:
    """Five steps of twenty: the third period of an eighth has begun (0.2 of the budget)."""
    run = trainer(tmp_path, cache)
    losses(run, 5)
    assert isinstance(run.meta, Meta)
    assert (run.meta.stage, run.meta.grad_cosine, run.seen) == (1, None, 1000)
