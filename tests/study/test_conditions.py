"""Axes that only some trials have: who has them, what is asked, what is written, what begins."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import create_trial

from ictsweep.config import ConfigError
from ictsweep.consistency import METHODS, SquareRoot
from ictsweep.errors import UserError
from ictsweep.records import Event, State
from ictsweep.study.axes import Axis, Condition, axis_to_dict, read_axes
from ictsweep.study.conditions import contexts, taken
from ictsweep.study.engine import Engine
from ictsweep.study.forecast import run_ahead
from ictsweep.study.memory import Memory
from ictsweep.study.space import distributions, overridden, read_checked, resolve, starts
from ictsweep.study.spec import StudySpec, spec_from_dict, spec_to_dict
from tests.study.test_space import BASE

SEARCH = """\
search:
  method.preset: {choices: [ict, gaf, sct_ict, ect]}
  method.pairs.steps.name: {choices: [doubling, square_root], when: {method.preset: [ict, gaf]}}
  method.pairs.steps.period:
    {range: [0.06, 0.25], log: true, when: {method.pairs.steps.name: doubling}}
  method.pairs.steps.q: {range: [1.5, 4], when: {method.preset: ect}}
  method.endpoint.share: {range: [0.2, 0.8], when: {method.preset: gaf}}
  method.path.references: {range: [2, 1024], log: true, when: {method.preset: sct_ict}}
  network.dropout: {range: [0, 0.5], step: 0.05}
"""
STARTS = "warm_start: [{}, {method.preset: gaf, method.endpoint.share: 0.3}, {method.preset: ect}]"


def text(search: str = SEARCH, starts: str = STARTS) -> str:
    """The base file with a search of its own."""
    head, rest = BASE.split("search:\n")
    _, tail = rest.split("\n\n")
    return f"{head}{search}\n{tail}".replace("warm_start: [{}, {network.dropout: 0.2}]", starts)


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    path = tmp_path / "space.yaml"
    path.write_text(text())
    return read_checked(path)[0]


def axis(path: str, *choices: Any, **when: Any) -> Axis:
    conditions = [
        Condition(path=p, values=v if isinstance(v, tuple) else (v,)) for p, v in when.items()
    ]
    if choices:
        return Axis(path=path, choices=choices, when=tuple(conditions))
    return Axis(path=path, low=0, high=1, when=tuple(conditions))


A = axis("a", "x", "y", "z")
B = axis("b", 1, 2, a=("x", "y"))
C = axis("c", b=2)
D = axis("d", a="z")
ALL = [A, B, C, D]


@pytest.mark.parametrize(
    ("values", "has"),
    [
        ({"a": "x", "b": 1}, "ab"),
        ({"a": "x", "b": 2}, "abc"),
        ({"a": "z", "b": 2}, "ad"),  # b is not there, whatever it would be: so is c
    ],
)
def test_a_trial_has_the_axes_whose_conditions_hold(values: dict[str, Any], has: str) -> None:
    assert "".join(taken(ALL, lambda axis: values.get(axis.path, 0.5))) == has


def test_true_is_not_one() -> None:
    assert not Condition(path="a", values=(1,)).holds({"a": True})
    assert not Condition(path="a", values=(1,)).holds({})
    assert Condition(path="a", values=(0, 1)).holds({"a": 1})


@pytest.mark.parametrize(
    ("among", "expected"),
    [
        ([A], [{}]),
        ([B], [{"a": "x"}, {"a": "y"}]),
        ([C], [{"a": "x", "b": 2}, {"a": "y", "b": 2}]),
        ([A, B], [{"a": "x"}, {"a": "y"}]),
        ([C, D], []),  # never together
    ],
)
def test_contexts_are_the_choices_under_which_a_trial_has_axes(
    among: list[Axis], expected: list[dict[str, Any]]
) -> None:
    assert list(contexts(ALL, among)) == expected


def test_conditions_are_written_as_they_are_read(spec: StudySpec) -> None:
    written = spec_to_dict(spec)["search"]
    assert written["method.endpoint.share"] == {
        "range": [0.2, 0.8], "when": {"method.preset": ["gaf"]}
    }  # fmt: skip
    assert read_axes(written) == (spec.search, [])
    assert spec_from_dict(spec_to_dict(spec)) == spec
    assert axis_to_dict(A) == {"choices": ["x", "y", "z"]}


def test_the_study_begins_with_what_each_trial_has(spec: StudySpec) -> None:
    """What an entry leaves out is what the trial block has under the entry's choices."""
    assert starts(spec) == (
        {
            "method.preset": "ict", "method.pairs.steps.name": "doubling",
            "method.pairs.steps.period": 0.125, "network.dropout": 0.1,
        },
        {
            "method.preset": "gaf", "method.pairs.steps.name": "doubling",
            "method.pairs.steps.period": 0.125, "method.endpoint.share": 0.3,
            "network.dropout": 0.1,
        },
        {"method.preset": "ect", "method.pairs.steps.q": 2.0, "network.dropout": 0.1},
    )  # fmt: skip
    for params in starts(spec):
        among = {path: distributions(spec)[path] for path in params}
        create_trial(params=params, distributions=among, value=0.0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31))
