"""What is read of a study: equal to its log, at any moment of its life."""

import json
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.evaluation import BELOW as MARK
from ictsweep.records import State
from ictsweep.report.collect import collect
from ictsweep.report.passports import BELOW, differences
from ictsweep.report.table import rows
from ictsweep.report.view import Scored, StudyView
from ictsweep.study.noise import Verdict, compare
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, space, write_study


def test_states_are_those_of_the_log(study: StudyFolder, view: StudyView) -> None:
    """Counted from the raw lines, not through the code under test."""
    lines = [json.loads(line) for line in (study.path / "events.jsonl").read_text().splitlines()]
    actions = [e["data"]["action"] for e in lines if e["kind"] == "verdict"]
    assert view.states == {
        State.COMPLETE: actions.count("complete"),
        State.PRUNED: actions.count("stop"),
        State.FAILED: actions.count("fail"),
        State.RUNNING: 0,
    }
    assert len(view.trials) == sum(e["kind"] == "ask" for e in lines) == view.expected == 18
    assert view.finished


def test_final_values_are_the_full_budget_of_complete_trials(
    study: StudyFolder, view: StudyView
) -> None:
    lines = [json.loads(line) for line in (study.path / "events.jsonl").read_text().splitlines()]
    last = {
        e["trial"]: e["data"]["values"]["fd"]
        for e in lines
        if e["kind"] == "measure" and e["data"]["kimg"] == e["data"]["run_kimg"] == 288
    }
    assert {t.number: t.final.value for t in view.trials if t.final} == last
    assert all((t.final is None) == (t.state != State.COMPLETE) for t in view.trials)
    stopped = next(t for t in view.trials if t.state == State.PRUNED and t.reached == 32)
    assert stopped.last is not None
    assert stopped.final is None


def test_baseline_best_and_verdict(view: StudyView) -> None:
    seeds = [t.final.value for t in view.trials if not t.searched and t.final]
    searched = {t.number: t.final.value for t in view.trials if t.searched and t.final}
    assert len(seeds) == 3
    assert view.best == min(searched, key=lambda number: searched[number])
    tried = sum(t.searched and bool(t.runs) for t in view.trials)
    assert view.best is not None
    assert view.comparison == compare(seeds, searched[view.best], tried)
    assert tried == 14  # 16 configurations less trial 0 and trial 5, which failed before a value


def test_kimg_of_short_runs_are_all_charged(view: StudyView) -> None:
    assert view.trial(0).kimg == 32 + 96 + 288
    assert view.trial(5).kimg == 0
    assert view.steps[-1].spent_kimg <= sum(t.kimg for t in view.trials)
    assert [s.spent_kimg for s in view.steps] == sorted(s.spent_kimg for s in view.steps)


def test_failures_keep_their_reasons(view: StudyView) -> None:
    assert view.trial(5).state == State.FAILED
    assert view.trial(5).failures == ("bug: RuntimeError: shape mismatch",)
    assert view.trial(13).state == State.PRUNED
    assert view.trial(13).cards[-1].value is None


def test_same_run_reads_rungs_as_points_of_one_run(tmp_path: Path) -> None:
    spec = space(stopping={"first_rung_kimg": 32, "reduction": 3, "fidelity": "same_run"})
    view = collect(write_study(tmp_path / "s", spec, Script(pictures=False)))
    zero = view.trial(0)
    assert [run.run_kimg for run in zero.runs] == [288]
    assert sorted(zero.at_rung) == [32, 96, 288]
    assert zero.kimg == 288


@pytest.mark.parametrize("until", [0, 1, 3, 7, 25, 60])
def test_any_prefix_of_a_log_can_be_read(tmp_path: Path, until: int) -> None:
    view = collect(write_study(tmp_path / "s", script=Script(pictures=False), until=until))
    assert not view.finished
    assert view.best is None or view.trial(view.best).final is not None


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", script=Script(pictures=False), until=40)
    whole = collect(folder)
    with (folder.path / "events.jsonl").open("a") as log:
        log.write('{"kind":"measure","time":1.0,"tri')
    assert collect(folder) == whole


