"""A study as it stands, kept event by event: as much memory as it has trials, no more work than
there is news.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ictsweep.records import Action, Event, State
from ictsweep.study.spec import StudySpec
from ictsweep.study.spending import Meter

SHOWN = 14  # trials that a screen has room for


@dataclass
class Row:
    """One trial: `values` at the rungs it reached, what it is `doing` or why it ended; whether its
    processes are there.
    """

    number: int
    replicate_of: int | None
    state: State = State.RUNNING
    values: dict[int, float] = field(default_factory=dict)
    doing: str = "waits for a place"
    there: bool = False


class Board:
    """What a screen shows of a study. `slots` is the room for trials at once, `retries` counts
    launches after failures, `opened` is when the last session began (None before the first), and
    `halt` says why that session's driver stopped early, `refused` why no machine comes that it asks
    for; "" while that is not so.
    """

    def __init__(self, spec: StudySpec, events: Iterable[Event] = ()) -> None:
        self.spec = spec
        self.meter = Meter()
        self.slots = 0
        self.retries = 0
        self.opened: float | None = None
        self.halt = ""
        self.refused = ""
        self._rows: dict[int, Row] = {}
        self._running: dict[int, Row] = {}
        self._ended: deque[Row] = deque(maxlen=SHOWN)
        self._states: Counter[State] = Counter()
        self._best: tuple[float, int] | None = None
        for event in events:
            self.apply(event)

    @property
    def asked(self) -> int:
        """How many trials were asked."""
        return len(self._rows)

    @property
    def best(self) -> tuple[float, int] | None:
        """The best value at the full budget and its trial; the baseline's further seeds are no
        configurations. None before the first.
        """
        return self._best

    @property
    def running(self) -> int:
        """How many trials are under way."""
        return len(self._running)

    @property
    def finished(self) -> bool:
        """Whether all trials of the study were asked and have ended."""
        return self.asked >= self.spec.total and not self._running

    def count(self, state: State) -> int:
        """How many trials are in a state."""
        return self._states[state]

    def shown(self) -> list[Row]:
        """The running trials and, as far as there is room, those that ended last; by number."""
        room = max(0, SHOWN - len(self._running))
        ended = [*self._ended][-room:] if room else []
        return sorted([*ended, *self._running.values()], key=lambda row: row.number)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        self.meter.apply(event)
        match event.kind:
            case "study":
                self.slots, self.opened, self.halt = int(event.data["slots"]), event.time, ""
                self.refused = ""
            case "cluster":
                self.slots = int(event.data["slots"])
                self.refused = str(event.data.get("refused", ""))
            case "halt":
                self.halt = f"{event.data['kind']}: {event.data['reason']}"
            case "ask":
                self._ask(event.trial, event.data)
        if event.trial in self._rows and event.kind in _CHANGES:
            _CHANGES[event.kind](self, self._rows[event.trial], event.data)

    def _ask(self, number: int | None, data: Mapping[str, Any]) -> None:
        assert number is not None
        row = Row(number, data["replicate_of"])
        self._rows[number] = self._running[number] = row
        self._states[row.state] += 1

    def _launch(self, row: Row, data: Mapping[str, Any]) -> None:
        attempt = data.get("attempt", 0)
        row.doing = f"starts, attempt {attempt + 1}" if attempt else "starts"
        row.there = True

    def _measure(self, row: Row, data: Mapping[str, Any]) -> None:
        run, kimg = data["run_kimg"], data["kimg"]
        ends = run == kimg
        row.doing = f"done with {kimg} kimg" if ends else f"at {kimg} of {run} kimg"
        if kimg in self.spec.rungs and (ends or not self.spec.short_run):
            row.values.setdefault(kimg, data["values"][self.spec.minimize])

    def _fail(self, row: Row, data: Mapping[str, Any]) -> None:
        if row.state == State.RUNNING and row.there:
            row.doing = f"{data['kind']}: {data['message']}"
        row.there = False

    def _leave(self, row: Row, data: Mapping[str, Any]) -> None:
        if row.state == State.RUNNING and row.there:
            row.doing += "; left its machines"
        row.there = False

    def _retry(self, row: Row, data: Mapping[str, Any]) -> None:
        self.retries += 1
        self._move(row, State.RUNNING)
        row.doing = f"waits for its attempt {data['attempt'] + 1}: {data['reason']}"

    def _verdict(self, row: Row, data: Mapping[str, Any]) -> None:
        action, card = Action(data["action"]), data["card"]
        if action == Action.CONTINUE:
            row.doing = f"past {card['rung_kimg']} kimg"
            return
        self._move(row, action.state)
        row.doing = card["reason"]
        final = row.values.get(self.spec.rungs[-1])
        if row.state == State.COMPLETE and row.replicate_of is None and final is not None:
            scored = (final, row.number)
            if not math.isnan(final) and (self._best is None or scored < self._best):
                self._best = scored

    def _move(self, row: Row, state: State) -> None:
        self._states[row.state] -= 1
        self._states[state] += 1
        row.state = state
        self._running.pop(row.number, None)
        if row in self._ended:
            self._ended.remove(row)
        if state == State.RUNNING:
            self._running[row.number] = row
        else:
            self._ended.append(row)


_CHANGES = {
    "launch": Board._launch, "measure": Board._measure, "fail": Board._fail,
    "leave": Board._leave, "retry": Board._retry, "verdict": Board._verdict,
}  # fmt: skip
