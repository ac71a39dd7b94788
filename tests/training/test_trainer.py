"""One run: its curve, its checkpoints, its independence of micro-batches, its continuation."""

import shutil
from pathlib import Path

import pytest
import torch

from ictsweep.answers import Outcome
from ictsweep.errors import UserError
from ictsweep.evaluation import BELOW
from ictsweep.optimizers import RAdam
from ictsweep.training import Trainer, load_model
from ictsweep.training.checkpoints import checkpoints, read_meta
from ictsweep.training.step import share_of
from tests.training.small import Recorder, config, job, losses, same, trainer

FEW = {"every_kimg": 1, "images": 32, "grid": 16}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    trainer(folder, cache, config=config(evaluate=FEW)).fit()
    return folder


def copied(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


def test_fit_reports_every_evaluation_and_learns(tmp_path: Path, cache: Path) -> None:
    runtime = Recorder()
    assert Trainer(job(tmp_path, cache, rungs=(2,)), runtime).fit() is Outcome.FINISHED
    assert [m.kimg for m in runtime.measurements] == [1, 2, 3, 4]
    assert runtime.asked == [2]
    first, last = runtime.measurements[0], runtime.measurements[-1]
    assert last.values["fd"] < first.values["fd"]
    assert set(last.values) == set(last.errors) == set(last.passports) == {"fd", "fd_2step"}
    assert last.levels == 1281
    assert (tmp_path / str(last.samples)).exists()
    assert last.ends_run
    assert [m.stage for m in runtime.measurements] == [1, 3, 5, 7]
    assert [m.grad_cosine for m in runtime.measurements] == [
        None
    ] * 4  # float32: nothing to compare


def test_the_averaged_weights_are_what_is_evaluated(tmp_path: Path, cache: Path) -> None:
    run = trainer(tmp_path, cache, config=config(evaluate=FEW))
    losses(run, 3)
    scores = run._evaluate().values
    with torch.no_grad():
        for weight in run.state.model.parameters():
            weight.add_(0.1)
    assert run._evaluate().values == scores
    with torch.no_grad():
        for weight in run.state.ema.module.parameters():
            weight.add_(0.1)
    assert run._evaluate().values != scores


def test_every_metric_asked_for_is_reported(tmp_path: Path, cache: Path) -> None:
    """With its error and passport, for each number of steps; those of few images are marked."""
    what = config(budget_kimg=1, evaluate={**FEW, "metrics": ["precision", "fd", "kd"]})
    runtime = Recorder()
    Trainer(job(tmp_path, cache, config=what), runtime).fit()
    (found,) = runtime.measurements
    keys = ["precision", "fd", "kd", "precision_2step", "fd_2step", "kd_2step"]
    assert list(found.values) == list(found.errors) == list(found.passports) == keys
    assert 0 <= found.values["precision"] <= 1
    marked = [key for key, passport in found.passports.items() if passport.get(BELOW)]
    assert marked == ["fd", "fd_2step"]


def test_a_stopped_run_trains_nothing_past_its_rung(tmp_path: Path, cache: Path) -> None:
    run = Trainer(job(tmp_path, cache, rungs=(1, 2)), Recorder(stop_at=(2,)))
    assert run.fit() is Outcome.STOPPED
    assert run.seen == 2000


def test_micro_batches_do_not_change_the_loss(tmp_path: Path, cache: Path) -> None:
    """The same sums in another order: float32, 10 steps, 1e-5 relative."""
    whole = losses(trainer(tmp_path / "a", cache), 10)
    parts = losses(trainer(tmp_path / "b", cache, micro_batch=56), 10)
    assert parts == pytest.approx(whole, rel=1e-5)


def test_halved_micro_batches_do_not_change_the_loss(tmp_path: Path, cache: Path) -> None:
    """A whole share, and one of 100, halved until a block is left: float32, 5 steps."""
    whole = losses(trainer(tmp_path / "a", cache), 5)
    for micro, halvings, left in [(None, 1, 100), (None, 3, 25), (100, 1, 50), (None, 20, 25)]:
        run = trainer(tmp_path / f"{micro} {halvings}", cache, micro_batch=micro, halvings=halvings)
        assert run.share.micro == left
        assert losses(run, 5) == pytest.approx(whole, rel=1e-5)


def test_resuming_at_a_checkpoint_is_bitwise_the_same(tmp_path: Path, cache: Path) -> None:
    whole = Trainer(job(tmp_path / "a", cache), Recorder())
    whole.fit()
    Trainer(job(tmp_path / "b", cache, rungs=(2,)), Recorder(stop_at=(2,))).fit()
    again = Recorder()
    resumed = Trainer(job(tmp_path / "b", cache, recorded={1, 2}), again)
    resumed.fit()
    assert [m.kimg for m in again.measurements] == [3, 4]
    assert same(whole, resumed)


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


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    finished: Path, tmp_path: Path, cache: Path
) -> None:
    folder = copied(finished, tmp_path)
    left = checkpoints(folder / "checkpoints", 4)
    assert [path.name for path in left] == ["000004-000003", "000004-000004"]
    (left[-1] / "state.pt").write_bytes(b"torn")
    run = trainer(folder, cache, config=config(evaluate=FEW))
    run._restore()
    assert run.seen == 3000


