"""A study in a bucket on a real Ray: its driver is killed, and another machine that has nothing but
the URL goes on.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ictsweep.records import State
from ictsweep.storage.place import BucketPlace
from ictsweep.study.store import StudyFolder
from tests.launch.test_ray import SPACE, wait_for
from tests.storage.conftest import _models, _server, place, s3  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Machine:
    """A home folder of its own: no copy of the study, no feature network."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.url = home, url
        home.mkdir()
        text = SPACE.format(trials=3, replicates=1, workers=1)
        (home / "space.yaml").write_text(text)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        log = (self.home / "screen.log").open("ab")
        return subprocess.Popen(
            [sys.executable, "-m", "ictsweep", *words], cwd=self.home,
            env={**os.environ, "HOME": str(self.home)}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip

    def folder(self) -> StudyFolder:
        return StudyFolder.open(self.url, self.home / "looks-on")

    def said(self) -> str:
        return (self.home / "screen.log").read_text()


def test_a_killed_study_goes_on_elsewhere_with_only_its_url(
    place: BucketPlace,  # noqa: F811
    tmp_path: Path,
) -> None:
    storage = str(place.parent)
    first = Machine(tmp_path / "first", f"{storage}/small")
    driver = first.start("run", "space.yaml", "--storage", storage)

    def measured() -> int:
        assert driver.poll() is None, first.said()
        begun = [s for s in _keys(place.parent) if s.endswith("small/study.yaml")]
        return sum(e.kind == "measure" for e in first.folder().events()) if begun else 0

    wait_for(lambda: measured() >= 3, 300, "the study does not get there")
    os.killpg(driver.pid, signal.SIGKILL)
    before = first.folder().events()
    first.home.rename(tmp_path / "gone")

    second = Machine(tmp_path / "second", first.url)
    code = second.start("resume", first.url).wait(timeout=400)
    assert code == 0, second.said()
    folder = second.folder()
    assert folder.events()[: len(before)] == before
    records = folder.trials()
    assert len(records) == 3
    assert all(r.state in (State.COMPLETE, State.PRUNED) for r in records)
    assert "Traceback" not in second.said()
    assert (second.home / "reports/small/index.html").exists()
    folder.bring_trials("samples", "checkpoints", "config.yaml")
    best = next(r for r in records if r.state == State.COMPLETE)
    assert (folder.trial_dir(best.number) / "config.yaml").exists()
    assert list(folder.trial_dir(best.number).glob("checkpoints/*/meta.json"))
    for record in records:
        pictures = [m.samples for m in record.measurements if m.samples]
        assert all((folder.trial_dir(record.number) / picture).exists() for picture in pictures)


def _keys(storage: BucketPlace) -> list[str]:
    from ictsweep.storage.bucket import Bucket

    return [stat.name for stat in Bucket(storage).listed("")]
