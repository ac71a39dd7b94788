"""A study's folder edited by hand is refused with what does not fit, and nothing is changed."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.live import snapshot
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
    assert all(misplaced(log[:n], spec()) is None for n in range(len(log) + 1))


def test_a_line_taken_out_is_noticed_where_it_is_missed(log: list[Event]) -> None:
    for n, event in enumerate(log):
        if event.kind == "ask":
            found = misplaced([*log[:n], *log[n + 1 :]], spec())
            assert found is not None
            assert found[0] > n
    assert misplaced(log[1:], spec()) == (1, "the log does not begin with a study event")
    twice = next(n for n, e in enumerate(log) if e.kind == "ask")
    assert misplaced([*log[: twice + 1], *log[twice:]], spec()) == (
        twice + 2, "trial 0 is asked for where trial 1 is due"
    )  # fmt: skip


def verdicts(log: list[Event]) -> list[int]:
    return [n for n, event in enumerate(log) if event.kind == "verdict"]


def test_a_verdict_that_stands_there_twice_is_named(log: list[Event]) -> None:
    for n in verdicts(log):
        found = misplaced([*log[: n + 1], *log[n:]], spec())
        assert found is not None
        assert found[0] == n + 2
        trial, card = log[n].trial, log[n].data["card"]
        assert found[1].startswith(f"a verdict on trial {trial} at {card['rung_kimg']} kimg, which")


def test_a_verdict_taken_out_is_missed_by_the_next_one_at_the_latest(log: list[Event]) -> None:
    """Only the last one is not: it is due, and decided as it was."""
    *others, last = verdicts(log)
    for n in others:
        rest = [*log[:n], *log[n + 1 :]]
        found = misplaced(rest, spec())
        assert found is not None
        assert n < found[0] <= next(m for m in verdicts(rest) if m >= n) + 1
        assert "is due" in found[1] or "is on its way to" in found[1]
    assert misplaced([*log[:last], *log[last + 1 :]], spec()) is None


def test_a_verdict_that_lets_a_trial_go_on_past_its_end_is_named(log: list[Event]) -> None:
    n = next(n for n in verdicts(log) if log[n].data["action"] == "complete")
    on = replace(log[n], data={**log[n].data, "action": "continue"})
    assert misplaced([*log[:n], on], spec()) == (
        n + 1, f"a verdict on trial {on.trial} at 36 kimg lets it go on"
    )  # fmt: skip


def test_edited_verdicts_are_refused_with_the_file_and_what_to_do(
    tmp_path: Path, log: list[Event]
) -> None:
    n = verdicts(log)[0]
    folder = study(tmp_path, [*log[: n + 1], *log[n:]])
    says = (
        rf"events\.jsonl:{n + 2}: a verdict on trial 0 at 4 kimg, which .*Restore the file, or cut"
    )
    for read in (check_folder, snapshot):  # `resume` and `status`
        with pytest.raises(StudyError, match=says):
            read(folder)


def test_an_ask_taken_out_is_named_by_status_too(tmp_path: Path, log: list[Event]) -> None:
    folder = study(tmp_path, [e for e in log if (e.kind, e.trial) != ("ask", 2)])
    with pytest.raises(StudyError, match=r"events\.jsonl:\d+: .*trial 2.*cut the log before"):
        snapshot(folder)


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
