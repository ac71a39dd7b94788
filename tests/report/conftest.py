"""One made-up study and its report for all tests that only read them."""

from pathlib import Path

import pytest

from ictsweep.report import build
from ictsweep.report.collect import collect
from ictsweep.report.view import StudyView
from ictsweep.study.store import StudyFolder
from tests.report.fixture import write_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """16 configurations and 3 seeds of trial 0; trial 5 failed, trial 13 diverged."""
    return write_study(tmp_path_factory.mktemp("studies") / "digits")


@pytest.fixture(scope="session")
def view(study: StudyFolder) -> StudyView:
    """What the report shows of it."""
    return collect(study)


@pytest.fixture(scope="session")
def page(study: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    return build(study.path, tmp_path_factory.mktemp("reports"))
