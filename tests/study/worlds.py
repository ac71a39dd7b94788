"""Scripted studies for tests: real engine, real Optuna, made-up learning curves, workers that
finish in any order.
"""

import math
import random
from collections.abc import Sequence
from typing import Any

from optuna.distributions import FloatDistribution

from ictsweep.records import Event, Measurement, measure_event
from ictsweep.study.engine import Engine
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


def engine(study: StudySpec) -> Engine:
    """An engine with a real sampler."""
    return Engine(study, [{"a": 0.5, "b": 0.1}], Memory(study, DISTRIBUTIONS))


def score(params: dict[str, float], seed: int, rung: int) -> float:
    """A learning curve with seed noise; curves of different `a` cross."""
    noise = random.Random(seed * 1000 + rung).gauss(0.0, 0.5)
    return (
        20.0 * math.exp(-rung / (5 + 30 * params["a"]))
        + 8 * abs(math.log10(params["b"]) + 2)
        + noise
    )


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


def play(
    study: StudySpec,
    *,
    order: random.Random,
    log: Sequence[Event] = (),
    slots: int = 3,
    broken: Sequence[int] = (),
) -> list[Event]:
    """Run a study from a log to its end; `order` picks which worker reports next, `broken` trials
    fail at once.
    """
    mind = engine(study)
    events = list(log) or [Event(kind="study", time=0.0, data={"slots": slots})]
    mind.replay(events)

    def take(event: Event) -> None:
        events.append(event)
        mind.apply(event)

    while not mind.finished:
        while (decision := mind.due(0.0)) is not None:
            take(decision)
        arrivals = _arrivals(study, events, broken)
        if arrivals:
            take(order.choice(arrivals))
    return events


def _arrivals(study: StudySpec, events: Sequence[Event], broken: Sequence[int]) -> list[Event]:
    """What each worker would report next, given only what it was told."""
    arrivals = []
    for ask in (e for e in events if e.kind == "ask"):
        mine = [e for e in events if e.trial == ask.trial]
        verdicts = [e for e in mine if e.kind == "verdict"]
        reports = [e for e in mine if e.kind in ("measure", "fail")]
        if any(e.data["action"] != "continue" for e in verdicts) or len(reports) > len(verdicts):
            continue
        rung = study.rungs[len(verdicts)]
        if ask.trial in broken:
            data = {"kind": "error", "message": "boom"}
            arrivals.append(Event(kind="fail", time=0.0, trial=ask.trial, data=data))
        else:
            value = score(ask.data["params"], ask.data["seed"], rung)
            arrivals.append(measured(study, ask.trial, rung, value))
    return arrivals


def decisions(events: Sequence[Event]) -> list[Event]:
    """The decisions of a log, in order."""
    return [e for e in events if e.kind in ("ask", "verdict")]
