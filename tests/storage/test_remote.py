"""A trial's folder made durable in a bucket, and brought back elsewhere."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ictsweep.errors import PlaceError, StorageError, StorageFull
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.remote import Remote
from ictsweep.storage.shared import bring, share
from tests.storage.mounts import small_disk
from tests.storage.server import Server, once, reads, writes


@pytest.fixture
def remote(bucket: Bucket) -> Remote:
    return Remote(bucket).at("trials/0001")


def checkpoint(folder: Path, name: str, content: str) -> None:
    """As the trainer writes one: beside, then renamed."""
    beside = folder / "checkpoints" / f".{name}.new"
    beside.mkdir(parents=True)
    (beside / "state.pt").write_text(content * 1000)
    (beside / "meta.json").write_text(f"of {content}")
    place = folder / "checkpoints" / name
    if place.exists():
        shutil.rmtree(place)
    os.replace(beside, place)


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.parts[-3:])
    }


def there(remote: Remote) -> list[str]:
    return [stat.name for stat in remote.bucket.listed("")]


def test_what_is_pushed_is_pulled_on_another_machine(remote: Remote, tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x")
    (tmp_path / "a" / "config.yaml").write_text("c")
    (tmp_path / "a" / "notes").write_text("not asked for")
    remote.push(tmp_path / "a", "checkpoints", "config.yaml")
    remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == {
        n: text for n, text in files(tmp_path / "a").items() if n != "notes"
    }
    remote.pull(tmp_path / "c", "config.yaml")
    assert list(files(tmp_path / "c")) == ["config.yaml"]


def test_what_did_not_change_does_not_move(s3: Server, remote: Remote, tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x")
    remote.push(tmp_path / "a")
    s3.seen.clear()
    remote.push(tmp_path / "a")
    assert s3.seen == []
    remote.pull(tmp_path / "b")
    s3.seen.clear()
    remote.pull(tmp_path / "b")
    assert len(s3.seen) == 1  # the listing


def test_removals_are_carried_over_both_ways(remote: Remote, tmp_path: Path) -> None:
    for name in ("000016-000008", "000016-000016"):
        checkpoint(tmp_path / "a", name, name)
    remote.push(tmp_path / "a")
    remote.pull(tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "checkpoints" / "000016-000008")
    remote.push(tmp_path / "b", "checkpoints")
    assert all("000016-000008" not in name for name in there(remote))
    remote.pull(tmp_path / "a")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert not (tmp_path / "a" / "checkpoints" / "000016-000008").exists()


def test_a_machine_that_has_half_of_it_removes_nothing(remote: Remote, tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x")
    remote.push(tmp_path / "a")
    checkpoint(tmp_path / "b", "000016-000016", "y")
    remote.push(tmp_path / "b", "checkpoints")
    assert len(there(remote)) == 4


def test_what_was_written_here_and_not_sent_stays(remote: Remote, tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x")
    remote.push(tmp_path / "a")
    remote.pull(tmp_path / "b")
    checkpoint(tmp_path / "b", "000016-000008", "newer")
    checkpoint(tmp_path / "b", "000016-000016", "new")
    before = files(tmp_path / "b")
    remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == before
    remote.remove("checkpoints")
    remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == before


def test_a_checkpoint_is_seen_when_it_is_whole(s3: Server, remote: Remote, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    checkpoint(folder, "000016-000008", "old")
    remote.push(folder)
    for step, refused in enumerate(("state.pt", "meta.json")):
        checkpoint(folder, "000016-000008", "new")
        with s3.refusing(writes(refused), 403, "AccessDenied"), pytest.raises(PlaceError):
            remote.push(folder)
        remote.pull(tmp_path / f"b{step}")
        assert "checkpoints/000016-000008/meta.json" not in files(tmp_path / f"b{step}")
    remote.push(folder)
    remote.pull(tmp_path / "c")
    assert files(tmp_path / "c") == files(folder)


def test_a_checkpoint_that_changes_while_it_is_brought_is_brought_whole(
    s3: Server, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "old")
    remote.push(tmp_path / "a")
    checkpoint(tmp_path / "a", "000016-000008", "new")
    listed = Bucket.listed
    change = [True]

    def then_changed(bucket: Bucket, under: str, after: str | None = None) -> object:
        found = listed(bucket, under, after)
        if change.pop() if change else False:
            remote.push(tmp_path / "a")
        return found

    monkeypatch.setattr(Bucket, "listed", then_changed)
    remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == files(tmp_path / "a")


def test_what_says_that_a_checkpoint_is_whole_is_not_brought_without_the_rest(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "old")
    remote.push(tmp_path / "a")
    listed = Bucket.listed
    left = [True]

    def then_changed(bucket: Bucket, under: str, after: str | None = None) -> object:
        if not left:
            raise StorageError("the server is gone")
        found = listed(bucket, under, after)
        remote.bucket.put("checkpoints/000016-000008/state.pt", b"new")
        left.clear()
        return found

    monkeypatch.setattr(Bucket, "listed", then_changed)
    with pytest.raises(StorageError, match="the server is gone"):
        remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == {}


def test_a_kill_between_sending_and_writing_it_down_leaves_nothing_behind(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    checkpoint(folder, "000016-000008", "x")
    with monkeypatch.context() as killed:
        killed.setattr("ictsweep.storage.remote._each", _then_killed)
        with pytest.raises(KeyboardInterrupt):
            remote.push(folder)
    assert len(there(remote)) == 2
    shutil.rmtree(folder / "checkpoints")
    remote.push(folder)
    assert there(remote) == []


def _then_killed(names: list[str], move: object) -> object:
    for name in names:
        move(name)  # type: ignore[operator]
    raise KeyboardInterrupt


def test_files_that_are_here_by_a_kill_follow_the_bucket_again(
    remote: Remote, tmp_path: Path
) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x")
    remote.push(tmp_path / "a")
    remote.pull(tmp_path / "b")
    (tmp_path / "b" / ".agreed.json").unlink()
    remote.pull(tmp_path / "b")
    remote.remove("checkpoints/000016-000008")
    remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == {}


@pytest.mark.parametrize("damage", ["", "[]", '{"x": 1}', "{"])
def test_a_base_that_somebody_damaged_is_made_anew(
    remote: Remote, tmp_path: Path, damage: str
) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x")
    remote.push(tmp_path / "a")
    (tmp_path / "a" / ".agreed.json").write_text(damage)
    remote.pull(tmp_path / "a")
    remote.push(tmp_path / "a")
    assert len(there(remote)) == 2


def test_all_trials_are_brought_in_few_requests(s3: Server, bucket: Bucket, tmp_path: Path) -> None:
    trials = Remote(bucket).at("trials")
    for number in range(12):
        folder = tmp_path / "a" / f"{number:04d}"
        (folder / "samples").mkdir(parents=True)
        (folder / "samples" / "1.png").write_text(f"{number}")
        (folder / "big").write_text("big")
        trials.at(folder.name).push(folder)
    trials.pull_each(tmp_path / "b", "samples")
    assert files(tmp_path / "b") == {f"{n:04d}/samples/1.png": f"{n}" for n in range(12)}
    s3.seen.clear()
    trials.pull_each(tmp_path / "b", "samples")
    assert len(s3.seen) == 1
    trials.remove("0003")
    trials.pull_each(tmp_path / "b", "samples")
    assert not (tmp_path / "b" / "0003" / "samples").exists()
    assert len(files(tmp_path / "b")) == 11


def test_a_disk_that_fills_and_a_server_that_breaks_off(
    s3: Server, remote: Remote, tmp_path: Path
) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x" * 100)
    remote.push(tmp_path / "a")
    with small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(StorageFull, match="No space left"):
            remote.pull(disk / "b")
        assert not list((disk / "b").rglob("meta.json"))
    with s3.breaking(once(reads("state.pt"), 2)):
        remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == files(tmp_path / "a")
    with s3.away(), pytest.raises(StorageError, match="Could not connect"):
        remote.pull(tmp_path / "c")


def test_it_works_in_another_process(remote: Remote, tmp_path: Path) -> None:
    """As a trial's worker on another machine has it: pickled."""
    checkpoint(tmp_path / "a", "000016-000008", "x")
    code = (
        "import pickle, sys; from pathlib import Path\n"
        "remote = pickle.loads(sys.stdin.buffer.read())\n"
        f"remote.push(Path({str(tmp_path / 'a')!r}), 'checkpoints')\n"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(remote), check=True)
    pickle.loads(pickle.dumps(remote)).pull(tmp_path / "b")
    assert files(tmp_path / "b") == files(tmp_path / "a")


