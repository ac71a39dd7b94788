"""A trial's runs through its rungs: which are trained, where the study is asked, what is kept."""

from pathlib import Path

import pytest

from ictsweep.answers import Outcome
from ictsweep.training import Trainer, fit_lineage, runs
from ictsweep.training.checkpoints import checkpoints
from tests.training.small import Recorder, job

RUNGS = (1, 2, 4)


def points(runtime: Recorder) -> list[tuple[int, int]]:
    return [(m.run_kimg, m.kimg) for m in runtime.measurements]


def test_short_runs_are_asked_at_their_ends_and_one_run_at_its_rungs() -> None:
    assert runs(RUNGS, True) == [(1, (1,)), (2, (2,)), (4, ())]
    assert runs(RUNGS, False) == [(4, (1, 2))]


def test_each_rung_is_a_complete_run_with_its_whole_curriculum(tmp_path: Path, cache: Path) -> None:
    """Runs of 5, 10 and 20 steps: the last one starts at 0.8, 0.9, 0.95 of its budget, after 6, 7
    and 7 doublings of 10 intervals (period 1/8).
    """
    runtime = Recorder()
    outcome = fit_lineage(job(tmp_path, cache), runtime, rungs=RUNGS, short_run=True)
    assert outcome is Outcome.FINISHED
    assert points(runtime) == [(1, 1), (2, 1), (2, 2), (4, 1), (4, 2), (4, 3), (4, 4)]
    assert runtime.asked == [1, 2]
    assert [m.levels for m in runtime.measurements if m.ends_run] == [641, 1281, 1281]
    folder = tmp_path / "checkpoints"
    assert [len(checkpoints(folder, run)) for run in RUNGS] == [0, 0, 2]


def test_a_stopped_trial_goes_no_further_and_leaves_no_checkpoint(
    tmp_path: Path, cache: Path
) -> None:
    runtime = Recorder(stop_at=(2,))
    outcome = fit_lineage(job(tmp_path, cache), runtime, rungs=RUNGS, short_run=True)
    assert outcome is Outcome.STOPPED
    assert points(runtime) == [(1, 1), (2, 1), (2, 2)]
    assert not list((tmp_path / "checkpoints").iterdir())


def test_what_the_study_knows_is_not_trained_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rungs 1 and 2 are known: only the 20 steps of the run of 4 kimg are taken."""
    whole = Recorder()
    fit_lineage(job(tmp_path / "a", cache), whole, rungs=RUNGS, short_run=True)
    known = points(whole)[:4]
    again = Recorder()
    begun = job(tmp_path / "b", cache)
    steps = []
    step = Trainer._step
    monkeypatch.setattr(Trainer, "_step", lambda trainer: (steps.append(trainer), step(trainer))[1])
    outcome = fit_lineage(begun, again, rungs=RUNGS, short_run=True, recorded=known)
    assert outcome is Outcome.FINISHED
    assert len(steps) == 20
    assert points(again) == points(whole)[4:]
    assert again.asked == [1, 2]
    assert [m.values for m in again.measurements] == [m.values for m in whole.measurements[4:]]
