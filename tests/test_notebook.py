"""A study's results as frames and files: the log's own values, every one of them."""

import random
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

import ictsweep
from ictsweep.config import trial_config
from ictsweep.errors import StudyError
from ictsweep.records import LOG_VERSION, Event, State
from ictsweep.study.configurations import configured
from ictsweep.study.space import read_checked
from ictsweep.study.store import Log, StudyFolder
from tests.live.stories import story
from tests.report.fixture import methods, write_study
from tests.study.worlds import play, spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """A study with everything in it: failures, a diverged trial, replicates, two metrics."""
    return write_study(tmp_path_factory.mktemp("studies") / "digits")


def same(found: object, expected: object) -> bool:
    return bool(pd.isna(found)) if expected is None else found == expected  # type: ignore[arg-type]


def test_trials_are_the_logs(folder: StudyFolder) -> None:
    study = ictsweep.open_study(folder.path)
    records, frame, study_spec = folder.trials(), study.trials, folder.spec()
    assert list(frame.index) == [record.number for record in records]
    assert {record.state for record in records} == {State.COMPLETE, State.PRUNED, State.FAILED}
    for record in records:
        row = frame.loc[record.number]
        assert (row["state"], row["seed"], row["reason"]) == (
            str(record.state), record.seed, record.reason
        )  # fmt: skip
        assert same(row["replicate_of"], record.replicate_of)
        assert row["attempts"] == len(record.launches)
        assert row["asked"].timestamp() == pytest.approx(record.asked)
        for axis in study_spec.search:
            assert same(row[axis.path], record.params.get(axis.path))
        for rung in study_spec.rungs:
            m = record.at_rung(rung, short_run=study_spec.short_run)
            assert same(row[f"fd@{rung}"], None if m is None else m.values["fd"])
            assert same(row[f"fd@{rung}.error"], None if m is None else m.errors["fd"])
        last = record.at_rung(study_spec.rungs[-1], short_run=study_spec.short_run)
        done = record.state == State.COMPLETE
        for key in ("fd", "fd_2step"):
            assert same(row[f"final.{key}"], last.values[key] if last and done else None)


def test_noise_levels_are_the_logs(folder: StudyFolder) -> None:
    frame, records = ictsweep.open_study(folder.path).noise_levels, folder.trials()
    found = {key: rows for key, rows in frame.groupby(["trial", "run_kimg", "kimg"])}
    assert len(found) == sum(len(record.measurements) for record in records) > 50
    for record in records:
        for m in record.measurements:
            rows = found[record.number, m.run_kimg, m.kimg]
            assert rows[["sigma", "images", "loss"]].to_dict("list") == m.spectrum


def test_measurements_are_the_logs(folder: StudyFolder) -> None:
    frame, records = ictsweep.open_study(folder.path).measurements, folder.trials()
    rows = [(record, m) for record in records for m in record.measurements]
    assert len(frame) == len(rows)
    for (_, row), (record, m) in zip(frame.iterrows(), rows, strict=True):
        for name in ("run_kimg", "kimg", "levels", "loss", "grad_norm", "train_s", "evaluate_s"):
            assert row[name] == getattr(m, name)
        assert row["trial"] == record.number
        assert row["rung"] == (m.ends_run and m.kimg in folder.spec().rungs)
        assert [row[key] for key in m.values] == list(m.values.values())
        assert [row[f"{key}.error"] for key in m.errors] == list(m.errors.values())


def test_the_best_is_the_least_of_complete_configurations(folder: StudyFolder) -> None:
    best = ictsweep.open_study(folder.path).best
    assert best is not None
    finals = [
        (record.cards[-1].value, record.number)
        for record in folder.trials()
        if record.state == State.COMPLETE and record.replicate_of is None
    ]
    assert (best["final.fd"], best.name) == min(finals)  # type: ignore[type-var]


def test_gpu_seconds_attempts_and_phases_by_hand(tmp_path: Path) -> None:
    log = story()
    phases = {"startup_s": 10.0, "train_s": 80.0, "evaluate_s": 5.0}
    told = [
        Event(kind=e.kind, time=e.time, trial=e.trial, data={**e.data, "phases": phases})
        if e.kind == "leave" and e.trial == 0
        else e
        for e in log
    ]
    place = StudyFolder.create(tmp_path / "s", spec())
    with Log(place) as file:
        file.append(told)
    frame = ictsweep.open_study(place.path).trials
    assert list(frame["gpu_s"]) == [260.0, 60.0, 40.0]
    assert list(frame["attempts"]) == [1, 2, 1]
    assert frame.loc[0, ["startup_s", "train_s", "evaluate_s", "idle_s"]].tolist() == [10, 80, 5, 0]
    assert frame.loc[1, "train_s"] is None or pd.isna(frame.loc[1, "train_s"])


