"""The benchmark's own claim: nothing is published when the sets come out in the wrong order."""

import json

import numpy as np
import pytest
import torch

from tests.benchmarks import cifar_distances

NOISE = {  # how far each set's features are from the data's
    "train": 0.0, "test": 0.4, "test, JPEG quality 90": 0.8, "test, JPEG quality 50": 1.2,
    "test, 1 % noise": 0.8, "test, 5 % noise": 1.2,
    "test, blur 0.5": 0.8, "test, blur 0.7": 1.2, "test, blur 1": 2.0,
}  # fmt: skip


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The benchmark on invented features [300, 6]."""
    monkeypatch.setattr(cifar_distances, "SIZE", 300)
    monkeypatch.setattr(cifar_distances, "DRAWN", 200)

    def features_of(options):
        random = torch.Generator().manual_seed(0)
        return {
            name: torch.randn(1200 if name == "train" else 300, 6, generator=random) + shift
            for name, shift in NOISE.items()
        }

    monkeypatch.setattr(cifar_distances, "features_of", features_of)
    given = ["--data", "a", "--test", "b", "--weights", "c", "--cache", str(tmp_path)]
    return lambda *more: cifar_distances.main([*given, "--draws", "40", *more])


def test_it_prints_a_table_and_writes_a_record(run, tmp_path, capsys):
    assert run("--out", str(tmp_path / "x.json")) == 0
    assert capsys.readouterr().out.startswith("the other half of train: distance ")
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["coverage"]["test, blur 1"]["paired difference"]["error over unpaired"] > 0
    assert found["table"]["test, blur 1"]["distance"][0] > 15


def test_the_wrong_order_is_not_published(run, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(NOISE, "test, blur 1", 0.0)
    assert run("--out", str(tmp_path / "x.json")) == 1
    assert "distance: test, blur 0.7" in capsys.readouterr().out
    assert not (tmp_path / "x.json").exists()


def test_pictures_are_distorted_as_said():
    pixels = np.full((2, 32, 32, 3), 100, dtype=np.uint8)
    pixels[:, 13:] = 180
    assert (cifar_distances.blurred(pixels, 0.5)[:, 12] > 100).all()
    assert abs(np.std(cifar_distances.noisy(pixels, 0.05)[:, :13]) - 12.75) < 0.5
    assert 0 < np.abs(cifar_distances.compressed(pixels, 50).astype(int) - pixels).max() < 60
