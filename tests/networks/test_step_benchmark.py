"""The benchmark's own claim: both loops take the same steps, so that only their speed differs."""

import json

import pytest

from ictsweep.networks import UNetConfig
from tests.benchmarks import step

SMALL = UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(), dropout=0.1)


def test_the_loops_agree_in_float64():
    assert step.disagreement(SMALL) <= 1e-12


def test_a_loop_that_is_wrong_is_not_measured(monkeypatch, capsys):
    monkeypatch.setattr(step, "KEEP", 0.999)
    monkeypatch.setattr(step, "disagreement", lambda config: 1e-3)
    assert step.main(["--channels", "8"]) == 1
    assert "nothing was measured" in capsys.readouterr().out


def test_it_prints_a_line_and_a_record_and_writes_only_when_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--channels", "8", "--batch", "4", "--repeats", "3"]
    assert step.main(arguments) == 0
    line, record = capsys.readouterr().out.splitlines()
    assert line.startswith("step: ")
    assert json.loads(record)["ratio"] == pytest.approx(1, abs=0.9)
    assert not list(tmp_path.iterdir())
    assert step.main([*arguments, "--out", "x.json"]) == 0
    assert json.loads((tmp_path / "x.json").read_text())["benchmark"] == "step"
