"""What a report shows, as frozen plain data: the boundary between reading a study and drawing
it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ictsweep.records import Card, State
from ictsweep.study.noise import Comparison, SeedNoise
from ictsweep.study.spec import StudySpec
from ictsweep.study.spending import Spent

NOTHING = Spent(hours=0.0, gpu_hours=0.0)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A value of a metric with its standard error (None where the log has none). `below`: of no
    more samples than features, so comparable with no other.
    """

    value: float
    error: float | None = None
    below: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """One evaluation on a learning curve: `kimg` images into its run, at N(k) = `levels` noise
    levels, after `stage` completed steps of the curriculum (None where the log has none). `seconds`
    are those of training and evaluating since the point before.
    """

    kimg: int
    scored: Scored
    levels: int
    stage: int | None = None
    loss: float = math.nan
    grad_norm: float = math.nan
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """The learning curve of one training run of `run_kimg`: a rung's own run, or the only one of
    the trial. `spectrum` is its last evaluation's `Measurement.spectrum`.
    """

    run_kimg: int
    points: tuple[Point, ...]
    spectrum: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A sheet of samples: taken `kimg` images into a run of `run_kimg`, from the latents that all
    sheets share; a file by its name in the trial's folder.
    """

    run_kimg: int
    kimg: int
    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder / self.name


@dataclass(frozen=True, kw_only=True)
class Stint:
    """One launch of a trial's processes: from `start` to `end` (seconds since the epoch), on `gpus`
    in all; `phases` are seconds of startup_s, train_s, evaluate_s and idle_s, empty where nobody
    said. `ending` is how it ended: a kind of failure, "" for a quiet end, "running" for none yet.
    """

    start: float
    end: float
    gpus: float = 0.0
    halvings: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)
    ending: str = ""

    @property
    def seconds(self) -> float:
        """How long it held its machine."""
        return max(0.0, self.end - self.start)


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """One trial as the report shows it.

    `at_rung` maps each rung reached to its value of the minimised metric; `final` is the value
    at the full budget of a complete trial and nothing else; `others` are the final values of the
    metrics not minimised. `sheets` are its sample pictures, by run and time. `valueless` counts
    evaluations whose value is missing or not finite: they are in no figure. `comparable` is False
    where a passport differs from the study's.
    `configuration` is the whole of it where the search chooses parts of the trial, else None.
    """

    number: int
    replicate_of: int | None
    seed: int
    state: State
    params: Mapping[str, Any]
    runs: tuple[Run, ...] = ()
    at_rung: Mapping[int, Scored] = field(default_factory=dict)
    final: Scored | None = None
    others: Mapping[str, Scored] = field(default_factory=dict)
    cards: tuple[Card, ...] = ()
    reason: str = ""
    failures: tuple[str, ...] = ()
    retries: tuple[str, ...] = ()
    stints: tuple[Stint, ...] = ()
    asked: float | None = None
    kimg: int = 0
    train_s: float = 0.0
    evaluate_s: float = 0.0
    sample: Path | None = None
    sample_kimg: int = 0
    sheets: tuple[Sheet, ...] = ()
    valueless: int = 0
    comparable: bool = True
    configuration: Mapping[str, Any] | None = None

    @property
    def reached(self) -> int:
        """The last rung with a value, in kimg; 0 before the first."""
        return max(self.at_rung, default=0)

    @property
    def last(self) -> Scored | None:
        """The value at the last rung reached: not final unless the trial is complete."""
        return self.at_rung.get(self.reached)

    @property
    def held_s(self) -> float:
        """Seconds that its machines were held, start-up and waiting included where they are known;
        else those of training and evaluation.
        """
        used = self.train_s + self.evaluate_s
        return max(used, sum(s.seconds for s in self.stints)) if self.stints else used

    @property
    def searched(self) -> bool:
        """Whether it is a configuration other than trial 0 (neither it nor one of its
        replicates).
        """
        return self.number != 0 and self.replicate_of is None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A trial that reached the full budget: how well, and after how much of the whole study: kimg
    trained, seconds of training and evaluation over all trials, seconds on the clock, and trials
    ended.
    """

    trial: int
    spent_kimg: int
    scored: Scored
    spent_s: float = 0.0
    clock_s: float = 0.0
    ended: int = 0


