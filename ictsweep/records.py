"""What a study knows, as frozen records and their JSON-lines form (standard library only).

The event log is the only truth: facts (what happened) and decisions (what the study chose).

    study     fact      a driver opened the study: format version, slots, host, spec, yardstick
    prior     fact      a result of an older study that this one starts from
    cluster   fact      the room on the cluster changed, or whether machines that are asked for
                        come: slots, refused (why not; left out where they do)
    launch    fact      a trial's processes were started (again): attempt, gpus, halvings
    measure   fact      a trial was evaluated: Measurement
    fail      fact      a trial's run ended without its measurement: kind (Failure), message
    leave     fact      a trial's processes are gone: seconds, gpus, phases
    halt      fact      the driver stopped before the study's end: kind (Halt), reason
    ask       decision  a new trial: parameters, seed, what it replicates
    verdict   decision  at a rung: continue, stop, complete or fail, with its card
    retry     decision  a failed trial is to be launched again: attempt, halvings, reason

Decisions are a pure function of the events before them (study.engine), so a log cut at any event
leads to the same study. Earlier versions are read as they are: version 1 had no prior, cluster,
leave, halt and retry; version 2 had no spectrum in a measure, and its sessions began to count
failures anew even where the one before had crashed. A study goes on in the version of today: what
holds for a session is what its own study event says.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from ictsweep.states import Action, Failure, Halt, State

__all__ = [
    "LOG_VERSION", "READ_VERSIONS", "Action", "Card", "Event", "Failed", "Failure", "Halt",
    "Launch", "Leave", "Ledger", "Measurement", "State", "TrialRecord", "ask_event",
    "measure_event", "retry_event", "trials", "verdict_event",
]  # fmt: skip

LOG_VERSION = 3
READ_VERSIONS = (1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One evaluation of one trial.

    `run_kimg` is the length of the run it was taken in and `kimg` the images seen in that run, both
    in thousands: under `short_run` a rung is a complete run of its own, so equal `kimg` with
    different `run_kimg` are different things. `values`, `errors` (one standard error) and
    `passports` share their keys ("fd", "fid_2step", "precision"). `levels` is N and `stage` how
    many steps of the curriculum were complete at the last training step; `grad_cosine` compares the
    gradient in the run's precision with float32 at the beginning of that stage (None where they are
    the same). `spectrum` tells, of each band of noise levels that was trained on since the
    evaluation before, its middle (`sigma`), the `images` and their mean `loss`; empty in logs of
    earlier versions.
    """

    run_kimg: int
    kimg: int
    values: Mapping[str, float]
    errors: Mapping[str, float]
    passports: Mapping[str, Mapping[str, Any]]
    levels: int
    loss: float
    grad_norm: float
    train_s: float
    evaluate_s: float
    samples: str | None = None
    stage: int | None = None
    grad_cosine: float | None = None
    spectrum: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def ends_run(self) -> bool:
        """Whether this is the last measurement of its run."""
        return self.kimg == self.run_kimg


@dataclass(frozen=True, kw_only=True)
class Card:
    """Why a rung decided as it did. `rank` counts from 1 (best) among `of` trials measured at the
    rung so far, of which the best `keep` go on; `cutoff` is the worst value among those kept.
    `value` is None when the run gave none.
    """

    rung_kimg: int
    value: float | None
    error: float | None
    cutoff: float | None
    rank: int | None
    of: int
    keep: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the log. `time` is seconds since the epoch (information only: nothing decides on
    it); `data` holds the fields of its kind in JSON types.
    """

    kind: str
    time: float
    trial: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """The event as one JSON line, newline included."""
        return json.dumps(vars(self), separators=(",", ":"), allow_nan=True) + "\n"

    @staticmethod
    def from_line(line: str) -> "Event":
        """The event of a line written by `to_line`; ValueError if it is not one."""
        return Event(**json.loads(line))


def measure_event(trial: int, measurement: Measurement, time: float) -> Event:
    """The fact that a trial was evaluated."""
    return Event(kind="measure", time=time, trial=trial, data=dict(vars(measurement)))


def ask_event(
    trial: int, params: Mapping[str, Any], seed: int, replicate_of: int | None, time: float
) -> Event:
    """The decision to try `params` (flat, by dotted path) with a training seed."""
    data = {"params": dict(params), "seed": seed, "replicate_of": replicate_of}
    return Event(kind="ask", time=time, trial=trial, data=data)


def verdict_event(trial: int, action: Action, card: Card, time: float) -> Event:
    """The decision taken on a trial at a rung."""
    data = {"action": str(action), "card": dict(vars(card))}
    return Event(kind="verdict", time=time, trial=trial, data=data)


def retry_event(trial: int, attempt: int, halvings: int, reason: str, time: float) -> Event:
    """The decision to launch a failed trial again, its micro-batch halved `halvings` times."""
    data = {"attempt": attempt, "halvings": halvings, "reason": reason}
    return Event(kind="retry", time=time, trial=trial, data=data)


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A start of a trial's processes: when (seconds since the epoch), the how-manieth attempt
    (from 0), on how many GPUs in all, its micro-batch halved how often.
    """

    time: float
    attempt: int = 0
    gpus: float = 0.0
    halvings: int = 0


