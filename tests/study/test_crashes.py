"""Crash-equivalence: whatever is killed, and whenever, the study decides what it would have decided
undisturbed. The conductor and the engine are the real ones, the cluster is simulated.

`pytest tests/study/test_crashes.py --hypothesis-profile=long` tries 10,000 studies.
"""

import random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, note, settings

from ictsweep.records import Event, Failure, Ledger, State
from ictsweep.study.order import misplaced
from ictsweep.study.orders import once_more
from ictsweep.study.spec import Resources, Stopping, StudySpec
from tests.study.stage import Disk, Fate, Killed, Session, uninterrupted
from tests.study.worlds import decisions, spec

MANY = settings(
    max_examples=max(300, settings().max_examples),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

RETRIED = (Failure.PREEMPTED, Failure.LOST, Failure.OOM)


@st.composite
def studies(draw: Any) -> StudySpec:
    """Studies of both fidelities, of two to four rungs."""
    reduction = draw(st.integers(2, 4))
    fidelity = draw(st.sampled_from(["short_run", "same_run"]))
    first = draw(st.integers(1, 5))
    return spec(
        seed=draw(st.integers(0, 3)),
        trials=draw(st.integers(1, 12)),
        replicates=draw(st.integers(1, 3)),
        trial={"budget_kimg": first * reduction ** draw(st.integers(1, 3))},
        stopping=Stopping(first_rung_kimg=first, reduction=reduction, fidelity=fidelity),
        resources=Resources(launch_kimg=draw(st.integers(0, 6))),
    )


@st.composite
def fates(draw: Any) -> Fate:
    """Failures of a few trials: some that are tried again, some that end them."""
    ends = (*RETRIED, Failure.DIVERGED, Failure.BUG)
    places = st.tuples(st.integers(0, 9), st.integers(0, 2))
    lists = st.lists(st.sampled_from(ends), min_size=1, max_size=2).map(tuple)
    return Fate(draw(st.dictionaries(places, lists, max_size=4)))


@st.composite
def common_bugs(draw: Any) -> Fate:
    """Bugs that many trials end by, in the same way or not, beside failures that are tried again:
    the study halts, perhaps more than once.
    """
    places = st.tuples(st.integers(0, 11), st.sampled_from([0, 0, 0, 1, 2]))
    ends = st.sampled_from(
        [(Failure.BUG,), (Failure.BUG,), (Failure.OOM, Failure.OOM), (Failure.LOST,)]
    )
    return Fate(draw(st.dictionaries(places, ends, min_size=3, max_size=12)))


def survive(
    study: StudySpec, slots: int, fate: Fate, kills: list[int], pauses: list[int], seed: int
) -> Disk:
    """The study's log after drivers that were killed after so many appends, drivers that were asked
    to pause after so many moves, and one that came to the end.
    """
    disk, dice = Disk(), random.Random(seed)
    for fatal in kills:
        disk.fatal = fatal
        try:
            Session(study, disk, dice, slots=slots, fate=fate).run()
        except Killed:
            continue
    disk.fatal = -1
    for moves in pauses:
        Session(study, disk, dice, slots=slots, fate=fate).run(until=moves)
    conductor = Session(study, disk, dice, slots=slots, fate=fate).run()
    while conductor.engine.halted:  # who opens it again has seen why it halted
        conductor = Session(study, disk, dice, slots=slots, fate=fate).run()
    return disk


def undisturbed(study: StudySpec, slots: int, fate: Fate) -> list[Event]:
    """The log of a study that nobody disturbed, opened again whenever it halted."""
    return survive(study, slots, fate, [], [], 0).events


def taken(events: list) -> list:
    """The decisions of a log, without the times that they were taken at."""
    return [(e.kind, e.trial, e.data) for e in decisions(events)]


@MANY
@given(
    study=studies(),
    slots=st.integers(1, 4),
    fate=fates(),
    kills=st.lists(st.integers(1, 60), max_size=5),
    pauses=st.lists(st.integers(1, 40), max_size=2),
    seed=st.integers(0, 2**16),
)
def test_decisions_with_crashes_are_those_without(
    study: StudySpec, slots: int, fate: Fate, kills: list[int], pauses: list[int], seed: int
) -> None:
    fate = Fate(
        {place: tuple(k for k in kinds if k in RETRIED) for place, kinds in fate.kinds.items()}
    )
    whole = uninterrupted(study, slots, fate)
    disk = survive(study, slots, fate, kills, pauses, seed)
    note(f"{len(whole)} events undisturbed, {len(disk.events)} with {len(kills)} kills")
    assert taken(disk.events) == taken(whole)
    assert misplaced(disk.events, study) is None
    scripted = ("scripted", "died")
    assert all(e.data["message"].startswith(scripted) for e in disk.events if e.kind == "fail")


@MANY
@given(
    study=studies(),
    slots=st.integers(1, 4),
    fate=common_bugs(),
    kills=st.lists(st.integers(1, 60), max_size=5),
    seed=st.integers(0, 2**16),
)
def test_a_crash_forgets_no_failure_so_the_study_halts_where_it_would_have(
    study: StudySpec, slots: int, fate: Fate, kills: list[int], seed: int
) -> None:
    """Without pauses: who is asked to pause halts, and a person may mend something meanwhile."""
    whole = undisturbed(study, slots, fate)
    disk = survive(study, slots, fate, kills, [], seed)
    assert taken(disk.events) == taken(whole)
    assert halts(disk.events) == halts(whole)
    assert misplaced(disk.events, study) is None


def halts(events: list[Event]) -> list[Any]:
    """Why a study halted, each time."""
    return [e.data["reason"] for e in events if e.kind == "halt"]


def test_two_equal_failures_before_a_crash_and_one_after_it_halt_the_study() -> None:
    """By hand: trials 1, 2 and 3 meet the same bug, and the driver is killed after the second."""
    study, disk = spec(trials=8, replicates=1), Disk()
    fate = Fate({(trial, 0): (Failure.BUG,) for trial in (1, 2, 3)})
    whole = undisturbed(study, 1, fate)
    assert len(halts(whole)) == 1
    second = next(n for n, e in enumerate(whole) if e.trial == 2 and e.kind == "verdict")
    disk.fatal = second + 1
    with pytest.raises(Killed):
        Session(study, disk, random.Random(0), slots=1, fate=fate).run()
    disk.fatal = -1
    conductor = Session(study, disk, random.Random(0), slots=1, fate=fate).run()
    assert conductor.pausing is not None
    assert "3 trials in a row failed" in conductor.pausing[1]
    assert conductor.engine.asked == 4
    resumed = Session(study, disk, random.Random(0), slots=1, fate=fate).run()
    assert not resumed.engine.halted
    assert taken(disk.events) == taken(whole)


@pytest.mark.parametrize("kind", ["a session of version 2", "a person's retry"])
def test_who_opened_a_study_anew_before_goes_on_as_it_did(kind: str) -> None:
    """A log of version 2 is decided on as it was, and a person who retries a trial has acted."""
    study, disk = spec(trials=8, replicates=1), Disk()
    fate = Fate({(trial, 0): (Failure.BUG,) for trial in (1, 2, 3)})
    whole = undisturbed(study, 1, fate)
    third = next(n for n, e in enumerate(whole) if e.trial == 3 and e.kind == "verdict")
    disk.events = whole[: third + 1]
    if kind == "a person's retry":
        disk.events.append(once_more(Ledger(disk.events).trials(), 3, 0.0))
    else:
        disk.events.append(Event(kind="study", time=0.0, data={"version": 2, "slots": 1}))
    assert not Session(study, disk, random.Random(0), slots=1, fate=fate).run().engine.halted
    assert halts(disk.events) == []


@MANY
@given(
    study=studies(),
    slots=st.integers(1, 4),
    rooms=st.lists(st.integers(0, 5), max_size=6),
    fate=fates(),
    kills=st.lists(st.integers(1, 60), max_size=3),
    seed=st.integers(0, 2**16),
)
def test_a_cluster_that_shrinks_and_grows_never_stops_the_study(
    study: StudySpec, slots: int, rooms: list[int], fate: Fate, kills: list[int], seed: int
) -> None:
    disk, dice = Disk(), random.Random(seed)
    for fatal in [*kills, -1]:
        disk.fatal = fatal
        room = [*rooms, 1] if fatal > 0 or rooms else []
        try:
            session = Session(study, disk, dice, slots=slots, fate=fate, rooms=[1, *room])
            conductor = session.run()
        except Killed:
            continue
        assert session.most_present <= max([slots, 1, *room])
    assert misplaced(disk.events, study) is None
    records = Ledger(disk.events).trials()
    assert conductor.engine.halted or len(records) == study.total
    assert all(record.state != State.RUNNING for record in records)
    assert all(len(record.failures) <= 3 * len(study.rungs) for record in records)


@pytest.mark.parametrize("fidelity", ["short_run", "same_run"])
def test_a_kill_after_every_append_of_a_64_trial_study(fidelity: Any) -> None:
    """Every moment there is: between a rung's record and its verdict, between a verdict and the
    next launch, between a failure and its retry.
    """
    study = spec(
        trials=62, stopping=Stopping(first_rung_kimg=4, reduction=3, fidelity=fidelity)
    )  # fmt: skip
    fate = Fate({(5, 0): (Failure.PREEMPTED,), (9, 1): (Failure.LOST,), (20, 0): (Failure.OOM,)})
    whole = uninterrupted(study, 4, fate)
    for fatal in range(1, len(whole)):
        disk = survive(study, 4, fate, [fatal], [], fatal)
        assert taken(disk.events) == taken(whole), f"killed after {fatal} appends"


def test_the_study_survives_a_kill_after_each_of_a_hundred_appends_in_turn() -> None:
    study = spec(trials=20)
    whole = uninterrupted(study, 3)
    disk = survive(study, 3, Fate(), list(range(1, 30)) * 3, [], 7)
    assert taken(disk.events) == taken(whole)
