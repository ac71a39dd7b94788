"""The step benchmark's own claim: both loops compute the same loss and gradient, so that only their
speed differs."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import step
from tests.peers.checkouts import checkout


def folder() -> Path:
    checkout("consistency_GC")
    return checkout("ect").parent


@pytest.fixture(scope="module")
def cases() -> list[step.Case]:
    return step.cases(folder(), 16, 8)


@pytest.mark.parametrize("index", [0, 1], ids=["ECT", "consistency_GC"])
def test_loss_and_gradient_are_the_peers_own(cases: list[step.Case], index: int) -> None:
    assert step.disagreement(cases[index]) <= 1e-9


def test_another_method_disagrees(cases: list[step.Case]) -> None:
    other = step.trial(8, {"preset": "gc_cifar", "channels": 16, "dropout": 0.3}, "ect")
    assert step.disagreement(step.Case("mixed", cases[1].peer, other)) > 1e-3


def test_loops_that_disagree_are_not_measured(monkeypatch, capsys) -> None:
    monkeypatch.setattr(step, "disagreement", lambda case: 1e-3)
    assert step.main(["--peers", str(folder()), "--channels", "8"]) == 1
    assert "nothing was measured" in capsys.readouterr().out


def test_it_prints_a_line_per_peer_and_a_record(tmp_path: Path, capsys) -> None:
    out = tmp_path / "x.json"
    options = ["--channels", "8", "--batch", "2", "--repeats", "3", "--out", str(out)]
    assert step.main(["--peers", str(folder()), *options]) == 0
    *lines, record = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines[-2:]] == ["step", "step"]
    assert json.loads(record) == json.loads(out.read_text())
    assert [row["peer"] for row in json.loads(record)["rows"]] == ["ECT", "consistency_GC"]
