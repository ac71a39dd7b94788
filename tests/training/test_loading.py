"""Trained models read back: from a run, from a checkpoint, as the start of another run."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ictsweep.answers import Outcome
from ictsweep.config import TrialConfig
from ictsweep.errors import UserError
from ictsweep.networks import edm_weights
from ictsweep.training import Trainer, init_problems, initial_model, load_model
from ictsweep.training.initial import init_digest
from tests.networks import edm_file
from tests.training.small import config, job, method, trainer

SHAPE = (1, 8, 8)
FEW = {"every_kimg": 1, "images": 32, "grid": 16}


@pytest.fixture(scope="module")
def edm(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Trainer:
    """10 steps of a diffusion model in a run's folder."""
    what = replace(method("edm", evaluate=FEW), budget_kimg=2)
    run = trainer(tmp_path_factory.mktemp("edm"), cache, config=what)
    run.fit()
    return run


def start(path: Path | str, **changes) -> TrialConfig:
    return config(init={"name": "checkpoint", "path": str(path)}, evaluate=FEW, **changes)


def test_a_run_loads_as_its_averaged_weights(edm: Trainer) -> None:
    loaded = load_model(edm.job.folder)
    assert loaded.config == edm.config
    assert (loaded.meta.images, loaded.meta.run_kimg, loaded.meta.seed) == (2000, 2, 5)
    assert loaded.denoiser.scalings == edm.config.method.eval_scalings
    assert not loaded.denoiser.training
    x, sigma = torch.randn(3, *SHAPE), torch.tensor([0.1, 1.0, 10.0])
    assert torch.equal(loaded.denoiser(x, sigma), edm.state.ema.module(x, sigma))
    assert not torch.equal(loaded.denoiser(x, sigma), edm.state.model.eval()(x, sigma))


def test_a_checkpoint_loads_and_the_newest_whole_one_stands_for_its_run(
    edm: Trainer, tmp_path: Path
) -> None:
    run = shutil.copytree(edm.job.folder, tmp_path / "run")
    older, newer = (run / "checkpoints" / f"000002-00000{i}" for i in (1, 2))
    assert load_model(older).meta.images == 1000
    assert load_model(newer).meta.images == 2000
    (newer / "state.pt").write_bytes(b"torn")
    assert load_model(run).meta.images == 1000
    with pytest.raises(UserError, match="damaged"):
        load_model(newer)


def test_the_longest_run_is_the_one_that_counts(edm: Trainer, tmp_path: Path) -> None:
    """Runs of 2 and of 1,000,000 kimg: by number, not by text."""
    run = shutil.copytree(edm.job.folder, tmp_path / "run")
    long = run / "checkpoints" / "1000000-000001"
    shutil.copytree(run / "checkpoints" / "000002-000001", long)
    facts = json.loads((long / "meta.json").read_text())
    (long / "meta.json").write_text(json.dumps({**facts, "run_kimg": 1_000_000}))
    assert load_model(run).meta.run_kimg == 1_000_000


def test_what_is_no_model_is_refused(edm: Trainer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(UserError, match="neither the folder of a run with a checkpoint"):
        load_model(tmp_path)
    old = shutil.copytree(edm.job.folder / "checkpoints" / "000002-000002", tmp_path / "old")
    (old / "meta.json").write_text(
        json.dumps({"config_digest": "0" * 16, "seed": 5, "sha256": _sha256(old)})
    )
    with pytest.raises(UserError, match="not a checkpoint of this version"):
        load_model(old)


def _sha256(place: Path) -> str:
    return json.loads((place / "meta.json").read_text())["sha256"]


def test_drawn_weights_depend_on_the_seed_alone() -> None:
    a, b, c = (initial_model(config(), SHAPE, seed=s) for s in (3, 3, 4))
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)
    other = zip(a.parameters(), c.parameters(), strict=True)
    assert not all(torch.equal(x, y) for x, y in other)
    assert init_problems(config(), SHAPE) == []


@pytest.mark.parametrize("where", ["run", "checkpoint"])
def test_a_run_starts_from_the_averaged_weights_of_another(
    edm: Trainer, where: str, cache: Path, tmp_path: Path
) -> None:
    path = edm.job.folder if where == "run" else edm.job.folder / "checkpoints/000002-000002"
    what = start(path, method={"preset": "ect"}, network={**_network(), "dropout": 0.5})
    assert init_problems(what, SHAPE) == []
    run = trainer(tmp_path, cache, config=what)
    for part in (run.state.model, run.state.ema.module):
        pairs = zip(part.parameters(), edm.state.ema.module.parameters(), strict=True)
        assert all(torch.equal(x, y) for x, y in pairs)
    assert run.state.model.scalings == what.method.scalings


