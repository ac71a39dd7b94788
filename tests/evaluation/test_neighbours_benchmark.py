"""The benchmark's own claim: no number unless precision, recall and kernel distance agree."""

import json

import pytest

from tests.benchmarks import neighbours

SMALL = ["--samples", "300", "--dims", "32", "--repeats", "1"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(neighbours, "in_a_process", neighbours.held_at_full_size)
    monkeypatch.setattr(neighbours, "FULL", 500)


def test_it_prints_a_line_and_a_record_and_writes_only_when_asked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert neighbours.main([*SMALL, "--out", "x.json"]) == 0
    line, record = capsys.readouterr().out.splitlines()
    assert line.startswith("neighbours: ")
    assert json.loads(record)["disagreement"]["recall"] <= 1e-6
    assert json.loads((tmp_path / "x.json").read_text())["benchmark"] == "neighbours"


@pytest.mark.parametrize("name", ["precision_of", "recall_of", "kernel_distance"])
def test_a_number_that_is_wrong_is_not_measured(monkeypatch, capsys, name):
    right = getattr(neighbours, name)

    def wrong(*arguments):
        found = right(*arguments)
        return type(found)(found.value * 1.001, found.error, found.influence)

    monkeypatch.setattr(neighbours, name, wrong)
    assert neighbours.main(SMALL) == 1
    assert "nothing was measured" in capsys.readouterr().out


def test_memory_above_the_guard_fails(monkeypatch):
    monkeypatch.setattr(neighbours, "GUARD", 1e6)
    assert neighbours.main(SMALL) == 1
