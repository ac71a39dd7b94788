"""A made-up study on disk: the engine takes every decision, a formula gives every value, so the
log is one that could have been.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ictsweep.records import LOG_VERSION, Event, Measurement, measure_event
from ictsweep.seeds import derive_seed
from ictsweep.study.conditions import taken
from ictsweep.study.engine import Engine
from ictsweep.study.forecast import NoSampler
from ictsweep.study.spec import StudySpec, spec_from_dict
from ictsweep.study.store import Log, StudyFolder

START = 1_790_000_000.0
DEFAULTS = {
    "method.distance.c_scale": 0.00054,
    "method.pairs.density.mean": -1.1,
    "method.pairs.density.std": 2.0,
    "method.pairs.steps.period": 0.125,
    "network.dropout": 0.1,
    "method.preset": "ict",
}
PASSPORT = {
    "metric": "digits Fréchet distance", "extractor": "classifier-64",
    "weights": "8f1c20aa91d3e7b5", "resize": "none", "dtype": "float32", "images": 1000,
    "latent_seed": 77, "steps": 1, "levels": [80.0], "ema": "sigma_rel 0.05",
    "reference": "1d6c5b0f9a2e4477",
}  # fmt: skip


def space(**changes: Any) -> dict[str, Any]:
    """A search space in its file's form, with top-level keys replaced."""
    return {
        "study": "digits", "minimize": "fd", "seed": 0,
        "trial": {
            "data": {"name": "digits"}, "network": {"preset": "tiny", "dropout": 0.1},
            "method": {"preset": "ict"}, "optimizer": {"name": "radam", "lr": 1e-3, "batch": 128},
            "ema": {"sigma_rel": 0.05}, "precision": "fp32", "budget_kimg": 288,
            "evaluate": {"every_kimg": 32, "images": 1000, "steps": [1, 2]},
        },
        "search": {
            "method.distance.c_scale": {"range": [1e-4, 3e-3], "log": True},
            "method.pairs.density.mean": {"range": [-2.0, -0.4]},
            "method.pairs.density.std": {"range": [1.2, 2.4]},
            "method.pairs.steps.period": {"range": [0.06, 0.25], "log": True},
            "network.dropout": {"range": [0.0, 0.5], "step": 0.05},
        },
        "trials": 16, "warm_start": [{}], "replicates": 3,
        "sampler": {"name": "tpe", "startup_trials": 6},
        "stopping": {"name": "asha", "first_rung_kimg": 32, "reduction": 3, "fidelity": "auto"},
        "resources": {"workers": 1, "launch_kimg": 64},
        **changes,
    }  # fmt: skip


def methods() -> dict[str, Any]:
    """A search space whose method is a choice: each has parameters that others have not."""
    search = {
        "method.preset": {"choices": ["ict", "gaf", "ect"]},
        "network.dropout": {"range": [0.0, 0.5], "step": 0.05},
        "method.pairs.density.mean": {"range": [-2.0, -0.4]},
        "method.distance.c_scale": {
            "range": [1e-4, 3e-3], "log": True, "when": {"method.preset": ["ict", "gaf"]}
        },
        "method.endpoint.share": {"range": [0.2, 0.8], "when": {"method.preset": "gaf"}},
        "method.endpoint.name": {
            "choices": ["data", "generated"], "when": {"method.preset": "ect"}
        },
    }  # fmt: skip
    return space(search=search, trials=24)


@dataclass(frozen=True, kw_only=True)
class Script:
    """What happens in the study: which trials fail or diverge (at their second rung), how much
    seeds scatter (log units), how much the configuration matters (1 as scripted, 0 not at all),
    whose passport is odd. `cut`: what ends a trial's launches before they measure anything, once
    each in turn. With `gpus` the log is one since version 2: it says when processes left and what
    their time went to.
    """

    fail: Mapping[int, str] = field(
        default_factory=lambda: {5: "bug: RuntimeError: shape mismatch"}
    )
    diverge: frozenset[int] = frozenset({13})
    scatter: float = 0.05
    effect: float = 1.0
    passports: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    pictures: bool = True
    cut: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    gpus: float = 0.0


