import fcntl
import itertools
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from ictsweep import __version__
from ictsweep.data import digest_of, open_prepared, prepare, read_manifest, verify
from ictsweep.data.partial import alone
from ictsweep.data.sources import Chunk, Plan, Skipped
from ictsweep.errors import UserError
from ictsweep.progress import Progress
from tests.data.scripted import SHAPE, Scripted

FORK = multiprocessing.get_context("fork")
FILES = ("images.npy", "labels.npy", "manifest.json")


def run(source, to) -> list[Progress]:
    return list(prepare(source, to))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def failure(source, to, **limits) -> str:
    """What a process says that prepares under limits of the system."""
    receive, send = FORK.Pipe(duplex=False)

    def child() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))
        try:
            run(source, to)
            send.send("done")
        except BaseException as error:
            send.send(f"{type(error).__name__}: {error}")

    process = FORK.Process(target=child)
    process.start()
    process.join()
    return receive.recv()


@pytest.fixture
def ready(tmp_path):
    run(Scripted(), tmp_path / "made")
    return tmp_path / "made"


def test_what_is_written(ready):
    source = Scripted()
    assert tuple(content(ready)) == FILES
    pixels, labels = np.load(ready / "images.npy"), np.load(ready / "labels.npy")
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, source.pixels())
    assert labels.dtype == np.int64
    assert np.array_equal(labels, source.labels())
    # The reference: numpy's own files of the same arrays.
    np.save(ready.parent / "numpy.npy", source.pixels())
    assert (ready / "images.npy").read_bytes() == (ready.parent / "numpy.npy").read_bytes()
    np.save(ready.parent / "numpy.npy", source.labels())
    assert (ready / "labels.npy").read_bytes() == (ready.parent / "numpy.npy").read_bytes()


def test_the_manifest(ready):
    manifest = read_manifest(ready)
    bad = range(0, 200, 7)
    assert manifest.count == 200 - len(bad)
    assert manifest.shape == SHAPE
    assert manifest.labelled
    assert manifest.classes == ("even", "odd")
    assert (manifest.name, manifest.kind, manifest.resize) == ("scripted", "scripted", "none")
    assert manifest.source == {"made": "of arithmetic"}
    assert manifest.skipped == tuple(Skipped(f"{i}.png", "damaged") for i in bad)
    assert manifest.converted == {"L": sum(i % 5 == 0 and i % 7 != 0 for i in range(200))}
    assert manifest.created_by == f"ictsweep {__version__}"  # not of the installed metadata
    pixels = torch.from_numpy(Scripted().pixels())
    assert manifest.digest == digest_of(pixels, torch.from_numpy(Scripted().labels()))


def test_progress_counts_items_and_then_checked_images(tmp_path):
    seen = run(Scripted(), tmp_path / "made")
    written = [p.done for p in seen if p.unit == "images"]
    assert written == sorted(written)
    assert seen[len(written) - 1] == Progress(200, 200, "images")
    assert seen[-1] == Progress(171, 171, "images checked")


def test_pictures_without_labels(tmp_path):
    source = Scripted(labelled=False)
    run(source, tmp_path / "made")
    assert tuple(content(tmp_path / "made")) == ("images.npy", "manifest.json")
    images = open_prepared(tmp_path / "made")
    assert images.labels is None
    assert images.digest == digest_of(torch.from_numpy(source.pixels()), None)


def test_opened_pictures_are_a_private_map(ready, recwarn):
    before = content(ready)
    images = open_prepared(ready)
    assert not recwarn.list
    assert torch.equal(images.pixels, torch.from_numpy(Scripted().pixels()))
    assert images.labels is not None
    assert images.labels.tolist() == Scripted().labels().tolist()
    assert (images.name, images.shape, len(images)) == ("scripted", SHAPE, 171)
    assert images.digest == digest_of(images.pixels, images.labels)
    images.pixels.zero_()
    assert content(ready) == before


