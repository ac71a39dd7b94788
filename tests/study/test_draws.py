"""The configurations that `check` shows are those that the study will try."""

import random
from pathlib import Path

import pytest

from ictsweep.records import Event
from ictsweep.study.draws import changes, first_drawn, random_trials
from ictsweep.study.engine import Engine
from ictsweep.study.forecast import chance, run_ahead
from ictsweep.study.memory import Memory
from ictsweep.study.preview import random_problems
from ictsweep.study.space import distributions, read_checked, resolve, starts
from ictsweep.study.spec import StudySpec, spec_from_dict
from tests.report.fixture import methods, space


def asked(spec: StudySpec, slots: int, seed: int) -> list[dict]:
    """What a study asks after trial 0's seeds, with results by chance."""
    engine = Engine(spec, starts(spec), Memory(spec, distributions(spec)))
    engine.apply(Event(kind="study", time=0.0, data={"slots": slots}))
    events = run_ahead(engine, chance(seed))
    return [e.data["params"] for e in events if e.kind == "ask"][spec.replicates :]


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("slots", [1, 4])
def test_what_is_shown_is_what_the_study_asks(slots: int, seed: int) -> None:
    spec = spec_from_dict(space(seed=seed, warm_start=[{}, {"network.dropout": 0.2}]))
    shown = first_drawn(spec, 3)
    assert shown[0]["network.dropout"] == 0.2
    assert asked(spec, slots, seed=random.Random(seed).randrange(99))[:3] == shown


def test_what_depends_on_results_is_not_shown() -> None:
    early = spec_from_dict(space(sampler={"name": "tpe", "startup_trials": 2}))
    assert len(first_drawn(early, 3)) == 1
    never = spec_from_dict(space(sampler={"name": "random", "startup_trials": 2}))
    assert asked(never, 2, seed=1)[:5] == first_drawn(never, 5)
    assert len(first_drawn(spec_from_dict(space(trials=2)), 3)) == 1


def test_differences_from_trial_0() -> None:
    spec = spec_from_dict(methods())
    params = {"method.preset": "gaf", "network.dropout": 0.1, "method.endpoint.share": 0.4}
    assert changes(spec, params) == {
        "method.preset": ("ict", "gaf"), "method.endpoint.share": (None, 0.4)
    }  # fmt: skip


def test_random_trials_are_of_the_space_and_the_same_each_time() -> None:
    spec = spec_from_dict(methods())
    found = random_trials(spec, 20)
    assert found == random_trials(spec, 20)
    assert len({params["method.preset"] for params in found}) == 3
    for params in found:
        resolve(spec, params)
    assert random_problems(spec) == []


def test_a_corner_of_three_axes_is_found_by_random_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_from_dict(space())
    from ictsweep.config import ConfigError
    from ictsweep.problems import Problem
    from ictsweep.study import preview

    def strict(spec: StudySpec, params: dict) -> None:
        if params["network.dropout"] > 0.3:
            raise ConfigError([Problem(("network", "dropout"), "too much")])

    monkeypatch.setattr(preview, "resolve", strict)
    (problem,) = random_problems(spec)
    assert str(problem).startswith("search: a random trial, with method.distance.c_scale ")
    assert str(problem).endswith("cannot be: network.dropout: too much; narrow one of these axes")


def test_the_published_spaces_have_no_impossible_trial() -> None:
    for path in (Path(__file__).parents[2] / "search_spaces").glob("*.yaml"):
        assert random_problems(read_checked(path)[0]) == []
