"""What tests share."""

import fcntl
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch

from ictsweep.cli import main
from ictsweep.data import load
from ictsweep.training import yardstick
from tests.training.small import config

hypothesis.settings.register_profile("long", max_examples=10_000, deadline=None)

Call = Callable[..., tuple[int, str, str]]


class Turns:
    """Where tests run in several processes (`pytest -n 2`), a file of tests of Ray runs alone: its
    processes want all processors, and time-outs count on them.
    """

    def __init__(self, folder: Path) -> None:
        self._gate = (folder / "gate").open("w")  # held by who waits: nobody overtakes
        self._turn = (folder / "turn").open("w")
        self._kept = False  # from the test before, of the same file

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, Any, Any]:
        alone = item.get_closest_marker("ray") is not None
        if not self._kept:
            fcntl.flock(self._gate, fcntl.LOCK_EX)
            fcntl.flock(self._turn, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        result = yield
        self._kept = alone and nextitem is not None and nextitem.path == item.path
        if not self._kept:
            fcntl.flock(self._turn, fcntl.LOCK_UN)
        return result


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        torch.set_num_threads(1)
        os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
        assert config.cache is not None
        config.pluginmanager.register(Turns(config.cache.mkdir("turns")))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the feature network of the digits is: trained once for all tests."""
    folder = tmp_path_factory.mktemp("cache")
    yardstick(config(), load(config().data), 0, folder)
    return folder


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Call:
    """Run a command line in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ictsweep", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run
