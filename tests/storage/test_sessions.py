"""A session that opens a study, wherever it lies: what it changes there, and what it leaves."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ictsweep.errors import Ousted, StudyError
from ictsweep.interruption import Interruption
from ictsweep.records import LOG_VERSION, Event
from ictsweep.storage import lease
from ictsweep.storage.place import BucketPlace
from ictsweep.study.requests import ask_to_stop, asked_to_stop
from ictsweep.study.session import Place, as_before, run_session
from ictsweep.study.spec import Keep, spec_to_dict
from ictsweep.study.store import Log, StudyFolder
from tests.storage.server import Server, once, writes
from tests.storage.test_contract import ASK, Home, append
from tests.study.worlds import spec


class Opened(Exception):
    """The session would now load data and start Ray."""


@pytest.fixture(autouse=True)
def _no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        raise Opened

    monkeypatch.setattr("ictsweep.study.session._measured_with", opened)


@pytest.fixture(params=["disk", "bucket"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    place = tmp_path / "study"
    if request.param == "bucket":
        place = request.getfixturevalue("place")
    return Home(str(place), tmp_path / "machines")


@pytest.fixture
def far_home(place: BucketPlace, tmp_path: Path) -> Home:
    return Home(str(place), tmp_path / "machines")


def session(folder: StudyFolder, **how: object) -> None:
    """A session's opening."""
    with suppress(Opened):
        run_session(Place(folder=folder, **how), Interruption(sys.stderr))  # type: ignore[arg-type]


def slow_opening(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[StudyFolder], None]) -> None:
    """What happens `meanwhile`, when a session holds the study and has not read it yet."""

    class SlowLog(Log):
        def __init__(self, folder: StudyFolder) -> None:
            super().__init__(folder)
            meanwhile(folder)

    monkeypatch.setattr("ictsweep.study.session.Log", SlowLog)


def ran(home: Home) -> None:
    """A study whose first session asked for a trial."""
    opened = {"version": LOG_VERSION, "slots": 2, "spec": spec_to_dict(spec())}
    append(home.create(), Event(kind="study", time=0.0, data=opened), ASK)


@pytest.mark.parametrize("begun", [False, True])
def test_a_study_whose_space_changed_is_opened_again_anywhere(home: Home, begun: bool) -> None:
    ran(home) if begun else home.create()
    events, new = home.open("a").events(), spec(keep=Keep(best=1))
    session(home.open("b"), space=new, accept=True)
    for machine in "abc":
        again = home.open(machine)
        assert (again.spec(), again.events()) == (new, events)
    append(home.open("c"), *([] if begun else [ASK]))


def test_a_spec_whose_answer_is_lost_was_written_all_the_same(s3: Server, far_home: Home) -> None:
    ran(far_home)
    with s3.losing(once(writes("study.yaml"))):
        session(far_home.open("b"), space=spec(keep=Keep(best=1)), accept=True)
    assert far_home.open("c").spec() == spec(keep=Keep(best=1))


def test_a_driver_that_lost_its_study_does_not_change_the_next_ones(
    s3: Server, far_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWED_S", 3600.0)
    sleeper = Log(far_home.create("a"))
    s3.ahead = timedelta(seconds=61)
    StudyFolder.create(far_home.place, spec(trials=7), far_home.machines / "b")
    with pytest.raises(Ousted):
        sleeper.amend(spec(trials=3))
    assert far_home.open("c").spec().trials == 7
    sleeper.close()


@pytest.mark.parametrize("earlier", [False, True])
def test_a_stop_that_is_asked_while_a_driver_opens_is_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    folder = home.create()
    if earlier:
        ask_to_stop(folder)
    slow_opening(monkeypatch, lambda _: ask_to_stop(home.open("b")))
    session(folder)
    assert asked_to_stop(folder)


def test_a_stop_that_was_asked_of_an_earlier_driver_is_forgotten(home: Home) -> None:
    ask_to_stop(home.create())
    session(home.open("b"))
    assert asked_to_stop(home.open("c")) == ""


def test_a_driver_that_is_refused_forgets_nothing_that_another_was_asked(home: Home) -> None:
    with Log(home.create()):
        ask_to_stop(home.open("b"))
        with pytest.raises(StudyError, match="a driver is running this study"):
            session(home.open("b"))
        assert asked_to_stop(home.open("c"))


def test_of_two_studies_that_are_begun_at_once_the_later_one_runs(home: Home) -> None:
    first = home.create("a")
    later = StudyFolder.create(home.place, spec(trials=7), home.machines / "b")
    with pytest.raises(StudyError, match="another study of this name was begun a moment ago"):
        session(first, begun=spec())
    session(later, begun=spec(trials=7))
    assert home.open("c").spec() == spec(trials=7)
    session(first)  # `resume` runs what there is


def test_a_session_is_given_what_the_one_before_was(tmp_path: Path) -> None:
    """Its command line says another thing, or nothing; logs of earlier versions do not tell."""
    place = Place(folder=StudyFolder.create(tmp_path / "s", spec()))
    older = Event(kind="study", time=0.0, data={"version": 2, "slots": 4})
    given = {"max_trials": 2, "micro_batch": 64, "recompute": True}
    first, second = (
        Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 2, "given": what})
        for what in ({**given, "max_trials": 3}, given)
    )
    assert as_before(place, [older]) == place
    again = as_before(place, [older, first, second])
    assert (again.max_trials, again.micro_batch, again.recompute) == (2, 64, True)
    wider = as_before(replace(place, max_trials=8), [older, first, second])
    assert (wider.max_trials, wider.micro_batch, wider.recompute) == (8, 64, True)
