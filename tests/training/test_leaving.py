"""A run that is asked to leave: at once, where it is, and so that nobody sees it was away."""

import errno
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ictsweep.answers import Outcome, Word
from ictsweep.errors import StorageError
from ictsweep.training import Trainer, fit_lineage, keeping
from ictsweep.training import runtime as world
from ictsweep.training.checkpoints import checkpoints, is_whole
from ictsweep.training.clock import Clock, Phase
from ictsweep.training.keeping import Keeper
from ictsweep.training.leaving import Interrupted, interruptible
from tests.training.small import Recorder, config, job, method, same
from tests.training.test_processes import TORCHRUN, environment

FEW = {"every_kimg": 1, "images": 32, "grid": 16}


class Called(Recorder):
    """A runtime that is asked to leave as soon as the run it is in has `seen` so many images."""

    seen: Callable[[], int] | None = None

    def __init__(self, at: int, leave_at: tuple[int, ...] = ()) -> None:
        super().__init__()
        self._at, self._leave_at = at, leave_at

    @property
    def leaving(self) -> bool:  # type: ignore[override]
        return self.seen is not None and self.seen() >= self._at

    def verdict(self, rung_kimg: int) -> Word:
        word = super().verdict(rung_kimg)
        return Word.LEAVE if rung_kimg in self._leave_at else word


def left(folder: Path, cache: Path, at: int, **changes: Any) -> Trainer:
    """A run of `job` that was asked to leave once it had seen `at` images, and left."""
    runtime = Called(at)
    run = Trainer(job(folder, cache, **changes), runtime)
    runtime.seen = lambda: run.seen
    assert run.fit() is Outcome.LEFT
    return run


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints(folder / "checkpoints")]


def points(run: Trainer) -> list[tuple[Any, ...]]:
    """All that a run's measurements say of the model."""
    runtime = run.runtime
    assert isinstance(runtime, Recorder)
    return [
        (
            m.kimg,
            m.values,
            m.errors,
            m.levels,
            m.loss,
            m.grad_norm,
            m.stage,
            m.grad_cosine,
            m.spectrum,
        )
        for m in runtime.measurements
    ]


@pytest.mark.parametrize(
    ("name", "precision"), [("ict", "bf16_at_any_level"), ("gaf_ect", "fp32"), ("ct", "fp32")]
)
def test_a_run_left_between_two_kimg_goes_on_bitwise_the_same(
    name: str, precision: str, tmp_path: Path, cache: Path
) -> None:
    """Asked in its 7th step: every kind of state, averages for later, 16 bits (slow on a CPU)."""
    what = method(name, post_hoc={"snapshots": 3}, evaluate=FEW, precision=precision)
    whole = Trainer(job(tmp_path / "a", cache, config=what), Recorder())
    whole.fit()
    first = left(tmp_path / "b", cache, 1200, config=what)
    assert first.seen == 1400
    assert names(tmp_path / "b") == ["000004-000001", "000004-000001.400"]
    torch.manual_seed(0)  # nothing of the run hangs on this
    resumed = Trainer(job(tmp_path / "b", cache, config=what, recorded={1}), Recorder())
    assert resumed.fit() is Outcome.FINISHED
    assert same(whole, resumed)
    assert points(first) + points(resumed) == points(whole)
    kept = [sorted((tmp_path / run / "snapshots").iterdir()) for run in "ab"]
    assert len(kept[0]) == 6
    for one, other in zip(*kept, strict=True):
        assert (one.name, one.read_bytes()) == (other.name, other.read_bytes())


def test_a_step_that_ends_at_an_evaluation_leaves_it_to_the_next_launch(
    tmp_path: Path, cache: Path
) -> None:
    what = config(evaluate=FEW)
    run = left(tmp_path, cache, 800, config=what)
    assert (run.seen, points(run)) == (1000, [])
    resumed = Trainer(job(tmp_path, cache, config=what), Recorder())
    resumed.fit()
    assert [kimg for kimg, *_ in points(resumed)] == [1, 2, 3, 4]


def test_an_evaluation_is_left_in_its_middle_and_repeated(tmp_path: Path, cache: Path) -> None:
    """At the end of the run, where nothing would be trained any more."""
    what = config(evaluate={**FEW, "steps": [1, 2]})
    whole = Trainer(job(tmp_path / "a", cache, config=what), Recorder())
    whole.fit()
    run = left(tmp_path / "b", cache, 4000, config=what)
    assert [kimg for kimg, *_ in points(run)] == [1, 2, 3]
    again = Trainer(job(tmp_path / "b", cache, config=what, recorded={1, 2, 3}), Recorder())
    assert again.fit() is Outcome.FINISHED
    assert points(run) + points(again) == points(whole)


def test_nothing_more_is_drawn_once_the_run_is_to_be_left() -> None:
    """A batch may take half a minute: it is not waited for."""
    runtime, drawn = Called(0), []
    draw = interruptible(lambda latents, labels: (drawn.append(1), latents)[1], runtime)
    draw(torch.zeros(1), None)
    runtime.seen = lambda: 0
    with pytest.raises(Interrupted):
        draw(torch.zeros(1), None)
    assert drawn == [1]


