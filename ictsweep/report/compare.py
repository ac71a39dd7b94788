"""Several studies side by side: only where their values may be compared."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ictsweep.errors import UserError
from ictsweep.report.axisnames import lies_on
from ictsweep.report.figures.edf import Edf
from ictsweep.report.figures.progress import ProgressInfo, progress_info
from ictsweep.report.format import count, plus_minus, scored
from ictsweep.report.health import amount
from ictsweep.report.passports import differences
from ictsweep.report.tied import SIGMAS, tied_with_best
from ictsweep.report.view import StudyView

FEWEST = 4  # trials of a best quarter whose middle half is shown


@dataclass(frozen=True, kw_only=True)
class Row:
    """One study in the table of results."""

    name: str
    folder: str
    best: str
    trial: int | None
    tied: int
    baseline: str
    trials: str
    cost: str
    budget_kimg: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The best of one study less the best of another, with a 95 % range (None where no error is
    known)."""

    left: str
    right: str
    value: float
    width: float | None

    @property
    def text(self) -> str:
        """In words."""
        lower, higher = (self.left, self.right) if self.value < 0 else (self.right, self.left)
        size = plus_minus(abs(self.value), self.width)
        if self.width is None:
            return f"{lower} is lower than {higher} by {size}; no error is known to judge it by"
        if abs(self.value) < self.width:
            return f"{self.left} and {self.right} are tied: {size} apart (95 %)"
        return f"{lower} is lower than {higher} by {size} (95 %)"


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Where the best quarter of each study lies on a parameter that all of them search: medians
    with the middle half, by study; of how many trials ("4 of 10 at 36 kimg").
    """

    path: str
    log: bool
    low: float
    high: float
    middles: tuple[tuple[str, float, float, float, str], ...]


@dataclass(frozen=True, kw_only=True)
class ComparisonInfo:
    """What the page of a comparison shows. `survivors`: at `rung_kimg` some study has only those
    that it let through.
    """

    metric: str
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    rung_kimg: int | None
    survivors: bool
    edfs: tuple[Edf | None, ...]
    progress: tuple[ProgressInfo, ...]
    threshold: float | None
    costs: tuple[float | None, ...]
    shifts: tuple[Shift, ...]
    notes: tuple[str, ...]


def comparison_info(views: Sequence[StudyView]) -> ComparisonInfo:
    """The comparison; UserError, naming what differs, where the values may not be compared."""
    check_comparable(views)
    names = tuple(_names(views))
    rung = _common_rung(views)
    progress = tuple(progress_info(view) for view in views)
    threshold = _threshold(progress)
    return ComparisonInfo(
        metric=views[0].metric,
        names=names,
        rows=tuple(_row(name, view) for name, view in zip(names, views, strict=True)),
        differences=tuple(_differences(names, views)),
        rung_kimg=rung,
        survivors=any(view.spec.rungs[0] != rung for view in views),
        edfs=tuple(_edf(view, rung) for view in views),
        progress=progress,
        threshold=threshold,
        costs=tuple(_cost_to(info, threshold) for info in progress),
        shifts=tuple(_shifts(names, views)),
        notes=tuple(_notes(names, views)),
    )


def check_comparable(views: Sequence[StudyView]) -> None:
    """UserError where passports differ in more than what a study searches."""
    first, *others = views
    called, *names = _names(views)
    for name, other in zip(names, others, strict=True):
        if not first.passport or not other.passport:
            none = first if not first.passport else other
            raise UserError(
                f"study {none.spec.study}: nothing was measured yet, so there is nothing to compare"
            )
        searched = {*first.paths, *other.paths}
        found = differences(other.passport, first.passport, searched)
        if found:
            raise UserError(
                f"studies {called} and {name} were measured in different "
                f"ways: {name} has {'; '.join(found)} ({called}). Their "
                "values may not be compared; `ictsweep rescore` measures kept checkpoints in "
                "another way."
            )


def _names(views: Sequence[StudyView]) -> Iterator[str]:
    """Names of studies, told apart where two are called the same."""
    seen: dict[str, int] = {}
    for view in views:
        name = view.spec.study
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} ({seen[name]})"


def _row(name: str, view: StudyView) -> Row:
    best = view.trial(view.best) if view.best is not None else None
    noise = view.noise
    baseline = "–" if noise is None else plus_minus(noise.mean, noise.sd or None)
    return Row(
        name=name, folder=view.spec.study, best=scored(best.final) if best else "–",
        trial=view.best, tied=max(0, len(tied_with_best(view)) - 1),
        baseline=f"{baseline} ({count(noise.seeds, 'seed')})" if noise else baseline,
        trials=count(len(view.trials), "trial"), cost=amount(view, view.held()),
        budget_kimg=view.spec.rungs[-1],
    )  # fmt: skip


def _differences(names: Sequence[str], views: Sequence[StudyView]) -> Iterator[Difference]:
    for (left, a), (right, b) in combinations(zip(names, views, strict=True), 2):
        if a.best is None or b.best is None:
            continue
        first, second = a.trial(a.best).final, b.trial(b.best).final
        assert first is not None
        assert second is not None
        sd = math.hypot(_sd(a, first.error), _sd(b, second.error))
        yield Difference(
            left=left, right=right, value=first.value - second.value,
            width=SIGMAS * sd if sd > 0 else None,
        )  # fmt: skip


def _sd(view: StudyView, error: float | None) -> float:
    seeds = view.noise.sd if view.noise is not None and view.noise.known else 0.0
    return max(seeds, error or 0.0)


def _common_rung(views: Sequence[StudyView]) -> int | None:
    """The highest budget at which every study has measured two configurations or more."""
    rungs = set.intersection(*(set(view.spec.rungs) for view in views))
    good = [r for r in rungs if all(len(view.measured_at(r)) > 1 for view in views)]
    return max(good, default=None)


def _edf(view: StudyView, rung: int | None) -> Edf | None:
    if rung is None:
        return None
    values = sorted(t.at_rung[rung].value for t in view.measured_at(rung))
    return Edf(rung_kimg=rung, values=tuple(values))


def _threshold(progress: Sequence[ProgressInfo]) -> float | None:
    """What every study reached: the worst of their bests."""
    bests = [info.best[-1][1] for info in progress if info.best]
    return max(bests) if len(bests) == len(progress) else None


def _cost_to(info: ProgressInfo, threshold: float | None) -> float | None:
    if threshold is None:
        return None
    return next((spent for spent, value in info.best if value <= threshold), None)


def _shifts(names: Sequence[str], views: Sequence[StudyView]) -> Iterator[Shift]:
    shared = [p for p in views[0].paths if all(p in view.paths for view in views[1:])]
    for path in shared:
        axes = [next(a for a in view.spec.search if a.path == path) for view in views]
        if any(axis.choices is not None for axis in axes):
            continue
        middles = [_middle(name, view, path) for name, view in zip(names, views, strict=True)]
        yield Shift(
            path=path, log=all(axis.log for axis in axes),
            low=min(float(axis.low or 0) for axis in axes),
            high=max(float(axis.high or 0) for axis in axes),
            middles=tuple(middle for middle in middles if middle is not None),
        )  # fmt: skip


def _middle(name: str, view: StudyView, path: str) -> tuple[str, float, float, float, str] | None:
    """(study, lower quartile, median, upper quartile, which trials) of the best quarter's values,
    or of the best FEWEST.
    """
    rung, trials = view.matched_rung(FEWEST)
    axis = next(axis for axis in view.spec.search if axis.path == path)
    having = sorted(
        (t for t in trials if lies_on(axis, t.params)), key=lambda t: t.at_rung[rung].value
    )
    best = having[: max(FEWEST, len(having) // 4)]
    if not best:
        return None
    values: Any = [float(t.params[path]) for t in best]
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    which = f"{len(best)} of {len(having)} at {rung:,} kimg"
    return name, float(low), float(middle), float(high), which


def _notes(names: Sequence[str], views: Sequence[StudyView]) -> Iterator[str]:
    budgets = {view.spec.rungs[-1] for view in views}
    if len(budgets) > 1:
        said = ", ".join(
            f"{n} {v.spec.rungs[-1]:,} kimg" for n, v in zip(names, views, strict=True)
        )
        yield f"The full budgets differ ({said}): a longer run is no better space."
    units = {view.cost_unit for view in views}
    if len(units) > 1:
        yield "Some studies ran on GPUs, others on CPUs: their hours are not the same hours."
    for name, view in zip(names, views, strict=True):
        if not view.finished:
            yield f"{name} is not finished: {len(view.trials):,} of {view.expected:,} trials."
