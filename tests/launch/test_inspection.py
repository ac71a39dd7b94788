"""`ictsweep doctor` on real clusters: a sound one, one of another version, one where a dead driver
left something.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.conftest import Start
from tests.training.small import SPACE

pytestmark = pytest.mark.ray

LEAVES = """
@ray.remote(num_cpus=0)
class Driver:
    def reserve(self):
        from ray.util.placement_group import placement_group
        self.group = placement_group([{"CPU": 1}])
        ray.get(self.group.ready())
driver = Driver.remote()
ray.get(driver.reserve.remote())
ray.kill(driver)
"""


def doctor(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ictsweep", "doctor", "--storage", "studies", *words],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_sound_machine_passes_and_nothing_is_left_in_its_storage(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(SPACE)
    code, said = doctor(tmp_path, "my.yaml", "--address", "local")
    assert code == 0, said
    assert "fail" not in said
    assert "ok    cluster      1 node, " in said
    assert "sees storage, data" in said
    assert "ok    orphans      none" in said
    assert [p for p in (tmp_path / "studies").rglob("*") if p.is_file()] == []


@pytest.mark.slow
def test_what_a_dead_trial_driver_holds_is_found(tmp_path: Path, start: Start) -> None:
    code, said = doctor(tmp_path, "--address", start(after=LEAVES))
    assert code == 0, said
    assert "warn  orphans      placement group " in said
    assert "of a dead driver holds 1 CPU: trials wait for it" in said


@pytest.mark.slow
def test_a_cluster_of_another_version_is_named(tmp_path: Path, start: Start) -> None:
    code, said = doctor(tmp_path, "--address", start(before="ray.__version__ = '2.59.0'"))
    assert code == 1, said
    assert "fail  cluster" in said
    assert "2.59.0" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_cluster_that_does_not_know_our_token_says_so(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = start()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    code, said = doctor(tmp_path, "--address", address)
    assert code == 1, said
    assert f"the Ray cluster at {address} lets nobody in without its token" in said
    assert "~/.ray/auth_token" in said
    assert "gcs_client" not in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_cluster_that_knows_no_tokens_is_shown_none(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its actors could not speak to a driver that asks for one."""
    address = start(before="import os; os.environ['RAY_AUTH_MODE'] = 'disabled'")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    code, said = doctor(tmp_path, "--address", address)
    assert code == 0, said
    assert "ok    cluster      1 node, " in said
