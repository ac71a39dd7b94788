"""What a study's log promises, on a disk and in a bucket alike."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.store import Log, StudyFolder
from tests.study.worlds import spec

OPENED = Event(kind="study", time=1.0, data={"version": LOG_VERSION, "slots": 2})
ASK = Event(kind="ask", time=2.0, trial=0, data={"params": {}, "seed": 1, "replicate_of": None})


def fact(number: int) -> Event:
    return Event(kind="cluster", time=0.0, data={"slots": number})


@dataclass(frozen=True)
class Home:
    """A place for a study, and machines that look at it: each has its own copies."""

    place: str
    machines: Path

    def create(self, machine: str = "a") -> StudyFolder:
        return StudyFolder.create(self.place, spec(), self.machines / machine)

    def open(self, machine: str = "a") -> StudyFolder:
        return StudyFolder.open(self.place, self.machines / machine)

    def child(self, machine: str, *hold: str) -> subprocess.Popen[bytes]:
        words = [self.place, str(self.machines / machine), *hold]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.storage.writer", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture(params=["disk", "bucket"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "disk":
        return Home(str(tmp_path / "study"), tmp_path / "machines")
    return Home(str(request.getfixturevalue("place")), tmp_path / "machines")


@pytest.fixture
def holder(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that drives the study."""
    home.create()
    child = home.child("b", "hold")
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    yield child
    child.kill()
    child.communicate()


def append(folder: StudyFolder, *events: Event) -> None:
    with Log(folder) as log:
        log.append(events)


def test_what_is_appended_is_read_back_anywhere(home: Home) -> None:
    folder = home.create()
    with Log(folder) as log:
        log.append([OPENED, ASK])
        log.append([fact(0)])
        assert folder.events() == [OPENED, ASK, fact(0)]
        assert home.open("b").events() == [OPENED, ASK, fact(0)]
    assert home.open("c").events() == [OPENED, ASK, fact(0)]
    assert home.open("c").spec() == spec()


def test_a_later_driver_goes_on_from_any_machine(home: Home) -> None:
    append(home.create(), OPENED, ASK)
    for number, machine in enumerate("babc"):
        append(home.open(machine), fact(number))
    everything = [OPENED, ASK, *map(fact, range(4))]
    assert [home.open(machine).events() for machine in "abcd"] == [everything] * 4


def test_who_looks_on_sees_what_is_new_after_a_refresh(home: Home) -> None:
    folder, onlooker = home.create(), home.open("b")
    with Log(folder) as log:
        for number in range(3):
            log.append([OPENED if number == 0 else fact(number)])
            onlooker.refresh()
            assert len(onlooker.events()) == number + 1
            assert onlooker.driven()
    assert not onlooker.driven()


def test_a_second_driver_is_refused_by_name_until_the_first_ends(
    home: Home, holder: subprocess.Popen[bytes]
) -> None:
    folder = home.open()
    assert folder.driven()
    with pytest.raises(StudyError, match=f"process {holder.pid}"):
        Log(folder)
    with pytest.raises(StudyError, match=f"process {holder.pid}"):
        home.create()
    holder.communicate(b"")
    # it closed the log and ended: nobody need wait
    assert not folder.driven()
    Log(folder).close()


def test_a_driver_that_was_killed_leaves_no_lock(
    home: Home, holder: subprocess.Popen[bytes]
) -> None:
    holder.kill()
    holder.wait()
    folder = home.open()
    assert not folder.driven()
    append(folder, OPENED)
    assert home.open("c").events() == [OPENED]


def test_of_drivers_that_come_at_once_one_is_let_in(home: Home) -> None:
    home.create()
    children = [home.child(machine, "hold") for machine in "abcd"]
    said = []
    for child in children:
        assert child.stdout is not None
        said.append(child.stdout.readline())
    for child in children:
        child.kill()
        _, errors = child.communicate()
        said.append(errors)
    assert sorted(said[:4]) == [b"", b"", b"", b"held\n"]
    assert sum(b"a driver is running this study" in errors for errors in said[4:]) == 3


def test_a_study_is_taken_once_it_has_asked_a_trial(home: Home) -> None:
    append(home.create(), OPENED)
    again = StudyFolder.create(home.place, spec(trials=7), home.machines / "b")
    assert (again.spec().trials, again.events()) == (7, [])
    seen = home.open("c")
    assert (seen.spec().trials, seen.events()) == (7, [])
    append(again, OPENED, ASK)
    with pytest.raises(StudyError, match=r"ictsweep resume .*study`"):
        home.create("c")
    assert home.open("a").events() == [OPENED, ASK]


def test_a_place_without_a_study_is_said(home: Home) -> None:
    with pytest.raises(StudyError, match="not a study folder"):
        home.open()


def test_another_version_is_refused_by_name(home: Home) -> None:
    folder = home.create()
    append(folder, Event(kind="study", time=1.0, data={"version": 99}))
    with pytest.raises(StudyError, match="log version 99"):
        home.open("b").events()


def test_clocks_that_jump_change_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home.create()
    with Log(folder) as log:
        log.append([OPENED])
        for shift in (0, 86_400, -86_400 * 400):
            monkeypatch.setattr("time.time", lambda shift=shift: time.monotonic() + shift)
            log.append([fact(shift)])
            assert home.open("b").driven()
    assert [e.data["slots"] for e in home.open("b").events()[1:]] == [0, 86_400, -86_400 * 400]


def test_a_writer_killed_at_any_moment_loses_no_acknowledged_event(home: Home) -> None:
    """SIGKILL comes at a random moment, in the middle of an append as likely as not; each driver
    resumes on another machine.
    """
    append(home.create(), OPENED)
    chance = random.Random(0)
    for life in range(5):
        child = home.child(f"m{life}")
        assert child.stdout is not None
        said = [child.stdout.readline(), child.stdout.readline()]
        time.sleep(chance.uniform(0, 0.1))
        child.kill()
        said += child.communicate()[0].splitlines()
        acknowledged = int(said[-1])
        kept = [event.data["slots"] for event in home.open("look").events()[1:]]
        assert kept == list(range(1, len(kept) + 1))
        assert acknowledged <= kept[-1] <= acknowledged + 1
