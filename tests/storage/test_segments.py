"""A study's log in a bucket: two writers, answers that are lost, parts that are missing, and copies
that are edited, deleted or of another study.
"""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ictsweep.errors import Ousted, PlaceError, StorageError, StorageFull, StudyError
from ictsweep.patience import Patience
from ictsweep.records import Event
from ictsweep.storage import lease, truth
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.holder import Holder
from ictsweep.storage.place import BucketPlace
from ictsweep.storage.segments import Segments
from ictsweep.study.store import Log, StudyFolder
from tests.storage.mounts import small_disk
from tests.storage.server import Server, once, writes
from tests.storage.test_contract import ASK, OPENED, Home, append, fact
from tests.study.worlds import spec


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are not renewed, servers that stay away are given up soon, packs are small."""
    monkeypatch.setattr(lease, "RENEWED_S", 3600.0)
    monkeypatch.setattr("ictsweep.storage.bucket.RUNNING", Patience(total_s=0.5, first_s=0.01))
    monkeypatch.setattr(
        Bucket.__init__, "__defaults__", (Patience(total_s=0.5, first_s=0.01), None)
    )
    monkeypatch.setattr(truth, "PACKED", 4)


@pytest.fixture
def home(place: BucketPlace, tmp_path: Path) -> Home:
    return Home(str(place), tmp_path / "machines")


@pytest.fixture
def folder(home: Home) -> StudyFolder:
    return home.create()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers on machines that know nothing of each other."""
    myself = Holder.myself
    monkeypatch.setattr(Holder, "myself", lambda: replace(myself(), kernel="other", host="far"))


def numbers(folder: StudyFolder) -> list[int]:
    return [event.data["slots"] for event in folder.events() if event.kind == "cluster"]


def keys(bucket: Bucket, under: str) -> list[str]:
    return [stat.name for stat in bucket.listed(under)]


def gets(server: Server, part: str) -> int:
    return sum(method == "GET" and part in path for method, path in server.seen)


def test_a_driver_that_slept_is_ousted_before_it_writes_anything(
    s3: Server, home: Home, folder: StudyFolder, far: None
) -> None:
    sleeper = Log(folder)
    sleeper.append([OPENED])
    s3.ahead = timedelta(seconds=61)
    with Log(home.open("b")) as log:
        log.append([fact(1)])
        for _ in range(2):  # it does not know: its number is used
            with pytest.raises(Ousted, match=r"far, process \d+.*ictsweep status s3://"):
                sleeper.append([fact(99)])
        log.append([fact(2)])
    assert numbers(home.open("c")) == [1, 2]
    sleeper.close()