def test_whatever_is_suggested_resolves_and_holds_what_its_trial_has(seed: int) -> None:
    axes, problems = read_axes(spec_to_dict(SPEC)["search"])
    assert not problems
    memory = Memory(spec_from_dict({**spec_to_dict(SPEC), "seed": seed}), distributions(SPEC))
    params = memory.suggest(5)
    assert list(params) == list(taken(axes, lambda axis: params[axis.path]))
    config = resolve(SPEC, params)
    method = config.method
    assert config.network.dropout == params["network.dropout"]
    assert method.pairs.name == ("continuous" if params["method.preset"] == "ect" else "grid")
    for path, value in params.items():
        assert path.endswith(".preset") or config.value(path) == value


SPEC = spec_from_dict(yaml.safe_load(text().replace("1e-3", "1.0e-3")))


def filled(trials: int) -> Memory:
    """A memory whose best trials are of method gaf with a large share."""
    memory = Memory(SPEC, distributions(SPEC))
    for number in range(trials):
        params = memory.suggest(number)
        memory.begin(number, params)
        memory.observe(number, 32, 1 - params.get("method.endpoint.share", 0.0))
        memory.finish(number, State.PRUNED, None)
    return memory


def test_a_resumed_memory_suggests_what_the_old_one_would_have() -> None:
    old, resumed = filled(24), Memory(SPEC, distributions(SPEC))
    kinds = {tuple(trial.params) for trial in old.trials().values()}
    assert len(kinds) >= 4
    for number, trial in old.trials().items():
        resumed.begin(number, trial.params)
        resumed.observe(number, 32, trial.intermediate_values[32])
        resumed.finish(number, State.PRUNED, None)
    assert resumed.suggest(24) == old.suggest(24)
    assert {number: t.params for number, t in resumed.trials().items() if number < 24} == {
        number: t.params for number, t in old.trials().items() if number < 24
    }


def test_the_sampler_learns_which_choice_is_good_and_its_own_parameter() -> None:
    """Of four methods, later trials mostly take the best one, and its share grows."""
    params = [trial.params for _, trial in sorted(filled(60).trials().items())]
    early, late = params[:16], params[-20:]

    def chosen(some: list[dict[str, Any]]) -> float:
        return sum(p["method.preset"] == "gaf" for p in some) / len(some)

    assert chosen(late) > max(0.5, chosen(early))
    shares = [p["method.endpoint.share"] for p in late if "method.endpoint.share" in p]
    assert sum(shares) / len(shares) > 0.6


def test_optuna_is_asked_only_for_what_a_trial_has() -> None:
    for trial in filled(12).trials().values():
        assert set(trial.params) == set(trial.distributions)
        assert trial.state == optuna.trial.TrialState.PRUNED
        assert "method.endpoint.share" not in trial.params or trial.params["method.preset"] == "gaf"


def mind() -> Engine:
    engine = Engine(SPEC, starts(SPEC), Memory(SPEC, distributions(SPEC)))
    engine.apply(Event(kind="study", time=0.0, data={"slots": 3}))
    return engine


def test_a_study_cut_at_any_event_decides_the_same() -> None:
    def score(trial: int, rung: int) -> float:
        return (trial * 7919 % 101) / (1 + rung)

    whole = run_ahead(mind(), score)
    asked = [event.data["params"] for event in whole if event.kind == "ask"]
    assert asked[:5] == [starts(SPEC)[0]] * 3 + list(starts(SPEC)[1:])  # trial 0 on three seeds
    assert len({tuple(params) for params in asked[5:]}) >= 4
    for cut in range(0, len(whole), 5):
        resumed = mind()
        resumed.replay(whole[:cut])
        assert run_ahead(resumed, score) == whole[cut:], f"cut after event {cut}"


def test_a_choice_leaves_out_what_was_written_for_another(tmp_path: Path) -> None:
    """The trial block is written for trial 0; what is set by an axis or by hand must apply."""
    path = tmp_path / "space.yaml"
    method = "{preset: ict, distance: {c_scale: 1e-3}, pairs: {steps: {s0: 20}}, sigma_data: 0.4}"
    path.write_text(BASE.replace("method: {preset: ict}", f"method: {method}"))
    spec, _ = read_checked(path)
    ours = resolve(spec, {}).method
    assert (ours.distance.c_scale, ours.pairs.steps.s0, ours.sigma_data) == (1e-3, 20, 0.4)  # type: ignore[union-attr]
    ect = resolve(spec, {"method.preset": "ect"}).method
    assert ect == replace(METHODS["ect"], sigma_data=0.4)
    root = resolve(spec, {"method.pairs.steps.name": "square_root"}).method
    assert root == replace(ours, pairs=replace(ours.pairs, steps=SquareRoot(s0=20)))
    by_hand = overridden(spec, ["method.preset=edm", "optimizer.name=lion"])
    assert by_hand.method == replace(METHODS["edm"], sigma_data=0.4)
    assert (by_hand.optimizer.name, by_hand.optimizer.lr, by_hand.optimizer.batch) == (
        "lion", 1e-3, 128
    )  # fmt: skip
    for changes in (
        {"method.preset": "ect", "method.distance.c_scale": 1e-3},
        {"method.preset": "ect", "method.pairs.steps.name": "doubling"},
        {"method.preset": "etc"},
    ):
        with pytest.raises(ConfigError):
            resolve(spec, changes)
    with pytest.raises(
        UserError, match=r"--set: method\.distance\.c_scale: unknown key; c_scale be"
    ):
        overridden(spec, ["method.preset=ect", "method.distance.c_scale=1"])
