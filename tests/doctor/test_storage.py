"""A storage is tried as a driver uses it, and nothing is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ictsweep.doctor.findings import Level
from ictsweep.doctor.storage import storage
from ictsweep.storage.place import BucketPlace
from tests.storage.conftest import _server, place, s3  # noqa: F401 (fixtures)
from tests.storage.server import Server


def test_a_sound_folder_is_left_as_it_was(tmp_path: Path) -> None:
    found = storage(str(tmp_path / "new" / "studies"))
    assert [f.what for f in found] == ["storage", "locks", "disk"]
    assert all(f.level in (Level.OK, Level.WARN) for f in found)
    assert "write, read, rename, fsync" in found[0].found
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    storage(str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = storage(str(tmp_path / "file"))
    assert found.level is Level.FAIL


LOCKED = """
import fcntl, sys
fcntl.flock = lambda *args: None  # as on a file system where locks do nothing
from ictsweep.doctor.storage import storage
print(*storage(sys.argv[1]), sep="\\n")
"""


def test_locks_that_others_do_not_see_fail(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCKED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "fail  locks" in done.stdout
    assert "two drivers could write one study" in done.stdout


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs /proc")
def test_a_place_that_cannot_be_written_fails() -> None:
    (found,) = storage("/proc/self/studies")
    assert found.level is Level.FAIL


def test_a_bucket_is_tried_and_left_empty(s3: Server, place: BucketPlace) -> None:  # noqa: F811
    (found,) = storage(str(place.parent))
    assert found.level is Level.OK
    assert "conditional write" in found.found
    import boto3

    client = boto3.session.Session().client("s3")
    assert client.list_objects_v2(Bucket=place.bucket)["KeyCount"] == 0


def test_a_bucket_that_is_not_there_fails(s3: Server) -> None:  # noqa: F811
    (found,) = storage("s3://no-such-bucket/studies")
    assert found.level is Level.FAIL
    assert "no-such-bucket" in str(found)
