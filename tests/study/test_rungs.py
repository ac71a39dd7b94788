"""A rung's verdicts against the rule written out: sort everything, cut off, look where the trial
stands.
"""

import random

import pytest

from ictsweep.records import Action
from ictsweep.study.rungs import Rung


def by_the_rule(values: dict[int, float], trial: int, reduction: int) -> tuple[Action, int, float]:
    """(what becomes of `trial`, its rank, the worst value that goes on) among all of `values`."""
    ordered = sorted(values, key=lambda number: (values[number], number))
    kept = ordered[: max(1, len(ordered) // reduction)]
    action = Action.CONTINUE if trial in kept else Action.STOP
    return action, ordered.index(trial) + 1, values[kept[-1]]


@pytest.mark.parametrize("reduction", [2, 3, 4])
def test_verdicts_are_those_of_the_rule_whatever_arrives(reduction: int) -> None:
    dice = random.Random(reduction)
    for _ in range(20):
        rung, values = Rung(), {}
        for trial in dice.sample(range(100), 60):
            values[trial] = float(dice.randrange(12))  # few values: many ties
            action, card = rung.judge(trial, 4, values[trial], None, reduction=reduction)
            assert (action, card.rank, card.cutoff) == by_the_rule(values, trial, reduction)
            assert (card.of, card.keep) == (len(values), max(1, len(values) // reduction))
            rung.enter(trial, values[trial])


def test_judging_changes_nothing_and_the_exempt_go_on() -> None:
    rung = Rung()
    rung.enter(0, 1.0)
    first = rung.judge(1, 4, 2.0, 0.1, reduction=2)
    assert first == rung.judge(1, 4, 2.0, 0.1, reduction=2)
    assert first[0] == Action.STOP
    action, card = rung.judge(1, 4, 2.0, 0.1, reduction=2, exempt=True)
    assert (action, card.rank, card.cutoff) == (Action.CONTINUE, 2, 1.0)
    assert card.reason == "the baseline is never stopped"
