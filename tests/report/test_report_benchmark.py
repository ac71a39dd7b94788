"""The benchmark of reports gives numbers for complete pages alone."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import report


def test_it_prints_a_line_and_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.json"
    assert report.main(["--trials", "12", "--repeats", "1", "--out", str(out)]) == 0
    line, record = capsys.readouterr().out.splitlines()
    assert line.startswith("report: 12 trials: ")
    kept = json.loads(out.read_text())
    assert json.loads(record) == kept
    assert kept["rows"][0]["trials"] == 12
    assert kept["rows"][0]["ours"]["megabytes"] > 4.8  # plotly's share


def test_a_page_that_lacks_trials_gives_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "peer_page", lambda study, path: path.write_text("<p>nothing</p>"))
    assert report.main(["--trials", "6", "--repeats", "1"]) == 1
    assert "no number" in capsys.readouterr().out
