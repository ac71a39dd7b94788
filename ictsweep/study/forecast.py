"""What a study will cost, by letting the engine run ahead on made-up results (no training, no
Optuna).
"""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ictsweep.records import Event, Measurement, State, measure_event
from ictsweep.study.engine import Engine
from ictsweep.study.spec import StudySpec

# Running ahead takes a second for some hundred trials, and far larger studies need no forecast to
# the kimg.
MOST = 300

Score = Callable[[int, int], float]


class NoSampler:
    """Suggests nothing and remembers nothing: for running ahead."""

    def suggest(self, number: int) -> dict[str, Any]:
        """No parameters."""
        return {}

    def recall(self, prior: Mapping[str, Any]) -> None:
        """Forget."""

    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """Forget."""

    def reopen(self, number: int) -> None:
        """Forget."""

    def observe(self, number: int, rung_kimg: int, value: float) -> None:
        """Forget."""

    def finish(self, number: int, state: State, value: float | None) -> None:
        """Forget."""


def run_ahead(engine: Engine, score: Score) -> list[Event]:
    """Run the study to its end with `score(trial, rung_kimg)` for every result still missing; the
    events of it.
    """
    events = []
    while not engine.finished:
        event = engine.due(0.0) or _scripted(engine, score)
        engine.apply(event)
        events.append(event)
    return events


def forecast(spec: StudySpec, slots: int, events: Iterable[Event] = ()) -> tuple[float, float]:
    """(kimg on the study's clock so far, kimg at its end) when ranks are a matter of chance.

    The clock counts one machine's training, so kimg left / kimg per second is the time left. Trials
    that improve as the sampler learns are stopped less often than chance has it: an estimate, a
    little low.
    """
    engine = Engine(spec, [{}], NoSampler())
    engine.apply(Event(kind="study", time=0.0, data={"slots": slots}))
    engine.replay(events)
    clock = engine.clock
    run_ahead(engine, chance(spec.seed))
    return clock, engine.clock


def trained_kimg(events: Iterable[Event]) -> float:
    """kimg of training in all the runs that a log measured (for a forecast: all that it will
    train).
    """
    longest: dict[tuple[int, int], int] = {}
    for event in events:
        if event.kind == "measure" and event.trial is not None:
            run = (event.trial, event.data["run_kimg"])
            longest[run] = max(longest.get(run, 0), event.data["kimg"])
    return float(sum(longest.values()))


def chance(seed: int) -> Score:
    """Results that mean nothing: ranks at random, the same for the same seed."""
    generator = random.Random(seed)
    return lambda trial, rung: generator.random()


def _scripted(engine: Engine, score: Score) -> Event:
    awaited = engine.awaited()
    assert awaited is not None
    number, rung = awaited
    spec = engine.spec
    measurement = Measurement(
        run_kimg=rung if spec.short_run else spec.rungs[-1],
        kimg=rung, values={spec.minimize: score(number, rung)}, errors={}, passports={},
        levels=0, loss=0.0, grad_norm=0.0, train_s=0.0, evaluate_s=0.0,
    )  # fmt: skip
    return measure_event(number, measurement, 0.0)
