"""Every known mistake is caught: each is planted in a copy of the package, and the tests that name
it must fail there (and pass without it)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.catalogue import CATALOGUE, Mutation

ROOT = Path(__file__).parents[2]
FAILED = 1  # pytest's exit status when tests ran and failed; anything else proves nothing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, its tests and their settings, to be spoilt."""
    place = tmp_path_factory.mktemp("copy")
    for name in ("ictsweep", "tests", "search_spaces"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    shutil.copy(ROOT / "README.md", place)
    return place


def run(place: Path, tests: str) -> tuple[int, str]:
    """pytest on some tests of a copy; its exit status and what it printed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_copy_is_what_its_tests_see(copy: Path) -> None:
    code = "import ictsweep; print(ictsweep.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True)
    assert done.stdout.strip() == str(copy / "ictsweep" / "__init__.py")


@pytest.mark.parametrize("tests", sorted({mutation.tests for mutation in CATALOGUE}))
def test_unspoilt_the_tests_pass(copy: Path, tests: str) -> None:
    status, output = run(copy, tests)
    assert status == 0, output


@pytest.mark.parametrize("mutation", CATALOGUE, ids=lambda mutation: mutation.name)
def test_the_mistake_is_caught(copy: Path, mutation: Mutation) -> None:
    file = copy / mutation.file
    whole = file.read_text()
    assert whole.count(mutation.old) >= 1, f"{mutation.file} no longer has: {mutation.old}"
    file.write_text(whole.replace(mutation.old, mutation.new))
    try:
        status, output = run(copy, mutation.tests)
    finally:
        file.write_text(whole)
    assert status == FAILED, output
