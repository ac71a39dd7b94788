"""Ctrl-C, SIGTERM and SIGUSR1 (with which Slurm announces the end of a job): the first one asks,
the second one insists (standard library only).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Interruption:
    """What a person or a machine that is about to go has asked for.

    Outside a `patient` block, where there is nothing to be kept, a signal is a KeyboardInterrupt at
    once. Inside, the first one only sets `asked`, and whoever runs the block ends it in order; the
    second is a KeyboardInterrupt.
    """

    def __init__(self, screen: IO[str]) -> None:
        """What a first signal leads to is said on `screen`."""
        self.asked = False
        self._patient = False
        self._screen = screen

    def listen(self) -> None:
        """Take the signals of this process."""
        for number in _SIGNALS:
            signal.signal(number, self._heard)

    @contextmanager
    def patient(self) -> Iterator[None]:
        """A block that can end in order."""
        self._patient = True
        try:
            yield
        finally:
            self._patient = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._patient and not self.asked:
            self.asked = True
            self._screen.write(
                "leaving: running trials keep a checkpoint; once more leaves at once\n"
            )
            self._screen.flush()
            return
        raise KeyboardInterrupt
