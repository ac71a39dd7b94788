"""Whatever a study is like, there is a page, it says what is missing, and nothing breaks."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ictsweep
from ictsweep.errors import StudyError
from ictsweep.report import build
from ictsweep.report.collect import collect
from ictsweep.study.spec import spec_to_dict
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, methods, space, write_study
from tests.report.many import write_many
from tests.report.reading import data_of
from tests.report.test_page import Reader


def _edited(folder: StudyFolder, edit: Callable[[dict[str, Any]], None]) -> StudyFolder:
    """The study with every event changed by `edit`."""
    log = folder.path / "events.jsonl"
    events = [json.loads(line) for line in log.read_text().splitlines()]
    for event in events:
        edit(event)
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def _read(folder: StudyFolder, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    text = build(folder.path, tmp_path / "reports").read_text()
    return Reader(text).text, data_of(text)


def test_an_empty_log(tmp_path: Path) -> None:
    text, data = _read(write_study(tmp_path / "s", until=0), tmp_path)
    assert "Nothing has been measured yet." in text
    assert "No measurement yet." in text
    assert data["trials"] == []


def test_no_trial_finished(tmp_path: Path) -> None:
    text, data = _read(write_study(tmp_path / "s", until=30), tmp_path)
    assert "No searched trial has reached the full budget" in text
    assert all(trial["label"] != "complete" for trial in data["trials"] if trial.get("searched"))


def test_one_trial(tmp_path: Path) -> None:
    spec = space(trials=1, replicates=1)
    text, data = _read(
        write_study(tmp_path / "s", spec, Script(fail={}, diverge=frozenset())), tmp_path
    )
    assert len(data["trials"]) == 1
    assert "Too few trials" in text


def test_all_failed(tmp_path: Path) -> None:
    script = Script(fail=dict.fromkeys(range(30), "oom: CUDA out of memory"))
    text, _ = _read(write_study(tmp_path / "s", script=script), tmp_path)
    assert "failed." in text
    assert re.search(r"\d+ failures \(\d+ oom\), \d+ launched again; \d trials lost by it\.", text)
    assert "No sample pictures" in text


def test_all_identical(tmp_path: Path) -> None:
    def same(event: dict[str, Any]) -> None:
        if event["kind"] == "measure":
            event["data"].update(
                values={"fd": 5.0, "fd_2step": 5.0}, errors={"fd": 0.0, "fd_2step": 0.0}
            )

    text, data = _read(_edited(write_study(tmp_path / "s"), same), tmp_path)
    assert "No searched configuration beat trial 0" in text
    assert "unknown (no spread)" in text
    assert "All of them are equal: there is no noise" in text
    assert "With one seed" not in text
    assert "Nothing beyond what chance would show." in text
    assert len(data["trials"]) == 18


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    def odd(event: dict[str, Any]) -> None:
        if event["kind"] == "measure" and event["trial"] % 2:
            event["data"]["values"] = {"fd": value, "fd_2step": value}
            event["data"]["errors"] = {"fd": math.nan, "fd_2step": math.inf}
            event["data"].update(loss=value, grad_norm=value)

    _, data = _read(_edited(write_study(tmp_path / "s"), odd), tmp_path)
    numbers = data["table"]["numbers"]
    last = next(c for c in data["table"]["columns"] if c["head"] == "last rung")["texts"]
    empty = {n for n, text in zip(numbers, last, strict=True) if text == "–"}
    assert empty == {n for n in numbers if n % 2}


@pytest.mark.parametrize("error", [math.nan, math.inf])
def test_errors_that_are_no_numbers_beside_values_that_are(tmp_path: Path, error: float) -> None:
    def odd(event: dict[str, Any]) -> None:
        if event["kind"] == "measure":
            event["data"]["errors"] = {"fd": error, "fd_2step": error}

    folder = write_study(tmp_path / "s", script=Script(diverge=frozenset()))
    text, data = _read(_edited(folder, odd), tmp_path)
    assert "Is it still improving?" in text
    assert "nan" not in text.lower().split()
    assert not any("valueless" in trial for trial in data["trials"])


def test_evaluations_without_a_value_are_counted(tmp_path: Path) -> None:
    def odd(event: dict[str, Any]) -> None:
        if event["kind"] == "measure" and event["trial"] == 3:
            event["data"]["values"] = {"fd": math.nan, "fd_2step": 1.0}

    folder = _edited(write_study(tmp_path / "s"), odd)
    _, data = _read(folder, tmp_path)
    measured = len(folder.trials()[3].measurements)
    assert {t["n"]: t["valueless"] for t in data["trials"] if "valueless" in t} == {3: measured}


def test_no_value_at_all_is_said(tmp_path: Path) -> None:
    def odd(event: dict[str, Any]) -> None:
        if event["kind"] == "measure":
            event["data"]["values"] = {"fd": math.nan, "fd_2step": math.nan}

    folder = _edited(write_study(tmp_path / "s"), odd)
    text, _ = _read(folder, tmp_path)
    measured = sum(len(record.measurements) for record in folder.trials())
    assert f"None of {measured} evaluations gave a finite value." in text
    assert f"{measured} evaluations gave no finite value: in no figure." in text
    assert "Nothing has been measured yet." not in text


@pytest.mark.parametrize("value", [1e17, -1e300])
def test_values_beside_which_nothing_is_a_difference(tmp_path: Path, value: float) -> None:
    def huge(event: dict[str, Any]) -> None:
        if event["kind"] == "measure":
            event["data"].update(values={"fd": value, "fd_2step": value})
            event["data"].update(errors={"fd": 1.0, "fd_2step": 1.0})

    _, data = _read(_edited(write_study(tmp_path / "s"), huge), tmp_path)
    assert len(data["trials"]) == 18


def test_a_study_yaml_that_was_edited_since_does_not_change_what_ran(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")

    def told(event: dict[str, Any]) -> None:
        if event["kind"] == "study":
            event["data"]["spec"] = spec_to_dict(folder.spec())

    _edited(folder, told)
    _, before = _read(folder, tmp_path)
    path = folder.path / "study.yaml"
    path.write_text(path.read_text().replace("0.5", "0.9"))
    assert folder.spec() != collect(folder).spec
    _, after = _read(folder, tmp_path)
    assert after == before


def test_logs_before_the_noise_levels_were_kept(tmp_path: Path) -> None:
    """They are read as they are; a spectrum that is not whole is an edit by hand."""

    def older(event: dict[str, Any]) -> None:
        event["data"].pop("spectrum", None)

    folder = _edited(write_study(tmp_path / "s"), older)
    _, data = _read(folder, tmp_path)
    assert data["spectra"]["runs"]["b"] == ""
    assert len(data["trials"]) == 18
    assert len(ictsweep.open_study(folder.path).noise_levels) == 0


def test_a_parameter_that_never_varied(tmp_path: Path) -> None:
    def fixed(event: dict[str, Any]) -> None:
        if event["kind"] == "ask":
            event["data"]["params"]["network.dropout"] = 0.1

    folder = write_study(tmp_path / "s")
    text, data = _read(_edited(folder, fixed), tmp_path)
    dropout = next(c for c in data["table"]["columns"] if c["name"] == "network.dropout")
    assert set(dropout["texts"]) == {"0.1"}
    assert "What mattered" in text


def test_conditional_parameters(tmp_path: Path) -> None:
    text, data = _read(write_study(tmp_path / "s", methods()), tmp_path)
    share = next(c for c in data["table"]["columns"] if c["name"] == "method.endpoint.share")
    assert "—" in share["texts"]
    assert "has points only for the trials that made it" in text


def test_two_hundred_parameters(tmp_path: Path) -> None:
    folder = write_many(tmp_path / "s", 30, parameters=200)
    text, data = _read(folder, tmp_path)
    assert len(data["paths"]) == 200
    assert "The 12 most important of 200 parameters." in text
    assert (tmp_path / "reports" / "digits" / "index.html").stat().st_size < 8_000_000


def test_a_torn_log_and_one_that_is_none(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", script=Script(pictures=False))
    log = folder.path / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-7])
    assert build(folder.path, tmp_path / "reports").exists()
    log.write_text("{}\nnot an event\n")
    with pytest.raises(StudyError, match=r"events\.jsonl"):
        build(folder.path, tmp_path / "reports")


def test_samples_missing(tmp_path: Path) -> None:
    text, data = _read(write_study(tmp_path / "s", script=Script(pictures=False)), tmp_path)
    assert data["pictures"] == {}
    assert "No sample pictures in the study's folder." in text


def test_very_long_and_right_to_left_text(tmp_path: Path) -> None:
    long = "bug: " + "\u202eevil " * 20_000
    script = Script(fail={4: long}, pictures=False)
    _, data = _read(write_study(tmp_path / "s", script=script), tmp_path)
    trial = next(t for t in data["trials"] if t["n"] == 4)
    assert len(trial["failures"][0]) <= 4_100
    size = (tmp_path / "reports" / "digits" / "index.html").stat().st_size
    assert size < 1_500_000


def test_names_that_objects_of_javascript_have(tmp_path: Path) -> None:
    search = {
        "__proto__": {"choices": ["constructor", "toString"]},
        "hasOwnProperty": {"range": [0.0, 1.0]},
    }
    _, data = _read(write_study(tmp_path / "s", space(search=search)), tmp_path)
    assert data["paths"] == ["__proto__", "hasOwnProperty"]
