"""How a session on Ray ends, whatever ends Tune's loop; Tune's `run` is a stand-in here (with a
real Ray: tests/launch).
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import ray.tune
from ray.exceptions import RayActorError

from ictsweep.errors import PlaceError, StorageError
from ictsweep.interruption import Interruption
from ictsweep.records import Halt
from ictsweep.study.conductor import Conductor
from ictsweep.study.tune import StudySearcher, Watch, conduct
from tests.study.stage import Disk, Session
from tests.study.worlds import spec


@pytest.fixture
def signals() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def opened() -> tuple[Conductor, Disk]:
    """A study that has begun, with two places and nobody in them."""
    disk = Disk()
    return Session(spec(), disk, cast(Any, None), slots=2).open(), disk


def ended(
    conductor: Conductor, loop: Callable[..., None], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(ray.tune, "run", loop)
    monkeypatch.setattr("ictsweep.study.tune.seat", lambda: {"cpu": 1})
    searcher = StudySearcher(conductor, cast(Any, None))
    conduct(conductor, searcher, cast(Any, None), lambda config: None, home)


def test_a_failure_of_ray_is_the_sessions_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loop(*what: Any, **how: Any) -> None:
        assert conductor.next_launch() is not None
        raise RayActorError(None, "the mailbox died\nwith many lines of what it did")

    conductor, disk = opened()
    ended(conductor, loop, monkeypatch, tmp_path)
    assert conductor.pausing is not None
    assert conductor.pausing[0] is Halt.CLUSTER
    assert [event.kind for event in disk.events[-3:]] == ["launch", "leave", "halt"]
    reason = disk.events[-1].data["reason"]
    assert reason.startswith("Ray failed: RayActorError: ")
    assert "\n" not in reason


def test_a_loop_that_ends_by_itself_is_no_end_of_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conductor, disk = opened()
    ended(conductor, lambda *what, **how: None, monkeypatch, tmp_path)
    assert disk.events[-1].data == {"kind": "cluster", "reason": "Ray Tune's loop ended by itself"}


def test_a_place_that_closes_while_the_study_runs_is_no_wrong_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, not 2, which says that nothing was started."""

    def loop(*what: Any, **how: Any) -> None:
        conductor.error = PlaceError("read-only now")
        conductor.pause(Halt.STORAGE, "read-only now")

    conductor, _ = opened()
    with pytest.raises(StorageError, match="read-only now") as failed:
        ended(conductor, loop, monkeypatch, tmp_path)
    assert not isinstance(failed.value, PlaceError)


def test_tunes_own_hold_on_a_signal_is_taken_back(signals: None) -> None:
    """Tune takes SIGUSR1 before its loop, to end it without a word."""
    conductor, _ = opened()
    interruption = Interruption(cast(Any, None))
    watch = Watch(conductor, interruption, lambda: 2, str, str)
    interruption.listen()
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    watch.on_step_begin(1, [])
    assert signal.getsignal(signal.SIGUSR1) == interruption._heard