@pytest.mark.parametrize("text", ["{", "{}", "[]", "\xff"])
def test_a_damaged_meta_falls_back_to_the_one_before(
    text: str, finished: Path, tmp_path: Path, cache: Path
) -> None:
    folder = copied(finished, tmp_path)
    newest = folder / "checkpoints/000004-000004"
    (newest / "meta.json").write_text(text, encoding="latin-1")
    run = trainer(folder, cache, config=config(evaluate=FEW))
    run._restore()
    assert run.seen == 3000
    assert load_model(folder).meta.images == 3000
    with pytest.raises(UserError, match=r"000004-000004/meta\.json: not what was written"):
        read_meta(newest)
    with pytest.raises(UserError, match=r"meta\.json is not what was written"):
        load_model(newest)


def test_folders_of_other_names_are_no_checkpoints(finished: Path, tmp_path: Path) -> None:
    folder = copied(finished, tmp_path) / "checkpoints"
    shutil.copytree(folder / "000004-000004", folder / "000004-of mine")
    assert [path.name for path in checkpoints(folder, 4)] == ["000004-000003", "000004-000004"]


def test_a_checkpoint_of_another_configuration_is_refused(
    finished: Path, tmp_path: Path, cache: Path
) -> None:
    """By name: what differs, there and here."""
    other = config(evaluate=FEW, optimizer={"lr": 2e-3, "batch": 200})
    with pytest.raises(
        UserError, match=r"another configuration .*optimizer\.lr: 0\.001 there, 0\.002"
    ):
        trainer(copied(finished, tmp_path), cache, config=other).fit()
    with pytest.raises(UserError, match="seed: 5 there, 6 here"):
        trainer(tmp_path / "run", cache, config=config(evaluate=FEW), seed=6).fit()


def test_checkpoints_load_without_running_code(finished: Path) -> None:
    state = torch.load(finished / "checkpoints/000004-000004/state.pt", weights_only=True)
    assert set(state) == {"model", "ema", "optimizer"}


def test_workers_share_the_batch_in_whole_blocks() -> None:
    """256 images are 8 blocks of 32: 4 workers take 64 each; 3 cannot share 8 blocks."""
    assert [share_of(256, 32, rank, 4, None).first for rank in range(4)] == [0, 64, 128, 192]
    assert list(share_of(256, 32, 1, 2, 48).parts()) == [(128, 32), (160, 32), (192, 32), (224, 32)]
    halved = [share_of(256, 32, 0, 2, 96, halvings).micro for halvings in range(4)]
    assert halved == [96, 32, 32, 32]  # never below a block, whatever is left of it
    assert share_of(256, 32, 0, 2, 1000, 1).micro == 64  # a share is no larger than it is
    with pytest.raises(UserError, match="divides 8"):
        share_of(256, 32, 0, 3, None)


@pytest.mark.parametrize(("batch", "block"), [(1024, 32), (128, 16), (200, 25), (96, 12)])
def test_eight_workers_can_always_share_a_batch_that_they_divide(batch: int, block: int) -> None:
    optimizer = RAdam(batch=batch)
    assert optimizer.block == block
    assert [share_of(batch, block, rank, 8, None).count for rank in range(8)] == [batch // 8] * 8
