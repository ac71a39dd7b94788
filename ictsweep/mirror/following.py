"""Followers of a study's log: they work beside it in threads of their own, and nothing that
happens to them happens to the study.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

PACE_S = 1.0  # between two looks at the log
PAUSES_S = (1.0, 5.0, 20.0, 60.0)  # after the first, second ... failure in a row
FAREWELL_S = 90.0  # for what is still to be told at the end

log = logging.getLogger(__name__)


class Follower(Protocol):
    """Something derived from the log."""

    def catch_up(self) -> None: ...

    def close(self) -> None: ...


class Following(threading.Thread):
    """Keeps a follower at the log's end. When it fails, a new one is made after a pause, and starts
    by comparing; each new kind of trouble is said once. `trouble` is what keeps it behind now, and
    `remedy` the command that completes it later.
    """

    def __init__(self, what: str, make: Callable[[], Follower], remedy: str) -> None:
        super().__init__(daemon=True, name=f"following: {what}")
        self.what = what
        self.remedy = remedy
        self.trouble = "it has not begun"
        self._make = make
        self._follower: Follower | None = None
        self._leaving = threading.Event()
        self._said: set[str] = set()
        self._failures = 0

    def run(self) -> None:
        """Follow until asked to leave, then once more."""
        last = False
        while not last:
            last = self._leaving.is_set()
            self._step()
            if not last:
                pause = (
                    PAUSES_S[min(self._failures, len(PAUSES_S)) - 1] if self._failures else PACE_S
                )
                self._leaving.wait(pause)
        self._drop()

    def dismiss(self) -> None:
        """Let it catch up a last time and leave."""
        self._leaving.set()

    def await_end(self, patience_s: float = FAREWELL_S) -> None:
        """Wait until it has left, no longer than `patience_s`."""
        self.join(patience_s)
        if self.is_alive():
            self.trouble = f"it did not answer within {patience_s:g} s"

    def _step(self) -> None:
        try:
            if self._follower is None:
                self._follower = self._make()
            self._follower.catch_up()
        except Exception as error:  # whatever it is: the study goes on without
            self._failures += 1
            self.trouble = gist(error)
            if self.trouble not in self._said:
                self._said.add(self.trouble)
                log.warning("%s: %s; tried again later", self.what, self.trouble)
            self._drop()
        else:
            self._failures, self.trouble = 0, ""

    def _drop(self) -> None:
        follower, self._follower = self._follower, None
        if follower is not None:
            with contextlib.suppress(Exception):  # it is broken already
                follower.close()


@contextlib.contextmanager
def followed(*followings: Following) -> Iterator[None]:
    """Run them for as long as the block does; a second Ctrl-C does not wait for their last word."""
    for each in followings:
        each.start()
    waited_for = followings
    try:
        yield
    except KeyboardInterrupt:
        waited_for = ()
        raise
    finally:
        for each in followings:
            each.dismiss()
        for each in waited_for:
            each.await_end()


def gist(error: Exception) -> str:
    """The line that says what happened: databases add their whole statement to it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
