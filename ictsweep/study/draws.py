"""Configurations that a study will try, drawn before it runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ictsweep.records import Event
from ictsweep.study.configurations import value_at
from ictsweep.study.engine import Engine
from ictsweep.study.memory import Memory
from ictsweep.study.space import distributions, resolve, starts
from ictsweep.study.spec import Sampler, StudySpec

Params = Mapping[str, Any]


def first_drawn(spec: StudySpec, count: int) -> list[dict[str, Any]]:
    """The parameters of the first `count` configurations after trial 0, as the study will have
    them: its warm starts, then random ones of its seed. Fewer where those after depend on results.
    """
    known = spec.trials if spec.sampler.name == "random" else spec.sampler.startup_trials
    wanted = min(count, max(known, len(spec.warm_start)) - 1, spec.trials - 1)
    engine = Engine(spec, starts(spec), Memory(spec, distributions(spec)))
    engine.apply(Event(kind="study", time=0.0, data={"slots": spec.replicates + wanted}))
    asked = []
    while (event := engine.due(0.0)) is not None:
        engine.apply(event)
        asked.append(event.data["params"])
    return asked[spec.replicates :][:wanted]


def random_trials(spec: StudySpec, count: int) -> list[dict[str, Any]]:
    """`count` random points of the space, the same for the same study."""
    memory = Memory(replace(spec, sampler=Sampler(name="random")), distributions(spec))
    return [memory.suggest(number) for number in range(count)]


def changes(spec: StudySpec, params: Params) -> dict[str, tuple[Any, Any]]:
    """By dotted path, what a configuration has in place of trial 0's value: (trial 0's, its own).
    Trial 0's is None where it has no such value.
    """
    base = resolve(spec, {})
    found = {}
    for path, value in params.items():
        try:
            before = value_at(spec.trial, base, path)
        except AttributeError:
            before = None
        if before != value:
            found[path] = (before, value)
    return found
