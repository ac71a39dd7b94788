"""Two checkpoints of one small run, for all tests that only read them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ictsweep.evaluation import classifier as recipe
from ictsweep.progress import Progress
from ictsweep.training import Trainer
from tests.training.small import Recorder, config, job

EVALUATE = {"every_kimg": 1, "images": 128, "steps": [1, 2], "grid": 16}


@pytest.fixture(scope="session", autouse=True)
def _short_recipe() -> Iterator[None]:
    """Feature networks trained briefly: what is tested is what is done with their numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "_MAX_STEPS", 60)
        yield


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The sums of a test do not depend on how many cores there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the feature network of the digits is."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path, _short_recipe: None) -> Path:
    """A run with checkpoints at 1 and 2 kimg, never written to."""
    folder = tmp_path_factory.mktemp("trained")
    what = config(budget_kimg=2, evaluate=EVALUATE)
    Trainer(job(folder, cache, config=what, seed=0), Recorder()).fit()
    return folder


@pytest.fixture
def run(trained: Path, cache: Path, tmp_path: Path) -> Path:
    """A copy of the run, with its feature network."""
    shutil.copytree(cache, tmp_path / "run" / ".cache")
    return shutil.copytree(trained, tmp_path / "run", dirs_exist_ok=True)


def done(progress: Iterator[Progress]) -> list[Progress]:
    """All steps of work that is done to its end."""
    return list(progress)


def at_work(progress: Iterator[Progress], steps: int) -> None:
    """The first steps of work, then it is left where it is, as a kill leaves it."""
    for _ in range(steps):
        next(progress)