@pytest.mark.parametrize("short_run", [True, False])
def test_a_trial_leaves_while_it_waits_for_its_verdict(
    short_run: bool, tmp_path: Path, cache: Path
) -> None:
    """It keeps its checkpoint, is asked again when it is back, and ends as if it had stayed."""
    rungs = (1, 2, 4)
    what = config(evaluate=FEW)
    whole, first, second = Recorder(), Called(10**9, leave_at=(2,)), Recorder()
    fit_lineage(job(tmp_path / "a", cache, config=what), whole, rungs=rungs, short_run=short_run)
    begun = job(tmp_path / "b", cache, config=what)
    assert fit_lineage(begun, first, rungs=rungs, short_run=short_run) is Outcome.LEFT
    assert names(tmp_path / "b")[-1] == ("000002-000002" if short_run else "000004-000002")
    known = [(m.run_kimg, m.kimg) for m in first.measurements]
    outcome = fit_lineage(begun, second, rungs=rungs, short_run=short_run, recorded=known)
    assert outcome is Outcome.FINISHED
    assert first.asked == [1, 2]
    assert second.asked == ([1, 2] if short_run else [2])
    values = [m.values for runtime in (first, second) for m in runtime.measurements]
    assert values == [m.values for m in whole.measurements]


def test_leaving_writes_the_checkpoint_that_a_damaged_one_left_missing(
    tmp_path: Path, cache: Path
) -> None:
    """The measurement at the rung is known, its checkpoint was lost: the state is worth keeping."""
    what = config(evaluate=FEW)
    left(tmp_path, cache, 2000, config=what)  # in the evaluation at 2 kimg
    (tmp_path / "checkpoints/000004-000002/state.pt").write_bytes(b"torn")
    waiting = Called(10**9, leave_at=(2,))
    known = job(tmp_path, cache, config=what, recorded={1, 2}, rungs=(2,))
    assert Trainer(known, waiting).fit() is Outcome.LEFT
    assert is_whole(tmp_path / "checkpoints/000004-000002")


