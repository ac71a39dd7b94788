"""A log on a disk that fills, vanishes, turns read-only, is edited by hand, or answers late."""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ictsweep.errors import IctsweepError, Ousted, PlaceError, StorageError, StorageFull
from ictsweep.files import heal, whole_lines
from ictsweep.patience import Patience
from ictsweep.storage.lines import Lines
from ictsweep.storage.locks import FileLock, held
from tests.storage.mounts import read_only, small_disk


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def patience(self, total_s: float = 120.0) -> Patience:
        return Patience(total_s=total_s, sleep=self.sleep, clock=lambda: self.now)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(folder: Path, patience: Patience | None = None) -> Lines:
    lock = FileLock(folder / "lock", str(folder))
    return Lines(folder / "log.jsonl", lock, patience or Clock().patience())


@pytest.fixture
def lines(tmp_path: Path, clock: Clock) -> Iterator[Lines]:
    made = opened(tmp_path, clock.patience())
    yield made
    made.close()


class Refusing:
    """`os.write` or `os.fsync` as it is on a disk that refuses `times` times, having written
    `part` bytes each time.
    """

    def __init__(self, number: int, times: int, part: int = 0) -> None:
        self.number, self.times, self.part = number, times, part
        self.write, self.fsync = os.write, os.fsync

    def writing(self, handle: int, data: bytes) -> int:
        if self.times > 0:
            self.times -= 1
            self.write(handle, bytes(data[: self.part]))
            raise OSError(self.number, os.strerror(self.number))
        return self.write(handle, data)

    def flushing(self, handle: int) -> None:
        if self.times > 0:
            self.times -= 1
            raise OSError(self.number, os.strerror(self.number))
        self.fsync(handle)


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        log = opened(disk)
        kept = [b"%d %s" % (n, b"x" * 5000) for n in range(10)]
        for line in kept:
            log.append(line + b"\n")
        with pytest.raises(StorageFull, match=r"log\.jsonl: No space left.*make room.*resume"):
            log.append(b"y" * 30_000 + b"\n")
        assert whole_lines(disk / "log.jsonl") == [line.decode() for line in kept]
        assert (disk / "log.jsonl").read_bytes().endswith(b"\n")
        with pytest.raises(StorageFull):
            log.append(b"y" * 40_000 + b"\n")
        log.append(b"halt\n")  # a short last word may still fit
        assert whole_lines(disk / "log.jsonl")[-1] == "halt"
        assert held(disk / "lock")


def test_a_disk_that_is_full_from_the_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "16k") as disk:
        lock = FileLock(disk / "lock", "s")
        with pytest.raises(OSError, match="No space"):
            (disk / "big").write_bytes(bytes(20_000))
        log = Lines(disk / "log.jsonl", lock, Clock().patience())
        with pytest.raises(StorageFull):
            log.append(b"line\n")


def test_a_limit_of_the_file_size_is_a_full_disk(tmp_path: Path) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    code = (
        "from pathlib import Path; from ictsweep.errors import StorageFull\n"
        "from tests.storage.test_disk import opened\n"
        f"log = opened(Path({str(tmp_path)!r}))\n"
        "try:\n"
        "    for n in range(100): log.append(b'%d %s\\n' % (n, b'x' * 999))\n"
        "except StorageFull as error: print(n, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limited
    )
    assert done.stdout.startswith("9 "), done.stderr
    assert "File too large" in done.stdout
    assert len(whole_lines(tmp_path / "log.jsonl")) == 9


def test_a_read_only_place_is_a_users_error(tmp_path: Path) -> None:
    opened(tmp_path).append(b"first\n")
    with read_only(tmp_path), pytest.raises(PlaceError, match=r"Read-only.*--storage"):
        opened(tmp_path)


def test_a_disk_that_turns_read_only(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.append(b"first\n")
    log.close()  # its handle would keep the mount from turning read-only
    with read_only(tmp_path), pytest.raises(PlaceError, match="Read-only"):
        log.append(b"second\n")
    log.append(b"third\n")
    assert whole_lines(tmp_path / "log.jsonl") == ["first", "third"]


def test_a_folder_that_vanished(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    log = opened(folder)
    log.append(b"first\n")
    shutil.move(folder, tmp_path / "away")
    with pytest.raises(StorageError, match="bring it back"):
        log.append(b"second\n")
    shutil.move(tmp_path / "away", folder)
    log.append(b"third\n")
    assert whole_lines(folder / "log.jsonl") == ["first", "third"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.open("ab").write(b"more\n"), "11 bytes instead of 6"),
        (lambda path: path.write_bytes(b""), "0 bytes instead of 6"),
        (lambda path: (path.rename(path.with_name("x")), path.write_bytes(b"first\n")), "replaced"),
    ],
    ids=["appended", "emptied", "replaced"],
)
def test_a_log_that_somebody_else_changed(
    tmp_path: Path, lines: Lines, change: Callable[[Path], object], words: str
) -> None:
    lines.append(b"first\n")
    change(tmp_path / "log.jsonl")
    before = (tmp_path / "log.jsonl").read_bytes()
    with pytest.raises(Ousted, match=words):
        lines.append(b"second\n")
    assert (tmp_path / "log.jsonl").read_bytes() == before


