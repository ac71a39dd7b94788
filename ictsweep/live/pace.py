"""How long a study will still take, asked every second and computed seldom."""

import copy
import time
from dataclasses import replace

from ictsweep.records import Event
from ictsweep.study.engine import Engine
from ictsweep.study.forecast import MOST, NoSampler, chance, run_ahead
from ictsweep.study.order import misfit
from ictsweep.study.spec import StudySpec

_REST_S = 5.0  # between two forecasts at least
_SHARE = 0.02  # of the time, at most, is spent on forecasts
_DECISIONS = ("study", "cluster", "ask", "verdict", "retry")


class Pace:
    """The time left, from the pace of the running session and, for studies of at most MOST trials,
    the study's clock run ahead to its end; for larger ones, from how many trials have ended.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._engine = Engine(spec, [{}], NoSampler())
        self._ended = 0
        self._before = self._began = 0.0  # the clock, or the trials ended, when the session began
        self._stale = True
        self._forecast_at = self._cost_s = 0.0
        self._end: float | None = None

    def misfit(self, event: Event) -> str:
        """Why an event can be none of this log, as far as that is known here; "" if it can."""
        return misfit(self._engine, event) if self._small else ""

    def apply(self, event: Event) -> None:
        """Take one event in."""
        self._stale = self._stale or event.kind in _DECISIONS
        if event.kind == "study":
            self._before, self._began = self._progress(), event.time
        if event.kind == "verdict" and event.data["action"] != "continue":
            self._ended += 1
        if self._small:
            self._engine.apply(_bare(event))

    def left(self, now: float) -> float | None:
        """Seconds left at `now` (the log's time); None before the session has made any progress."""
        done = self._progress() - self._before
        if done <= 0:
            return None
        return max(0.0, (self._total() - self._progress()) * (now - self._began) / done)

    @property
    def _small(self) -> bool:
        return self._spec.total <= MOST

    def _progress(self) -> float:
        return self._engine.clock if self._small else float(self._ended)

    def _total(self) -> float:
        """What the progress will be at the study's end."""
        if not self._small:
            return float(self._spec.total)
        now = time.monotonic()
        rest = max(_REST_S, self._cost_s / _SHARE)
        if self._end is None or (self._stale and now - self._forecast_at > rest):
            self._end = self._ahead()
            self._stale, self._forecast_at = False, now
            self._cost_s = time.monotonic() - now
        return max(self._end, self._progress())

    def _ahead(self) -> float:
        """The clock at the study's end when ranks are a matter of chance."""
        engine = copy.deepcopy(self._engine)
        engine.slots = max(1, engine.slots)  # room that is gone now comes back
        run_ahead(engine, chance(self._spec.seed))
        return engine.clock


def _bare(event: Event) -> Event:
    """An event without what the engine does not look at, and memory would be full of."""
    if event.kind != "measure":
        return event
    return replace(event, data={**event.data, "passports": {}, "errors": {}, "spectrum": {}})