def test_a_map_may_be_larger_than_the_memory(ready):
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    count = 2 * memory // 12288
    manifest = json.loads((ready / "manifest.json").read_text())
    manifest |= {"count": count, "shape": [3, 64, 64], "labelled": False}
    (ready / "manifest.json").write_text(json.dumps(manifest))
    with (ready / "images.npy").open("wb") as file:
        values = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, 64, 64)}
        np.lib.format.write_array_header_1_0(file, values)
        file.truncate(128 + count * 12288)  # a hole in the file
    pixels = open_prepared(ready).pixels
    assert pixels.shape == (count, 3, 64, 64)
    assert int(pixels[[0, count // 2, count - 1]].sum()) == 0


def test_killed_at_any_moment_it_continues_with_the_same_bytes(tmp_path):
    source = Scripted(items=400, pause=0.002)  # a quarter of a second at least
    run(source.without_pause(), tmp_path / "reference")
    moments, kills, to = random.Random(4), 0, tmp_path / "made"
    for attempt in itertools.count(1):
        process = FORK.Process(target=run, args=(source, to))
        process.start()
        process.join(moments.uniform(0.0, 0.02 * attempt))
        if process.exitcode is not None:
            break
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        assert not to.exists() or tuple(content(to))[:1] == ("images.npy",)
    assert process.exitcode == 0
    assert kills >= 3
    verified = run(source, to)
    assert {p.unit for p in verified} == {"images checked"}
    assert {name: content(to)[name] for name in FILES} == content(tmp_path / "reference")


def lines_run(source, to, fatal: int) -> int:
    """How many lines of the data layer and of file writing `prepare` runs; at line `fatal` of them
    the process kills itself.
    """
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        if "/ictsweep/data/" not in frame.f_code.co_filename.replace("files.py", "data/"):
            return None
        count += event == "line"
        if count == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run(source, to)
    finally:
        sys.settrace(before)
    return count


def test_killed_at_each_line_of_the_program(tmp_path):
    source = Scripted(items=9, bad=4)
    total = lines_run(source, tmp_path / "reference", -1)
    reference = content(tmp_path / "reference")
    for fatal in range(1, total, 11):
        process = FORK.Process(target=lines_run, args=(source, tmp_path / "made", fatal))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if (tmp_path / "made").exists():
            list(verify(tmp_path / "made"))
        run(source, tmp_path / "made")
        assert {name: content(tmp_path / "made")[name] for name in FILES} == reference
        assert set(content(tmp_path / "made")) <= {*FILES, "journal.jsonl", "lock"}
        assert [path.name for path in sorted(tmp_path.iterdir())] == ["made", "reference"]
        shutil.rmtree(tmp_path / "made")


def test_what_a_kill_left_beside_a_file_is_not_published(tmp_path):
    run(Scripted(), tmp_path / "reference")
    steps = prepare(Scripted(), tmp_path / "made")
    for _ in range(20):
        next(steps)
    steps.close()
    for name in (".journal.jsonl.sduuq624", ".manifest.json.abcdefgh"):
        (tmp_path / ".made.partial" / name).write_bytes(b"half a li")
    run(Scripted(), tmp_path / "made")
    assert content(tmp_path / "made") == content(tmp_path / "reference")


def test_what_progress_reported_is_not_read_again(tmp_path):
    source = Scripted()
    steps = prepare(source, tmp_path / "made")
    done = [next(steps).done for _ in range(12)][-1]
    steps.close()
    again = Scripted()
    run(again, tmp_path / "made")
    assert source.starts == [0]
    assert again.starts == [done]
    assert np.array_equal(np.load(tmp_path / "made" / "images.npy"), source.pixels())


@contextmanager
def half_done(tmp_path):
    """The work folder of a preparation that was broken off, with bytes of a lost chunk in it."""
    steps = prepare(Scripted(), tmp_path / "made")
    for _ in range(20):
        next(steps)
    steps.close()
    folder = tmp_path / ".made.partial"
    with (folder / "images.npy").open("ab") as file:
        file.write(b"\x07" * 1000)
    yield folder
    source = Scripted()
    run(source, tmp_path / "made")
    assert np.array_equal(np.load(tmp_path / "made" / "images.npy"), source.pixels())
    assert np.array_equal(np.load(tmp_path / "made" / "labels.npy"), source.labels())
    assert read_manifest(tmp_path / "made").skipped[-1].item == "196.png"
    assert not folder.exists()


def test_a_torn_journal_line_is_not_believed(tmp_path):
    with half_done(tmp_path) as folder, (folder / "journal.jsonl").open("ab") as file:
        file.write(b'{"items": 9, "ima')


@pytest.mark.parametrize("line", [b"{}\n", b"no json\n", b'{"items": 3, "images": "x"}\n'])
def test_a_damaged_journal_means_to_begin_anew(tmp_path, line):
    with half_done(tmp_path) as folder, (folder / "journal.jsonl").open("ab") as file:
        file.write(line)


def test_lost_bytes_mean_to_begin_anew(tmp_path):
    # After a power cut on a file system that did not keep its word.
    with half_done(tmp_path) as folder:
        images = ((folder / "labels.npy").stat().st_size - 128) // 8
        os.truncate(folder / "images.npy", 128 + images * math.prod(SHAPE) - 1)


def test_other_options_begin_anew(tmp_path):
    steps = prepare(Scripted(fingerprint="b", bad=3), tmp_path / "made")
    for _ in range(20):
        next(steps)
    steps.close()
    source = Scripted()
    run(source, tmp_path / "made")
    assert source.starts == [0]
    assert np.array_equal(np.load(tmp_path / "made" / "images.npy"), source.pixels())


def test_ready_data_are_found_and_verified(ready):
    before = {path.name: path.stat().st_mtime_ns for path in ready.iterdir()}
    again = Scripted()
    assert {p.unit for p in run(again, ready)} == {"images checked"}
    assert again.starts == []
    assert {path.name: path.stat().st_mtime_ns for path in ready.iterdir()} == before
    assert not (ready.parent / ".made.partial").exists()


@pytest.mark.parametrize(("name", "at"), [("images.npy", 5000), ("labels.npy", 136)])
def test_one_changed_byte_is_seen(ready, name, at):
    data = bytearray((ready / name).read_bytes())
    data[at] ^= 1
    (ready / name).write_bytes(data)
    open_prepared(ready)
    message = (
        r"made: the pictures are not those that were prepared: their digest is \w{16}, .*; "
        r"delete the folder and prepare them again, or prepare into another one \(--to\)$"
    )
    with pytest.raises(UserError, match=message):
        list(verify(ready))
    with pytest.raises(UserError, match="delete the folder and prepare them again"):
        run(Scripted(), ready)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def longer(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 64)


def other_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"(171", b"(17 ", 1))


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
@pytest.mark.parametrize("damage", [cut, longer, other_header, Path.unlink])
def test_files_that_do_not_fit_the_manifest(ready, name, damage):
    damage(ready / name)
    with pytest.raises(UserError, match=rf"made: .*{name}.*; delete the folder and prepare them"):
        open_prepared(ready)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 1 is expected"),
        ({"count": -1}, "not 1 positive numbers"),
        ({"count": True}, "not 1 positive numbers"),
        ({"shape": [3, 8]}, "not 3 positive numbers"),
        ({"digest": None}, "must be texts"),
        ({"skipped": [{"item": "a"}]}, "reason"),
    ],
)
def test_manifests_that_are_none(ready, change, message):
    manifest = json.loads((ready / "manifest.json").read_text())
    (ready / "manifest.json").write_text(json.dumps(manifest | change))
    with pytest.raises(UserError, match=rf"manifest\.json: not a manifest .*{message}"):
        read_manifest(ready)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', "[" * 100_000, "\x00\xff"])