@dataclass(frozen=True, kw_only=True)
class Leave:
    """The end of a launch: when, after how many seconds, on how many GPUs in all; `phases` are
    seconds of startup_s, train_s, evaluate_s and idle_s (empty when nobody lived to say it).
    """

    time: float
    seconds: float
    gpus: float
    phases: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """One failure of a trial: its kind (Failure, or "error" in logs of version 1), what it said,
    and during which attempt.
    """

    time: float
    kind: str
    message: str
    attempt: int = 0


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """Everything the log says of one trial; built by folding its events (`Ledger`).

    `attempts` counts the retries decided so far; `halvings` is the last one's.
    """

    number: int
    params: Mapping[str, Any]
    seed: int
    replicate_of: int | None
    state: State
    asked: float
    launches: tuple[Launch, ...] = ()
    leaves: tuple[Leave, ...] = ()
    failures: tuple[Failed, ...] = ()
    attempts: int = 0
    halvings: int = 0
    ended: float | None = None
    measurements: tuple[Measurement, ...] = ()
    cards: tuple[Card, ...] = ()
    reason: str = ""

    def at_rung(self, rung_kimg: int, *, short_run: bool) -> Measurement | None:
        """The measurement that counts at a rung: the end of the rung's own run, or the rung's point
        of the one run.
        """
        for m in self.measurements:
            if m.kimg == rung_kimg and (m.ends_run or not short_run):
                return m
        return None


def trials(events: Iterable[Event]) -> list[TrialRecord]:
    """The trials of a log, by number."""
    return Ledger(events).trials()


class Ledger:
    """The trials of a log, kept as its events come in: taking one in costs nothing, and a trial's
    record is made when it is asked for, once until its next event.

    A measurement repeated after a resume (same run, same kimg) counts once.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._events: dict[int, list[Event]] = {}
        self._records: dict[int, TrialRecord] = {}
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        if event.trial is None or event.kind == "prior":
            return
        if event.kind == "ask":
            self._events[event.trial] = []
        self._events[event.trial].append(event)
        self._records.pop(event.trial, None)

    def trial(self, number: int) -> TrialRecord:
        """One trial as it stands."""
        if number not in self._records:
            self._records[number] = _record(self._events[number], number)
        return self._records[number]

    def trials(self) -> list[TrialRecord]:
        """All trials as they stand, by number."""
        return [self.trial(number) for number in sorted(self._events)]


def _record(events: Iterable[Event], number: int) -> TrialRecord:
    first, *rest = events
    asked = TrialRecord(number=number, asked=first.time, state=State.RUNNING, **first.data)
    told = reduce(_after, (event for event in rest if event.kind != "measure"), asked)
    return replace(told, measurements=_measurements(rest))


def _measurements(events: Iterable[Event]) -> tuple[Measurement, ...]:
    """In the log's order, the first one of each place: most of a log, so in one go."""
    found: dict[tuple[int, int], Measurement] = {}
    for event in events:
        if event.kind == "measure":
            found.setdefault(
                (event.data["run_kimg"], event.data["kimg"]), Measurement(**event.data)
            )
    return tuple(found.values())


def _after(trial: TrialRecord, event: Event) -> TrialRecord:
    data, time = event.data, event.time
    match event.kind:
        case "launch":
            launch = Launch(time=time, **data)
            return replace(trial, launches=(*trial.launches, launch))
        case "leave":
            return replace(trial, leaves=(*trial.leaves, Leave(time=time, **data)))
        case "fail":
            return replace(trial, failures=(*trial.failures, Failed(time=time, **data)))
        case "retry":
            return replace(
                trial, state=State.RUNNING, ended=None, reason="",
                attempts=data["attempt"], halvings=data["halvings"],
            )  # fmt: skip
        case "verdict":
            return _judged(trial, Action(data["action"]), Card(**data["card"]), time)
    return trial


def _judged(trial: TrialRecord, action: Action, card: Card, time: float) -> TrialRecord:
    trial = replace(trial, cards=(*trial.cards, card))
    if action == Action.CONTINUE:
        return trial
    return replace(trial, state=action.state, ended=time, reason=card.reason)
