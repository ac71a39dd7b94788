"""A study's trials start from one model, which is named when the study begins and stays."""

import hashlib
import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ictsweep.data import DataConfig, load
from ictsweep.errors import StudyError, UserError
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.axes import Axis, Condition
from ictsweep.study.configurations import with_starts
from ictsweep.study.rehearsal import placed, rehearse_study
from ictsweep.study.session import _same_measure, start_paths, warm_up
from ictsweep.study.spec import StudySpec, spec_from_dict
from ictsweep.study.store import StudyFolder
from ictsweep.training import start_digest, start_path
from tests.training.small import config, fields, trainer

FEW = {"every_kimg": 1, "images": 32, "grid": 16}
OLDER, NEWER = "checkpoints/000002-000001", "checkpoints/000002-000002"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder of a run of 2 kimg with two checkpoints."""
    folder = tmp_path_factory.mktemp("finished")
    trainer(folder, cache, config=replace(config(evaluate=FEW), budget_kimg=2)).fit()
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, as it was at 1 kimg: its newest checkpoint is not there yet."""
    folder = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(folder / NEWER)
    return folder


def study(path: Path | str, **changes) -> StudySpec:
    """A study that starts from `path`."""
    trial = fields(init={"name": "checkpoint", "path": str(path)}, evaluate=FEW)
    search = {"network.dropout": {"range": [0.0, 0.5]}}
    stopping = {"first_rung_kimg": 2, "reduction": 2}
    written = {"study": "s", "trial": trial, "search": search, "trials": 2, "stopping": stopping}
    return replace(spec_from_dict(written), **changes)


def test_a_run_stands_for_its_newest_checkpoint_of_now(run: Path, finished: Path) -> None:
    named = placed(study(run))
    assert named.trial["init"] == {"name": "checkpoint", "path": str(run / OLDER)}
    shutil.copytree(finished / NEWER, run / NEWER)  # the run goes on
    assert start_path(named.trial["init"]["path"]) == str(run / OLDER)
    assert start_path(str(run)) == str(run / NEWER)
    assert start_digest(str(run)) != start_digest(str(run / OLDER))
    with pytest.raises(UserError, match="no such folder"):
        start_digest(str(run / "nowhere"))


def test_a_start_is_named_wherever_the_space_has_it() -> None:
    """In the trial, among the choices, in what depends on them and in the warm starts."""
    start = Axis(path="init.path", choices=("a", "b"))
    rate = Axis(
        path="optimizer.lr", low=0.1, high=1.0, when=(Condition(path="init.path", values=("b",)),)
    )
    mode = Axis(path="init.name", choices=("checkpoint", "random"))
    spec = study("a", search=(mode, start, rate), warm_start=({}, {"init.path": "b"}))
    found = with_starts(spec, lambda path: f"/{path}/1")
    assert found.trial["init"]["path"] == "/a/1"
    assert found.search[0] == mode
    assert found.search[1].choices == ("/a/1", "/b/1")
    assert found.search[2].when[0].values == ("/b/1",)
    assert found.warm_start == ({}, {"init.path": "/b/1"})
    assert start_paths(found) == ["/a/1", "/b/1"]
    assert start_paths(replace(found, trial=fields())) == ["/a/1", "/b/1"]


def test_a_study_is_not_continued_from_other_first_weights(
    run: Path, finished: Path, cache: Path, tmp_path: Path
) -> None:
    """The same folder, another model in it since: refused by name."""
    spec = placed(study(run))
    folder = StudyFolder.create(tmp_path / "studies/s", spec)
    measure = warm_up(spec, cache)
    data = {"version": LOG_VERSION, "slots": 1, **measure}
    event = Event(kind="study", time=0.0, data=data)
    (folder.path / "events.jsonl").write_text(event.to_line())
    _same_measure(folder, warm_up(folder.spec(), cache))
    facts = json.loads((finished / NEWER / "meta.json").read_text())
    (run / OLDER / "meta.json").write_text(json.dumps(facts))
    shutil.copy(finished / NEWER / "state.pt", run / OLDER / "state.pt")
    with pytest.raises(StudyError, match=f"the start {run / OLDER} changed since this study began"):
        _same_measure(folder, warm_up(folder.spec(), cache))


def test_trials_without_a_start_depend_on_no_file(cache: Path) -> None:
    assert start_paths(study("a", trial=fields())) == []
    assert set(warm_up(study("a", trial=fields()), cache)) == {"data", "extractor"}


def test_a_driver_opens_the_feature_network_and_leaves_the_data_s_features_to_workers(
    tmp_path: Path,
) -> None:
    """It may sit on a machine without a GPU, where 50,000 Inception features take an hour."""
    np.savez(tmp_path / "pictures.npz", images=np.arange(640).astype(np.uint8).reshape(10, 8, 8))
    data: dict[str, Any] = {"name": "array", "path": str(tmp_path / "pictures.npz")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(Rows()).save(str(tmp_path / "rows.pt"))
    features = {"name": "torchscript", "path": str(tmp_path / "rows.pt")}
    trial = fields(data=data, evaluate={"every_kimg": 1, "features": features})
    measure = warm_up(study("a", trial=trial), tmp_path / "cache")
    assert measure["data"] == load(DataConfig(**data)).digest
    content = (tmp_path / "rows.pt").read_bytes()
    assert measure["extractor"] == hashlib.sha256(content).hexdigest()[:16]
    assert not [*tmp_path.glob("cache/reference-*")]


class Rows(torch.nn.Module):
    """A feature network of a file: the sums of rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().sum(dim=(1, 3))


def test_a_searched_sigma_data_must_be_that_of_the_start(run: Path) -> None:
    spec = study(run, search=(Axis(path="method.sigma_data", low=0.3, high=0.6),))
    said = [str(problem) for problem in rehearse_study(spec).problems]
    assert len(said) == 2
    assert said[0].startswith("search.method.sigma_data.range[0]: with 0.3, init.path: ")
    assert "sigma_data 0.5; this trial's method has sigma_data 0.3" in said[0]
