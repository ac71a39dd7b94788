"""The benchmark's own claim: no number unless the distances agree."""

import json

import pytest

from tests.benchmarks import fid_math

SMALL = ["--dims", "64", "--samples", "200", "--repeats", "2"]


def test_it_prints_a_line_and_a_record_and_writes_only_when_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fid_math.main(SMALL) == 0
    line, record = capsys.readouterr().out.splitlines()
    assert line.startswith("fid_math: ")
    assert json.loads(record)["disagreement"] <= 1e-6
    assert json.loads(record)["singular_error"] <= 1e-6
    assert not list(tmp_path.iterdir())
    assert fid_math.main([*SMALL, "--out", "x.json"]) == 0
    assert json.loads((tmp_path / "x.json").read_text())["benchmark"] == "fid_math"


@pytest.mark.parametrize("factor", [1.01, 0.99])
def test_a_distance_that_is_wrong_is_not_measured(monkeypatch, capsys, factor):
    right = fid_math.frechet_distance
    monkeypatch.setattr(fid_math, "frechet_distance", lambda *args: factor * right(*args))
    assert fid_math.main(SMALL) == 1
    assert "nothing was measured" in capsys.readouterr().out
