"""Reading a log as it grows: what is new, any trial as it stands, and when it is not that log."""

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.files import write_atomic
from ictsweep.mirror.index import Index
from ictsweep.records import Event, trials
from ictsweep.study.spec import spec_to_dict
from ictsweep.study.store import StudyFolder
from tests.mirror.logs import grow, started


@pytest.fixture
def growing(whole: StudyFolder, tmp_path: Path) -> StudyFolder:
    return started(tmp_path / "growing", whole)


def test_every_trial_at_every_moment_is_as_the_log_has_it(
    whole: StudyFolder, growing: StudyFolder
) -> None:
    events, rng = whole.events(), random.Random(1)
    index, end = Index(growing), 0
    while end < len(events):
        added = events[end : end + rng.randrange(1, 9)]
        end += len(added)
        grow(growing, added)
        assert index.advance() == sorted({e.trial for e in added if e.trial is not None})
        expected = trials(events[:end])
        assert len(index) == len(expected)
        assert [index.record(n) for n in range(len(index))] == expected
    assert index.advance() == []


def test_a_line_is_taken_when_it_is_whole(whole: StudyFolder, growing: StudyFolder) -> None:
    first, second, *_ = whole.events()
    index = Index(growing)
    grow(growing, [first])
    line = second.to_line().encode()
    path = growing.path / "events.jsonl"
    for piece in (line[:10], line[10:-1]):
        with path.open("ab") as file:
            file.write(piece)
        assert index.advance() == []
    with path.open("ab") as file:
        file.write(line[-1:])
    assert index.advance() == [0]


def test_a_folder_without_a_log_has_nothing(whole: StudyFolder, tmp_path: Path) -> None:
    index = Index(StudyFolder(tmp_path))
    assert index.advance() == []
    assert len(index) == 0


def test_a_log_that_was_replaced_or_cut_is_not_read_on(
    whole: StudyFolder, growing: StudyFolder
) -> None:
    path = growing.path / "events.jsonl"
    grow(growing, whole.events())
    for change in (lambda: write_atomic(path, path.read_bytes()), lambda: os.truncate(path, 999)):
        index = Index(growing)
        index.advance()
        change()
        with pytest.raises(StudyError, match="replaced or cut"):
            index.advance()


def test_two_studies_have_two_identities_and_a_moved_one_keeps_its_own(
    whole: StudyFolder, growing: StudyFolder, tmp_path: Path
) -> None:
    first, *rest = whole.events()
    grow(growing, [first, *rest, replace(first, time=first.time + 100)])
    other = started(tmp_path / "other", whole)
    grow(other, [replace(first, time=first.time + 1), *rest])
    found = []
    for folder in (whole, growing, other):
        index = Index(folder)
        index.advance()
        found.append(index.identity)
    assert found[0] == found[1] != found[2]


def test_a_trial_has_the_spec_of_its_session(whole: StudyFolder, growing: StudyFolder) -> None:
    first, *rest = whole.events()
    spec = spec_to_dict(growing.spec())
    changed = spec | {"trials": 99}
    ask = next(e for e in rest if e.kind == "ask")
    grow(growing, [replace(first, data={**first.data, "spec": spec}), *rest])
    grow(growing, [replace(first, data={**first.data, "spec": changed}), replace(ask, trial=18)])
    index = Index(growing)
    index.advance()
    assert [index.spec(n).trials for n in (0, 17, 18)] == [16, 16, 99]
    assert [index.session(n) for n in (0, 17, 18)] == [0, 0, 1]


def test_other_lines_and_versions_are_named(growing: StudyFolder) -> None:
    grow(growing, [Event(kind="study", time=0.0, data={"version": 99})])
    with pytest.raises(StudyError, match="another version"):
        Index(growing).advance()
    (growing.path / "events.jsonl").write_text("hello\n")
    with pytest.raises(StudyError, match="not an event of this log"):
        Index(growing).advance()