def test_manifests_that_are_no_json(ready, text):
    (ready / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json: not a manifest that this version reads"):
        open_prepared(ready)


def test_no_manifest(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match=r"no prepared pictures here \(no manifest\.json\)"):
            read_manifest(folder)


def test_a_target_with_other_pictures_is_refused(ready):
    before = content(ready)
    held = r"made: already holds other pictures: 'scripted' \(scripted, 200 pictures, .* channels\)"
    asked = r"; asked for are 'scripted' \(scripted, 199 pictures, .* channels\)\. Delete .*made to"
    with pytest.raises(UserError, match=held + asked + r" replace them, or .* \(--to\)$"):
        run(Scripted(items=199, fingerprint="b"), ready)
    with pytest.raises(UserError, match=held + ".*, but of other files or with other options. Del"):
        run(Scripted(fingerprint="b"), ready)
    assert content(ready) == before


class Broken(Scripted):
    """A source that fails at once, as a download without a network does."""

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        raise UserError("no network")


def test_a_preparation_that_got_nowhere_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="no network"):
        run(Broken(), tmp_path / "made")
    with pytest.raises(UserError, match="all 200 were skipped"):
        run(Scripted(bad=1), tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_a_preparation_that_got_somewhere_is_kept(tmp_path):
    steps = prepare(Scripted(), tmp_path / "made")
    for _ in range(12):
        next(steps)
    steps.close()
    with pytest.raises(UserError, match="no network"):
        run(Broken(), tmp_path / "made")
    source = Scripted()
    run(source, tmp_path / "made")
    assert source.starts[0] > 0


def test_a_target_that_is_something_else_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    for to in (tmp_path / "file", tmp_path / "folder"):
        with pytest.raises(UserError, match=f"{to}: exists and holds no prepared pictures"):
            run(Scripted(), to)
    with pytest.raises(UserError, match="Not a directory"):
        run(Scripted(), tmp_path / "file" / "made")


def test_an_empty_folder_may_be_the_target(tmp_path):
    (tmp_path / "made").mkdir()
    run(Scripted(), tmp_path / "made")
    assert read_manifest(tmp_path / "made").count == 171


def test_a_link_to_another_disk_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "made").symlink_to(tmp_path / "disk" / "made")
    run(Scripted(), tmp_path / "made")
    assert (tmp_path / "made").is_symlink()
    assert len(open_prepared(tmp_path / "disk" / "made")) == 171


