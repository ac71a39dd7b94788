"""Logs with everything in them: retries, room that changes, departures, halts."""

import itertools
from typing import Any

from ictsweep.records import LOG_VERSION, Event
from tests.study.worlds import measured, spec


def story(**changes: Any) -> list[Event]:
    """Trials 0 to 2 of a study with rungs 4, 12, 36: 0 finishes, 1 runs out of memory once and
    goes on, 2 is stopped; the room shrinks, and the driver ends at its limit. 10 s between events.
    """
    study, clock = spec(**changes), itertools.count(1000, 10)

    def event(what: str, trial: int | None = None, /, **data: Any) -> Event:
        return Event(kind=what, time=float(next(clock)), trial=trial, data=data)

    def timed(found: Event) -> Event:
        return Event(kind=found.kind, time=float(next(clock)), trial=found.trial, data=found.data)

    def ask(trial: int, replicate_of: int | None = None) -> Event:
        return event("ask", trial, params={"a": 0.5}, seed=trial, replicate_of=replicate_of)

    def verdict(trial: int, rung: int, action: str, value: float | None, reason: str = "") -> Event:
        card = {
            "rung_kimg": rung, "value": value, "error": 0.1, "cutoff": None, "rank": None, "of": 0,
            "keep": 0, "reason": reason,
        }  # fmt: skip
        return event("verdict", trial, action=action, card=card)

    def leave(trial: int, seconds: float) -> Event:
        return event("leave", trial, seconds=seconds, gpus=2.0, phases={})

    def launch(trial: int, attempt: int = 0, halvings: int = 0) -> Event:
        return event("launch", trial, attempt=attempt, gpus=2.0, halvings=halvings)

    return [
        event("study", version=LOG_VERSION, slots=3),
        ask(0), ask(1, replicate_of=0), ask(2),
        launch(0), launch(1),
        timed(measured(study, 0, 4, 9.0)), verdict(0, 4, "continue", 9.0),
        event("fail", 1, kind="oom", message="out of memory", attempt=0), leave(1, 30.0),
        event("retry", 1, attempt=1, halvings=1, reason="oom (1 of at most 1 times)"),
        event("cluster", slots=2), launch(1, attempt=1, halvings=1),
        timed(measured(study, 0, 12, 8.0)), verdict(0, 12, "continue", 8.0),
        timed(measured(study, 0, 36, 7.5)), verdict(0, 36, "complete", 7.5, "trained to the end"),
        leave(0, 130.0), launch(2),
        timed(measured(study, 2, 4, 9.5)), verdict(2, 4, "stop", 9.5, "not among the best"),
        leave(2, 20.0),
        event("halt", kind="budget", reason="limits.max_hours: 0.06 of 0.05 hours are used"),
    ]  # fmt: skip
