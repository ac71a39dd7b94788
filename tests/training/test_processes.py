"""Runs in processes of their own: shared by two workers, killed and continued."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache as once
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from ictsweep.config import TrialConfig
from ictsweep.training import train_once
from ictsweep.training.loading import averaged_weights
from ictsweep.training.runtime import distribute
from tests.training.small import SPACE, Recorder, config

EVALUATE = {"every_kimg": 1, "images": 128, "steps": [1, 2], "grid": 16}

# GAF's endpoints on SCT's path: every kind of draw, state and communication in one run.
SETTINGS = {
    "ict": (),
    "gaf": (
        "method.preset=gaf",
        "method.path.name=posterior_mean",
        "method.path.references=64",
        "post_hoc.snapshots=2",
    ),
    "labels": (
        "network.classes=10",
        "network.label_dropout=0.3",
        "precision=bf16_at_any_level",
        "budget_kimg=1",
        "evaluate.images=32",
    ),
}
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def configured(name: str) -> TrialConfig:
    """What the command line makes of the settings."""
    if name == "ict":
        return config(evaluate=EVALUATE)
    if name == "labels":
        evaluate, network = {**EVALUATE, "images": 32}, {**LABELS}
        what = config(precision="bf16_at_any_level", network=network, evaluate=evaluate)
        return replace(what, budget_kimg=1)
    path = {"name": "posterior_mean", "references": 64}
    changes = {"method": {"preset": "gaf", "path": path}, "post_hoc": {"snapshots": 2}}
    return config(evaluate=EVALUATE, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Callable[[str], Path]:
    """The folder of an uninterrupted run in one process, this one."""

    @once
    def run(name: str) -> Path:
        out = tmp_path_factory.mktemp(name)
        train_once(configured(name), out=out, cache=cache, seed=5, micro_batch=None)
        return out

    return run


LABELS = {"preset": "tiny", "channels": 4, "classes": 10, "label_dropout": 0.3}


def command(folder: Path, cache: Path, name: str) -> tuple[Path, list[str]]:
    """A run's folder, where the feature network is already, and the words that train in it."""
    space, out = folder / "small.yaml", folder / "run"
    space.write_text(SPACE)
    shutil.copytree(cache, out / ".cache")
    changes = [word for setting in SETTINGS[name] for word in ("--set", setting)]
    train = ["-m", "ictsweep", "train", str(space), "--out", str(out), "--seed", "5"]
    return out, [*train, *changes]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def curve(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "measurements.jsonl").read_text().splitlines()]


def test_two_workers_give_the_loss_curve_of_one(
    whole: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    """torchrun with 2 gloo processes against 1, the same global batch: float32, loss and distances
    to 1e-3 relative after 20 steps (rounding grows through training; 1e-5 in the first fifth).
    """
    out, train = command(tmp_path, cache, "gaf")
    subprocess.run(
        [sys.executable, *TORCHRUN, *train], check=True, capture_output=True, env=environment()
    )
    for one, two in zip(curve(whole("gaf")), curve(out), strict=True):
        assert two["kimg"] == one["kimg"]
        tolerance = 1e-5 if one["kimg"] == 1 else 1e-3
        assert two["loss"] == pytest.approx(one["loss"], rel=tolerance)
        assert two["spectrum"]["images"] == one["spectrum"]["images"]
        assert two["spectrum"]["loss"] == pytest.approx(one["spectrum"]["loss"], rel=1e-2)
        assert two["values"]["fd"] == pytest.approx(one["values"]["fd"], rel=1e-3)
    names = [sorted(p.name for p in (run / "snapshots").iterdir()) for run in (whole("gaf"), out)]
    assert names[0] == names[1]
    assert len(names[0]) == 4


def test_two_workers_in_16_bit_with_labels_and_micro_batches_are_one(
    cache: Path, tmp_path: Path
) -> None:
    """5 steps in bf16, each worker's share in two parts: the same parts in one process, summed in
    another order.
    """
    out, train = command(tmp_path, cache, "labels")
    command_line = [sys.executable, *TORCHRUN, *train, "--micro-batch", "50"]
    subprocess.run(command_line, check=True, capture_output=True, env=environment())
    alone = tmp_path / "alone"
    train_once(configured("labels"), out=alone, cache=cache, seed=5, micro_batch=50)
    (one,), (two,) = curve(alone), curve(out)
    for key in ("loss", "grad_norm", "grad_cosine"):
        assert two[key] == pytest.approx(one[key], rel=1e-3)
    assert two["values"] == pytest.approx(one["values"], rel=1e-3)
    a, b = (averaged_weights(run / "checkpoints/000001-000001") for run in (alone, out))
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, rtol=1e-3, atol=1e-4)