@dataclass(frozen=True, kw_only=True)
class Halted:
    """A driver that stopped before the study's end."""

    time: float
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """A study as the report shows it. `metric` is the passport's name of the minimised value;
    `noise` the seed noise of trial 0; `best` the best searched trial with a final value;
    `comparison` the one against the other; `spent` what its limits count.
    """

    spec: StudySpec
    spec_yaml: str
    manifest: Mapping[str, Any]
    metric: str
    passport: Mapping[str, Any]
    mixed: tuple[str, ...]
    trials: tuple[TrialView, ...]
    steps: tuple[Step, ...]
    best: int | None
    noise: SeedNoise | None
    comparison: Comparison | None
    started: float | None
    updated: float | None
    halts: tuple[Halted, ...] = ()
    room: tuple[tuple[float, int], ...] = ()
    priors: int = 0
    gpus: float = 0.0
    spent: Spent = NOTHING

    @property
    def cost_unit(self) -> str:
        """What a trial's time is counted in."""
        return "GPU-hours" if self.gpus else "trial-hours"

    def cost(self, seconds: float) -> float:
        """Hours of `cost_unit` of so many seconds of one trial."""
        return seconds * (self.gpus or 1.0) / 3600

    def held(self) -> float:
        """`cost_unit` in which machines were held: start-up and waiting included where the log says
        when processes came and went, else training and evaluation alone.
        """
        return sum(self.cost(t.held_s) for t in self.trials)

    @property
    def paths(self) -> tuple[str, ...]:
        """The searched parameters, by dotted path."""
        return tuple(axis.path for axis in self.spec.search)

    @property
    def expected(self) -> int:
        """How many trials the study will have: its configurations and the further seeds of trial
        0.
        """
        return self.spec.total

    @property
    def finished(self) -> bool:
        """Whether every trial was asked and none runs."""
        running = self.states[State.RUNNING]
        return len(self.trials) >= self.expected and running == 0

    @property
    def states(self) -> dict[State, int]:
        """How many trials stand in each state, as in the log."""
        return {state: sum(t.state == state for t in self.trials) for state in State}

    @cached_property
    def _numbered(self) -> dict[int, TrialView]:
        return {t.number: t for t in self.trials}

    def trial(self, number: int) -> TrialView:
        """The trial of that number."""
        return self._numbered[number]

    def standing(self) -> list[TrialView]:
        """All trials in halving order: those that got furthest first, by value among equals;
        incomparable ones last.
        """
        return sorted(self.trials, key=_standing)

    def matched_rung(self, enough: int) -> tuple[int, list[TrialView]]:
        """The highest rung at which at least `enough` configurations have a value, with those
        trials.

        Values are comparable at one budget only. Where no rung has enough, the best attended one
        (the lower of equals). Replicates are left out: they are the same configuration.
        """
        at = {rung: self.measured_at(rung) for rung in self.spec.rungs}
        attended = [rung for rung in self.spec.rungs if len(at[rung]) >= enough]
        rung = attended[-1] if attended else max(self.spec.rungs, key=lambda r: (len(at[r]), -r))
        return rung, at[rung]

    def measured_at(self, rung: int) -> list[TrialView]:
        """The configurations (replicates left out) with a comparable value at a rung."""
        return [
            t for t in self.trials if rung in t.at_rung and t.comparable and t.replicate_of is None
        ]


def tried(trials: Iterable[TrialView]) -> int:
    """Searched configurations with at least one value: what the luckiest is the luckiest of."""
    return sum(t.searched and bool(t.runs) for t in trials)


def _standing(trial: TrialView) -> tuple[bool, int, float, int]:
    last = trial.last
    return (not trial.comparable, -trial.reached, last.value if last else 0.0, trial.number)
