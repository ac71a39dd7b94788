"""What a study knows, as frozen records and their JSON-lines form (standard library only).

The event log is the only truth: two kinds of facts (what happened) and two kinds of decisions (what
the study chose).

    study     fact      a driver opened the study: format version, slots, host, yardstick
    launch    fact      a trial's processes were started (again)
    measure   fact      a trial was evaluated: Measurement
    fail      fact      a trial's run ended without its measurement: kind, message
    ask       decision  a new trial: parameters, seed, what it replicates
    verdict   decision  at a rung: continue, stop, complete or fail, with its card

Decisions are a pure function of the events before them (study.engine), so a log cut at any event
leads to the same study.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

LOG_VERSION = 1


class State(StrEnum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class Action(StrEnum):
    """What a verdict tells a trial to do."""

    CONTINUE = "continue"
    STOP = "stop"
    COMPLETE = "complete"
    FAIL = "fail"

    @property
    def state(self) -> State:
        """Where it leaves the trial."""
        return {
            Action.CONTINUE: State.RUNNING, Action.STOP: State.PRUNED,
            Action.COMPLETE: State.COMPLETE, Action.FAIL: State.FAILED,
        }[self]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One evaluation of one trial.

    `run_kimg` is the length of the run it was taken in and `kimg` the images seen in that run, both
    in thousands: under `short_run` a rung is a complete run of its own, so equal `kimg` with
    different `run_kimg` are different things. `values`, `errors` (one standard error) and
    `passports` share their keys ("fd", "fd_2step"). `levels` is N and `stage` how many steps of the
    curriculum were complete at the last training step; `grad_cosine` compares the gradient in the
    run's precision with float32 at the beginning of that stage (None where they are the same).
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
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=True) + "\n"

    @staticmethod
    def from_line(line: str) -> "Event":
        """The event of a line written by `to_line`; ValueError if it is not one."""
        return Event(**json.loads(line))


def measure_event(trial: int, measurement: Measurement, time: float) -> Event:
    """The fact that a trial was evaluated."""
    return Event(kind="measure", time=time, trial=trial, data=asdict(measurement))


def ask_event(
    trial: int, params: Mapping[str, Any], seed: int, replicate_of: int | None, time: float
) -> Event:
    """The decision to try `params` (flat, by dotted path) with a training seed."""
    data = {"params": dict(params), "seed": seed, "replicate_of": replicate_of}
    return Event(kind="ask", time=time, trial=trial, data=data)


def verdict_event(trial: int, action: Action, card: Card, time: float) -> Event:
    """The decision taken on a trial at a rung."""
    data = {"action": str(action), "card": asdict(card)}
    return Event(kind="verdict", time=time, trial=trial, data=data)


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """Everything the log says of one trial; built by folding its events (`trials`)."""

    number: int
    params: Mapping[str, Any]
    seed: int
    replicate_of: int | None
    state: State
    asked: float
    launches: tuple[float, ...] = ()
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


def trials(events: "list[Event]") -> list[TrialRecord]:
    """The trials of a log, by number. A measurement repeated after a resume (same run, same kimg)
    counts once.
    """
    fields: dict[int, dict[str, Any]] = {}
    for event in events:
        if event.kind == "ask":
            assert event.trial is not None
            fields[event.trial] = {
                "number": event.trial, "asked": event.time, "state": State.RUNNING,
                "launches": [], "measurements": {}, "cards": [], **event.data,
            }  # fmt: skip
        elif event.trial is not None:
            _apply(fields[event.trial], event)
    return [_record(fields[number]) for number in sorted(fields)]


def _apply(trial: dict[str, Any], event: Event) -> None:
    if event.kind == "launch":
        trial["launches"].append(event.time)
    elif event.kind == "measure":
        measurement = Measurement(**event.data)
        trial["measurements"].setdefault((measurement.run_kimg, measurement.kimg), measurement)
    elif event.kind == "verdict":
        card = Card(**event.data["card"])
        trial["cards"].append(card)
        state = Action(event.data["action"]).state
        if state != State.RUNNING:
            trial.update(state=state, ended=event.time, reason=card.reason)


def _record(fields: dict[str, Any]) -> TrialRecord:
    ordered = tuple(fields["measurements"].values())
    lists = {"launches": tuple(fields["launches"]), "cards": tuple(fields["cards"])}
    return TrialRecord(**{**fields, **lists, "measurements": ordered})
