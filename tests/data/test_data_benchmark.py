"""The benchmark of the loader gives a number only for equal batches, and counts what it says."""

import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.benchmarks import data

SMALL = ["--side", "8", "--images", "60", "--batch", "8", "--repeats", "1"]


def test_the_three_streams_show_the_same(tmp_path):
    found = data.streams(data.mapped(tmp_path, 50, 8), batch=16, count=40)
    batches = {name: list(stream(30)) for name, stream in found.items()}
    for name in ("torchvision", "numpy"):
        for ours, theirs in zip(batches["ours"], batches[name], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert len({data.fingerprint(iter(made)) for made in batches.values()}) == 1
    changed = [batches["ours"][0].flip(-1), *batches["ours"][1:]]
    assert data.fingerprint(iter(changed)) != data.fingerprint(iter(batches["ours"]))


def test_it_prints_lines_and_a_record(tmp_path, capsys):
    assert data.main([*SMALL, "--out", str(tmp_path / "data.json")]) == 0
    *lines, record = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["data", "data"]
    kept = json.loads((tmp_path / "data.json").read_text())
    assert json.loads(record) == kept
    assert [row["peer"] for row in kept["rows"]] == ["torchvision", "numpy"]


def test_other_batches_are_not_measured(monkeypatch, capsys):
    honest = data.streams

    def spoilt(*arguments):
        found = honest(*arguments)

        def mirrored(first: int) -> Iterator[Tensor]:
            for batch in found["numpy"](first):
                yield batch.flip(-1)

        return {**found, "numpy": mirrored}

    monkeypatch.setattr(data, "streams", spoilt)
    assert data.main(SMALL) == 1
    assert capsys.readouterr().out.startswith("data: the batches differ")


def test_a_ratio_is_of_the_same_round():
    times = {"ours": [1.0, 2.0, 4.0], "torchvision": [20.0, 20.0, 20.0], "numpy": [2.0, 4.0, 8.0]}
    picture, array = data.summary(times)
    assert (picture["ratio"], picture["ours_us"], picture["peer_us"]) == (10.0, 2.0, 20.0)
    assert (array["ratio"], array["ratio_quartiles"]) == (2.0, [2.0, 2.0])


@pytest.mark.bench
def test_an_image_costs_a_tenth_of_what_torchvision_spends(capsys):
    assert data.main(["--repeats", "9"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record["rows"][0]["ratio"] >= data.GUARD
