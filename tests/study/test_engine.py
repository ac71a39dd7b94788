"""Decisions depend on results, never on timing or crashes."""

import random

import pytest

from ictsweep.records import Action, Event, State, trials
from ictsweep.study.forecast import forecast, run_ahead, trained_kimg
from ictsweep.study.spec import Stopping
from tests.study.worlds import decisions, engine, measured, play, spec

SAME_RUN = Stopping(first_rung_kimg=4, reduction=3, fidelity="same_run")


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_decisions_do_not_depend_on_which_worker_is_faster(slots: int) -> None:
    logs = [play(spec(), order=random.Random(n), slots=slots) for n in range(5)]
    assert all(decisions(log) == decisions(logs[0]) for log in logs[1:])


@pytest.mark.parametrize("stopping", [spec().stopping, SAME_RUN])
def test_a_study_cut_at_any_event_decides_the_same(stopping: Stopping) -> None:
    study = spec(stopping=stopping)
    whole = play(study, order=random.Random(0))
    for cut in range(1, len(whole)):
        resumed = play(study, order=random.Random(cut), log=whole[:cut])
        assert decisions(resumed) == decisions(whole), f"cut after event {cut}"


def test_several_crashes_decide_the_same() -> None:
    study = spec()
    whole = play(study, order=random.Random(0))
    dice = random.Random(1)
    log: list[Event] = []
    for _ in range(6):
        log = play(study, order=dice, log=log)
        log = log[: dice.randrange(1, len(log))]
    assert decisions(play(study, order=dice, log=log)) == decisions(whole)


def test_the_study_runs_what_was_asked_for() -> None:
    records = trials(play(spec(), order=random.Random(0)))
    assert len(records) == 10 + 2
    assert [r.replicate_of for r in records[:4]] == [None, 0, 0, None]
    assert all(r.params == records[0].params for r in records[:3])
    assert len({r.seed for r in records}) == 12
    assert {r.state for r in records} == {State.COMPLETE, State.PRUNED}


def test_the_baseline_is_never_stopped_even_when_it_is_bad() -> None:
    study = spec()
    mind = engine(study)
    mind.apply(Event(kind="study", time=0.0, data={"slots": 3}))
    events = run_ahead(mind, lambda trial, rung: 100.0 if trial < 3 else float(trial))
    ends = {e.trial: e.data["action"] for e in events if e.kind == "verdict"}
    assert [ends[n] for n in range(3)] == ["complete"] * 3


def test_asha_by_hand() -> None:
    """One slot, baseline 10.0; reduction 3. n = values seen at rung 4, the best max(1, n // 3) go
    on.

    trial:  3 scores 9 (best of 2: on), 4 scores 11 (3rd of 3, keep 1: out), 5 scores 9.5 (2nd of 4,
    keep 1: out), 6 scores 9.2 (2nd of 5, keep 1: out), 7 scores 9.1 (2nd of 6, keep 2: on).
    Replicates (1, 2) are not in the rung.
    """
    at_first = {0: 10.0, 1: 1.0, 2: 1.0, 3: 9.0, 4: 11.0, 5: 9.5, 6: 9.2, 7: 9.1}
    study = spec(trials=6)
    mind = engine(study)
    mind.apply(Event(kind="study", time=0.0, data={"slots": 1}))
    events = run_ahead(mind, lambda trial, rung: at_first[trial])
    first = {
        e.trial: e.data for e in events if e.kind == "verdict" and e.data["card"]["rung_kimg"] == 4
    }
    actions = [first[n]["action"] for n in range(8)]
    assert actions == ["continue"] * 4 + ["stop"] * 3 + ["continue"]
    card = first[6]["card"]
    assert (card["rank"], card["of"], card["keep"], card["cutoff"]) == (2, 5, 1, 9.0)


