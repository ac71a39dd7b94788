"""What a study has used: hours, GPU-hours, money. A fold over the event log.

A session lasts from its first event to its last; a launch uses its GPUs until its `leave`, or,
where nobody lived to record one, until the last thing that the session recorded. What a person
orders between two sessions belongs to neither.

A launch counts from when it was recorded: no fact says when its machines came. GPU-hours are
therefore too many by each launch's GPUs times its wait for machines, at most. Where none came at
all, its `leave` says so (0 GPUs) and nothing remains; where they came late, the wait stays, as a
part of the leave's `startup_s`; where its driver was killed, nobody puts it right.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ictsweep.records import Event
from ictsweep.study.retries import ASKED_FOR
from ictsweep.study.spec import Limits


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Hours that drivers ran, and GPU-hours that trials held (0 without GPUs)."""

    hours: float
    gpu_hours: float

    def cost(self, limits: Limits) -> float | None:
        """In the currency of the price; None without one."""
        price = limits.gpu_hour_price
        return None if price is None else self.gpu_hours * price


class Meter:
    """Counts what a study uses as its events come in."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._past_s = 0.0
        self._gpu_s = 0.0
        self._opened = self._last = 0.0
        self._running: dict[int, tuple[float, float]] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        if event.kind == "retry" and event.data.get("reason") == ASKED_FOR:
            return  # no driver was there
        if event.kind == "study":
            self._close()
            self._opened = self._last = event.time
        self._last = max(self._last, event.time)
        if event.trial is None:
            return
        if event.kind == "launch":
            self._running[event.trial] = (event.time, float(event.data.get("gpus", 0.0)))
        elif event.kind == "leave":
            self._running.pop(event.trial, None)
            self._gpu_s += event.data["seconds"] * event.data["gpus"]

    @property
    def last(self) -> float:
        """When the last session last recorded something, on the log's clock; 0 before the first."""
        return self._last

    def spent(self, now: float | None = None) -> Spent:
        """Used by `now` (seconds on the log's clock), or by the last event."""
        now = self._last if now is None else max(now, self._last)
        held = sum((now - since) * gpus for since, gpus in self._running.values())
        seconds = self._past_s + now - self._opened
        return Spent(hours=seconds / 3600, gpu_hours=(self._gpu_s + held) / 3600)

    def _close(self) -> None:
        """The session before ended with its last event, and all that ran in it."""
        self._past_s += self._last - self._opened
        self._gpu_s += sum((self._last - since) * gpus for since, gpus in self._running.values())
        self._running.clear()


def exceeded(spent: Spent, limits: Limits) -> str:
    """Which of the study's limits is reached, in a sentence; "" while none is."""
    cost = spent.cost(limits)
    if limits.max_hours is not None and spent.hours >= limits.max_hours:
        return f"limits.max_hours: {spent.hours:.2f} of {limits.max_hours:g} hours are used"
    if limits.max_gpu_hours is not None and spent.gpu_hours >= limits.max_gpu_hours:
        return (
            f"limits.max_gpu_hours: {spent.gpu_hours:.2f} of {limits.max_gpu_hours:g} GPU-hours "
            "are used"
        )
    if limits.max_cost is not None and cost is not None and cost >= limits.max_cost:
        return f"limits.max_cost: {cost:.2f} of {limits.max_cost:g} are spent"
    return ""