def test_all_failed(tmp_path: Path) -> None:
    script = Script(fail=dict.fromkeys(range(20), "oom: out of memory"), pictures=False)
    view = collect(write_study(tmp_path / "s", script=script))
    assert view.states[State.FAILED] == len(view.trials) == 4  # halted; one was in flight
    assert view.best is view.noise is view.comparison is None


def test_one_trial(tmp_path: Path) -> None:
    spec = space(trials=1, replicates=1)
    view = collect(write_study(tmp_path / "s", spec, Script(pictures=False)))
    assert view.finished
    assert view.noise is not None
    assert (view.noise.seeds, view.best, view.comparison) == (1, None, None)


def test_one_seed_leaves_the_verdict_unknown(tmp_path: Path) -> None:
    view = collect(write_study(tmp_path / "s", space(replicates=1), Script(pictures=False)))
    assert view.comparison is not None
    assert view.comparison.verdict == Verdict.UNKNOWN


def test_not_a_study_folder(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="not a study folder"):
        collect(StudyFolder.open(tmp_path))


def test_values_with_another_passport_are_not_ranked(tmp_path: Path) -> None:
    """The best trial, measured on fewer images, neither wins nor stands before the others."""
    script = Script(pictures=False, effect=0.0, passports={4: {"images": 100}})
    view = collect(write_study(tmp_path / "s", script=script))
    assert not view.trial(4).comparable
    assert view.mixed == ("trial 4: images 100 where the study has 1000",)
    assert view.best != 4
    assert view.standing()[-1].number == 4
    assert all(t.number != 4 for rung in view.spec.rungs for t in view.measured_at(rung))


def test_what_a_passport_may_differ_in() -> None:
    study = {"images": 1000, "ema": "0.05", "levels": [80.0]}
    other = {"images": 1000, "ema": "0.10", "levels": [80.0]}
    assert differences(study, study, []) == []
    assert differences(other, study, []) == ["ema 0.10 where the study has 0.05"]
    assert differences(other, study, ["ema.sigma_rel"]) == []
    assert differences({"images": 1000}, study, ["ema.sigma_rel"]) == [
        "levels not given where the study has [80.0]"
    ]


def test_matched_rung_is_the_highest_with_enough_trials(view: StudyView) -> None:
    attended = {rung: len(view.measured_at(rung)) for rung in view.spec.rungs}
    assert attended == {32: 15, 96: 3, 288: 3}
    assert view.matched_rung(3)[0] == 288
    assert view.matched_rung(4)[0] == 32
    assert view.matched_rung(1000)[0] == 32
    assert all(t.replicate_of is None for t in view.matched_rung(8)[1])


def test_standing_puts_the_furthest_first(view: StudyView) -> None:
    standing = view.standing()
    assert [t.reached for t in standing] == sorted((t.reached for t in standing), reverse=True)
    top = [t.last.value for t in standing if t.reached == 288 and t.last]
    assert top == sorted(top)
    assert isinstance(standing[0].last, Scored)


def test_values_below_dimension_are_ranked_with_none(tmp_path: Path) -> None:
    """A Fréchet distance of no more samples than features: shown, marked, not compared."""
    assert BELOW == MARK
    marked = {number: {BELOW: True} for number in range(19)}
    folder = write_study(tmp_path / "s", script=Script(passports=marked, pictures=False))
    view = collect(folder)
    assert not any(trial.comparable for trial in view.trials if trial.runs)
    assert view.best is None
    assert all(BELOW in text for text in view.mixed)
    finals = [trial for trial in view.trials if trial.others]
    texts = [cell for row in rows(view) for cell in row.cells if "below dimension" in cell.text]
    assert len(texts) == len(finals) > 0
    assert all(cell.key is None for cell in texts)
