"""Followers beside a study: they fail alone, say so once, and catch up."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, inspect

from ictsweep.mirror import database, following
from ictsweep.mirror.following import Following, followed
from ictsweep.mirror.mirror import mirroring
from ictsweep.study.store import StudyFolder
from tests.mirror.logs import contents, grow, opened, started
from tests.mirror.servers import Postgres


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and pauses of milliseconds instead of seconds."""
    monkeypatch.setattr(following, "PACE_S", 0.02)
    monkeypatch.setattr(following, "PAUSES_S", (0.05,))


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Moody:
    """A follower that fails when told to."""

    def __init__(self, mood: list[str]) -> None:
        self.mood = mood
        self.closed = False
        self.looks = 0

    def catch_up(self) -> None:
        self.looks += 1
        if self.mood:
            raise OSError(f"{self.mood[0]}\nand a second line")

    def close(self) -> None:
        self.closed = True


def test_trouble_is_said_once_and_a_new_follower_begins_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    mood, made = ["no room"], []

    def make() -> Moody:
        made.append(Moody(mood))
        return made[-1]

    thread = Following("mirror m", make, "")
    with caplog.at_level(logging.WARNING), followed(thread):
        wait_for(lambda: len(made) > 3, "it tries again and again")
        assert thread.trouble == "no room"
        mood[:] = ["no route"]
        wait_for(lambda: thread.trouble == "no route", "the new trouble")
        mood.clear()
        wait_for(lambda: not thread.trouble, "it catches up")
    assert [r.getMessage() for r in caplog.records] == [
        "mirror m: no room; tried again later",
        "mirror m: no route; tried again later",
    ]
    assert all(each.closed for each in made)
    assert not thread.is_alive()


def test_a_follower_that_cannot_be_made_is_trouble_too() -> None:
    def make() -> Moody:
        raise RuntimeError("")

    thread = Following("m", make, "")
    with followed(thread):
        wait_for(lambda: thread.trouble == "RuntimeError", "trouble")


def test_what_came_last_is_told_before_it_leaves() -> None:
    follower = Moody([])
    with followed(Following("m", lambda: follower, "")):
        wait_for(lambda: follower.looks, "a look")
        before = follower.looks
    assert follower.looks > before
    assert follower.closed


def test_one_that_hangs_is_left_behind() -> None:
    class Hanging(Moody):
        def catch_up(self) -> None:
            threading.Event().wait()

    thread = Following("m", lambda: Hanging([]), "")
    thread.start()
    began = time.monotonic()
    thread.dismiss()
    thread.await_end(patience_s=0.2)
    assert time.monotonic() - began < 5
    assert thread.trouble == "it did not answer within 0.2 s"


def test_a_second_ctrl_c_does_not_wait_for_it() -> None:
    met, ends = threading.Event(), threading.Event()

    class Hanging(Moody):
        def catch_up(self) -> None:
            met.set()
            ends.wait()

    thread = Following("m", lambda: Hanging([]), "")

    def interrupted() -> None:
        with followed(thread):
            assert met.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert thread.is_alive()
    ends.set()
    thread.join(10)


def test_an_error_of_the_study_goes_through() -> None:
    follower = Moody([])
    with pytest.raises(ZeroDivisionError), followed(Following("m", lambda: follower, "")):
        _ = 1 / 0
    assert follower.closed


def test_a_mirror_whose_server_dies_in_the_middle_catches_up_when_it_is_back(
    whole: StudyFolder, postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, once = postgres.schema("struck"), postgres.schema("unstruck")
    events = whole.events()
    growing = started(tmp_path / "growing", whole)
    thread = mirroring(growing, url)
    with caplog.at_level(logging.WARNING), followed(thread):
        grow(growing, events[:50])
        wait_for(lambda: not thread.trouble and len(_shown(url)) > 3, "the first trials")
        for end in range(50, len(events), 40):
            postgres.kill()
            grow(growing, events[end : end + 40])
            wait_for(lambda: thread.trouble, "the server is missed")
            postgres.start()
            wait_for(lambda: not thread.trouble, "the server is found again")
    with followed(mirroring(whole, once)):
        pass
    assert contents(url) == contents(once)
    assert len(caplog.records) <= 6  # of 3 crashes: each kind of message once
    assert "***" in caplog.records[0].getMessage()


def test_a_mirror_whose_file_is_locked_waits_and_catches_up(
    whole: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database._PATIENCE, "sqlite", {"timeout": 0.05})
    url = URL.create("sqlite", database=str(tmp_path / "m.db"))
    once = URL.create("sqlite", database=str(tmp_path / "once.db"))
    growing = started(tmp_path / "growing", whole)
    thread = mirroring(growing, url)
    with followed(thread):
        grow(growing, whole.events()[:40])
        wait_for(lambda: not thread.trouble and len(_shown(url)) > 3, "the first trials")
        other = sqlite3.connect(tmp_path / "m.db")
        other.execute("BEGIN EXCLUSIVE")
        grow(growing, whole.events()[40:])
        wait_for(lambda: "database is locked" in thread.trouble, "the lock is met")
        other.rollback()
        other.close()
        wait_for(lambda: not thread.trouble, "it catches up")
    with followed(mirroring(whole, once)):
        pass
    assert contents(url) == contents(once)


def test_a_mirror_that_is_deleted_while_it_is_followed_is_made_anew(
    whole: StudyFolder, tmp_path: Path
) -> None:
    url = URL.create("sqlite", database=str(tmp_path / "m.db"))
    growing = started(tmp_path / "growing", whole)
    thread = mirroring(growing, url)
    with followed(thread):
        grow(growing, whole.events()[:90])
        wait_for(lambda: not thread.trouble and len(_shown(url)) > 3, "the first trials")
        storage = opened(url)
        storage.delete_study(storage.get_study_id_from_name("digits"))
        grow(growing, whole.events()[90:])
        wait_for(lambda: len(_shown(url)) == 18, "all trials")


def _shown(url: URL) -> list[str]:
    """What is there, once the follower has made its tables: two makers at once get in each other's
    way.
    """
    try:
        if not inspect(create_engine(url)).has_table("alembic_version"):  # the last one it makes
            return []
        return contents(url)
    except (KeyError, OSError):
        return []
