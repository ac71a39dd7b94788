"""A space that was changed between two sessions: every difference is named; what decides on trials
there are already stays.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ictsweep.errors import StudyError
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.changes import agreed, changes, recorded
from ictsweep.study.spec import Keep, Limits, Resources, Sampler, Stopping, StudySpec, spec_to_dict
from ictsweep.study.store import Log, StudyFolder
from tests.study.worlds import spec


def begun(path: Path, asked: int = 5) -> StudyFolder:
    """A study whose first session asked for some trials (two of them seeds of trial 0)."""
    folder = StudyFolder.create(path / "s", spec())
    opened = {"version": LOG_VERSION, "slots": 2, "spec": spec_to_dict(spec())}
    ask = {"params": {}, "seed": 1, "replicate_of": None}
    with Log(folder) as log:
        log.append([Event(kind="study", time=0.0, data=opened)])
        log.append([Event(kind="ask", time=0.0, trial=n, data=ask) for n in range(asked)])
    return folder


def edited(folder: StudyFolder, new: StudySpec) -> None:
    """study.yaml changed by hand."""
    (folder.path / "study.yaml").write_text(yaml.safe_dump(spec_to_dict(new), sort_keys=False))


def test_a_space_that_is_the_same_goes_on(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    assert agreed(folder, folder.events(), None, accept=False) == spec()
    assert agreed(folder, folder.events(), spec(), accept=False) == spec()


ACCEPTABLE: dict[str, dict[str, Any]] = {
    "trials: 10 when it last ran, 20 now": {"trials": 20},
    "trials: 10 when it last ran, 3 now": {"trials": 3},  # 5 asked, 2 of them further seeds
    "limits.max_hours: nothing when it last ran, 2.0 now": {"limits": Limits(max_hours=2.0)},
    "keep.best: 3 when it last ran, 1 now": {"keep": Keep(best=1)},
    "resources.workers: 1 when it last ran, 2 now": {
        "resources": Resources(workers=2, launch_kimg=2)
    },
    "sampler.name: text 'tpe' when it last ran, text 'random' now": {
        "sampler": Sampler(name="random", startup_trials=4)
    },
}


@pytest.mark.parametrize(("says", "change"), ACCEPTABLE.items())
@pytest.mark.parametrize("how", ["by hand", "by --space"])
def test_what_can_be_accepted_is_refused_until_it_is(
    tmp_path: Path, says: str, change: dict[str, Any], how: str
) -> None:
    folder, new = begun(tmp_path), spec(**change)
    wanted = None if how == "by hand" else new
    if wanted is None:
        edited(folder, new)
    with pytest.raises(StudyError) as refused:
        agreed(folder, folder.events(), wanted, accept=False)
    assert says in str(refused.value)
    assert "Accept this with --accept-space-change, or put the old" in str(refused.value)
    assert folder.spec() == (new if wanted is None else spec())
    assert agreed(folder, folder.events(), wanted, accept=True) == new


FIXED: dict[str, dict[str, Any]] = {
    "trials: 10 when it last ran, 2 now (cannot change: 3 configurations were asked": {"trials": 2},
    "seed: 3 when it last ran, 4 now (cannot change: all trials' seeds": {"seed": 4},
    "replicates: 3 when": {"replicates": 2},
    "trial.budget_kimg: 36 when it last ran, 108 now (cannot change: trials were trained with": {
        "trial": {"budget_kimg": 108}
    },
    "stopping.reduction: 3 when it last ran, 2 now (cannot change: trials were judged by": {
        "stopping": Stopping(first_rung_kimg=4, reduction=2, fidelity="short_run")
    },
    "search.a.range: [0.0, 1.0] when it last ran, [0.0, 2.0] now (cannot change: the sampler": {
        "search": (replace(spec().search[0], high=2.0), spec().search[1])
    },
    "resources.launch_kimg: 2 when it last ran, 0 now (cannot change: the order": {
        "resources": Resources()
    },
    "warm_start: [{}] when it last ran, [{}, {\"a\": 0.1}] now": {"warm_start": ({}, {"a": 0.1})},
}  # fmt: skip


@pytest.mark.parametrize(("says", "change"), FIXED.items())
def test_what_decided_on_trials_stays_whatever_is_accepted(
    tmp_path: Path, says: str, change: dict[str, Any]
) -> None:
    folder = begun(tmp_path)
    with pytest.raises(StudyError) as refused:
        agreed(folder, folder.events(), spec(**change, keep=Keep(best=2)), accept=True)
    assert says in str(refused.value)
    assert "keep.best: 3 when it last ran, 2 now\n" in str(refused.value)
    assert f"warm_start: [{{}}, {{study: {folder.path}}}]" in str(refused.value)
    assert folder.spec() == spec()


def test_before_its_first_trial_anything_may_change_and_old_logs_do_not_say(
    tmp_path: Path,
) -> None:
    folder = begun(tmp_path, asked=0)
    assert agreed(folder, folder.events(), spec(seed=9), accept=False) == spec(seed=9)
    assert recorded([Event(kind="study", time=0.0, data={"version": 1})]) is None
    assert changes(spec(), spec(), 5) == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("study.yaml", "a: [", "study.yaml: not YAML any more: "),
        ("study.yaml", "- 1", "study.yaml: got [1]; expected a block of keys"),
        ("study.yaml", "", "study.yaml: got nothing"),
        ("manifest.json", "{", "manifest.json: not JSON any more"),
        ("events.jsonl", "hello\n", "events.jsonl:1: not an event of this log"),
    ],
)
def test_a_file_broken_by_hand_is_one_message(
    call, tmp_path: Path, name: str, content: str, says: str
) -> None:
    folder = begun(tmp_path)
    (folder.path / name).write_text(content)
    code, _, err = call("report", str(folder.path))
    assert code == 2
    assert says in err
    assert "Traceback" not in err
