"""A log read as it grows: every event once, nothing torn, nothing read twice."""

import random
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.tail import Tail
from tests.study.worlds import play, spec

OPENED = Event(kind="study", time=1.0, data={"version": LOG_VERSION, "slots": 3})


def test_every_event_comes_once_however_the_file_grows(tmp_path: Path) -> None:
    """Appended in pieces of any size, lines torn anywhere."""
    events = [OPENED, *play(spec(), order=random.Random(0))[1:]]
    data, path, dice = (
        b"".join(e.to_line().encode() for e in events),
        tmp_path / "log",
        random.Random(1),
    )
    tail, found = Tail(path), []
    assert list(tail.news()) == []
    with path.open("ab", buffering=0) as file:
        while data:
            size = dice.choice([1, 7, 100, 5000])
            file.write(data[:size])
            data = data[size:]
            assert not tail.begun_anew()
            found += tail.news()
    assert found == events
    assert list(tail.news()) == []


def test_only_the_new_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(OPENED.to_line() * 3)
    tail = Tail(path)
    assert len(list(tail.news())) == 3
    old = path.read_bytes()
    path.write_bytes(b"x" * (len(old) - 1) + b"\n" + OPENED.to_line().encode())
    assert list(tail.news()) == [OPENED]  # what was read once is not looked at again


def test_a_study_that_is_begun_again_is_read_from_its_first_event(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(OPENED.to_line() * 3)
    tail = Tail(path)
    list(tail.news())
    other = Event(kind="study", time=2.0, data=OPENED.data)
    path.write_text("")
    assert tail.begun_anew()
    assert list(tail.news()) == []
    path.write_text(other.to_line() * 9)
    assert not tail.begun_anew()
    assert len(list(tail.news())) == 9
    path.write_text(OPENED.to_line() * 20)  # longer than what was read, and another study's
    assert tail.begun_anew()
    assert list(tail.news()) == [OPENED] * 20
    path.unlink()
    assert tail.begun_anew()
    assert list(tail.news()) == []


def test_half_of_the_news_can_be_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(
        "".join(Event(kind="study", time=t, data=OPENED.data).to_line() for t in (1, 2, 3))
    )
    tail = Tail(path)
    assert next(tail.news()).time == 1
    assert [event.time for event in tail.news()] == [2, 3]


def test_another_version_and_a_foreign_line_are_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(Event(kind="study", time=1.0, data={"version": 99}).to_line())
    with pytest.raises(StudyError, match=r"log:1: log version 99; this ictsweep reads vers"):
        list(Tail(path).news())
    later = Event(kind="study", time=2.0, data={"version": 99})
    path.write_text(OPENED.to_line() + later.to_line())
    with pytest.raises(StudyError, match=r"log:2: log version 99; this ictsweep reads vers"):
        list(Tail(path).news())
    path.write_bytes(OPENED.to_line().encode() + b"hello\n")
    with pytest.raises(StudyError, match=r"log:2: not an event"):
        list(Tail(path).news())
    path.write_bytes(OPENED.to_line().encode() * 2 + b"\xff\n")
    with pytest.raises(StudyError, match=r"log:3: not an event .*\(bytes that are no text"):
        list(Tail(path).news())