def test_a_study_without_trials_has_all_its_columns(tmp_path: Path) -> None:
    place = StudyFolder.create(tmp_path / "s", spec())
    study = ictsweep.open_study(place.path)
    assert len(study.trials) == len(study.measurements) == 0
    assert {"state", "a", "b", "fd@4", "fd@36.error", "gpu_s"} <= set(study.trials.columns)
    assert study.best is None
    with pytest.raises(StudyError, match="not a study folder"):
        ictsweep.open_study(tmp_path / "none")


def test_a_study_of_another_kind_is_read_all_the_same(tmp_path: Path) -> None:
    """A log that ends in the middle of a study, at any event."""
    opened = Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 3})
    log = [opened, *play(spec(), order=random.Random(0))[1:]]
    for cut in range(1, len(log), 7):
        place = StudyFolder.create(tmp_path / str(cut), spec())
        with Log(place) as file:
            file.append(log[:cut])
        study = ictsweep.open_study(place.path)
        assert len(study.trials) == len(place.trials())
        assert len(study.measurements) == sum(len(t.measurements) for t in place.trials())


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, ictsweep\n"
        "heavy = {'torch', 'ray', 'optuna', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("table", ["trials", "measurements"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_exported_reads_back_as_it_was(
    call, folder: StudyFolder, tmp_path: Path, table: str, form: str
) -> None:
    option = ["--measurements"] if table == "measurements" else []
    code, out, _ = call("export", str(folder.path), "--to", f"out/t.{form}", *option)
    expected = getattr(ictsweep.open_study(folder.path), table)
    assert (code, out) == (
        0,
        f"out/t.{form}: {len(expected)} {'evaluations' * bool(option) or table}\n",
    )
    path = tmp_path / "out" / f"t.{form}"
    if form == "parquet":
        pd.testing.assert_frame_equal(pd.read_parquet(path), expected)
    else:
        found = pd.read_csv(path)
        flat = expected.reset_index() if expected.index.name else expected
        assert list(found.columns) == list(flat.columns)
        for name in flat.select_dtypes("float").columns:
            assert found[name].equals(flat[name]), name  # to the last digit
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_best_configuration_is_a_space_that_trains(
    call, folder: StudyFolder, tmp_path: Path
) -> None:
    study = ictsweep.open_study(folder.path)
    assert study.best is not None
    number = int(str(study.best.name))
    code, out, _ = call("export", str(folder.path), "--to", "best.yaml")
    assert code == 0
    assert out.startswith(f"best.yaml: trial {number}: fd {study.best['final.fd']:.6g} ± ")
    text = (tmp_path / "best.yaml").read_text()
    assert f"ictsweep train best.yaml --seed {study.records[number].seed}\n" in text
    found, _ = read_checked(tmp_path / "best.yaml")
    expected = configured(folder.spec().trial, study.records[number].params)
    assert trial_config(found.trial) == expected
    assert found.study == f"digits-{number}"


@pytest.mark.parametrize("preset", ["ict", "gaf", "ect"])
def test_any_trial_of_a_space_with_branches(call, tmp_path: Path, preset: str) -> None:
    place = write_study(tmp_path / "studies" / "m", methods())
    record = next(t for t in place.trials() if t.params["method.preset"] == preset)
    code, _, err = call("export", str(place.path), "--to", "t.yml", "--trial", str(record.number))
    assert (code, err) == (0, "")
    found, _ = read_checked(tmp_path / "t.yml")
    assert trial_config(found.trial) == configured(place.spec().trial, record.params)
    assert yaml.safe_load((tmp_path / "t.yml").read_text())["warm_start"] == [{}]
    assert {axis.path for axis in found.search} <= set(record.params) - {"method.preset"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "t.xlsx"], "--to t.xlsx: expected a name that ends in .csv, .parquet or .yaml"),
        (["--to", "t.yaml", "--trial", "99"], "--trial 99: expected best, or 0 to 17"),
        (["--to", "t.csv", "--trial", "3"], "--trial 3 is for a .yaml file; a table has all"),
        (["--to", "t.yaml", "--measurements"], "--measurements is a table: name a .csv or .par"),
    ],
)
def test_wrong_wishes_are_one_message(
    call, folder: StudyFolder, tmp_path: Path, words: list[str], says: str
) -> None:
    code, out, err = call("export", str(folder.path), *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"ictsweep: {says}")
    assert not list(tmp_path.iterdir())


def test_there_is_no_best_before_the_end(call, tmp_path: Path) -> None:
    place = write_study(tmp_path / "s", until=12)
    code, _, err = call("export", str(place.path), "--to", "t.yaml")
    assert code == 2
    assert "--trial best: no trial has reached the full budget yet" in err
