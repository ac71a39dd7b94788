"""A process is asked to end by a signal: once to come to a good end, twice to end at once."""

import os
import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Notice:
    """Notes the first SIGINT or SIGTERM of this process, and leaves the next one to whoever took
    them before. Only a program's main thread may listen; elsewhere nothing is noted.
    """

    def __init__(self) -> None:
        self._given = False
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}

    @property
    def given(self) -> bool:
        """Whether notice was given."""
        return self._given

    def close(self) -> None:
        """Listen no more."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._given:
            self._given = True
        elif not _passed_on():
            self.close()
            signal.raise_signal(number)


def _passed_on() -> bool:
    """Whether a signal may be one that was noted already: torchrun passes on to its workers what a
    terminal has sent them as well. It ends them itself when they take longer than 30 s.
    """
    return "TORCHELASTIC_RUN_ID" in os.environ
