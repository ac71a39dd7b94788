"""A checkpoint that its study did not keep is not merely missing: the message says why."""

from pathlib import Path

import pytest

from ictsweep.errors import UserError
from ictsweep.records import State
from ictsweep.scoring.opening import open_model, removed
from ictsweep.study.retention import podium
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, space, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A made-up study that keeps one, without any checkpoint on the disk."""
    place = tmp_path_factory.mktemp("my studies") / "digits"
    spec = space(keep={"best": 1}, trials=24)
    return write_study(place, spec, Script(pictures=False))


def test_a_stopped_trial_says_where_and_that_it_can_be_trained_again(study: StudyFolder) -> None:
    number = next(r.number for r in study.trials() if r.state == State.PRUNED)
    trial = study.trial_dir(number)
    for place in (trial, trial / "checkpoints" / "000288-000288", trial / "checkpoints"):
        with pytest.raises(UserError) as said:
            open_model(place)
        assert f": trial {number} was stopped at 32 kimg (not among the best at this" in str(
            said.value
        )
        assert "the study keeps those of the best finished configuration and of trial 0" in str(
            said.value
        )
        again = f"`ictsweep promote '{study.path}' --trial {number} --budget-kimg 288`"
        assert again in str(said.value)


def test_a_finished_trial_says_that_others_are_better(study: StudyFolder) -> None:
    records = study.trials()
    best = podium(study.spec().keep, records)
    done = [r for r in records if r.state == State.COMPLETE]
    seed = next(r for r in done if r.replicate_of is not None)
    beaten = next(
        r for r in done if r.number and r.replicate_of is None and not best.holds(r.number)
    )
    assert "is a further seed of trial 0" in removed(study.trial_dir(seed.number))
    assert "is not among the best finished" in removed(study.trial_dir(beaten.number))


def test_of_a_kept_trial_the_last_checkpoint_is_named(study: StudyFolder) -> None:
    trial = study.trial_dir(0)
    earlier = trial / "checkpoints" / "000288-000256"
    last = trial / "checkpoints" / "000288-000288"
    assert removed(earlier) == f"of a finished trial only its last checkpoint is kept: {last}"
    assert removed(last) == ""


def test_what_no_study_removed_is_merely_missing(study: StudyFolder, tmp_path: Path) -> None:
    failed = next(r.number for r in study.trials() if r.state == State.FAILED)
    for place in (study.trial_dir(failed), study.trial_dir(999), tmp_path, tmp_path / "no"):
        assert removed(place) == ""
        with pytest.raises(UserError, match=r"no such folder|neither the folder"):
            open_model(place)