def test_a_lock_that_somebody_removed(tmp_path: Path, lines: Lines) -> None:
    lines.append(b"first\n")
    (tmp_path / "lock").unlink()
    with pytest.raises(Ousted, match="lock was removed"):
        lines.append(b"second\n")
    second = FileLock(tmp_path / "lock", "s")  # another driver's
    with pytest.raises(Ousted, match="lock was removed or replaced"):
        lines.append(b"second\n")
    second.close()
    assert whole_lines(tmp_path / "log.jsonl") == ["first"]


@pytest.mark.parametrize("part", [0, 3])
def test_a_server_that_is_away_for_a_moment(
    tmp_path: Path, lines: Lines, clock: Clock, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr("os.write", Refusing(errno.EIO, 4, part).writing)
    lines.append(b"first\n")
    lines.append(b"second\n")
    assert whole_lines(tmp_path / "log.jsonl") == ["first", "second"]
    assert clock.slept == [0.5, 1, 2, 4]


def test_a_flush_that_failed_is_written_again(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system reports a page that it could not write once, and then calls it clean."""
    refusing = Refusing(errno.EIO, 1)
    written: list[bytes] = []

    def write(handle: int, data: bytes) -> int:
        written.append(bytes(data))
        return refusing.write(handle, data)

    monkeypatch.setattr("os.fsync", refusing.flushing)
    monkeypatch.setattr("os.write", write)
    lines.append(b"first\n")
    assert written == [b"first\n"] * 2
    assert whole_lines(tmp_path / "log.jsonl") == ["first"]


def test_a_server_that_stays_away_is_given_up_in_two_minutes(
    tmp_path: Path, lines: Lines, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Refusing(errno.EIO, 10**6, 2)
    monkeypatch.setattr("os.write", refusing.writing)
    with pytest.raises(StorageError, match=r"Input/output error.*once the disk answers"):
        lines.append(b"first\n")
    assert 100 < clock.now <= 120
    assert (tmp_path / "log.jsonl").read_bytes() == b""
    refusing.times = 0
    lines.append(b"second\n")
    assert whole_lines(tmp_path / "log.jsonl") == ["second"]


def test_a_torn_line_that_could_not_be_cut_is_cut_before_the_next(
    tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("os.write", Refusing(errno.ENOSPC, 1, 3).writing)
        broken.setattr("os.ftruncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "no")))
        with pytest.raises(StorageFull):
            lines.append(b"first\n")
    assert (tmp_path / "log.jsonl").read_bytes() == b"fir"
    lines.append(b"second\n")
    assert whole_lines(tmp_path / "log.jsonl") == ["second"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(PlaceError, match=r"no locks.*nolock"):
        FileLock(tmp_path / "lock", "s")


def test_asking_who_drives_never_keeps_a_driver_out(tmp_path: Path) -> None:
    """The question takes the lock for an instant: a driver that comes just then waits for it."""
    asking = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from pathlib import Path; from ictsweep.storage.locks import held\n"
            f"path = Path({str(tmp_path / 'lock')!r}); path.touch(); print('on', flush=True)\n"
            "while True: held(path)",
        ],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert asking.stdout is not None
    asking.stdout.readline()
    for _ in range(300):
        FileLock(tmp_path / "lock", "s").close()
    asking.kill()
    asking.communicate()


def test_a_writer_killed_at_any_moment_loses_no_acknowledged_line(tmp_path: Path) -> None:
    """The child says a number once its append returned; SIGKILL comes at a random moment."""
    code = (
        "import os; from pathlib import Path; from tests.storage.test_disk import opened\n"
        f"log = opened(Path({str(tmp_path)!r}))\n"
        "from ictsweep.files import whole_lines\n"
        f"n = len(whole_lines(Path({str(tmp_path / 'log.jsonl')!r})))\n"
        "while True:\n"
        "    log.append(b'%d %s\\n' % (n, b'x' * 200)); os.write(1, b'%d\\n' % n); n += 1\n"
    )
    chance = random.Random(0)
    for _ in range(8):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.stdout is not None
        said = [child.stdout.readline()]
        time.sleep(chance.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        said += child.communicate()[0].splitlines()
        heal(tmp_path / "log.jsonl")
        kept = [int(line.split()[0]) for line in whole_lines(tmp_path / "log.jsonl")]
        assert kept == list(range(len(kept)))
        assert int(said[-1]) <= kept[-1] <= int(said[-1]) + 1


def test_patience_is_bounded_and_an_error_that_stays_is_not_waited_for(clock: Clock) -> None:
    calls: list[float] = []

    def attempt() -> None:
        calls.append(clock.now)
        raise OSError(errno.EIO, "no")

    with pytest.raises(OSError, match="no"):
        clock.patience(20).through(attempt, lambda _: True)
    assert calls == [0, 0.5, 1.5, 3.5, 7.5, 15.5]
    with pytest.raises(OSError, match="no"):
        clock.patience().through(attempt, lambda _: False)
    assert len(calls) == 7


def test_every_refusal_is_in_the_one_tree() -> None:
    assert issubclass(PlaceError, StorageError)
    assert issubclass(StorageError, IctsweepError)
