"""A study watched from beside: what is new is read once, and watching ends when the study does."""

import io
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ictsweep import records
from ictsweep.live import snapshot, watch, watching
from ictsweep.live.watcher import Watcher
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.retries import ASKED_FOR
from ictsweep.study.store import Log, StudyFolder
from tests.live.stories import story
from tests.study.worlds import measured, play, spec

OPENED = Event(kind="study", time=1.0, data={"version": LOG_VERSION, "slots": 3})
PLAYED = [OPENED, *play(spec(), order=random.Random(0))[1:]]


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder.create(tmp_path / "s", spec())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ictsweep.live.watcher._PLAIN_S", 0.02)
    monkeypatch.setattr("ictsweep.live.watcher._LIVE_S", 0.02)


def screen(*, terminal: bool = False) -> Console:
    return Console(width=160, file=io.StringIO(), force_terminal=terminal)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_look_reads_the_new_lines_alone(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it costs does not grow with the log."""
    read, real = [], records.Event.from_line
    monkeypatch.setattr(records.Event, "from_line", lambda text: (read.append(1), real(text))[1])
    watcher = Watcher(folder)
    with Log(folder) as log:
        log.append(PLAYED[:30])
        watcher.look()
        watcher.look()
        assert len(read) == 30
        log.append(PLAYED[30:33])
        watcher.look()
        assert len(read) == 33


def test_a_study_that_is_begun_again_is_shown_anew(folder: StudyFolder) -> None:
    with Log(folder) as log:
        log.append([OPENED])
    watcher = Watcher(folder)
    watcher.look()
    StudyFolder.create(folder.path, spec(trials=7))
    watcher.look()
    with Log(folder) as log:
        log.append([Event(kind="study", time=2.0, data=OPENED.data)])
    watcher.look()
    assert watcher.board.spec.trials == 7
    assert watcher.board.opened == 2.0


def test_a_study_that_is_begun_again_between_two_looks(folder: StudyFolder) -> None:
    """The log is emptied before the new spec is written."""
    with Log(folder) as log:
        log.append([OPENED])
    watcher = Watcher(folder)
    watcher.look()
    (folder.path / "events.jsonl").write_text("")
    watcher.look()
    StudyFolder.create(folder.path, spec(trials=7))
    with Log(folder) as log:
        log.append([Event(kind="study", time=2.0, data=OPENED.data)])
    watcher.look()
    assert watcher.board.spec.trials == 7


def test_a_snapshot_says_how_to_go_on_where_no_driver_runs(folder: StudyFolder) -> None:
    console = screen()
    with Log(folder) as log:
        log.append(PLAYED[:20])
        console.print(snapshot(folder))
        assert "no driver" not in said(console)
    console.print(snapshot(folder))
    assert f"no driver is running; continue with: ictsweep resume {folder.path}" in said(console)


DAY = 86_400.0


@pytest.mark.parametrize("jump", [3 * DAY, -3 * DAY])
def test_a_clock_that_was_set_right_changes_nothing_of_what_passed(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """The driver began before the jump: its log goes on by the clock of then, and its disk's clock
    is the new one. An hour passed; the log was written to a minute ago, and is looked at twice.
    """
    wall, steady = time.time(), 500.0
    monkeypatch.setattr("ictsweep.live.watcher.time.time", lambda: wall)
    monkeypatch.setattr("ictsweep.live.watcher.time.monotonic", lambda: steady)
    began = wall - jump - 3660.0
    launch = {"attempt": 0, "gpus": 8.0, "halvings": 0}
    events = [
        Event(kind="study", time=began, data=OPENED.data),
        Event(kind="ask", time=began, trial=0, data=PLAYED[1].data),
        Event(kind="launch", time=began + 3600.0, trial=0, data=launch),
    ]
    with Log(folder) as log:
        log.append(events)
        os.utime(folder.path / "events.jsonl", (wall - 60.0, wall - 60.0))
        console, watcher = screen(), Watcher(folder)
        console.print(watcher.look())
        assert "1:01:00 passed" in said(console)
        assert "1.02 hours  |  0.133 GPU-hours" in said(console)
        wall += 5 * DAY  # once more, between two looks
        steady += 60.0
        assert "1:02:00 passed" in (watcher.look(), watcher.headline())[1]


def test_where_no_driver_runs_no_time_passes(folder: StudyFolder) -> None:
    """A driver killed long ago; a person has ordered a retry since."""
    launch = {"attempt": 0, "gpus": 8.0, "halvings": 0}
    forgiven = {"attempt": 1, "halvings": 0, "reason": ASKED_FOR}
    with Log(folder) as log:
        log.append([
            OPENED, Event(kind="ask", time=2.0, trial=0, data=PLAYED[1].data),
            Event(kind="launch", time=1801.0, trial=0, data=launch),
            Event(kind="measure", time=3601.0, trial=0, data=measured(spec(), 0, 4, 1.0).data),
            Event(kind="retry", time=3601.0 + 3 * DAY, trial=0, data=forgiven),
        ])  # fmt: skip
    os.utime(folder.path / "events.jsonl", (time.time() - DAY, time.time() - DAY))
    console = screen()
    console.print(snapshot(folder))
    assert "1:00:00 passed" in said(console)
    assert "1 hours  |  4 GPU-hours" in said(console)


def test_a_finished_study_needs_no_driver(folder: StudyFolder) -> None:
    with Log(folder) as log:
        log.append(PLAYED)
    console = screen()
    console.print(snapshot(folder))
    assert "scripted: 12/12 trials asked" in said(console)
    assert "no driver" not in said(console)


def test_beside_the_driver_only_what_happens_now_is_told(folder: StudyFolder, quick: None) -> None:
    console = screen()
    with Log(folder) as log:
        log.append(PLAYED[:20])
        with watching(folder, console):
            log.append(PLAYED[20:])
            wait(lambda: "12/12 trials asked" in said(console))
    lines = said(console).splitlines()
    told = [e for e in PLAYED[20:] if e.kind == "verdict"]
    assert sum(" kimg fd " in text for text in lines) == len(told)
    ended = [e for e in told if e.data["action"] != "continue"]
    assert sum(text.startswith("  scripted: ") for text in lines) == len(ended)


@pytest.mark.parametrize("terminal", [False, True])
def test_watching_ends_with_the_study(folder: StudyFolder, quick: None, terminal: bool) -> None:
    console = screen(terminal=terminal)
    with Log(folder) as log:
        log.append(PLAYED[:20])
        thread = threading.Thread(target=watch, args=(folder, console))
        thread.start()
        for event in PLAYED[20:]:
            log.append([event])
        wait(lambda: "12/12 trials asked" in said(console))
        assert thread.is_alive()  # the driver still has its log
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert said(console).count("trial 11: ") == (
        0 if terminal else said(console).count("trial 11: ")
    )
    assert said(console).rstrip().count("scripted: 12/12") >= 1


def test_watching_ends_where_the_driver_stopped_early(folder: StudyFolder, quick: None) -> None:
    console = screen()
    with Log(folder) as log:
        log.append(story())
    watch(folder, console)
    assert "stopped early: budget: limits.max_hours" in said(console)


def test_watching_outlives_a_killed_driver_until_another_finishes(
    folder: StudyFolder, quick: None
) -> None:
    console = screen()
    with Log(folder) as log:
        log.append(PLAYED[:20])
    thread = threading.Thread(target=watch, args=(folder, console))
    thread.start()
    wait(lambda: "continue with: ictsweep resume" in said(console))
    with Log(folder) as log:
        log.append(PLAYED[20:])
    thread.join(timeout=10)
    assert not thread.is_alive()
