"""What tests share."""

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from ictsweep.cli import main
from ictsweep.data import load
from ictsweep.training import yardstick
from tests.training.small import config

hypothesis.settings.register_profile("long", max_examples=10_000, deadline=None)

Call = Callable[..., tuple[int, str, str]]


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
