"""Whether a place can keep studies: all that a driver does there, tried on files of its own."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from ictsweep.disk import refused
from ictsweep.doctor.findings import Finding, fail, ok, warn
from ictsweep.errors import IctsweepError
from ictsweep.files import flush_folder, write_atomic
from ictsweep.patience import ASKING
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.locks import FileLock, held
from ictsweep.storage.place import bucket_place

_LITTLE = 2 * 2**30  # bytes left: a few checkpoints of CIFAR's networks
_SLOW_S = 0.25  # a log entry that takes longer holds its study up
_SIZE = 4 * 2**20
_HELD = "import sys; from pathlib import Path; from ictsweep.storage.locks import held\n" \
        "sys.exit(0 if held(Path(sys.argv[1])) else 1)"  # fmt: skip


def storage(place: str) -> list[Finding]:
    """The findings for a storage (a folder or URL). What is tried is removed again."""
    try:
        found = bucket_place(place)
        return [_of_bucket(Bucket(found, ASKING))] if found else _of_folder(Path(place))
    except IctsweepError as error:
        return [fail("storage", place, str(error))]
    except OSError as error:
        return [fail("storage", place, str(refused(error, error.filename or place)))]


def _of_folder(place: Path) -> list[Finding]:
    there = place
    while not there.exists():
        there = there.parent
    made = there != place
    place.mkdir(parents=True, exist_ok=True)
    folder = place / f".doctor-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    try:
        return [_writes(place, folder), _locks(place, folder), _room(place)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made:
            _unmake(place, there)


def _unmake(place: Path, there: Path) -> None:
    """Remove the empty folders down to the one that was there before."""
    while place != there:
        try:
            place.rmdir()
        except OSError:
            return
        place = place.parent


def _writes(place: Path, folder: Path) -> Finding:
    content = os.urandom(_SIZE)
    speed = _SIZE / 2**20 / _timed(lambda: write_atomic(folder / "file", content))
    write_atomic(folder / "file", content[::-1])  # over one that is there
    if (folder / "file").read_bytes() != content[::-1]:
        return fail("storage", f"{place}: what is read is not what was written", "do not use it")
    line = _timed(lambda: _append(folder / "log"))
    flush_folder(folder)
    text = (
        f"{place}: write, read, rename, fsync ({speed:,.0f} MiB/s, {1000 * line:.1f} ms per entry)"
    )
    if line > _SLOW_S:
        return warn("storage", text, "slow: every measurement waits for an entry of the log")
    return ok("storage", text)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"line\n")
        file.flush()
        os.fsync(file.fileno())


def _locks(place: Path, folder: Path) -> Finding:
    """Whether another process sees a lock that is taken here, and sees it go."""
    path = folder / "lock"
    lock = FileLock(path, str(place))
    try:
        seen = subprocess.run([sys.executable, "-c", _HELD, str(path)]).returncode == 0
    finally:
        lock.close()
    if not seen or held(path):
        return fail(
            "locks", f"{place}: another process does not see them",
            "two drivers could write one study; mount it with locks, or use another place",
        )  # fmt: skip
    return ok("locks", f"{place}: seen by another process, and gone with its holder")


def _room(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    text = f"{place}: {free / 2**30:,.1f} GiB free"
    if free < _LITTLE:
        return warn("disk", text, "make room: `ictsweep check SPACE` says what a study needs")
    return ok("disk", text)


def _of_bucket(bucket: Bucket) -> Finding:
    """Write, read, refuse to write over, remove."""
    name, place = f".doctor-{uuid.uuid4().hex[:8]}", bucket.place
    content = os.urandom(1000)
    try:
        took = _timed(lambda: bucket.put(name, content))
        found = bucket.get(name)
        if found is None or found.body != content:
            return fail("storage", f"{place}: what is read is not what was written", "do not use")
        if bucket.put_new(name, b"other") is not None:
            return fail(
                "storage", f"{place}: If-None-Match is ignored",
                "two drivers could write one study; use a server that knows conditional writes",
            )  # fmt: skip
    finally:
        bucket.delete([name])
    return ok("storage", f"{place}: write, read, conditional write ({1000 * took:.0f} ms)")


def _timed(act: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
