"""Suggestions are a function of the history alone: none repeats, none is skipped after a resume."""

from ictsweep.records import State
from ictsweep.study.memory import Memory
from tests.study.worlds import DISTRIBUTIONS, spec


def filled(trials: int) -> Memory:
    """A memory of finished trials; the better, the nearer `a` is to 0.5."""
    memory = Memory(spec(seed=1), DISTRIBUTIONS)
    for number in range(trials):
        params = memory.suggest(number)
        memory.begin(number, params)
        memory.observe(number, 4, abs(params["a"] - 0.5))
        memory.finish(number, State.PRUNED, None)
    return memory


def test_no_two_suggestions_are_equal_and_the_history_decides_them() -> None:
    suggested = [tuple(trial.params.values()) for trial in filled(8).trials().values()]
    assert len(set(suggested)) == 8
    assert suggested == [tuple(trial.params.values()) for trial in filled(8).trials().values()]


def test_a_resumed_memory_suggests_what_the_old_one_would_have() -> None:
    old, resumed = filled(6), Memory(spec(seed=1), DISTRIBUTIONS)
    for number, trial in old.trials().items():
        resumed.begin(number, trial.params)
        resumed.observe(number, 4, trial.intermediate_values[4])
        resumed.finish(number, State.PRUNED, None)
    assert resumed.suggest(6) == old.suggest(6)
    assert old.suggest(6) == old.suggest(6)


def test_optuna_is_told_the_truth() -> None:
    memory = Memory(spec(seed=1), DISTRIBUTIONS)
    for number, (state, value) in enumerate(
        [(State.COMPLETE, 3.0), (State.PRUNED, None), (State.FAILED, None)]
    ):
        memory.begin(number, {"a": 0.5, "b": 0.1})
        if state != State.FAILED:
            memory.observe(number, 12, 3.0 + number)
        memory.finish(number, state, value)
    told = memory.trials()
    assert [told[n].state.name for n in range(3)] == ["COMPLETE", "PRUNED", "FAIL"]
    assert [told[n].value for n in range(3)] == [3.0, 4.0, None]
    assert [told[n].intermediate_values for n in range(3)] == [{12: 3.0}, {12: 4.0}, {}]