def test_buffers_are_not_sent_before_every_step(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        runtime = Recorder()
        runtime.world_size = 2
        assert not distribute(torch.nn.Linear(1, 1), runtime).broadcast_buffers
    finally:
        dist.destroy_process_group()


def started(train: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *train], stderr=subprocess.PIPE, text=True, env=environment()
    )


def wait_for(place: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not place.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_is_answered_with_a_checkpoint_and_the_way_on(
    number: signal.Signals, whole: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    """And the same command continues, to bitwise the same weights."""
    cut, train = command(tmp_path, cache, "ict")
    process = started(train)
    wait_for(cut / "checkpoints/000004-000001", process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    found = re.search(r"left at ([\d.]+) of 4 kimg, where a checkpoint is kept; the same", said)
    assert found, said
    kimg, _, rest = found[1].partition(".")
    name = f"000004-{int(kimg):06d}" + (f".{rest:<03}" if rest else "")
    assert sorted(path.name for path in (cut / "checkpoints").iterdir())[-1] == name
    train_once(configured("ict"), out=cut, cache=cache, seed=5, micro_batch=None)
    assert same_weights(whole("ict"), cut)
    assert [line["kimg"] for line in curve(cut)] == [1, 2, 3, 4]


def test_a_second_signal_ends_it_at_once(cache: Path, tmp_path: Path) -> None:
    """In the middle of a step that takes minutes; what was noted first is forgotten with it."""
    _, train = command(tmp_path, cache, "ict")
    big = ("optimizer.batch=100000", "budget_kimg=100", "evaluate.every_kimg=100")
    process = started([*train, *(word for setting in big for word in ("--set", setting))])
    assert process.stderr is not None
    while "kimg to train" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    time.sleep(5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "begins anew: none was kept yet" in said


@pytest.mark.parametrize("name", ["ict", pytest.param("gaf", marks=pytest.mark.slow)])
def test_a_killed_process_resumes_to_bitwise_the_same_weights(
    name: str, whole: Callable[[str], Path], cache: Path, tmp_path: Path
) -> None:
    cut, train = command(tmp_path, cache, name)
    process = started(train)
    wait_for(cut / "checkpoints/000004-000002", process)
    process.kill()
    process.communicate()
    assert not (cut / "checkpoints/000004-000004").exists()
    train_once(configured(name), out=cut, cache=cache, seed=5, micro_batch=None)
    state = torch.load(cut / "checkpoints/000004-000004/state.pt", weights_only=True)
    assert ("generator" in state) == (name == "gaf")
    assert same_weights(whole(name), cut)
    assert [line["kimg"] for line in curve(cut)] == [1, 2, 3, 4]


def same_weights(whole: Path, cut: Path) -> bool:
    """Whether two finished runs have the same weights and averages, bit by bit."""
    a, b = (
        torch.load(run / "checkpoints/000004-000004/state.pt", weights_only=True)
        for run in (whole, cut)
    )
    parts = a.keys() - {"optimizer"}
    return all(torch.equal(a[part][key], b[part][key]) for part in parts for key in a[part])