def test_one_preparation_at_a_time(tmp_path):
    steps = prepare(Scripted(), tmp_path / "made")
    next(steps)
    with pytest.raises(UserError, match="another process is preparing these pictures; wait"):
        run(Scripted(), tmp_path / "made")
    assert "another process is preparing" in failure(Scripted(), tmp_path / "made")
    list(steps)
    assert np.array_equal(np.load(tmp_path / "made" / "images.npy"), Scripted().pixels())


def test_another_process_finishes_just_before(tmp_path, monkeypatch):
    # It holds the work folder when this one opens the lock, and has moved it when this one takes
    # the lock.
    lock, others = fcntl.flock, [Scripted()]

    def late(file, flags: int) -> None:
        if others:
            run(others.pop(), tmp_path / "made")
        lock(file, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    source = Scripted()
    run(source, tmp_path / "made")
    assert source.starts == []
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert tuple(content(tmp_path / "made")) == FILES


def test_a_lock_whose_folder_is_gone_is_not_held(tmp_path, monkeypatch):
    lock, folder, times = fcntl.flock, tmp_path / "work", []

    def late(file, flags: int) -> None:
        if not times:
            folder.rename(tmp_path / "elsewhere")
        times.append(file)
        lock(file, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    with alone(folder):
        assert len(times) == 2
        assert (folder / "lock").exists()


def test_several_that_begin_together(tmp_path):
    source = Scripted(items=60, pause=0.001)
    processes = [FORK.Process(target=failure, args=(source, tmp_path / "made")) for _ in range(6)]
    for process in processes:
        process.start()
        time.sleep(0.01)
    for process in processes:
        process.join()
    assert np.array_equal(np.load(tmp_path / "made" / "images.npy"), source.pixels())
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Scripted(items=0), "scripted: no pictures to prepare"),
        (Scripted(bad=1), "scripted: no pictures are left: all 200 were skipped"),
        (Scripted(shape=(3, 7, 8)), "pictures are 7x8 with 3 channels; .* at least 8x8 are needed"),
        (Scripted(shape=(4, 8, 8)), "pictures are 8x8 with 4 channels; 1 or 3 channels"),
    ],
)
def test_pictures_that_no_network_takes(tmp_path, source, message):
    with pytest.raises(UserError, match=message):
        run(source, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_limit_reached_in_the_middle(tmp_path):
    # A limit on the size of a file stands for a full disk; the system says so at the same call.
    source, to = Scripted(), tmp_path / "made"
    said = failure(source, to, RLIMIT_FSIZE=20_000)
    assert said.startswith(f"UserError: {tmp_path}/.made.partial: the disk is full")
    assert said.endswith("make room and run the same command again: it continues")
    run(source, to)
    assert source.starts[0] > 50  # it did continue
    assert np.array_equal(np.load(to / "images.npy"), source.pixels())
    assert np.array_equal(np.load(to / "labels.npy"), source.labels())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte and a half."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_in_the_middle(small_disk):
    ballast, to = small_disk / "ballast", small_disk / "made"
    source = Scripted(ballast=ballast)
    with pytest.raises(UserError, match=r"the disk is full .*: it continues"):
        run(source, to)
    assert not to.exists()
    ballast.unlink()
    again = source.without_pause()
    again.starts.clear()
    run(again, to)
    assert again.starts[0] > 90
    assert np.array_equal(np.load(to / "images.npy"), source.pixels())


def test_a_disk_that_is_too_small_is_seen_before(small_disk):
    source = Scripted(items=10_000)
    with pytest.raises(UserError, match=r"disk: not enough room: 3\.0 MB are needed, 1\.\d MB are"):
        run(source, small_disk / "made")
    assert source.starts == []


def test_a_folder_that_may_not_be_written(tmp_path):
    if not os.geteuid():
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        run(Scripted(), tmp_path / "made")
