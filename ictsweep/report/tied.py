"""Which trials cannot be told from the best: a single best of many close ones is a lucky one."""

import math

from ictsweep.report.view import Scored, StudyView

SIGMAS = 1.96  # of a difference: beyond it, 95 % sure of a pair taken by itself


def tied_with_best(view: StudyView) -> tuple[int, ...]:
    """The searched trials at the full budget whose value differs from the best one's by less than
    SIGMAS standard deviations of a difference, the best itself first.

    Each value's deviation is the larger of its evaluation error and trial 0's spread over seeds,
    which contains such errors. Nothing is said (empty) where neither is known.
    """
    if view.best is None:
        return ()
    best = view.trial(view.best).final
    assert best is not None
    seeds = view.noise.sd if view.noise is not None and view.noise.known else 0.0
    tied = []
    for trial in view.trials:
        if trial.searched and trial.comparable and trial.final is not None:
            width = math.hypot(_sd(best, seeds), _sd(trial.final, seeds))
            if width > 0 and trial.final.value - best.value < SIGMAS * width:
                tied.append((trial.final.value, trial.number))
    return tuple(number for _, number in sorted(tied))


def _sd(scored: Scored, seeds: float) -> float:
    error = scored.error
    return max(seeds, error if error is not None and math.isfinite(error) else 0.0)
