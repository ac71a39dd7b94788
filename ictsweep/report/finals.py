"""Every metric at the full budget, the best searched trial beside trial 0."""

from dataclasses import dataclass

import numpy as np

from ictsweep.report.format import plus_minus, scored
from ictsweep.report.table import rises
from ictsweep.report.view import Scored, StudyView, TrialView


@dataclass(frozen=True, kw_only=True)
class Final:
    """One metric: the best searched trial's value and trial 0's, with their intervals."""

    name: str
    best: str
    baseline: str
    minimised: bool
    rises: bool


def finals(view: StudyView) -> list[Final]:
    """The minimised metric first, then the same in more steps, then the rest."""
    best = view.trial(view.best) if view.best is not None else None
    seeds = [t for t in view.trials if not t.searched and t.final is not None and t.comparable]
    if best is None and not seeds:
        return []
    keys = {key for t in (*seeds, *([best] if best else [])) for key in t.others}
    kind = view.spec.minimize.partition("_")[0]
    others = sorted(keys, key=lambda key: (key.partition("_")[0] != kind, key))
    return [
        Final(
            name=key, best=scored(_final(best, key, view)) if best else "–",
            baseline=_over([s for t in seeds if (s := _final(t, key, view))]),
            minimised=key == view.spec.minimize, rises=rises(key),
        )
        for key in (view.spec.minimize, *others)
    ]  # fmt: skip


def _final(trial: TrialView, key: str, view: StudyView) -> Scored | None:
    return trial.final if key == view.spec.minimize else trial.others.get(key)


def _over(values: list[Scored]) -> str:
    """Mean and standard deviation over seeds; one seed's value with its evaluation error."""
    if len(values) < 2:
        return scored(values[0]) if values else "–"
    numbers = [s.value for s in values]
    return plus_minus(float(np.mean(numbers)), float(np.std(numbers, ddof=1)))
