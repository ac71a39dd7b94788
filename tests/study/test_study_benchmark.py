"""The benchmark of a study's own cost gives numbers only for studies that decide the same, and
counts what it says.
"""

import json
import subprocess
import sys

import pytest

from ictsweep.records import trials
from ictsweep.study.store import StudyFolder
from tests.benchmarks import fakes, study, study_ray

SMALL = ["--trials", "12", "--reports", "3", "--repeats", "1"]


def test_it_prints_lines_and_a_record(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(study, "cut_anywhere", lambda: True)
    assert study.main([*SMALL, "--out", str(tmp_path / "study.json")]) == 0
    *lines, record = capsys.readouterr().out.splitlines()
    assert {line.split(":")[0] for line in lines} == {"study"}
    kept = json.loads((tmp_path / "study.json").read_text())
    assert json.loads(record) == kept
    parts = [row["part"] for row in kept["rows"]]
    assert sorted(set(parts)) == ["conduct", "decide", "resume", "suggest"]


def test_every_trial_reports_as_often_as_asked_and_the_log_holds_it_all(tmp_path):
    row, resumed = study.conduct(tmp_path / "fake", 12, 3)
    home = StudyFolder.open(tmp_path / "fake")
    records = trials(home.events())
    assert len(records) == 12
    assert all(len(record.measurements) == 2 + len(record.cards) for record in records)
    assert {len(record.cards) for record in records} == {1, 2}
    assert row["reports"] == sum(len(record.measurements) for record in records)
    assert resumed["events"] == len(home.events())


def test_the_account_keeps_suggestions_and_reports_apart():
    watch = fakes.Stopwatch(fakes.spec(4, 3))
    watch.seconds = {11: 0.5, 12: 0.5, 13: 1.0, 14: 1.0}
    account = fakes.Account(cpu=[0.0, 1.0, 2.0, 4.0, 6.0], reports=[0, 10, 20, 30, 40], taken=40)
    found = study.account_of(account, watch, begin=10)
    assert found["first_hundred"] == {"report_ms": 50.0, "suggest_ms": 500.0}
    assert found["last_hundred"] == {"report_ms": 100.0, "suggest_ms": 1000.0}


def test_a_study_that_decides_otherwise_after_a_cut_is_not_measured(monkeypatch, capsys):
    honest, calls = fakes.mind, iter(range(1000))

    def spoilt(spec, sampler=None):
        return honest(fakes.spec(spec.trials, 4 if next(calls) % 3 else 5), sampler)

    monkeypatch.setattr(fakes, "mind", spoilt)
    assert not study.cut_anywhere(trials=8, cuts=4)
    monkeypatch.setattr(study, "cut_anywhere", lambda: False)
    assert study.main(SMALL) == 1
    assert "nothing was measured" in capsys.readouterr().out


def test_other_suggestions_are_not_measured(monkeypatch):
    assert study.suggest(20, 2) is not None
    monkeypatch.setattr(study, "derive_seed", lambda *where: 0)
    assert study.suggest(20, 2) is None


def test_a_side_that_did_not_run_all_its_trials_is_not_compared():
    whole = {"side": "ours", "finished": True, "asked": 20}
    assert study_ray.complete([whole], 20) == [whole]
    assert study_ray.complete([whole, {**whole, "finished": False}], 20) is None
    assert study_ray.complete([whole, {**whole, "asked": 19}], 20) is None


def test_sides_are_compared_round_by_round():
    def row(side: str, wall_s: float) -> dict[str, object]:
        return {"side": side, "wall_s": wall_s, "cpu_s": 1.0, "asked": 20, "reports": 30}

    rows = [row("ours", 10.0), row("stock", 20.0), row("ours", 40.0), row("stock", 120.0)]
    ours, stock = study_ray.summary(rows)
    assert (ours["wall_s"], ours["times_ours"], ours["trials_per_min"]) == (25.0, 1.0, 48)
    assert (stock["wall_s"], stock["times_ours"]) == (70.0, 2.5)


@pytest.mark.ray
@pytest.mark.slow
def test_fake_trials_on_a_real_ray_leave_the_log_of_a_whole_study(tmp_path):
    """In two sessions: the first is asked to end at once, while its trials run."""
    words = ["-m", "tests.benchmarks.study_ray", "session", str(tmp_path / "f")]
    for minutes in ("0.01", "5"):
        size = ["--trials", "8", "--reports", "3", "--minutes", minutes]
        done = subprocess.run(
            [sys.executable, *words, *size], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[-1])
    assert row["finished"]
    records = StudyFolder.open(tmp_path / "f").trials()
    assert len(records) == 8
    assert all(len(record.measurements) == 2 + len(record.cards) for record in records)


@pytest.mark.bench
def test_a_large_study_keeps_its_promises(capsys):
    assert study.main(["--trials", "1000"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = {(row["part"], row.get("sampler")): row for row in record["rows"]}
    assert rows["decide", "none"]["per_s"] >= study.GOALS["decisions_per_s"]
    assert rows["suggest", None]["ours_ms"] < study.GOALS["suggest_ms"]
    assert rows["resume", None]["cpu_s"] < study.GOALS["resume_s"]
