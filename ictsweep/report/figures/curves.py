"""Learning curves: who was stopped, when, and was that fair?

Under short runs every rung is a run of its own, so each length gets its own panel and each curve
begins at its own start; values of different panels stand side by side but are never joined.
Trial 0 and its replicates appear as one band. Above some hundreds of trials, lines would hide each
other: then quantiles over the trials still in training, and the best trials as lines.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ictsweep.records import State
from ictsweep.report.format import scored
from ictsweep.report.theme import plain
from ictsweep.report.view import Run, StudyView, TrialView
from ictsweep.report.words import label, why

MANY_TRIALS = 300  # beyond this, quantiles and the best few
FEW = 20  # lines drawn then
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One run of one trial; `label` is the trial's state in a word, `mark` the text of its end
    where it ended here.
    """

    trial: int
    label: str
    run_kimg: int
    kimg: tuple[int, ...]
    values: tuple[float, ...]
    hover: tuple[str, ...]
    mark: str | None


@dataclass(frozen=True, kw_only=True)
class Band:
    """Trial 0 over its seeds in runs of one length: mean and standard deviation (0 where one
    seed has got) by kimg.
    """

    run_kimg: int
    kimg: tuple[int, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Where the searched trials lie in runs of one length: the LEVELS quantiles of those still in
    training, and how many these are, by kimg.
    """

    run_kimg: int
    kimg: tuple[int, ...]
    quantiles: tuple[tuple[float, ...], ...]
    alive: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class CurvesInfo:
    """What the picture needs: one panel per entry of `lengths`, rungs as marks on its axis.
    `spreads` are there, and `curves` the best few alone, where there are MANY_TRIALS.
    """

    metric: str
    lengths: tuple[int, ...]
    rungs: tuple[int, ...]
    curves: tuple[Curve, ...]
    bands: tuple[Band, ...]
    seeds: int
    best: int | None
    trials: int
    spreads: tuple[Spread, ...] = ()


def curves_info(view: StudyView) -> CurvesInfo:
    """The searched trials' curves, and trial 0's band."""
    rungs = view.spec.rungs
    shown = [t for t in view.trials if t.comparable]
    baseline = [t for t in shown if not t.searched and t.runs]
    searched = [t for t in shown if t.searched and t.runs]
    many = len(searched) > MANY_TRIALS
    lines = [t for t in view.standing() if t.searched and t.comparable and t.runs][:FEW]
    return CurvesInfo(
        metric=view.metric,
        lengths=rungs if view.spec.short_run else rungs[-1:],
        rungs=rungs,
        curves=tuple(_curve(t, run) for t in (lines if many else searched) for run in t.runs),
        bands=tuple(_bands(run for t in baseline for run in t.runs)),
        seeds=len(baseline),
        best=view.best,
        trials=len(searched),
        spreads=tuple(_spreads(run for t in searched for run in t.runs)) if many else (),
    )


def _spreads(runs: Iterable[Run]) -> Iterable[Spread]:
    for run_kimg, at in sorted(_by_time(runs).items()):
        kimg = tuple(sorted(at))
        yield Spread(
            run_kimg=run_kimg,
            kimg=kimg,
            quantiles=tuple(tuple(np.quantile(at[k], LEVELS).tolist()) for k in kimg),
            alive=tuple(len(at[k]) for k in kimg),
        )


def _by_time(runs: Iterable[Run]) -> dict[int, dict[int, list[float]]]:
    """Values by length of run and time in it."""
    values: dict[int, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for point in run.points:
            values[run.run_kimg][point.kimg].append(point.scored.value)
    return values


def _curve(trial: TrialView, run: Run) -> Curve:
    ended = trial.state != State.RUNNING and run is trial.runs[-1]
    return Curve(
        trial=trial.number,
        label=label(trial),
        run_kimg=run.run_kimg,
        kimg=tuple(p.kimg for p in run.points),
        values=tuple(p.scored.value for p in run.points),
        hover=tuple(
            f"trial {trial.number} ({label(trial)})<br>{scored(p.scored)} at {p.kimg:,} of "
            f"{run.run_kimg:,} kimg<br>N = {p.levels}"
            for p in run.points
        ),
        mark=f"trial {trial.number}<br>{_wrapped(why(trial))}" if ended else None,
    )


def _wrapped(text: str) -> str:
    return "<br>".join(plain(part) for part in text[:300].split(", "))


def _bands(runs: Iterable[Run]) -> Iterable[Band]:
    for run_kimg, at in sorted(_by_time(runs).items()):
        kimg = tuple(sorted(at))
        yield Band(
            run_kimg=run_kimg,
            kimg=kimg,
            mean=tuple(float(np.mean(at[k])) for k in kimg),
            sd=tuple(float(np.std(at[k], ddof=1)) if len(at[k]) > 1 else 0.0 for k in kimg),
        )
