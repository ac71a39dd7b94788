"""A study's folder edited by hand is refused with what does not fit, and nothing is changed."""

import random
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.order import check_folder, misplaced
from ictsweep.study.spec import Origin
from ictsweep.study.store import Log, StudyFolder
from tests.study.worlds import play, spec

OPENED = Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 2})


def study(path: Path, events: list[Event]) -> StudyFolder:
    folder = StudyFolder.create(path / "s", spec())
    with Log(folder) as log:
        log.append(events)
    return folder


@pytest.fixture(scope="module")
def log() -> list[Event]:
    return play(spec(), order=random.Random(0), log=[OPENED], broken=[4])


def test_every_prefix_of_a_log_is_in_order(log: list[Event]) -> None:
    assert all(misplaced(log[:n]) is None for n in range(len(log) + 1))


def test_a_line_taken_out_is_noticed_where_it_is_missed(log: list[Event]) -> None:
    for n, event in enumerate(log):
        if event.kind == "ask":
            found = misplaced([*log[:n], *log[n + 1 :]])
            assert found is not None
            assert found[0] > n
    assert misplaced(log[1:]) == (1, "the log does not begin with a study event")
    twice = next(n for n, e in enumerate(log) if e.kind == "ask")
    assert misplaced([*log[: twice + 1], *log[twice:]]) == (
        twice + 2, "trial 0 is asked for where trial 1 is due"
    )  # fmt: skip


def test_the_message_names_the_line(tmp_path: Path, log: list[Event]) -> None:
    folder = study(tmp_path, [e for e in log if (e.kind, e.trial) != ("ask", 2)])
    with pytest.raises(StudyError, match=r"events\.jsonl:\d+: trial 3 is asked for where trial 2"):
        check_folder(folder)


def test_trials_that_the_log_does_not_know_are_named(tmp_path: Path, log: list[Event]) -> None:
    folder = study(tmp_path, log)
    (folder.path / "trials" / "0003" / "checkpoints").mkdir(parents=True)
    (folder.path / "trials" / "backup of 3").mkdir()
    (folder.path / "trials" / "0003-old").mkdir()
    assert check_folder(folder) == folder.events()
    for number in range(90, 97):
        (folder.path / "trials" / f"{number:04d}").mkdir()
    with pytest.raises(StudyError, match=r"trials/0090, trials/0091, .* and 2 more: the log knows"):
        check_folder(folder)


def test_a_missing_log_is_no_new_study(tmp_path: Path) -> None:
    folder = study(tmp_path, [])
    check_folder(folder)
    (folder.path / "trials" / "0000").mkdir()
    (folder.path / "events.jsonl").unlink()
    with pytest.raises(StudyError, match=r"trials/0000 are there, and the log is empty or missing"):
        check_folder(folder)
    promoted = spec(origin=Origin(study="x", trial=1, digest="d"))
    check_folder(StudyFolder.create(folder.path, promoted))
