"""Where the time of a launch goes."""

import contextlib
import time
from collections.abc import Iterator
from enum import StrEnum


class Phase(StrEnum):
    """What a trial's processes do, from their start to their end; the names are the log's."""

    STARTUP = "startup_s"  # all that is none of the others
    TRAIN = "train_s"
    EVALUATE = "evaluate_s"
    IDLE = "idle_s"  # waiting for a measurement's record, or for a verdict


class Clock:
    """Seconds of each phase since the clock was made, by one process's monotonic time.

    What lies in no phase counts as start-up: loading, restoring and leaving.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._spent = dict.fromkeys([Phase.TRAIN, Phase.EVALUATE, Phase.IDLE], 0.0)

    @contextlib.contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Count the time inside as that of a phase. Phases do not nest."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._spent[phase] += time.monotonic() - began

    def spent(self, seconds: float | None = None) -> dict[str, float]:
        """Seconds by phase's name; they add up to `seconds` (all that passed since the clock was
        made, when None).
        """
        whole = time.monotonic() - self._began if seconds is None else seconds
        rest = max(0.0, whole - sum(self._spent.values()))
        return {str(Phase.STARTUP): rest, **{str(k): v for k, v in self._spent.items()}}