def write_study(
    path: Path,
    spec: Mapping[str, Any] | None = None,
    script: Script | None = None,
    *,
    until: int | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> StudyFolder:
    """Write a study folder; `until` cuts the log after so many events, as a study under way has
    it.
    """
    script = script or Script()
    read = spec_from_dict(space() if spec is None else dict(spec))
    folder = StudyFolder.create(path, read)
    events = list(_events(read, script))[:until]
    with Log(folder) as log:
        log.append(events)
    folder.write_manifest(
        manifest or {"versions": {"python": "3.11.7", "torch": "2.15.0"}, "commit": "0f2a" * 10}
    )
    if script.pictures:
        _paint(folder, events)
    return folder


# the log -------------------------------------------------------------------------


def _events(spec: StudySpec, script: Script) -> Iterator[Event]:
    baseline = taken(spec.search, lambda axis: DEFAULTS.get(axis.path))
    engine = Engine(spec, [baseline], _Sampler(spec))
    clock = _Clock()
    facts = [
        Event(kind="study", time=START, data={"version": LOG_VERSION, "slots": 2, "host": "node"})
    ]
    params: dict[int, Mapping[str, Any]] = {}
    launched: dict[int, float] = {}
    while facts or not engine.finished:
        event = facts.pop(0) if facts else engine.due(clock.now)
        if event is None:
            facts = _next_facts(engine, spec, script, params, clock)
            continue
        if event.kind == "ask":
            assert event.trial is not None
            params[event.trial] = event.data["params"]
        if event.kind in ("ask", "retry"):
            facts = [_launch(event, script, clock), *facts]
        elif event.kind == "launch":
            launched[event.trial or 0] = event.time
        elif script.gpus and event.trial in launched and _ends(event):
            facts = [_leave(event, script, launched.pop(event.trial)), *facts]
        engine.apply(event)
        yield event


def _launch(event: Event, script: Script, clock: "_Clock") -> Event:
    """The launch that an `ask` or a `retry` leads to."""
    again = {key: event.data[key] for key in ("attempt", "halvings") if event.kind == "retry"}
    gpus = {"gpus": script.gpus} if script.gpus else {}
    data = {"attempt": 0, **again, **gpus}
    return Event(kind="launch", time=clock.now, trial=event.trial, data=data)


def _ends(event: Event) -> bool:
    """Whether a trial's processes go after this."""
    return event.kind == "fail" or (event.kind == "verdict" and event.data["action"] != "continue")


def _leave(event: Event, script: Script, launched: float) -> Event:
    """The end of a launch; who was killed did not say what its time went to."""
    seconds = event.time - launched
    shares = {"startup_s": 0.12, "train_s": 0.66, "evaluate_s": 0.14, "idle_s": 0.08}
    killed = event.kind == "fail" and event.data["kind"] in ("lost", "preempted")
    phases = {} if killed else {name: share * seconds for name, share in shares.items()}
    data = {"seconds": seconds, "gpus": script.gpus, "phases": phases}
    return Event(kind="leave", time=event.time, trial=event.trial, data=data)


@dataclass
class _Clock:
    now: float = START + 4

    def train(self, kimg: int) -> float:
        """Seconds pass: two trials at a time."""
        self.now += 0.11 * kimg
        return self.now


class _Sampler(NoSampler):
    """Suggests from anywhere in the ranges, by the trial's number alone."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec

    def suggest(self, number: int) -> dict[str, Any]:
        rng = random.Random(derive_seed(self._spec.seed, "suggest", number))
        return taken(self._spec.search, lambda axis: drawn(axis, rng))


def drawn(axis: Any, rng: random.Random) -> Any:
    """A value from anywhere on an axis."""
    if axis.choices is not None:
        return rng.choice(axis.choices)
    if axis.step:
        return round(
            axis.low + axis.step * rng.randint(0, round((axis.high - axis.low) / axis.step)), 10
        )
    share = rng.random()
    if axis.log:
        return float(axis.low * (axis.high / axis.low) ** share)
    return axis.low + share * (axis.high - axis.low)


def _next_facts(
    engine: Engine, spec: StudySpec, script: Script, params: Mapping[int, Any], clock: _Clock
) -> list[Event]:
    """What the trial that is due first reports on its way to its rung."""
    number = min(engine.to_train(), key=lambda n: (engine.flights[n].arrives, n))
    rung = engine.flights[number].rung
    kimg = spec.rungs[rung]
    before = engine.launch(number)[0]
    if before < len(script.cut.get(number, ())):
        return [_failure(engine, number, script.cut[number][before], clock.train(25))]
    if number in script.fail:
        return [_failure(engine, number, script.fail[number], clock.train(10))]
    if number in script.diverge and rung == 1:
        text = "diverged: loss inf, gradient norm nan at 51.2 kimg, N = 81"
        return [
            *_measures(number, spec, script, params[number], rung, clock, upto=32),
            _failure(engine, number, text, clock.now),
        ]
    return _measures(number, spec, script, params[number], rung, clock, upto=kimg)


def _failure(engine: Engine, number: int, text: str, time: float) -> Event:
    kind, message = text.split(": ", 1)
    data = {"kind": kind, "message": message, "attempt": engine.launch(number)[0]}
    return Event(kind="fail", time=time, trial=number, data=data)


def _measures(
    number: int,
    spec: StudySpec,
    script: Script,
    params: Mapping[str, Any],
    rung: int,
    clock: _Clock,
    *,
    upto: int,
) -> list[Event]:
    every = spec.trial["evaluate"]["every_kimg"]
    first = 0 if spec.short_run or rung == 0 else spec.rungs[rung - 1]
    run = spec.rungs[rung] if spec.short_run else spec.rungs[-1]
    return [
        measure_event(
            number, _measurement(number, run, kimg, params, script, spec), clock.train(every)
        )
        for kimg in range(first + every, upto + 1, every)
    ]


# the values ----------------------------------------------------------------------


def _measurement(
    number: int, run: int, kimg: int, params: Mapping[str, Any], script: Script, spec: StudySpec
) -> Measurement:
    rng = random.Random(derive_seed(spec.seed, "value", number, run, kimg))
    value = _truth(params, run, kimg, script.effect) * 2.718 ** rng.gauss(0, script.scatter)
    passport = {**PASSPORT, **script.passports.get(number, {})}
    return Measurement(
        run_kimg=run, kimg=kimg,
        values={"fd": value, "fd_2step": 0.8 * value},
        errors={"fd": 0.02 * value, "fd_2step": 0.015 * value},
        passports={"fd": passport, "fd_2step": {**passport, "steps": 2, "levels": [80.0, 0.821]}},
        levels=10 * 2 ** min(7, int(8 * kimg / run)) + 1, loss=0.02, grad_norm=0.4,
        train_s=(0.05 if script.gpus else 0.18) * kimg, evaluate_s=0.2 if script.gpus else 1.1,
        samples=f"samples/{run:06d}-{kimg:06d}.png", spectrum=spectrum_of(number),
        stage=min(7, int(8 * kimg / run)),
    )  # fmt: skip


def spectrum_of(number: int) -> Mapping[str, Sequence[float]]:
    """The loss by noise level as a trial's evaluations have it: more of it at higher levels,
    another one in each trial.
    """
    sigma = [float(f"{0.04 * 1.94**band:.4g}") for band in range(12) if band != 3]
    images = [3, 40, 210, 1150, 1300, 870, 640, 380, 110, 20, number + 1]
    return {"sigma": sigma, "images": images, "loss": [round(0.01 * s + number, 4) for s in sigma]}


def _truth(params: Mapping[str, Any], run: int, kimg: int, effect: float) -> float:
    """Better with length; period and density mean matter, the rest hardly."""
    period = params.get("method.pairs.steps.period", 0.125)
    mean = params.get("method.pairs.density.mean", -1.1)
    dropout = params.get("network.dropout", 0.1)
    penalty = 1.1 * np.log(period / 0.19) ** 2 + 0.8 * (mean + 0.7) ** 2 + 0.3 * abs(dropout - 0.05)
    return float((9 + 900 / run + 500 / kimg) * np.exp(effect * penalty))


# the pictures --------------------------------------------------------------------

_SEGMENTS = (
    "abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"
)  # fmt: skip
_STROKES: Mapping[str, tuple[slice, slice]] = {
    "a": (slice(1, 2), slice(2, 6)), "g": (slice(3, 4), slice(2, 6)),
    "d": (slice(6, 7), slice(2, 6)), "f": (slice(1, 4), slice(2, 3)),
    "b": (slice(1, 4), slice(5, 6)), "e": (slice(3, 7), slice(2, 3)),
    "c": (slice(3, 7), slice(5, 6)),
}  # fmt: skip


def painted(value: float) -> np.ndarray:
    """64 segment digits in a grid [64, 64], the noisier the worse the value."""
    rng = np.random.default_rng(0)
    tiles = np.zeros((64, 8, 8))
    for tile, digit in zip(tiles, rng.integers(10, size=64), strict=True):
        for stroke in _SEGMENTS[digit]:
            tile[_STROKES[stroke]] = 1.0
    noisy = tiles + rng.normal(size=tiles.shape) * min(0.5, value / 150)
    grid = noisy.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(64, 64)
    return (255 * grid.clip(0, 1)).astype(np.uint8)


def _paint(
    folder: StudyFolder, events: list[Event], paint: Callable[[float], np.ndarray] = painted
) -> None:
    last = {e.trial: e.data for e in events if e.kind == "measure"}
    for number, data in last.items():
        assert number is not None
        path = folder.trial_dir(number) / data["samples"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(paint(data["values"]["fd"])).save(path)