def test_what_was_learnt_of_augmented_images_may_be_left_out(cache: Path, tmp_path: Path) -> None:
    """ECT trains without augmentation, from a diffusion model that was trained with it."""
    told = {"network": _network(augment=True), "data": {"name": "digits", "augment": 0.3}}
    what = replace(method("edm", evaluate=FEW, **told), budget_kimg=1)
    model = trainer(tmp_path / "edm", cache, config=what)
    model.fit()
    plain = start(tmp_path / "edm", network=_network())
    assert init_problems(plain, SHAPE) == []
    run = trainer(tmp_path / "plain", cache, config=plain)
    ours, theirs = run.state.model.state_dict(), model.state.ema.module.state_dict()
    assert theirs.keys() - ours.keys() == {"network.condition.augment.weight"}
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert init_problems(start(tmp_path / "edm", **told), SHAPE) == []


def _network(**changes) -> dict:
    return {"preset": "tiny", "channels": 4, **changes}


@pytest.mark.parametrize(
    ("changes", "shape", "sides"),
    [
        ({"network": _network(channels=8)}, SHAPE, ("channels 4", "channels 8")),
        ({"network": _network(classes=10)}, SHAPE, ("classes 0", "classes 10")),
        (
            {"network": _network(augment=True), "data": {"name": "digits", "augment": 0.3}},
            SHAPE,
            ("augment False", "augment True"),
        ),
        ({"method": {"preset": "ect", "sigma_data": 0.3}}, SHAPE, ("data 0.5", "data 0.3")),
        ({}, (3, 8, 8), ("(1, 8, 8)", "(3, 8, 8)")),
    ],
)
def test_another_model_is_refused_naming_both_sides(
    edm: Trainer, changes: dict, shape: tuple[int, int, int], sides: tuple[str, str]
) -> None:
    (problem,) = init_problems(start(edm.job.folder, **changes), shape)
    assert problem.path == ("init", "path")
    assert all(side in problem.message for side in sides)
    assert str(edm.job.folder) in problem.message
    with pytest.raises(UserError, match=r"init\.path: "):
        initial_model(start(edm.job.folder, **changes), shape, seed=0)


def test_a_start_that_is_not_there_is_a_problem_with_its_place(tmp_path: Path) -> None:
    (problem,) = init_problems(start(tmp_path / "nowhere"), SHAPE)
    assert problem.path == ("init", "path")
    assert "no such folder" in problem.message
    (problem,) = init_problems(
        config(init={"name": "edm", "path": str(tmp_path / "no.pkl")}), SHAPE
    )
    assert "no.pkl" in problem.message


def published(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes) -> TrialConfig:
    """A start from a small EDM pickle, whose network the configuration has but for `changes`."""
    edm_file.importable(monkeypatch)
    path = edm_file.write(folder / "edm.pkl", edm_file.snapshot(edm_file.model("SongUNet")))
    network = {
        "preset": "tiny", "channels": 4, "channel_mult": [1, 2], "blocks": 1, "attention": [2],
        "classes": 3, "dropout": 0.4, "label_dropout": 0.1, **changes,
    }  # fmt: skip
    return config(network=network, init={"name": "edm", "path": str(path)})


def test_a_run_starts_from_published_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = published(tmp_path, monkeypatch)
    assert init_problems(what, edm_file.SHAPE) == []
    weights = edm_weights(str(tmp_path / "edm.pkl")).weights
    network = initial_model(what, edm_file.SHAPE, seed=0).network
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    digest = hashlib.sha256((tmp_path / "edm.pkl").read_bytes()).hexdigest()
    assert init_digest(what) == digest


def test_published_weights_of_another_network_are_refused_naming_both_sides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (problem,) = init_problems(published(tmp_path, monkeypatch, blocks=2), edm_file.SHAPE)
    assert "blocks 1; this trial's network has blocks 2" in problem.message
    (problem,) = init_problems(published(tmp_path, monkeypatch), SHAPE)
    assert "(1, 4, 4)" in problem.message


def test_a_run_is_not_continued_from_other_first_weights(
    edm: Trainer, cache: Path, tmp_path: Path
) -> None:
    """The same path, another model in it since: the contents count, not the name."""
    folder = shutil.copytree(edm.job.folder, tmp_path / "start")
    what = replace(start(folder, method={"preset": "ect"}), budget_kimg=1)
    trainer(tmp_path / "run", cache, config=what).fit()
    again = Trainer(
        job(tmp_path / "run", cache, config=what), trainer(tmp_path / "x", cache).runtime
    )
    assert again.fit() is Outcome.FINISHED
    shutil.rmtree(folder / "checkpoints" / "000002-000002")
    with pytest.raises(UserError, match=r"contents of init\.path: \w+ there, \w+ here"):
        trainer(tmp_path / "run", cache, config=what).fit()


class _Command:
    """What a pickle can be made to run."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_a_checkpoint_of_objects_is_refused_and_runs_nothing(
    edm: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(edm.job.folder, tmp_path / "run")
    place = run / "checkpoints" / "000002-000002"
    torch.save({"ema": _Command()}, place / "state.pt")
    facts = json.loads((place / "meta.json").read_text())
    forged = hashlib.sha256((place / "state.pt").read_bytes()).hexdigest()
    (place / "meta.json").write_text(json.dumps({**facts, "sha256": forged}))
    with pytest.raises(UserError, match=r"state\.pt: not a checkpoint of ours"):
        load_model(place)
    assert not Path("ran").exists()
