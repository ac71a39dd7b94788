"""The stopping rule: asynchronous successive halving, stopping variant, as pure functions.

A rung is a budget in kimg. Of the n trials measured at a rung so far, the best max(1, floor(n /
reduction)) go on (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning",
arXiv:1810.05934, Algorithm 2; in the stopping variant a trial is judged once, on arrival). A value
counts at a rung only if it was taken at exactly that rung's budget.
"""

from collections.abc import Mapping

from ictsweep.records import Action, Card


def judge(
    trial: int,
    rung_kimg: int,
    values: Mapping[int, float],
    error: float | None,
    *,
    reduction: int,
    exempt: bool = False,
) -> tuple[Action, Card]:
    """The verdict on `trial` at a rung below the budget, and why.

    `values` maps every trial measured at this rung so far, this one included, to its value (lower
    is better). An `exempt` trial (the baseline, whose full-length value is needed) always goes on.
    Ties favour the earlier trial.
    """
    ordered = sorted(values, key=lambda number: (values[number], number))
    keep = max(1, len(ordered) // reduction)
    rank = ordered.index(trial) + 1
    passes = rank <= keep
    card = Card(
        rung_kimg=rung_kimg,
        value=values[trial],
        error=error,
        cutoff=values[ordered[keep - 1]],
        rank=rank,
        of=len(ordered),
        keep=keep,
        reason=_reason(passes, exempt),
    )
    return (Action.CONTINUE if passes or exempt else Action.STOP), card


def _reason(passes: bool, exempt: bool) -> str:
    if exempt:
        return "the baseline is never stopped"
    return "among the best at this rung" if passes else "not among the best at this rung"


def ending(rung_kimg: int, value: float | None, error: float | None, reason: str) -> Card:
    """The card of a trial that ends without being compared: at its full budget, or because its run
    failed.
    """
    return Card(
        rung_kimg=rung_kimg,
        value=value,
        error=error,
        cutoff=None,
        rank=None,
        of=0,
        keep=0,
        reason=reason,
    )
