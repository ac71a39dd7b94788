"""A study is asked to stop by a file, from anywhere; a driver that is not there cannot be asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ictsweep.records import Event, Halt, State, TrialRecord
from ictsweep.study.orders import outcome, under_way
from ictsweep.study.requests import (
    ask_to_stop,
    asked_to_stop,
    await_stop,
    forget_request,
    request,
)
from ictsweep.study.store import Log, StudyFolder
from tests.study.worlds import spec

# A driver's loop: it looks, ends as its second argument says, and holds the lock until then.
DRIVER = """
import os, sys, time
from pathlib import Path
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.requests import asked_to_stop
from ictsweep.study.store import Log, StudyFolder
folder = StudyFolder(Path(sys.argv[1]))
with Log(folder) as log:
    log.append([Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 1})])
    ask = {"params": {}, "seed": 1, "replicate_of": None}
    log.append([Event(kind="ask", time=0.0, trial=0, data=ask)])
    print("open", flush=True)
    while not (reason := asked_to_stop(folder)):
        time.sleep(0.02)
    if sys.argv[2] == "dies":
        os._exit(9)
    left = {"seconds": 1.0, "gpus": 0.0, "phases": {}}
    log.append([Event(kind="leave", time=0.0, trial=0, data=left)])
    kind = {"obeys": "asked", "spends": "budget"}[sys.argv[2]]
    log.append([Event(kind="halt", time=0.0, data={"kind": kind, "reason": reason})])
"""


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder.create(tmp_path / "my studies" / "s", spec())


def driver(folder: StudyFolder, how: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder.path), how], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    return process


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("obeys", "stopped; under way: trial 0; continue with: ictsweep resume '"),
        ("spends", "it stopped by itself: asked to stop from "),
        ("dies", "its driver died before it answered; all that was recorded is kept; under way: "),
    ],
)
def test_a_running_study_is_stopped_and_says_how_it_goes_on(
    call, folder: StudyFolder, how: str, says: str
) -> None:
    process = driver(folder, how)
    code, out, err = call("stop", str(folder.path))
    assert process.wait(timeout=10) == (9 if how == "dies" else 0)
    assert (code, err) == (0, "")
    assert f"{folder.path}: asked its driver to stop" in out
    assert out.count("trial 0 has left\n") == (how != "dies")
    assert says in out.splitlines()[-1]
    assert asked_to_stop(folder) == ""


def test_where_no_driver_runs_nothing_is_asked(call, folder: StudyFolder) -> None:
    code, out, _ = call("stop", str(folder.path))
    assert code == 0
    assert "no driver is running this study; continue it with: ictsweep resume '" in out
    assert sorted(p.name for p in folder.path.iterdir()) == [
        "events.jsonl", "lock", "study.yaml", "trials"
    ]  # fmt: skip


def test_a_request_names_who_asked_and_the_next_driver_forgets_it(folder: StudyFolder) -> None:
    assert asked_to_stop(folder) == ""
    ask_to_stop(folder)
    assert asked_to_stop(folder) == f"asked to stop from {os.uname().nodename}"
    forget_request(folder, request(folder))
    forget_request(folder, request(folder))
    assert asked_to_stop(folder) == ""


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\udcff"])
def test_a_request_made_by_hand_counts(folder: StudyFolder, content: str) -> None:
    (folder.path / "stop.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert asked_to_stop(folder) == "asked to stop"


def test_who_waits_no_longer_has_asked_all_the_same(folder: StudyFolder) -> None:
    with Log(folder):
        waiting = await_stop(folder, every_s=0.01)
        assert list(next(waiting)) == []
        waiting.close()
        assert asked_to_stop(folder)


def test_a_driver_that_is_not_known_to_be_asked_is_asked_again(folder: StudyFolder) -> None:
    with Log(folder):
        waiting = await_stop(folder, every_s=0.01)
        next(waiting)
        forget_request(folder, request(folder))
        next(waiting)
        assert asked_to_stop(folder)


def trial(number: int, state: State) -> TrialRecord:
    return TrialRecord(number=number, params={}, seed=0, replicate_of=None, state=state, asked=0.0)


def test_the_outcome_in_words() -> None:
    done, runs = trial(0, State.COMPLETE), trial(3, State.RUNNING)
    assert under_way([done]) == "no trial is under way"
    assert outcome([done], [], "again") == "the study has come to its end"
    halt = Event(kind="halt", time=0.0, data={"kind": str(Halt.ASKED), "reason": "r"})
    assert outcome([done, runs], [halt], "again") == (
        "stopped; under way: trial 3; continue with: again"
    )
    assert outcome([done], [halt], "again") == (
        "stopped; no trial is under way; continue with: again"
    )
