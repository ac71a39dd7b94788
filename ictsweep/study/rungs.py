"""The stopping rule: asynchronous successive halving, stopping variant.

A rung is a budget in kimg. Of the n trials measured at a rung so far, the best max(1, floor(n /
reduction)) go on (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning",
arXiv:1810.05934, Algorithm 2; in the stopping variant a trial is judged once, on arrival). A value
counts at a rung only if it was taken at exactly that rung's budget.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

from ictsweep.records import Action, Card


class Rung:
    """The trials judged at one rung, best first: lower values before higher ones, of equals the
    earlier trial. Kept in order as they come, so that a verdict costs no more in a study of
    thousands.
    """

    def __init__(self) -> None:
        self._order: list[tuple[float, int]] = []

    def enter(self, trial: int, value: float) -> None:
        """`trial` was judged here with `value`."""
        insort(self._order, (value, trial))

    def judge(
        self,
        trial: int,
        rung_kimg: int,
        value: float,
        error: float | None,
        *,
        reduction: int,
        exempt: bool = False,
    ) -> tuple[Action, Card]:
        """The verdict on a trial that arrives with `value`, and why; the rung stays as it is.

        An `exempt` trial (the baseline, whose full-length value is needed) always goes on.
        """
        above = bisect_left(self._order, (value, trial))
        of = len(self._order) + 1
        keep = max(1, of // reduction)
        passes = above < keep
        card = Card(
            rung_kimg=rung_kimg,
            value=value,
            error=error,
            cutoff=_cutoff(self._order, value, above, keep),
            rank=above + 1,
            of=of,
            keep=keep,
            reason=_reason(passes, exempt),
        )
        return (Action.CONTINUE if passes or exempt else Action.STOP), card


def _cutoff(order: Sequence[tuple[float, int]], value: float, above: int, keep: int) -> float:
    """The worst value among the `keep` best, once `value` stands at place `above` (from 0)."""
    last = keep - 1
    if above > last:
        return order[last][0]
    return value if above == last else order[last - 1][0]


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