def test_what_a_driver_writes_while_it_is_ousted_is_read_or_refused(
    s3: Server, home: Home, folder: StudyFolder, far: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its append comes between the listing and the first word of the driver that takes over."""
    old = Log(folder)
    old.append([OPENED])
    s3.ahead = timedelta(seconds=61)
    claim = Segments.claim
    late = [True]

    def claims(segments: Segments, number: int, lines: bytes, token: str) -> object:
        if late.pop() if late else False:
            old.append([fact(1)])
        return claim(segments, number, lines, token)

    monkeypatch.setattr(Segments, "claim", claims)
    with Log(home.open("b")) as log:
        assert numbers(home.open("b")) == [1]
        log.append([fact(2)])
        with pytest.raises(Ousted):
            old.append([fact(99)])
    assert numbers(home.open("c")) == [1, 2]
    old.close()


def test_an_append_whose_answer_is_lost_is_written_once(
    s3: Server, home: Home, folder: StudyFolder
) -> None:
    with Log(folder) as log:
        log.append([OPENED])
        with s3.losing(once(writes("/log/"))):
            log.append([fact(1)])
        log.append([fact(2)])
    assert numbers(home.open("b")) == [1, 2]


@pytest.mark.parametrize("arrived", [False, True])
def test_after_an_append_in_doubt_the_log_stays_whole(
    s3: Server, home: Home, folder: StudyFolder, arrived: bool
) -> None:
    with Log(folder) as log:
        log.append([OPENED])
        fault = s3.losing if arrived else s3.refusing
        meant = fault(lambda method, path: "/log/" in path)
        with meant, pytest.raises(StorageError, match="stayed away"):
            log.append([fact(1)])
        log.append([fact(2)])  # a last word: that the study halts
        log.append([fact(3)])
        assert numbers(folder) == numbers(home.open("b")) == ([1, 2, 3] if arrived else [2, 3])
    assert numbers(home.open("c")) == ([1, 2, 3] if arrived else [2, 3])


def test_a_driver_in_doubt_that_was_ousted_writes_nothing(
    s3: Server, home: Home, folder: StudyFolder, far: None
) -> None:
    old = Log(folder)
    old.append([OPENED])
    with s3.refusing(writes("/log/")), pytest.raises(StorageError, match="stayed away"):
        old.append([fact(1)])
    s3.ahead = timedelta(seconds=61)
    with Log(home.open("b")) as log:
        with pytest.raises(Ousted):
            old.append([fact(99)])
        log.append([fact(2)])
    assert numbers(home.open("c")) == [2]
    old.close()


def test_a_server_that_went_away_is_one_error_and_nothing_is_written(
    s3: Server, home: Home, folder: StudyFolder
) -> None:
    with Log(folder) as log:
        log.append([OPENED])
        with s3.away(), pytest.raises(StorageError, match="Could not connect"):
            log.append([fact(1)])
        assert numbers(folder) == []
        log.append([fact(2)])
    assert numbers(home.open("b")) == [2]


def test_packs_make_a_long_log_few_requests(s3: Server, home: Home, folder: StudyFolder) -> None:
    with Log(folder) as log:
        log.append([OPENED])
        for number in range(20):
            log.append([fact(number)])
    s3.seen.clear()
    assert numbers(home.open("new")) == list(range(20))
    assert gets(s3, "/packs/") == 5
    assert gets(s3, "/log/") <= 4
    s3.seen.clear()
    assert numbers(home.open("new")) == list(range(20))
    assert gets(s3, "/log/") + gets(s3, "/packs/") == 0


def test_a_copy_in_the_middle_of_a_pack_goes_on_with_packs(
    s3: Server, home: Home, folder: StudyFolder
) -> None:
    with Log(folder) as log:
        log.append([OPENED])
        behind = home.open("b")
        for number in range(20):
            log.append([fact(number)])
        s3.seen.clear()
        behind.refresh()
    assert numbers(behind) == list(range(20))
    assert gets(s3, "/packs/") >= 4
    assert gets(s3, "/log/") <= 8
    with Log(home.open("b")) as log:  # and its packs fit those that are there
        for number in range(20, 30):
            log.append([fact(number)])
    assert numbers(home.open("new")) == list(range(30))


def test_a_pack_that_cannot_be_written_is_no_reason_to_stop(
    s3: Server, home: Home, folder: StudyFolder
) -> None:
    with Log(folder) as log, s3.refusing(writes("/packs/"), 403, "AccessDenied"):
        log.append([OPENED])
        for number in range(9):
            log.append([fact(number)])
    assert keys(Bucket(folder.remote.place), "packs/") == []
    assert numbers(home.open("b")) == list(range(9))
    append(home.open("b"), fact(9))  # what was not packed is packed by the next driver
    assert len(keys(Bucket(folder.remote.place), "packs/")) == 1
    assert numbers(home.open("c")) == list(range(10))


def test_a_part_that_is_missing_in_the_middle_is_named(
    home: Home, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(truth, "PACKED", 100)
    append(folder, OPENED, ASK)
    with Log(folder) as log:
        for number in range(5):
            log.append([fact(number)])
    bucket = Bucket(folder.remote.place)
    bucket.delete(["log/00000004.jsonl"])
    with pytest.raises(StudyError, match=r"s3://.*/log/00000004\.jsonl: .*missing.*Restore it"):
        home.open("b")
    with pytest.raises(StudyError, match="missing"):
        Log(folder)


def test_what_a_pack_holds_need_not_be_there(home: Home, folder: StudyFolder) -> None:
    with Log(folder) as log:
        log.append([OPENED])
        for number in range(9):
            log.append([fact(number)])
    Bucket(folder.remote.place).delete([f"log/{n:08d}.jsonl" for n in range(4)])
    assert numbers(home.open("b")) == list(range(9))


@pytest.mark.parametrize(
    ("body", "words"), [(b"half a li", "not whole"), (b"hello\n", "not an event")]
)
def test_a_part_that_somebody_edited_is_named(
    home: Home, folder: StudyFolder, body: bytes, words: str
) -> None:
    append(folder, OPENED)
    Bucket(folder.remote.place).put("log/00000002.jsonl", body)
    with pytest.raises(StudyError, match=words):
        home.open("b").events()


def test_a_study_of_another_layout_is_refused_by_name(home: Home, folder: StudyFolder) -> None:
    bucket = Bucket(folder.remote.place)
    found = bucket.get("study.yaml")
    assert found is not None
    bucket.put("study.yaml", found.body, {"layout": "7", "first": "0"})
    with pytest.raises(StudyError, match=r"version '7'.*reads version 1"):
        home.open("b")
    bucket.put("study.yaml", found.body)
    with pytest.raises(StudyError, match="copied from a disk by hand"):
        home.open("b")


def edit(path: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace('"slots":1', '"slots":8'))


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def longer(path: Path) -> None:
    path.write_text(path.read_text() + fact(9).to_line())


def noteless(path: Path) -> None:
    (path.parent / ".mirror.json").unlink()


def senseless(path: Path) -> None:
    (path.parent / ".mirror.json").write_text("[1]")


def gone(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("change", [edit, torn, longer, noteless, senseless, gone])
def test_a_copy_is_never_the_truth(home: Home, folder: StudyFolder, change: object) -> None:
    append(folder, OPENED, fact(1), fact(2))
    home.open()  # notes how far the copy goes
    change(folder.path / "events.jsonl")  # type: ignore[operator]
    assert numbers(home.open()) == [1, 2]
    assert home.open().events() == home.open("b").events()


def test_a_copy_that_is_deleted_while_its_driver_runs_is_made_anew(
    home: Home, folder: StudyFolder
) -> None:
    with Log(folder) as log:
        log.append([OPENED])
        (folder.path / "events.jsonl").unlink()
        log.append([fact(1)])
        assert numbers(folder) == [1]
    assert numbers(home.open("b")) == [1]


def test_another_study_of_the_same_name_replaces_the_copy(home: Home, folder: StudyFolder) -> None:
    append(folder, OPENED, ASK, fact(1))
    folder.trial_dir(7).mkdir(parents=True)
    bucket = Bucket(folder.remote.place)
    bucket.delete(keys(bucket, ""))
    other = home.create("b")
    append(other, OPENED, ASK, fact(2))
    assert numbers(home.open()) == [2]
    assert not folder.trial_dir(7).exists()


def test_a_copy_is_not_driven_as_a_study_of_its_own(home: Home, folder: StudyFolder) -> None:
    append(folder, OPENED)
    on_disk = StudyFolder.open(folder.path)
    assert on_disk.events() == [OPENED]  # it may be read
    with pytest.raises(StudyError, match=r"this is a copy of s3://.*ictsweep resume s3://"):
        Log(on_disk)


def test_a_full_disk_under_the_copy_stops_the_driver_and_loses_nothing(
    home: Home, place: BucketPlace, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", "256k") as disk:
        folder = StudyFolder.create(home.place, spec(), disk)
        with Log(folder) as log:
            log.append([OPENED])
            (disk / "ballast").write_bytes(bytes(180_000))
            wide = Event(kind="cluster", time=0.0, data={"slots": 1, "x": "x" * 100_000})
            with pytest.raises(StorageFull, match="No space left"):
                log.append([wide])
            (disk / "ballast").unlink()
            log.append([fact(2)])
            assert numbers(folder) == [1, 2]
    assert numbers(home.open("b")) == [1, 2]


def test_the_spec_and_where_its_log_begins_change_at_once(
    s3: Server, home: Home, folder: StudyFolder
) -> None:
    append(folder, OPENED)
    with s3.refusing(writes("study.yaml"), 403, "AccessDenied"), pytest.raises(PlaceError):
        StudyFolder.create(home.place, spec(trials=7), home.machines / "b")
    seen = home.open("c")
    assert (seen.spec(), seen.events()) == (spec(), [OPENED])
    StudyFolder.create(home.place, spec(trials=7), home.machines / "b")
    seen = home.open("c")
    assert (seen.spec().trials, seen.events()) == (7, [])
    # numbers are used once: the old study's driver, should it still run, is refused
    names = keys(Bucket(folder.remote.place), "log/")
    assert names == [f"log/{n:08d}.jsonl" for n in range(len(names))]


def test_one_storage_holds_many_studies(home: Home, folder: StudyFolder) -> None:
    other = StudyFolder.create(f"{home.place}-2", spec(trials=9), home.machines / "a")
    append(folder, OPENED, fact(1))
    append(other, OPENED, fact(2))
    assert numbers(home.open("b")) == [1]
    assert numbers(StudyFolder.open(f"{home.place}-2", home.machines / "b")) == [2]
    assert json.loads((other.path / ".mirror.json").read_text())["of"] == other.place
