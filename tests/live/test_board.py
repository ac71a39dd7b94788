"""A study's state kept event by event, and how it is said."""

import math
import random
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from ictsweep.live.board import SHOWN, Board
from ictsweep.live.drawing import drawing, headline, means
from ictsweep.live.lines import ends_trial, line
from ictsweep.records import LOG_VERSION, Event, State, trials
from ictsweep.study.spec import Limits
from tests.live.stories import story
from tests.study.worlds import play, spec

LIMITED = {"limits": Limits(max_hours=2.0, max_gpu_hours=8.0, max_cost=30.0, gpu_hour_price=4.0)}


@pytest.mark.parametrize("seed", range(4))
def test_the_board_says_what_the_log_says(seed: int) -> None:
    """At every event of a study: states, values at rungs, the best, as records have them."""
    log = play(spec(), order=random.Random(seed), broken=[4])
    board = Board(spec())
    for n, event in enumerate(log, 1):
        board.apply(event)
        records = trials(log[:n])
        states = Counter(record.state for record in records)
        assert {state: board.count(state) for state in State} == {s: states[s] for s in State}
        assert (board.asked, board.running) == (len(records), states[State.RUNNING])
        finals = [
            (r.cards[-1].value, r.number)
            for r in records
            if r.state == State.COMPLETE and r.replicate_of is None
        ]
        assert board.best == min(finals, default=None)
    assert board.finished
    rows = {row.number: row for row in board.shown()}
    for record in trials(log):
        at = {kimg: record.at_rung(kimg, short_run=True) for kimg in spec().rungs}
        values = {kimg: m.values["fd"] for kimg, m in at.items() if m is not None}
        assert rows[record.number].values == values


def test_a_value_in_the_middle_of_a_run_is_not_the_rungs() -> None:
    log = story()
    middle = Event(kind="measure", time=0.0, trial=1, data={**log[6].data, "run_kimg": 12})
    board = Board(spec(), [*log[:6], middle])
    row = next(row for row in board.shown() if row.number == 1)
    assert (row.values, row.doing) == ({}, "at 4 of 12 kimg")


def test_what_a_trial_does_from_its_asking_to_its_end() -> None:
    board, said = Board(spec()), []
    for event in story():
        board.apply(event)
        row = next((row for row in board.shown() if row.number == 1), None)
        if row is not None and (not said or said[-1] != row.doing):
            said.append(row.doing)
    assert said == [
        "waits for a place", "starts", "oom: out of memory",
        "waits for its attempt 2: oom (1 of at most 1 times)", "starts, attempt 2",
    ]  # fmt: skip


def test_a_trial_that_left_its_machines_says_so() -> None:
    log = story()
    leave = Event(kind="leave", time=0.0, trial=0, data={"seconds": 1.0, "gpus": 2.0, "phases": {}})
    board = Board(spec(), [*log[:7], leave])
    assert board.shown()[0].doing == "done with 4 kimg; left its machines"


def test_room_retries_spending_and_halts_are_said() -> None:
    """GPU-seconds by hand: 2 GPUs for 30 + 130 + 20 s, and trial 1's second launch from 1120 s to
    the last event at 1220 s.
    """
    board = Board(spec(**LIMITED), story())
    assert (board.slots, board.retries, board.count(State.RUNNING)) == (2, 1, 1)
    assert board.halt == "budget: limits.max_hours: 0.06 of 0.05 hours are used"
    hours, gpu_hours = 220 / 3600, 2 * (30 + 130 + 20 + 100) / 3600
    assert means(board, 9e9) == (
        "room for 2 trial(s) at once  |  1 launched again after a failure  |  "
        f"{hours:.3g} of 2 hours  |  {gpu_hours:.3g} of 8 GPU-hours  |  "
        f"cost {4 * gpu_hours:.3g} of 30"
    )
    resumed = Event(kind="study", time=5000.0, data={"version": LOG_VERSION, "slots": 4})
    board.apply(resumed)
    assert (board.halt, board.slots, board.opened) == ("", 4, 5000.0)
    assert means(board, 5000.0 + 3600).endswith(
        f"{hours + 1:.3g} of 2 hours  |  {gpu_hours:.3g} of 8 GPU-hours  |  cost 0.622 of 30"
    )
    plain = means(Board(spec(), play(spec(), order=random.Random(0))), 0.0)
    assert plain == "room for 3 trial(s) at once  |  0 hours"


def test_the_headline_counts_and_names_the_best() -> None:
    board = Board(spec(), story())
    assert headline(board, 1500.0, 90.4) == (
        "scripted: 3/12 trials asked  |  1 running, 1 complete, 1 pruned  |  "
        "best fd 7.5 (trial 0)  |  0:08:20 passed  |  about 0:01:30 left"
    )
    assert headline(Board(spec()), 0.0, None) == "scripted: 0/12 trials asked  |  none yet"


def test_the_best_is_a_number_and_no_further_seed() -> None:
    log = story()
    nan = Event(
        kind="measure", time=0.0, trial=0, data={**log[15].data, "values": {"fd": math.nan}}
    )
    assert Board(spec(), [*log[:15], nan, log[16]]).best is None
    again = [
        Event(kind=e.kind, time=e.time, trial=1, data=e.data)
        for e in log
        if e.trial == 0 and e.kind in ("measure", "verdict")
    ]
    assert Board(spec(), [*log[:6], *again]).best is None


def text_of(board: Board, folder: Path, hint: str = "") -> str:
    console = Console(width=140, record=True, file=(folder / "out").open("w"))
    console.print(drawing(board, 1500.0, None, hint))
    return console.export_text()


def test_the_table_has_the_running_trials_and_the_last_to_end(tmp_path: Path) -> None:
    study = spec(trials=40)
    log = play(study, order=random.Random(0))
    text = text_of(Board(study, log), tmp_path)
    assert sum(row[:1].isdigit() for row in text.splitlines()) == SHOWN
    ended = [event.trial for event in log if ends_trial(event)]
    for number in ended[-SHOWN:]:
        assert f"\n{number} " in text
    early = text_of(Board(study, log[:5]), tmp_path, hint="begin with: this")
    assert early.startswith("begin with: this\n")
    assert "1 (0 again)" in early
    assert "stopped early: budget: limits.max_hours" in text_of(Board(spec(), story()), tmp_path)


def test_machines_that_do_not_come_are_told_until_they_do(tmp_path: Path) -> None:
    asked = Event(kind="cluster", time=9e9, data={"slots": 2, "refused": "l4: NoQuota: none"})
    assert "no machine comes, l4: NoQuota: none (the study waits; " in line(spec(), asked)
    log = story()[:5]
    assert "l4: NoQuota: none" in text_of(Board(spec(), [*log, asked]), tmp_path)
    comes = Event(kind="cluster", time=9e9, data={"slots": 2})
    assert "NoQuota" not in text_of(Board(spec(), [*log, asked, comes]), tmp_path)


def test_events_as_lines() -> None:
    assert [text for event in story() if (text := line(spec(), event))] == [
        "trial 0: started",
        "trial 1: started",
        "trial 0: 4 kimg fd 9: continue",
        "trial 1: oom: out of memory",
        "trial 1: again: oom (1 of at most 1 times)",
        "the cluster has room for 2 trial(s) at once",
        "trial 1: started, attempt 2",
        "trial 0: 12 kimg fd 8: continue",
        "trial 0: 36 kimg fd 7.5: complete",
        "trial 2: started",
        "trial 2: 4 kimg fd 9.5: stop",
        "stopped early: budget: limits.max_hours: 0.06 of 0.05 hours are used",
    ]
