"""Scripted studies for tests: real engine, real Optuna, made-up learning curves, workers that
finish in any order.
"""

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import FloatDistribution

from ictsweep.records import Event, Measurement, State, measure_event
from ictsweep.study.engine import Engine
from ictsweep.study.engine import Sampler as Suggests
from ictsweep.study.memory import Memory
from ictsweep.study.spec import Axis, Resources, Sampler, Stopping, StudySpec

DISTRIBUTIONS = {"a": FloatDistribution(0.0, 1.0), "b": FloatDistribution(1e-3, 1.0, log=True)}


def spec(**changes: Any) -> StudySpec:
    """Ten configurations on rungs 4, 12, 36 kimg, two replicates of the baseline besides."""
    fields: dict[str, Any] = {
        "study": "scripted",
        "minimize": "fd",
        "seed": 3,
        "trial": {"budget_kimg": 36},
        "search": (
            Axis(path="a", low=0.0, high=1.0),
            Axis(path="b", low=1e-3, high=1.0, log=True),
        ),
        "trials": 10,
        "replicates": 3,
        "sampler": Sampler(startup_trials=4),
        "stopping": Stopping(first_rung_kimg=4, reduction=3, fidelity="short_run"),
        "resources": Resources(launch_kimg=2),
    }
    return StudySpec(**{**fields, **changes})


class Historian:
    """A sampler without Optuna, a hundred times faster: each suggestion is a hash of all that it
    was told, in order, so that one difference in its history changes every suggestion after it.
    """

    def __init__(self) -> None:
        self._history = hashlib.sha256()

    def suggest(self, number: int) -> dict[str, Any]:
        """Parameters that the history alone decides."""
        asked = self._history.copy()
        asked.update(repr(number).encode())
        digest = asked.digest()
        a, b = (int.from_bytes(digest[i : i + 6], "big") / 2**48 for i in (0, 6))
        return {"a": a, "b": 10.0 ** (3 * b - 3)}

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """Remember."""
        self._history.update(repr(("begin", number, sorted(params.items()))).encode())

    def recall(self, prior: Mapping[str, Any]) -> None:
        """Remember."""
        self._history.update(repr(("recall", sorted(prior.items()))).encode())

    def reopen(self, number: int) -> None:
        """Remember."""
        self._history.update(repr(("reopen", number)).encode())

    def observe(self, number: int, rung_kimg: int, value: float) -> None:
        """Remember."""
        self._history.update(repr(("observe", number, rung_kimg, value)).encode())

    def finish(self, number: int, state: State, value: float | None) -> None:
        """Remember."""
        self._history.update(repr(("finish", number, str(state), value)).encode())


def engine(study: StudySpec, sampler: Suggests | None = None) -> Engine:
    """An engine with a sampler (by default the real one)."""
    return Engine(study, [{"a": 0.5, "b": 0.1}], sampler or Memory(study, DISTRIBUTIONS))


def curve(params: Mapping[str, float], kimg: int) -> float:
    """What a trial scores after `kimg`; curves of different `a` cross."""
    return 20.0 * math.exp(-kimg / (5 + 30 * params["a"])) + 8 * abs(math.log10(params["b"]) + 2)


def score(params: Mapping[str, float], seed: int, rung: int) -> float:
    """A point of the learning curve, with seed noise."""
    return curve(params, rung) + random.Random(seed * 1000 + rung).gauss(0.0, 0.5)


def measured(study: StudySpec, trial: int, rung: int, value: float) -> Event:
    """The event of a trial measured at a rung."""
    run = rung if study.short_run else study.rungs[-1]
    return measure_event(
        trial,
        Measurement(
            run_kimg=run, kimg=rung, values={"fd": value}, errors={"fd": 0.1}, passports={"fd": {}},
            levels=11, loss=1.0, grad_norm=1.0, train_s=1.0, evaluate_s=0.1,
        ),
        0.0,
    )  # fmt: skip


class Workers:
    """The processes of a study's trials, as far as its log tells: who has what to report next."""

    def __init__(self, study: StudySpec, broken: Sequence[int] = ()) -> None:
        self._study = study
        self._broken = frozenset(broken)
        self._asked: dict[int, Event] = {}
        self._rung: dict[int, int] = {}  # the rung that each trial heads for, until it reports
        self._past: dict[int, int] = {}  # how many verdicts it has read

    def take(self, event: Event) -> None:
        """Learn of one event."""
        trial = event.trial
        if trial is None:
            return
        if event.kind == "ask":
            self._asked[trial], self._rung[trial], self._past[trial] = event, 0, 0
        elif event.kind in ("measure", "fail"):
            self._rung.pop(trial, None)
        elif event.kind == "retry":
            self._rung[trial] = self._past[trial]
        elif event.kind == "verdict" and event.data["action"] != "fail":
            self._past[trial] += 1
            if event.data["action"] == "continue":
                self._rung[trial] = self._past[trial]

    def busy(self) -> list[int]:
        """The trials that have something to report."""
        return sorted(self._rung)

    def report(self, trial: int) -> Event:
        """What a trial reports next, given only what it was told."""
        if trial in self._broken:
            data = {"kind": "error", "message": "boom"}
            return Event(kind="fail", time=0.0, trial=trial, data=data)
        ask, rung = self._asked[trial].data, self._study.rungs[self._rung[trial]]
        return measured(self._study, trial, rung, score(ask["params"], ask["seed"], rung))


def play(
    study: StudySpec,
    *,
    order: random.Random,
    log: Sequence[Event] = (),
    slots: int = 3,
    broken: Sequence[int] = (),
    sampler: Callable[[], Suggests | None] = lambda: None,
) -> list[Event]:
    """Run a study from a log to its end; `order` picks which worker reports next, `broken` trials
    fail at once. `sampler` makes what suggests (None: the real one).
    """
    mind, workers = engine(study, sampler()), Workers(study, broken)
    events: list[Event] = []

    def take(event: Event) -> None:
        events.append(event)
        mind.apply(event)
        workers.take(event)

    for event in log or [Event(kind="study", time=0.0, data={"slots": slots})]:
        take(event)
    while not mind.finished:
        while (decision := mind.due(0.0)) is not None:
            take(decision)
        if busy := workers.busy():
            take(workers.report(order.choice(busy)))
    return events


def decisions(events: Sequence[Event]) -> list[Event]:
    """The decisions of a log, in order."""
    return [e for e in events if e.kind in ("ask", "verdict")]
