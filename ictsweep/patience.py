"""How long a refusal that may pass is waited for: bounded, with growing pauses."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Tries again with pauses of `first_s`, twice that, ... at most `most_s`, for `total_s` seconds
    in all. Time is the monotonic clock's: a wall clock that jumps changes nothing.
    """

    total_s: float = 120.0
    first_s: float = 0.5
    most_s: float = 15.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def through(self, attempt: Callable[[], T], passing: Callable[[BaseException], bool]) -> T:
        """What `attempt` returns; its last exception, if that does not pass or time is over."""
        began, pause = self.clock(), self.first_s
        while True:
            try:
                return attempt()
            except Exception as error:
                if not passing(error) or self.clock() - began + pause > self.total_s:
                    raise
                _log.warning("%s: %s; tried again in %.1f s", type(error).__name__, error, pause)
            self.sleep(pause)
            pause = min(2 * pause, self.most_s)


RUNNING = Patience()  # a study has hours to lose
ASKING = Patience(total_s=8.0)  # somebody waits for a command's answer
