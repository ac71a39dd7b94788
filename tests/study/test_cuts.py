"""A study of 64 trials, cut at every event: both fidelities, with a sampler whose every suggestion
shows its whole history.
"""

import random

import pytest

from ictsweep.records import State
from ictsweep.study.spec import Stopping
from tests.study.worlds import Historian, decisions, play, spec


@pytest.mark.parametrize("fidelity", ["short_run", "same_run"])
@pytest.mark.parametrize("slots", [1, 4])
def test_sixty_four_trials_cut_at_every_event_decide_the_same(fidelity, slots: int) -> None:
    study = spec(
        trials=64, stopping=Stopping(first_rung_kimg=4, reduction=3, fidelity=fidelity), seed=slots
    )
    whole = play(study, order=random.Random(0), slots=slots, sampler=Historian)
    assert len(decisions(whole)) > 2 * 66
    for cut in range(1, len(whole)):
        resumed = play(study, order=random.Random(cut), log=whole[:cut], sampler=Historian)
        assert decisions(resumed) == decisions(whole), f"cut after event {cut}"


def test_one_difference_in_its_history_changes_what_the_historian_suggests() -> None:
    def told(value: float, state: State = State.PRUNED) -> dict[str, float]:
        sampler = Historian()
        sampler.begin(0, {"a": 0.5, "b": 0.1})
        sampler.observe(0, 4, value)
        sampler.finish(0, state, None)
        assert sampler.suggest(1) == sampler.suggest(1)
        return sampler.suggest(1)

    assert told(1.0) == told(1.0)
    assert told(1.0) != told(1.0 + 1e-12)
    assert told(1.0) != told(1.0, State.FAILED)
    assert all(0.0 <= told(v)["a"] < 1.0 and 1e-3 <= told(v)["b"] < 1.0 for v in (0.0, 1.0, 2.0))
