"""Averages made after training: against the same averages tracked during it, on a real run."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ictsweep.errors import UserError
from ictsweep.training import Trainer, load_model
from ictsweep.training.loading import averaged_weights
from ictsweep.training.post_hoc import (
    PostHocAverages,
    forget_snapshots,
    snapshot_due,
    snapshots,
)
from ictsweep.training.profiles import Profile, inner, mix
from ictsweep.training.reconstruct import reconstruct, write_average
from tests.training.small import Recorder, config, job, same, step, trainer

KEPT = {"snapshots": 5, "sigma_rel": [0.05, 0.10]}


def run(folder: Path, cache: Path, width: float) -> Trainer:
    """20 steps with snapshots every 4, evaluated by the average of `width`."""
    what = config(post_hoc=KEPT, ema={"name": "power", "sigma_rel": width}, evaluate={
        "every_kimg": 4, "images": 128, "grid": 16
    })  # fmt: skip
    made = trainer(folder, cache, config=what)
    made.fit()
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Trainer:
    return run(tmp_path_factory.mktemp("run"), cache, 0.08)


def test_snapshots_are_spread_evenly_over_the_run(trained: Trainer) -> None:
    kept = snapshots(trained.job.folder / "snapshots", 4)
    ends = [800.0, 1600.0, 2400.0, 3200.0, 4000.0]
    assert list(kept.values()) == [Profile(w, e) for e in ends for w in (0.05, 0.10)]
    seven = replace(trained.config, post_hoc=replace(trained.config.post_hoc, snapshots=7))
    assert [s for s in range(200, 4001, 200) if snapshot_due(seven, s)] == [
        600, 1200, 1800, 2400, 3000, 3600, 4000
    ]  # fmt: skip


def test_the_last_snapshots_are_the_averages_themselves(trained: Trainer) -> None:
    assert trained.state.post_hoc is not None
    for width, average in zip((0.05, 0.10), trained.state.post_hoc.averages, strict=True):
        made = reconstruct(trained.job.folder / "snapshots", width, 4)
        assert made.error < 1e-7
        for name, value in average.module.state_dict().items():
            torch.testing.assert_close(made.weights[name], value, rtol=1e-6, atol=1e-7)


def test_the_reconstructed_average_is_the_tracked_one_within_the_stated_error(
    trained: Trainer, cache: Path, tmp_path: Path
) -> None:
    """Each weight differs by at most (error of the profile) x (its size) x (the weight's standard
    deviation over the run), and all together by less than 1 % of how far they moved.
    """
    made = reconstruct(trained.job.folder / "snapshots", 0.08, 4)
    again = trainer(tmp_path, cache, config=trained.config)
    start = dict(again.state.model.state_dict())
    start = {name: value.clone() for name, value in start.items()}
    path = []
    for _ in range(20):
        step(again)
        path.append({n: p.double().clone() for n, p in again.state.model.named_parameters()})
    wanted = Profile(0.08, 4000.0)
    factor = made.error * (4000.0 * inner(wanted, wanted)) ** 0.5
    off, moved = 0.0, 0.0
    for name, value in trained.state.ema.module.named_parameters():
        spread = torch.stack([weights[name] for weights in path]).std(0, correction=0)
        difference = (made.weights[name] - value).double()
        assert bool((difference.abs() <= factor * spread + 1e-6).all())
        off += float(difference.square().sum())
        moved += float((value - start[name]).double().square().sum())
    assert (
        made.error
        == mix(list(snapshots(trained.job.folder / "snapshots", 4).values()), wanted).error
    )
    assert (off / moved) ** 0.5 < 0.01


def test_what_is_written_loads_as_a_model(trained: Trainer, tmp_path: Path) -> None:
    made = write_average(trained.job.folder, 0.07, tmp_path / "average")
    loaded = load_model(tmp_path / "average")
    assert loaded.config.ema.sigma_rel == 0.07
    assert loaded.config.network == trained.config.network
    for name, value in averaged_weights(tmp_path / "average").items():
        assert torch.equal(value, made.weights[name])
    with pytest.raises(UserError, match="exists already"):
        write_average(trained.job.folder, 0.07, tmp_path / "average")


def test_a_checkpoint_stands_for_the_average_at_its_time(trained: Trainer, tmp_path: Path) -> None:
    folder = trained.job.folder
    checkpoint = folder / "checkpoints/000004-000004"
    of_run, made = (
        write_average(run, 0.07, tmp_path / name)
        for name, run in (("a", folder), ("b", checkpoint))
    )
    assert (made.images, made.snapshots) == (4000, 10)
    assert all(torch.equal(of_run.weights[name], value) for name, value in made.weights.items())
    assert reconstruct(folder / "snapshots", 0.05, 4, until=2500).images == 2400
    with pytest.raises(UserError, match=r"no snapshots of averages by 0\.1 kimg"):
        reconstruct(folder / "snapshots", 0.05, 4, until=100)


def test_a_kill_in_mid_write_is_written_again(trained: Trainer, tmp_path: Path) -> None:
    for name in (".average.new", ".average.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.pt").write_bytes(b"torn")
    write_average(trained.job.folder, 0.07, tmp_path / "average")
    assert [path.name for path in tmp_path.iterdir()] == ["average"]
    assert load_model(tmp_path / "average").meta.images == 4000


def test_snapshots_keep_their_width_and_their_own_time(tmp_path: Path) -> None:
    """Widths that six digits cannot tell apart; only steps that were taken count."""
    model = torch.nn.Linear(1, 1)
    kept = PostHocAverages(model, (0.1, 0.1000001), batch=200)
    kept.save(tmp_path, 4)
    assert not snapshots(tmp_path, 4)
    for _ in range(3):
        kept.update(model)
    kept.save(tmp_path, 4)
    assert list(snapshots(tmp_path, 4).values()) == [
        Profile(0.1, 600.0), Profile(0.1000001, 600.0)
    ]  # fmt: skip


def test_a_run_without_snapshots_says_so(trained: Trainer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"post_hoc\.snapshots above 0"):
        reconstruct(tmp_path, 0.07, 4)
    with pytest.raises(UserError, match=r"a number > 0 and < 0\.28"):
        reconstruct(trained.job.folder / "snapshots", 0.3, 4)


def test_a_resumed_run_leaves_the_same_snapshots(
    trained: Trainer, cache: Path, tmp_path: Path
) -> None:
    """Cut between two snapshots: the averages are part of the checkpoint."""
    every = replace(trained.config.evaluate, every_kimg=1)
    what = replace(trained.config, evaluate=every)
    Trainer(job(tmp_path, cache, config=what, rungs=(2,)), Recorder(stop_at=(2,))).fit()
    resumed = Trainer(job(tmp_path, cache, config=what, recorded={1, 2}), Recorder())
    resumed.fit()
    assert same(resumed, trained, "post_hoc", "model")
    names = [path.name for path in snapshots(tmp_path / "snapshots", 4)]
    assert len(names) == 10
    for name in names:
        a, b = (torch.load(f / "snapshots" / name, weights_only=True)
                for f in (tmp_path, trained.job.folder))  # fmt: skip
        assert all(torch.equal(a[key], b[key]) for key in b)


def test_a_run_begun_anew_mixes_with_no_older_one(cache: Path, tmp_path: Path) -> None:
    """Snapshots of another number per run, left by a run whose checkpoints are gone."""
    folder = tmp_path / "snapshots"
    folder.mkdir()
    (folder / "000004-000000200-0.05.pt").write_bytes(b"of another run")
    (folder / "000008-000000200-0.05.pt").write_bytes(b"of a run of another length")
    run(tmp_path, cache, 0.05)
    assert len(snapshots(folder, 4)) == 10
    assert len(snapshots(folder, 8)) == 1
    forget_snapshots(folder, 8)
    assert not snapshots(folder, 8)