def test_only_the_end_of_a_short_run_counts_at_a_rung() -> None:
    """A value in the middle of the 36-kimg run, at 12 kimg, is not the 12-kimg rung's."""
    study = spec()
    mind = engine(study)
    mind.apply(Event(kind="study", time=0.0, data={"slots": 1}))
    ask = mind.due(0.0)
    assert ask is not None
    mind.apply(ask)
    middle = measured(spec(stopping=SAME_RUN), 0, 4, 1.0)  # run 36, kimg 4
    mind.apply(middle)
    assert mind.due(0.0) is None
    mind.apply(measured(study, 0, 4, 2.0))
    verdict = mind.due(0.0)
    assert verdict is not None
    assert verdict.data["card"]["value"] == 2.0


def test_failed_trials_are_told_and_three_in_a_row_end_the_study() -> None:
    log = play(spec(), order=random.Random(0), slots=1, broken=[4])
    assert {r.number: r.state for r in trials(log)}[4] == State.FAILED
    assert len(trials(log)) == 12
    log = play(spec(), order=random.Random(0), slots=1, broken=[3, 4, 5])
    assert len(trials(log)) == 6


def test_a_diverged_trial_is_pruned_without_a_value() -> None:
    study = spec()
    mind = engine(study)
    log = play(study, order=random.Random(0), slots=1)
    cut = next(i for i, e in enumerate(log) if e.trial == 3 and e.kind == "measure")
    data = {"kind": "diverged", "message": "loss nan"}
    mind.replay([*log[:cut], Event(kind="fail", time=0.0, trial=3, data=data)])
    verdict = mind.due(0.0)
    assert verdict is not None
    assert Action(verdict.data["action"]) == Action.STOP
    assert verdict.data["card"]["value"] is None
    mind.apply(verdict)
    told = mind.sampler.trials()[3]  # type: ignore[attr-defined]
    assert told.state.name == "PRUNED"
    assert told.intermediate_values == {}


def test_forecast_counts_the_clock() -> None:
    """One slot, no launch cost, one configuration without replicates: 4 + 12 + 36 kimg of short
    runs, 36 of one run."""
    from ictsweep.study.spec import Resources

    lone = spec(trials=1, replicates=1, resources=Resources())
    assert forecast(lone, 1) == (0.0, 52.0)
    assert forecast(spec(trials=1, replicates=1, resources=Resources(), stopping=SAME_RUN), 1) == (
        0.0,
        36.0,
    )
    events = play(lone, order=random.Random(0), slots=1)
    assert trained_kimg(events) == 52.0
    assert forecast(lone, 1, events) == (52.0, 52.0)


def test_decisions_are_taken_in_the_order_of_the_clock_by_hand() -> None:
    """Two slots, launching costs 2 kimg. Trials 0 and 1 arrive at rung 4 at clock 6; 0 goes on
    and is due at 6 + 12 = 18, trial 1 is out; trial 2 is asked at 6, due at 6 + 2 + 4 = 12: before
    trial 0, although it began later.
    """
    mind = engine(spec(trials=3, replicates=1))
    mind.apply(Event(kind="study", time=0.0, data={"slots": 2}))
    events = run_ahead(mind, lambda trial, rung: float(trial))
    order = [
        (e.kind, e.trial, e.data["card"]["rung_kimg"] if e.kind == "verdict" else 0)
        for e in decisions(events)
    ]
    assert order == [
        ("ask", 0, 0), ("ask", 1, 0), ("verdict", 0, 4), ("verdict", 1, 4), ("ask", 2, 0),
        ("verdict", 2, 4), ("verdict", 0, 12), ("verdict", 0, 36),
    ]  # fmt: skip
    assert mind.clock == 6 + 12 + 36


def test_the_first_failure_is_the_reason_whatever_follows_it() -> None:
    mind = engine(spec(trials=1, replicates=1))
    mind.apply(Event(kind="study", time=0.0, data={"slots": 1}))
    ask = mind.due(0.0)
    assert ask is not None
    mind.apply(ask)
    for kind, message in (("diverged", "loss nan"), ("error", "teardown")):
        data = {"kind": kind, "message": message}
        mind.apply(Event(kind="fail", time=0.0, trial=0, data=data))
    verdict = mind.due(0.0)
    assert verdict is not None
    assert verdict.data["action"] == "stop"
    assert verdict.data["card"]["reason"] == "diverged: loss nan"
