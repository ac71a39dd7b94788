"""A failed trial that is ordered to run again is a running trial for everybody, whenever it was
ordered and whatever is killed.
"""

import random
from pathlib import Path

import pytest
from optuna.trial import TrialState

from ictsweep.errors import UserError
from ictsweep.records import LOG_VERSION, Event, State, trials
from ictsweep.study.order import misplaced
from ictsweep.study.orders import once_more
from ictsweep.study.store import Log, StudyFolder
from tests.study.worlds import Historian, decisions, engine, play, spec

OPENED = Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 2})


def failed(seed: int, trial: int = 4) -> list[Event]:
    """A study whose trial failed at once; it went on to its end."""
    return play(spec(), order=random.Random(seed), log=[OPENED], broken=[trial])


@pytest.mark.parametrize("when", ["at the end", "in the middle"])
def test_a_retried_trial_goes_on_and_every_cut_decides_the_same(when: str) -> None:
    log = failed(0)
    if when == "in the middle":
        fell = next(n for n, e in enumerate(log) if e.kind == "verdict" and e.trial == 4)
        log = log[: fell + 6]
    start = [*log, once_more(trials(log), 4, 0.0), OPENED]
    whole = play(spec(), order=random.Random(1), log=start)
    assert misplaced(whole, spec()) is None
    record = trials(whole)[4]
    assert record.state in (State.COMPLETE, State.PRUNED)
    assert record.params == trials(log)[4].params
    assert record.seed == trials(log)[4].seed
    assert len(trials(whole)) == 12
    for cut in range(len(start), len(whole)):
        resumed = play(spec(), order=random.Random(cut), log=whole[:cut])
        assert decisions(resumed) == decisions(whole), f"cut after event {cut}"


def test_the_sampler_sees_one_running_trial_and_then_its_end() -> None:
    log = failed(0)
    mind = engine(spec())
    mind.replay(log)
    assert mind.sampler.trials()[4].state == TrialState.FAIL  # type: ignore[attr-defined]
    again = once_more(trials(log), 4, 0.0)
    mind.apply(again)
    told = mind.sampler.trials()[4]  # type: ignore[attr-defined]
    assert told.state == TrialState.RUNNING
    assert told.params == trials(log)[4].params
    assert mind.to_train() == [4]
    assert not mind.finished


def test_a_trial_that_fails_again_gets_its_chances_again_and_can_be_retried_again() -> None:
    log = failed(0)
    for attempt in (1, 2):
        again = once_more(trials(log), 4, 0.0)
        assert again.data == {"attempt": attempt, "halvings": 0, "reason": "asked for"}
        fail = {"kind": "bug", "message": "boom", "attempt": attempt}
        log = [*log, again, Event(kind="fail", time=0.0, trial=4, data=fail)]
        mind = engine(spec(), Historian())
        mind.replay(log)
        verdict = mind.due(0.0)
        assert verdict is not None
        assert verdict.data["action"] == "fail"
        log = [*log, verdict]
    assert trials(log)[4].attempts == 2


def test_only_a_failed_trial_is_retried() -> None:
    log = failed(0)
    for number, says in [
        (0, r"trial 0 has not failed \(it is complete\): nothing is to be tried again; those"),
        (99, "trial 99: the study has no such trial; those that failed: 4"),
    ]:
        with pytest.raises(UserError, match=says):
            once_more(trials(log), number, 0.0)
    twice = trials([*log, once_more(trials(log), 4, 0.0)])
    with pytest.raises(UserError, match=r"trial 4 has not failed .* again already"):
        once_more(twice, 4, 0.0)


def test_the_command_writes_one_event_and_is_refused_while_a_driver_runs(
    call, tmp_path: Path
) -> None:
    folder = StudyFolder.create(tmp_path / "s", spec())
    with Log(folder) as log:
        log.append(failed(0))
        code, _, err = call("retry", "s", "4", "--storage", ".")
        assert code == 2
        assert "a driver is running this study" in err
    before = folder.events()
    code, out, _ = call("retry", "s", "4", "--storage", ".")
    assert (code, out) == (
        0, "trial 4 runs again when the study is resumed: ictsweep resume s\n"
    )  # fmt: skip
    assert folder.events()[:-1] == before
    assert folder.events()[-1].kind == "retry"
    assert call("retry", "s", "3", "--storage", ".")[0] == 2
    assert len(folder.events()) == len(before) + 1
