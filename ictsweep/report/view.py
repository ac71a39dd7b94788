"""What a report shows, as frozen plain data: the boundary between reading a study and drawing
it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ictsweep.records import Card, State
from ictsweep.study.noise import Comparison, SeedNoise
from ictsweep.study.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A value of a metric with its standard error (None where the log has none)."""

    value: float
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One evaluation on a learning curve: `kimg` images into its run, at N(k) = `levels` noise
    levels.
    """

    kimg: int
    scored: Scored
    levels: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """The learning curve of one training run of `run_kimg`: a rung's own run, or the only one of
    the trial.
    """

    run_kimg: int
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """One trial as the report shows it.

    `at_rung` maps each rung reached to its value of the minimised metric; `final` is the value
    at the full budget of a complete trial and nothing else; `others` are the final values of the
    metrics not minimised. `comparable` is False where a passport differs from the study's.
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
    kimg: int = 0
    train_s: float = 0.0
    evaluate_s: float = 0.0
    sample: Path | None = None
    sample_kimg: int = 0
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
    def searched(self) -> bool:
        """Whether it is a configuration other than trial 0 (neither it nor one of its
        replicates).
        """
        return self.number != 0 and self.replicate_of is None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A trial that reached the full budget: when (cumulative kimg trained in the study) and how
    well.
    """

    trial: int
    spent_kimg: int
    scored: Scored


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """A study as the report shows it. `metric` is the passport's name of the minimised value;
    `noise` the seed noise of trial 0; `best` the best searched trial with a final value;
    `comparison` the one against the other.
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

    def trial(self, number: int) -> TrialView:
        """The trial of that number."""
        return next(t for t in self.trials if t.number == number)

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
