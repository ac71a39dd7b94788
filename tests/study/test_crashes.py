"""Crash-equivalence: whatever is killed, and whenever, the study decides what it would have decided
undisturbed. The conductor and the engine are the real ones, the cluster is simulated.

`pytest tests/study/test_crashes.py --hypothesis-profile=long` tries 10,000 studies.
"""

import random
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, note, settings

from ictsweep.records import Failure, Ledger, State
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
    scripted = ("scripted", "died")
    assert all(e.data["message"].startswith(scripted) for e in disk.events if e.kind == "fail")


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
