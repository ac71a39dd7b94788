"""Logs of earlier versions are read as they are, and their studies go on to their end."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ictsweep.live import snapshot
from ictsweep.records import LOG_VERSION, READ_VERSIONS, Event, State, trials
from ictsweep.study.order import check_folder
from ictsweep.study.store import StudyFolder
from tests.study.worlds import Historian, decisions, play, spec

V1_KINDS = {"study", "launch", "measure", "fail", "ask", "verdict"}


def log_of(version: int) -> list[dict[str, Any]]:
    """A log as an ictsweep of that version wrote it: trial 4 fails, and the driver is killed in the
    middle of the study, to be opened again with less room.
    """
    study = {"version": version, "slots": 3, "host": "node"}
    whole = play(
        spec(), order=random.Random(0), sampler=Historian, broken=[4],
        log=[Event(kind="study", time=0.0, data=study)],
    )  # fmt: skip
    lines: list[dict[str, Any]] = []
    for event in whole:
        lines += _lines(event, version)
    if version == 1:  # which kept to the room that it began with
        opened = Event(kind="study", time=0.0, data={**study, "slots": 2})
        lines.insert(len(lines) // 2, json.loads(opened.to_line()))
    return lines


def _lines(event: Event, version: int) -> list[dict[str, Any]]:
    """An event, and what followed it."""
    line = json.loads(event.to_line())
    if event.kind == "measure":
        del line["data"]["spectrum"]
    found = [line]
    if event.kind == "ask":
        data = {"attempt": 0, "gpus": 1.0, "halvings": 0} if version > 1 else {}
        found.append({"kind": "launch", "time": 0.0, "trial": event.trial, "data": data})
    if version > 1 and event.kind == "verdict" and event.data["action"] != "continue":
        data = {"seconds": 1.0, "gpus": 1.0, "phases": {"train_s": 1.0}}
        found.append({"kind": "leave", "time": 0.0, "trial": event.trial, "data": data})
    return found


def test_today_is_the_last_of_the_versions_that_are_read() -> None:
    assert READ_VERSIONS == (1, 2, LOG_VERSION)


@pytest.mark.parametrize("version", [1, 2])
def test_a_log_of_an_earlier_version_is_read_and_its_study_goes_on(
    tmp_path: Path, version: int
) -> None:
    lines = log_of(version)
    assert {line["kind"] for line in lines} <= V1_KINDS or version > 1
    folder = StudyFolder.create(tmp_path / "s", spec())
    log = folder.path / "events.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    events = check_folder(folder)
    assert [json.loads(event.to_line()) for event in events] == lines
    records = trials(events)
    assert len(records) == 12
    assert records[4].state == State.FAILED
    assert all(not m.spectrum for record in records for m in record.measurements)
    assert snapshot(folder)
    cut = next(n for n, e in enumerate(events) if e.kind == "verdict" and e.trial == 6)
    today = Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 3})
    start = [*events[: cut + 1], today]
    resumed = play(spec(), order=random.Random(1), log=start, sampler=Historian, broken=[4])
    assert decisions(resumed) == decisions(events)
