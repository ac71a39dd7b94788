"""A trial at another length is a study of its own: continued only where nothing of the part already
trained would have been another.
"""

from pathlib import Path
from typing import Any

import pytest

from ictsweep.config import trial_config
from ictsweep.errors import UserError
from ictsweep.records import State, TrialRecord
from ictsweep.seeds import derive_seed
from ictsweep.study.carrying import carry, last_checkpoint
from ictsweep.study.promotion import chosen, promotion
from ictsweep.study.rungs import ending
from ictsweep.study.space import resolve, sound
from ictsweep.study.spec import Origin, StudySpec, spec_from_dict, spec_to_dict
from ictsweep.study.store import StudyFolder
from ictsweep.training import Trainer
from tests.training.small import Recorder, fields, job

SEARCH = {"network.dropout": {"range": [0.0, 0.5]}, "optimizer.lr": {"range": [1e-4, 1e-2]}}
PARAMS = {"network.dropout": 0.25, "optimizer.lr": 2e-3}


def study(search: dict[str, Any] | None = None, **trial: Any) -> StudySpec:
    """A study of runs of 4 kimg."""
    return spec_from_dict({
        "study": "old", "seed": 3, "trial": fields(**trial), "search": search or SEARCH,
        "trials": 9, "stopping": {"first_rung_kimg": 2, "reduction": 2, "fidelity": "same_run"},
        "keep": {"best": 2}, "limits": {"max_hours": 2.0},
    })  # fmt: skip


def record(number: int = 5, value: float | None = 1.0, **changes: Any) -> TrialRecord:
    given: dict[str, Any] = {
        "number": number, "params": PARAMS, "seed": 7, "replicate_of": None, "asked": 0.0,
        "state": State.COMPLETE, "cards": (ending(4, value, None, "done"),), **changes,
    }  # fmt: skip
    return TrialRecord(**given)


def promoted(spec: StudySpec, budget: int = 8, kept: int = 4, **changes: Any):
    return promotion(
        spec, record(**changes), "/old", budget_kimg=budget, name="new", replicates=2,
        kept_kimg=kept,
    )  # fmt: skip


def test_one_configuration_runs_at_the_new_length_with_a_link_back() -> None:
    made = sound(promoted(study()).spec)
    ours, theirs = resolve(made, {}), resolve(study(), PARAMS)
    assert ours == theirs.with_budget(8)
    assert (made.trials, made.replicates, made.total, made.rungs) == (1, 2, 2, (8,))
    assert made.origin == Origin(study="/old", trial=5, digest=theirs.digest(), kimg=0)
    assert spec_from_dict(spec_to_dict(made)) == made
    assert made.limits.max_hours is None


def test_a_curriculum_begins_anew_and_no_curriculum_goes_on() -> None:
    anew = promoted(study())  # iCT doubles its levels at shares of the budget
    assert "the schedules are shares of the budget: at " in anew.anew
    constant = promoted(study(method={"preset": "edm"}))
    assert constant.anew == ""
    assert constant.spec.origin is not None
    assert constant.spec.origin.kimg == 4
    warm = {"lr": 1e-3, "batch": 200, "warmup": 0.5}
    assert promoted(study(method={"preset": "edm"}, optimizer=warm)).anew


@pytest.mark.parametrize(
    ("budget", "kept", "says"),
    [(8, 0, "its checkpoint is not kept"), (2, 4, "at 4 kimg, beyond the new budget")],
)
def test_without_a_checkpoint_of_its_way_a_trial_begins_anew(
    budget: int, kept: int, says: str
) -> None:
    assert says in promoted(study(method={"preset": "edm"}), budget, kept).anew


def test_where_only_parts_were_searched_a_study_has_an_axis_all_the_same() -> None:
    spec = study({"method.preset": {"choices": ["ict", "gaf"]}})
    made = sound(promoted(spec, params={"method.preset": "gaf"}).spec)
    assert [axis.path for axis in made.search] == ["optimizer.lr"]
    assert resolve(made, {}) == resolve(spec, {"method.preset": "gaf"}).with_budget(8)


def test_the_best_is_the_best_finished_configuration() -> None:
    records = [
        record(0, 9.0), record(1, 1.0, replicate_of=0), record(2, None, state=State.PRUNED),
        record(3, 4.0), record(4, 4.0),
    ]  # fmt: skip
    assert chosen(study(), records, "best").number == 3
    assert chosen(study(), records, "2").number == 2
    with pytest.raises(UserError, match="--trial 7: expected best, or a trial's number below 5"):
        chosen(study(), records, "7")
    with pytest.raises(UserError, match="no trial has finished yet"):
        chosen(study(), records[2:3], "best")


def test_a_carried_checkpoint_is_where_the_longer_run_goes_on(tmp_path: Path) -> None:
    """A real run of 1 kimg, carried into one of 2: it begins at 1 kimg with the same weights."""
    block = fields(method={"preset": "edm"}, budget_kimg=1)
    spec = spec_from_dict({
        "study": "old", "minimize": "fd_ode", "seed": 3, "trial": block, "search": SEARCH,
        "trials": 1, "stopping": {"first_rung_kimg": 1, "fidelity": "same_run"},
    })  # fmt: skip
    params = {"network.dropout": 0.25, "optimizer.lr": 2e-3}
    trial = tmp_path / "old" / "trials" / "0005"
    Trainer(job(trial, tmp_path / "c", config=resolve(spec, params), seed=7), Recorder()).fit()
    kept = last_checkpoint(trial, 1)
    assert kept is not None
    made = promotion(
        spec, record(params=params), "/old", budget_kimg=2, name="new", replicates=1, kept_kimg=1
    )
    assert made.anew == ""
    folder = StudyFolder.create(tmp_path / "new", sound(made.spec))
    carry(kept, folder)
    config = trial_config(folder.spec().trial)
    ours = job(folder.trial_dir(0), tmp_path / "c", config=config, seed=derive_seed(3, "trial", 0))
    longer = Trainer(ours, Recorder())
    longer._restore()
    assert longer.seen == 1000
    longer.fit()
    assert longer.seen == 2000
