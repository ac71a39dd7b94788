"""The study folder: appended safely, healed, locked, refused with the way on."""

import gc
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.files import append_line, whole_lines, write_atomic
from ictsweep.records import LOG_VERSION, Event, trials
from ictsweep.study.session import _same_measure
from ictsweep.study.store import Log, StudyFolder
from tests.study.worlds import engine, play, spec

OPENED = Event(
    kind="study",
    time=1.0,
    data={"version": LOG_VERSION, "slots": 2, "data": "d", "extractor": "e"},
)
LAUNCH = Event(kind="launch", time=3.0, trial=0, data={"attempt": 0})
ASK = Event(kind="ask", time=2.0, trial=0, data={"params": {}, "seed": 1, "replicate_of": None})


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder.create(tmp_path / "s", spec())


def append(folder: StudyFolder, *events: Event) -> None:
    with Log(folder) as log:
        log.append(events)


def test_what_is_appended_is_read_back(folder: StudyFolder) -> None:
    log = play(spec(), order=random.Random(0))
    append(folder, OPENED, *log[1:])
    assert folder.events() == [OPENED, *log[1:]]
    assert folder.trials() == trials(log)
    assert folder.spec() == spec()


def test_a_torn_last_line_is_not_an_event_and_the_next_one_stands_alone(
    folder: StudyFolder,
) -> None:
    append(folder, OPENED, ASK)
    path = folder.path / "events.jsonl"
    path.write_bytes(path.read_bytes() + b'{"kind":"verd')
    assert folder.events() == [OPENED, ASK]
    append(folder, LAUNCH)
    assert folder.events() == [OPENED, ASK, LAUNCH]


def test_another_version_and_a_foreign_line_are_named(folder: StudyFolder) -> None:
    append(folder, Event(kind="study", time=1.0, data={"version": 99}))
    with pytest.raises(StudyError, match=r"events\.jsonl:1: log version 99"):
        folder.events()
    (folder.path / "events.jsonl").write_text(OPENED.to_line() + "hello\n")
    with pytest.raises(StudyError, match=r"events\.jsonl:2: not an event"):
        folder.events()


def test_a_second_driver_is_refused_and_a_dead_one_leaves_no_lock(folder: StudyFolder) -> None:
    code = (
        "import sys; from pathlib import Path; from ictsweep.study.store import Log, StudyFolder\n"
        f"log = Log(StudyFolder(Path({str(folder.path)!r}))); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(StudyError, match=f"process {holder.pid}"):
        Log(folder)
    holder.kill()
    holder.communicate()
    Log(folder).close()


def test_a_study_is_taken_once_it_has_asked_a_trial(folder: StudyFolder) -> None:
    append(folder, OPENED)
    again = StudyFolder.create(folder.path, spec(trials=7))
    assert (again.spec().trials, again.events()) == (7, [])
    append(folder, OPENED, ASK)
    with pytest.raises(StudyError, match=r"ictsweep resume .*/s`"):
        StudyFolder.create(folder.path, spec())


def test_one_yardstick_to_the_end(folder: StudyFolder) -> None:
    append(folder, OPENED)
    _same_measure(folder, {"data": "d", "extractor": "e"})
    with pytest.raises(StudyError, match="the extractor changed"):
        _same_measure(folder, {"data": "d", "extractor": "f"})


def test_the_opening_is_known_without_reading_on(folder: StudyFolder) -> None:
    assert folder.opening() is None
    append(folder, OPENED)
    append_line(folder.path / "events.jsonl", "not an event")
    assert folder.opening() == OPENED


def test_reading_a_log_leaves_the_collector_as_it_was(folder: StudyFolder) -> None:
    append(folder, OPENED)
    folder.events()
    assert gc.isenabled()
    append_line(folder.path / "events.jsonl", "not an event")
    with pytest.raises(StudyError):
        folder.events()
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(StudyError):
            folder.events()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_opening_a_halted_study_again_lets_it_go_on() -> None:
    log = play(spec(), order=random.Random(0), slots=1, broken=[3, 4, 5])
    mind = engine(spec())
    mind.replay(log)
    assert mind.halted
    assert mind.due(0.0) is None
    mind.apply(OPENED)
    assert mind.halted, "its driver was killed before it could say so"
    mind.apply(Event(kind="halt", time=2.0, data={"kind": "failures", "reason": mind.halted}))
    mind.apply(OPENED)
    assert not mind.halted
    asked = mind.due(0.0)
    assert asked is not None
    assert (asked.kind, asked.trial) == ("ask", 6)


def test_lines_and_files_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    append_line(path, json.dumps({"a": 1}))
    path.write_bytes(path.read_bytes() + b"torn")
    assert whole_lines(path) == ['{"a": 1}']
    append_line(path, "next")
    assert whole_lines(path) == ['{"a": 1}', "next"]
    assert whole_lines(tmp_path / "none") == []
    write_atomic(path, b"other")
    assert path.read_bytes() == b"other"
    assert [p.name for p in path.parent.iterdir()] == ["log.jsonl"]
