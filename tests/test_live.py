"""What is shown while a study runs, from its log alone."""

import os
import random
from pathlib import Path

import pytest
from rich.console import Console

from ictsweep.live import best_final, headline, quiet, seconds_left, snapshot
from ictsweep.records import LOG_VERSION, Event, trials
from ictsweep.study.store import Log, StudyFolder
from tests.study.worlds import play, spec


def test_headline_counts_and_names_the_best() -> None:
    log = play(spec(), order=random.Random(0))
    records = trials(log)
    best = best_final(spec(), records)
    assert best is not None
    finals = {
        r.number: r.cards[-1].value
        for r in records
        if r.state == "complete" and r.replicate_of is None
    }
    assert finals[best.number] == min(finals.values())  # type: ignore[type-var]
    line = headline(spec(), records, log)
    assert line.startswith("scripted: 12/12 trials asked  |  ")
    assert f"best fd {finals[best.number]:.4g} (trial {best.number})" in line


def test_time_left_follows_the_pace_of_this_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the study's clock passed in 100 s: 100 s are left."""
    log = play(spec(), order=random.Random(0))
    monkeypatch.setattr("time.time", lambda: 100.0)
    monkeypatch.setattr("ictsweep.live.forecast", lambda spec, slots, events: (40.0, 80.0))
    assert seconds_left(spec(), log) == pytest.approx(100.0)
    monkeypatch.setattr("ictsweep.live.forecast", lambda spec, slots, events: (0.0, 80.0))
    assert seconds_left(spec(), log) is None


def test_snapshot_has_a_row_for_each_trial(tmp_path: Path) -> None:
    folder = StudyFolder.create(tmp_path / "s", spec())
    opened = Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 3})
    with Log(folder) as log:
        log.append([opened, *play(spec(), order=random.Random(0))[1:]])
    console = Console(width=140, record=True, file=(tmp_path / "out").open("w"))
    console.print(snapshot(folder))
    text = console.export_text()
    assert "1 (0 again)" in text
    assert all(f"\n{record.number}" in text for record in folder.trials())


def test_quiet_sends_the_rest_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(tmp_path / "log") as console:
        os.write(1, b"chatter\n")  # as a library or a child process does
        console.print("for people")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "for people\nafter\n"
    assert (tmp_path / "log").read_text() == "chatter\n"
