"""A log that somebody edited by hand is refused by its line, never half understood."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ictsweep.errors import StudyError
from ictsweep.records import LOG_VERSION, Event, trials
from ictsweep.study.store import StudyFolder
from tests.study.worlds import play, spec

OPENED = Event(kind="study", time=1.0, data={"version": LOG_VERSION, "slots": 2})


@pytest.fixture
def log() -> list[dict[str, Any]]:
    """A study's log, as JSON values."""
    played = play(spec(), order=random.Random(0))
    return [json.loads(event.to_line()) for event in [OPENED, *played[1:]]]


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder.create(tmp_path / "s", spec())


def written(folder: StudyFolder, log: list[Any]) -> StudyFolder:
    lines = [line if isinstance(line, str) else json.dumps(line) for line in log]
    (folder.path / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def at(log: list[dict[str, Any]], kind: str) -> int:
    return next(n for n, event in enumerate(log) if event["kind"] == kind)


def test_a_log_is_read_as_it_was_written(folder: StudyFolder, log: list[Any]) -> None:
    events = written(folder, log).events()
    assert [json.loads(event.to_line()) for event in events] == log
    assert {"ask", "measure", "verdict"} <= {event.kind for event in events}


def with_levels(event: dict[str, Any], losses: list[float] | None) -> dict[str, Any]:
    """A measurement with one noise level and other losses than one."""
    spectrum = {"sigma": [1.0], "images": [9], "loss": losses}
    return {**event, "data": {**event["data"], "spectrum": spectrum}}


def having(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An event with more data than it may have."""
    return {**event, "data": {**event["data"], **more}}


OTHERS: dict[str, dict[str, Any]] = {
    "launch": {"attempt": 0, "gpus": 1.0, "halvings": 0},
    "fail": {"kind": "bug", "message": "boom", "attempt": 0},
    "leave": {"seconds": 1.0, "gpus": 1.0, "phases": {}},
    "retry": {"attempt": 1, "halvings": 0, "reason": "asked for"},
}


def with_value(event: dict[str, Any], value: object) -> dict[str, Any]:
    """A measurement with another value."""
    return {**event, "data": {**event["data"], "values": {"fd": value}}}


EDITS: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("measure", lambda e: "", "Expecting value"),
    ("measure", lambda e: json.dumps(e)[:-9], "Invalid control character"),
    ("measure", lambda e: [e], "mapping"),
    ("measure", lambda e: "7", "mapping"),
    ("measure", lambda e: {**e, "more": 1}, "more"),
    ("measure", lambda e: {**e, "kind": "mesure"}, "kind 'mesure' is unknown"),
    ("measure", lambda e: {**e, "trial": None}, "its trial is None"),
    ("measure", lambda e: {**e, "trial": "0"}, "its trial is '0'"),
    ("measure", lambda e: {**e, "data": {}}, "measure without .*kimg.*values"),
    ("measure", lambda e: {**e, "data": []}, "another type"),
    ("measure", lambda e: with_value(e, "<b>5</b>"), "values have fd '<b>5</b>', which is no numb"),
    ("measure", lambda e: with_levels(e, []), "its spectrum is not whole"),
    ("measure", lambda e: with_levels(e, None), "its spectrum is not whole"),
    ("measure", lambda e: having(e, spectra={}), "measure with 'spectra', which is unknown"),
    ("ask", lambda e: having(e, note="", a=1), "ask with 'a', 'note', which is unknown"),
    ("verdict", lambda e: having(e, why=""), "verdict with 'why', which is unknown"),
    ("measure", lambda e: {**e, "time": "noon"}, "another type"),
    ("ask", lambda e: {**e, "data": {"params": {}}}, "ask without replicate_of, seed"),
    ("verdict", lambda e: {**e, "data": {**e["data"], "action": "go"}}, "action 'go' is unknown"),
    ("verdict", lambda e: {**e, "data": {**e["data"], "card": {}}}, "card is not whole"),
]


@pytest.mark.parametrize(("kind", "edit", "why"), EDITS)
def test_every_edit_is_named_by_its_line(
    folder: StudyFolder, log: list[Any], kind: str, edit: Callable[[Any], Any], why: str
) -> None:
    line = at(log, kind)
    log[line] = edit(log[line])
    pattern = rf"events\.jsonl:{line + 1}: not an event of this log \(.*{why}.*restore the file"
    with pytest.raises(StudyError, match=pattern) as refused:
        written(folder, log).events()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_made_into_a_record_has_no_more_than_the_record(
    folder: StudyFolder, log: list[Any], kind: str
) -> None:
    event = {"kind": kind, "time": 1.0, "trial": 0, "data": OTHERS[kind]}
    trials(written(folder, [*log, event]).events())
    with pytest.raises(StudyError, match=rf":{len(log) + 1}: .*{kind} with 'mood', which is unkn"):
        written(folder, [*log, having(event, mood="good")]).events()
    if kind == "retry":
        del event["data"]["reason"]
        with pytest.raises(StudyError, match="retry without reason"):
            written(folder, [*log, event]).events()


def test_bytes_that_are_no_text_are_named(folder: StudyFolder, log: list[Any]) -> None:
    path = written(folder, log).path / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"measure"', b'"m\xff\xfeasure"', 1))
    with pytest.raises(StudyError, match=rf"events\.jsonl:{at(log, 'measure') + 1}: not an event"):
        folder.events()