def test_odd_names_travel(remote: Remote, tmp_path: Path) -> None:
    odd = tmp_path / "a" / "samples ☃" / "a b'$(c)?#%20.png"
    odd.parent.mkdir(parents=True)
    odd.write_text("x")
    remote.push(tmp_path / "a")
    remote.pull(tmp_path / "b")
    assert files(tmp_path / "b") == files(tmp_path / "a")


def test_two_processes_on_one_folder_take_turns(remote: Remote, tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", "000016-000008", "x")
    remote.push(tmp_path / "a")
    code = (
        "import pickle, sys; from pathlib import Path\n"
        "remote = pickle.loads(sys.stdin.buffer.read())\n"
        f"for _ in range(5): remote.pull(Path({str(tmp_path / 'b')!r}))\n"
    )
    words = [sys.executable, "-c", code]
    children = [subprocess.Popen(words, stdin=subprocess.PIPE) for _ in range(3)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(pickle.dumps(remote))
        child.stdin.close()
    assert [child.wait() for child in children] == [0, 0, 0]
    assert files(tmp_path / "b") == files(tmp_path / "a")


def test_a_feature_network_that_was_trained_once_is_everybodys(
    remote: Remote, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for cache, content in ((one, "first"), (two, "second")):
        cache.mkdir()
        for name in (
            "extractor-x-1.pt",
            "extractor-x-1.json",
            "extractor-x-1.lock",
            "other.pt",
        ):
            (cache / name).write_text(content)
    assert not share(remote, one)
    assert there(remote) == ["extractor-x-1.json", "extractor-x-1.pt"]
    assert share(remote, two)  # trained at once: the first that was shared is everybody's
    assert (two / "extractor-x-1.pt").read_text() == "first"
    assert (two / "other.pt").read_text() == "second"
    assert not share(remote, two)
    bring(remote, tmp_path / "three")
    assert files(tmp_path / "three") == {n: "first" for n in there(remote)}