def test_checkpoints_between_evaluations_bound_what_a_kill_costs(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_SHARE", 1e9)  # steps of a few ms would be too short for one each
    what = config(evaluate={**FEW, "every_kimg": 4})
    runtime = Recorder()
    Trainer(job(tmp_path / "a", cache, config=what, checkpoint_every_s=0.0), runtime).fit()
    assert names(tmp_path / "a") == ["000004-000003.800", "000004-000004"]
    assert runtime.kept.count("checkpoints") >= 20
    Trainer(job(tmp_path / "b", cache, config=what), Recorder()).fit()
    assert names(tmp_path / "b") == ["000004-000004"]


def test_checkpoints_take_a_twentieth_of_the_time_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every 600 s; where one takes 60 s, every 1200 s. Ranks that do not write never ask for it."""
    now = [0.0]
    monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
    for cost, rank, expected in [(1.0, 0, 600), (60.0, 0, 1200), (1.0, 1, None)]:
        runtime = Recorder()
        runtime.rank = rank
        keeper = Keeper(tmp_path, runtime, 600.0)

        def slow(*_: Any, seconds: float = cost) -> None:
            now[0] += seconds

        monkeypatch.setattr(keeping, "save_checkpoint", slow)
        keeper.save(None, None)  # type: ignore[arg-type]
        began = now[0]
        due = next((s for s in range(0, 2000, 10) if _at(now, began + s) and keeper.due()), None)
        assert due == expected


def _at(now: list[float], time: float) -> bool:
    now[0] = time
    return True


def test_checkpoints_within_a_kimg_sort_by_their_progress(tmp_path: Path) -> None:
    order = ["000004-000001.999", "000004-000002", "000004-000002.007", "000016-000001.200"]
    for name in random.Random(0).sample([*order, "000004-000002.7", "000004-000002.0070"], 6):
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").touch()
    assert [path.name for path in checkpoints(tmp_path)] == order
    assert [path.name for path in checkpoints(tmp_path, 4)] == order[:3]


def test_the_flag_rides_with_the_loss_and_changes_no_bit_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against the mean of the losses alone, for 1 to 33 ranks; what comes after it is summed."""
    for ranks in range(1, 34):
        losses = torch.randn(ranks, generator=torch.Generator().manual_seed(ranks)) * 1e3
        flags = torch.arange(ranks) % 3 == 1
        rows = torch.stack([flags.float(), losses, torch.arange(ranks) + 1.0], dim=1)

        def together(mine: torch.Tensor, rows: torch.Tensor = rows) -> torch.Tensor:
            assert torch.equal(mine, rows[:1])
            return rows

        monkeypatch.setattr(world, "gather", together)
        leaving, loss, images = world.over_ranks(rows[0, 1:], bool(flags[0]))
        assert torch.equal(loss, losses.mean(dim=0))
        assert leaving == flags.sum()
        assert images == ranks * (ranks + 1) / 2


def test_workers_that_see_different_folders_say_so(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left(tmp_path, cache, 1200, config=config(evaluate=FEW))
    monkeypatch.setattr(keeping, "gather", lambda mine: torch.cat([mine, torch.tensor([0])]))
    with pytest.raises(StorageError, match=r"at 0 and 1\.4 kimg\).*not the same on all nodes"):
        Trainer(job(tmp_path, cache, config=config(evaluate=FEW)), Recorder()).fit()


class Fetching(Recorder):
    """A worker whose folder is durable elsewhere, beside one that goes on from other ones."""

    def fetch(self, folder: Path) -> bool:
        return True


@pytest.mark.parametrize(("other", "goes_on_at"), [(3000, 3000), (0, 0)])
def test_a_checkpoint_that_a_kill_left_on_one_machine_alone_is_left_out(
    other: int, goes_on_at: int, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This worker has the one after 4,000 images, the other does not: both take the one before, and
    the run comes to the same end.
    """
    what = config(evaluate=FEW)
    whole = Trainer(job(tmp_path, cache, config=what), Recorder())
    whole.fit()
    monkeypatch.setattr(keeping, "gather", lambda mine: torch.cat([mine, mine.clamp(max=other)]))
    run = Trainer(job(tmp_path, cache, config=what, recorded={1, 2, 3, 4}), Fetching())
    run._restore()
    assert run.seen == goes_on_at
    assert run.fit() is Outcome.FINISHED
    assert same(whole, run)


def test_an_evaluation_that_nobody_recorded_is_repeated(tmp_path: Path, cache: Path) -> None:
    """The trial is dismissed while its second one waits to be recorded: it leaves there, and not
    one step later.
    """

    class Unheard(Recorder):
        def report(self, measurement: Any) -> Word:
            return super().report(measurement) if measurement.kimg == 1 else Word.LEAVE

    what = config(evaluate=FEW)
    whole = Trainer(job(tmp_path / "whole", cache, config=what), Recorder())
    whole.fit()
    run = Trainer(job(tmp_path / "run", cache, config=what), Unheard())
    assert run.fit() is Outcome.LEFT
    assert (run.seen, len(points(run))) == (2000, 1)
    again = Trainer(job(tmp_path / "run", cache, config=what, recorded={1}), Recorder())
    again.fit()
    assert points(run) + points(again) == points(whole)


def test_a_disk_that_is_away_or_full_for_a_moment_is_waited_for(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Trainer(job(tmp_path, cache, config=config(evaluate=FEW)), Recorder())
    run._step()
    refusals = [errno.ESTALE, errno.ENOSPC, errno.EIO]
    save = keeping.save_checkpoint

    def refusing(*what: Any) -> Path:
        if refusals:
            number = refusals.pop()
            raise OSError(number, os.strerror(number))
        return save(*what)

    naps: list[float] = []
    monkeypatch.setattr(keeping, "save_checkpoint", refusing)
    monkeypatch.setattr(keeping, "RUNNING", replace(keeping.RUNNING, sleep=naps.append))
    run._checkpoint()
    assert names(tmp_path) == ["000004-000000.200"]
    assert naps == [0.5, 1.0, 2.0]


def test_what_is_written_is_made_durable_before_it_is_reported(tmp_path: Path, cache: Path) -> None:
    class Told(Recorder):
        def report(self, measurement: Any) -> Word:
            self.kept.append(f"reported {measurement.kimg}")
            return Word.GO_ON

    runtime = Told()
    what = config(evaluate={**FEW, "every_kimg": 2}, post_hoc={"snapshots": 1})
    Trainer(job(tmp_path, cache, config=what), runtime).fit()
    assert runtime.kept == [
        "fetched",
        *("checkpoints", "samples/000004-000002.png", "reported 2"),
        *("snapshots", "checkpoints", "samples/000004-000004.png", "reported 4"),
    ]


def test_the_phases_of_a_launch_add_up(tmp_path: Path, cache: Path) -> None:
    clock = Clock()
    what = config(evaluate=FEW)
    runtime = Recorder()
    fit_lineage(
        job(tmp_path, cache, config=what, clock=clock), runtime, rungs=(1, 4), short_run=True
    )
    spent = clock.spent(100.0)
    assert set(spent) == {"startup_s", "train_s", "evaluate_s", "idle_s"}
    assert sum(spent.values()) == pytest.approx(100.0)
    assert spent["train_s"] >= sum(m.train_s for m in runtime.measurements if m.ends_run)
    assert spent["evaluate_s"] == pytest.approx(
        sum(m.evaluate_s for m in runtime.measurements), rel=0.3
    )
    assert spent["idle_s"] < 1
    assert clock.spent(0.0)[Phase.STARTUP] == 0


def test_two_workers_leave_together_whichever_is_asked(cache: Path, tmp_path: Path) -> None:
    """In a step and in an evaluation (where one worker has a batch more to draw), and go on to
    bitwise the same weights. See `ranks.py`.
    """
    done = subprocess.run(
        [sys.executable, *TORCHRUN, "-m", "tests.training.ranks", str(tmp_path), str(cache)],
        capture_output=True, text=True, env=environment(), timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("as if they had stayed") == 6
