"""One run: its curve, its checkpoints, its independence of micro-batches, workers and
interruptions."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ictsweep.config import Optimizer
from ictsweep.errors import Diverged, UserError
from ictsweep.training import Trainer
from ictsweep.training.state import checkpoints
from ictsweep.training.step import draw, share_of
from tests.training.small import SPACE, Recorder, config, job


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def losses(trainer: Trainer, steps: int) -> list[float]:
    out = []
    for _ in range(steps):
        trainer._step()
        out.append(trainer.loss)
    return out


def weights(trainer: Trainer) -> list[torch.Tensor]:
    states = trainer.state.state_dict()
    return [*states["model"].values(), *states["ema"].values()]


def test_fit_reports_every_evaluation_and_learns(tmp_path: Path, cache: Path) -> None:
    runtime = Recorder()
    assert Trainer(job(tmp_path, cache, rungs=(2,)), runtime).fit()
    assert [m.kimg for m in runtime.measurements] == [1, 2, 3, 4]
    assert runtime.asked == [2]
    first, last = runtime.measurements[0], runtime.measurements[-1]
    assert last.values["fd"] < first.values["fd"]
    assert set(last.values) == set(last.errors) == set(last.passports) == {"fd", "fd_2step"}
    assert last.levels == 1281
    assert (tmp_path / str(last.samples)).exists()
    assert last.ends_run


def test_a_stopped_run_trains_nothing_past_its_rung(tmp_path: Path, cache: Path) -> None:
    trainer = Trainer(job(tmp_path, cache, rungs=(1, 2)), Recorder(stop_at=(2,)))
    assert not trainer.fit()
    assert trainer.seen == 2000


def test_micro_batches_do_not_change_the_loss(tmp_path: Path, cache: Path) -> None:
    """The same sums in another order: float32, 10 steps, 1e-5 relative."""
    whole = losses(Trainer(job(tmp_path / "a", cache), Recorder()), 10)
    parts = losses(Trainer(job(tmp_path / "b", cache, micro_batch=56), Recorder()), 10)
    assert parts == pytest.approx(whole, rel=1e-5)


def test_resuming_at_a_checkpoint_is_bitwise_the_same(tmp_path: Path, cache: Path) -> None:
    whole = Trainer(job(tmp_path / "a", cache), Recorder())
    whole.fit()
    Trainer(job(tmp_path / "b", cache, rungs=(2,)), Recorder(stop_at=(2,))).fit()
    again = Recorder()
    resumed = Trainer(job(tmp_path / "b", cache, recorded={1, 2}), again)
    resumed.fit()
    assert [m.kimg for m in again.measurements] == [3, 4]
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_an_evaluation_lost_to_a_kill_is_repeated_with_the_same_numbers(
    tmp_path: Path, cache: Path
) -> None:
    """The checkpoint of 2 kimg exists, its measurement was never recorded."""
    first = Recorder(stop_at=(2,))
    Trainer(job(tmp_path, cache, rungs=(2,)), first).fit()
    again = Recorder()
    Trainer(job(tmp_path, cache, recorded={1}), again).fit()
    repeated = again.measurements[0]
    assert repeated.kimg == 2
    assert repeated.values == first.measurements[1].values
    assert (repeated.loss, repeated.grad_norm) == (
        first.measurements[1].loss,
        first.measurements[1].grad_norm,
    )


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, cache: Path) -> None:
    Trainer(job(tmp_path, cache), Recorder()).fit()
    folder = tmp_path / "checkpoints"
    assert [p.name for p in checkpoints(folder, 4)] == ["000004-000003", "000004-000004"]
    (folder / "000004-000004" / "state.pt").write_bytes(b"torn")
    trainer = Trainer(job(tmp_path, cache), Recorder())
    trainer._restore()
    assert trainer.seen == 3000


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path, cache: Path) -> None:
    Trainer(job(tmp_path, cache), Recorder()).fit()
    other = replace(config(), optimizer=replace(config().optimizer, lr=2e-3))
    with pytest.raises(UserError, match="another configuration"):
        Trainer(job(tmp_path, cache, config=other), Recorder()).fit()


def test_checkpoints_load_without_running_code(tmp_path: Path, cache: Path) -> None:
    Trainer(job(tmp_path, cache), Recorder()).fit()
    state = torch.load(tmp_path / "checkpoints/000004-000004/state.pt", weights_only=True)
    assert set(state) == {"model", "ema", "optimizer"}


def test_divergence_stops_before_the_optimiser_moves(tmp_path: Path, cache: Path) -> None:
    trainer = Trainer(job(tmp_path, cache), Recorder())
    trainer._step()
    with torch.no_grad():
        next(trainer.state.model.parameters()).fill_(float("nan"))
    before = [p.clone() for p in trainer.state.model.parameters()][1:]
    with pytest.raises(Diverged, match=r"0\.2 kimg, N = 11"):
        trainer._step()
    after = list(trainer.state.model.parameters())[1:]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_workers_share_the_batch_in_whole_blocks() -> None:
    """256 images are 8 blocks of 32: 4 workers take 64 each; 3 cannot share 8 blocks."""
    assert [share_of(256, 32, rank, 4, None).first for rank in range(4)] == [0, 64, 128, 192]
    assert list(share_of(256, 32, 1, 2, 48).parts()) == [(128, 32), (160, 32), (192, 32), (224, 32)]
    with pytest.raises(UserError, match="divides 8"):
        share_of(256, 32, 0, 3, None)


@pytest.mark.parametrize(("batch", "block"), [(1024, 32), (128, 16), (200, 25), (96, 12)])
def test_eight_workers_can_always_share_a_batch_that_they_divide(batch: int, block: int) -> None:
    optimizer = Optimizer(batch=batch)
    assert optimizer.block == block
    assert [share_of(batch, block, rank, 8, None).count for rank in range(8)] == [batch // 8] * 8


def test_draws_belong_to_the_image_not_to_the_batch() -> None:
    """Drawn together or in two parts, image by image the same bits; and another step draws
    others."""
    method = config().method
    device = torch.device("cpu")

    def take(first: int, count: int):
        return draw(
            method, (1, 8, 8), 100, seed=1, first=first, count=count, block=8, progress=0.5,
            device=device,
        )  # fmt: skip

    whole, left, right = take(0, 64), take(0, 24), take(24, 40)
    for name in ("noise", "t", "r", "mask"):
        parts = torch.cat([getattr(left, name), getattr(right, name)])
        assert torch.equal(getattr(whole, name), parts)
    assert not torch.equal(take(64, 64).noise, whole.noise)
    assert not torch.equal(take(64, 64).mask, whole.mask)


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SPACE)
    return path


def _train(space: Path, out: Path, *prefix: str) -> list[str]:
    launcher = [sys.executable, *prefix, "-m", "ictsweep", "train", str(space)]
    return [*launcher, "--out", str(out), "--seed", "5"]


def test_two_workers_give_the_loss_curve_of_one(space: Path, tmp_path: Path) -> None:
    """torchrun with 2 gloo processes against 1, the same global batch: float32, loss and distances
    to 1e-3 relative after 20 steps (rounding grows through training; 1e-5 in the first fifth)."""
    subprocess.run(_train(space, tmp_path / "one"), check=True, capture_output=True)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    both = [sys.executable, *torchrun, "-m", "ictsweep", "train", str(space)]
    subprocess.run(
        [*both, "--out", str(tmp_path / "two"), "--seed", "5"], check=True, capture_output=True
    )
    curves = [
        [
            json.loads(line)
            for line in (tmp_path / n / "measurements.jsonl").read_text().splitlines()
        ]
        for n in ("one", "two")
    ]
    for alone, shared in zip(*curves, strict=True):
        assert shared["kimg"] == alone["kimg"]
        tolerance = 1e-5 if alone["kimg"] == 1 else 1e-3
        assert shared["loss"] == pytest.approx(alone["loss"], rel=tolerance)
        assert shared["values"]["fd"] == pytest.approx(alone["values"]["fd"], rel=1e-3)


def test_a_killed_process_resumes_to_bitwise_the_same_weights(space: Path, tmp_path: Path) -> None:
    subprocess.run(_train(space, tmp_path / "whole"), check=True, capture_output=True)
    process = subprocess.Popen(_train(space, tmp_path / "cut"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "cut/checkpoints/000004-000002").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "cut/checkpoints/000004-000004").exists()
    subprocess.run(_train(space, tmp_path / "cut"), check=True, capture_output=True)
    a, b = (
        torch.load(tmp_path / n / "checkpoints/000004-000004/state.pt", weights_only=True)
        for n in ("whole", "cut")
    )
    for part in ("model", "ema"):
        assert all(torch.equal(a[part][k], b[part][k]) for k in a[part])
    lines = (tmp_path / "cut/measurements.jsonl").read_text().splitlines()
    assert [json.loads(line)["kimg"] for line in lines] == [1, 2, 3, 4]
