"""What a study will take: by hand where everything is known, and against a study that ran."""

import pytest

from ictsweep.study.plan import Task, against, images_to_rungs, planned
from ictsweep.study.sizes import reference_bytes, total
from ictsweep.study.spans import Span
from ictsweep.study.spec import Keep, Limits, Stopping, StudySpec
from ictsweep.study.speeds import Speed
from ictsweep.study.work import Work
from tests.study.worlds import spec

WORK = Work(
    step_flop=1e3, evaluation_flop=5e5, batch=100, parameters=10, checkpoint_bytes=1000,
    snapshot_bytes=0,
)  # fmt: skip
TRIAL = {"budget_kimg": 36, "evaluate": {"every_kimg": 4}}
EXACT = Speed(
    source="", train_s=Span.exactly(1e-6), evaluate_s=Span.exactly(2e-6),
    launch_s=Span.exactly(10.0),
)  # fmt: skip


def task(study: StudySpec, *works: Work) -> Task:
    return Task(
        spec=study, works=works or (WORK,), numbers=2, pictures=64, image_shape=(3, 32, 32),
        shared=Span.exactly(7.0),
    )  # fmt: skip


def certain(**changes) -> StudySpec:
    """A study in which nothing is stopped: 12 trials of 36 kimg, evaluated 9 times each."""
    return spec(trial=TRIAL, stopping=Stopping(first_rung_kimg=36), **changes)


def test_everything_is_known_where_nothing_is_stopped() -> None:
    """12 trials: 36 s of training (36,000 images x 1,000 operations x 1 us), 9 evaluations of 1 s,
    10 s to start: 55 s each.
    """
    study = certain(limits=Limits(gpu_hour_price=3.0))
    plan = planned(task(study), 1, EXACT, gpus=2.0)
    assert plan.kimg == Span.exactly(432)
    assert plan.evaluations == Span.exactly(108)
    flop = 12 * (36e6 + 9 * 5e5)
    assert plan.exaflop.likely == pytest.approx(flop * 1e-18)
    assert plan.times is not None
    assert plan.times.trial_hours.likely == pytest.approx(12 * 55 / 3600)
    assert plan.times.gpu_hours is not None
    assert plan.times.gpu_hours.likely == pytest.approx(2 * 12 * 55 / 3600)
    assert plan.times.cost is not None
    assert plan.times.cost.likely == pytest.approx(3 * 2 * 12 * 55 / 3600)
    assert plan.times.hours.likely == pytest.approx(12 * 55 / 3600)
    four = planned(task(study), 4, EXACT, gpus=0.0)
    assert four.times is not None
    assert four.times.hours.likely == pytest.approx(3 * 55 / 3600)
    assert (four.times.gpu_hours, four.times.cost) == (None, None)


def test_slots_that_wait_make_a_study_longer() -> None:
    """12 trials on 5 slots take three turns, not 12 / 5."""
    plan = planned(task(certain()), 5, EXACT, gpus=1.0)
    assert plan.times is not None
    assert plan.times.hours.likely == pytest.approx(3 * 55 / 3600)


def test_small_steps_take_the_time_of_their_launch() -> None:
    slow = Speed(
        source="", train_s=EXACT.train_s, evaluate_s=EXACT.evaluate_s, launch_s=EXACT.launch_s,
        step_s=Span(0.0, 1.0, 2.0), idle=Span(0.0, 0.5, 1.0),
    )  # fmt: skip
    times = planned(task(certain()), 1, slow, gpus=1.0).times
    assert times is not None
    each = [45 + 10, (360 + 9) * 1.5 + 10, (720 + 9) * 2 + 10]  # 360 steps of a trial
    found = times.trial_hours
    assert (found.low, found.likely, found.high) == pytest.approx([12 * s / 3600 for s in each])


def test_trials_of_different_work_are_counted_each() -> None:
    heavy = Work(
        step_flop=3e3, evaluation_flop=5e5, batch=100, parameters=10, checkpoint_bytes=3000,
        snapshot_bytes=0,
    )  # fmt: skip
    plan = planned(task(certain(), WORK, heavy), 1, None, gpus=0.0)
    assert plan.exaflop.likely == pytest.approx((6 * 36e6 + 6 * 108e6 + 108 * 5e5) * 1e-18)
    assert plan.times is None


def test_images_up_to_a_rung() -> None:
    assert images_to_rungs(spec()) == (4_000, 16_000, 52_000)
    same = Stopping(first_rung_kimg=4, reduction=3, fidelity="same_run")
    assert images_to_rungs(spec(stopping=same)) == (4_000, 12_000, 36_000)


def test_checkpoints_are_those_that_exist_at_once() -> None:
    """Two slots with one to three each; of finished trials the best and trial 0."""
    plan = planned(task(certain(keep=Keep(best=4))), 2, None, gpus=0.0)
    assert plan.sizes.kept["checkpoints"] == Span(4000, 4000, 5000)
    assert plan.sizes.peak["checkpoints"] == Span(6000, 8000, 11000)
    assert total(plan.sizes.kept).likely > 4000
    few = planned(task(certain(trials=2, replicates=1, keep=Keep(best=4))), 1, None, gpus=0.0)
    assert few.sizes.kept["checkpoints"] == Span.exactly(2000)


def test_features_of_the_data_by_hand() -> None:
    assert reference_bytes(["fid"], 50_000, 2048) == Span.exactly(2048 * 2048 * 8)
    both = 2048 * 2048 * 8 + 50_000 * 2048 * 4
    assert reference_bytes(["fid", "kid"], 50_000, 2048) == Span.exactly(both)
    assert reference_bytes(["fd"], 100, None) == Span(64**2 * 8, 1024**2 * 8, 4096**2 * 8)


def test_limits_are_held_against_the_plan() -> None:
    limits = Limits(max_hours=0.1, max_gpu_hours=9.0, max_cost=0.9, gpu_hour_price=3.0)
    study = certain(limits=limits)
    unsure = Speed(
        source="", train_s=Span(0.5e-6, 1e-6, 2e-6), evaluate_s=EXACT.evaluate_s,
        launch_s=EXACT.launch_s,
    )  # fmt: skip
    assert against(limits, planned(task(study), 1, unsure, gpus=2.0)) == [
        "limits.max_hours 0.1: the study will end early: it needs 0.123 to 0.303 hours",
        "limits.max_gpu_hours 9: enough for 0.247 to 0.607 GPU-hours",
        "limits.max_cost 0.9: the study may end early: it needs 0.74 to 1.82",
    ]
    unknown = against(limits, planned(task(study), 1, None, gpus=2.0))
    assert all("cannot be compared: no speed is known" in text for text in unknown)
    assert against(Limits(), planned(task(study), 1, unsure, gpus=2.0)) == []
