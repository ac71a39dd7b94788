"""The study's record: defaults, round trip, rungs, axes; and that it needs no heavy package."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from ictsweep.errors import SpecError, UserError
from ictsweep.study.axes import substituted
from ictsweep.study.spec import (
    Axis,
    Keep,
    Limits,
    Resources,
    Sampler,
    Stopping,
    StudySpec,
    read_spec,
    renamed,
    spec_from_dict,
    spec_to_dict,
)

SMALLEST = """\
study: s
trial: {budget_kimg: 64}
search: {a.b: {range: [0, 1]}}
trials: 4
stopping: {first_rung_kimg: 4}
"""


def spec(**changes: Any) -> StudySpec:
    """A small study with some fields changed."""
    fields: dict[str, Any] = {
        "study": "s",
        "trial": {"budget_kimg": 64},
        "search": (Axis(path="a.b", low=0, high=1),),
        "trials": 4,
        "stopping": Stopping(first_rung_kimg=4),
    }
    return StudySpec(**{**fields, **changes})


def test_the_smallest_file(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text(SMALLEST)
    found, document = read_spec(path)
    assert found == spec()
    assert (found.minimize, found.seed, found.replicates) == ("fd", 0, 3)
    assert found.warm_start == ({},)
    assert found.sampler == Sampler(name="tpe", startup_trials=16)
    assert found.stopping == Stopping(first_rung_kimg=4, reduction=4, fidelity="auto")
    assert found.resources == Resources(workers=1, cpus_per_worker=1, gpus_per_worker=None)
    assert document.places[("trials",)].value == (4, 9)


def test_the_form_is_checked_without_the_meaning(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text(SMALLEST.replace("trials: 4", "trials: four"))
    with pytest.raises(SpecError) as error:
        read_spec(path)
    assert str(error.value) == f"{path}:4:9: trials: got text 'four'; expected an integer >= 1"


def test_neither_torch_nor_ray_nor_optuna_is_needed(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text(SMALLEST)
    code = f"""
import sys
for name in ("torch", "ray", "optuna"):
    sys.modules[name] = None  # importing it now fails
from pathlib import Path
from ictsweep.study.source import read_document
from ictsweep.study.spec import read_spec, spec_from_dict, spec_to_dict
spec, _ = read_spec(Path({str(path)!r}))
assert spec_from_dict(spec_to_dict(spec)) == spec
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rungs_climb_to_the_budget():
    assert spec().rungs == (4, 16, 64)
    assert spec(stopping=Stopping(first_rung_kimg=64)).rungs == (64,)


@pytest.mark.parametrize(
    ("fidelity", "path", "short"),
    [
        ("auto", "method.pairs.steps.period", True),
        ("auto", "method.pairs.steps.s0", True),
        ("auto", "method.pairs.density.mean", False),
        ("auto", "method.pairs.steps.name", True),
        ("auto", "method.pairs.name", True),
        ("auto", "method.preset", True),
        ("auto", "network.preset", False),
        ("auto", "method.distance.name", False),
        ("short_run", "network.dropout", True),
        ("same_run", "method.pairs.steps.period", False),
    ],
)
def test_rungs_are_short_runs_where_the_curriculum_is_searched(
    fidelity: Any, path: str, short: bool
):
    stopping = Stopping(first_rung_kimg=4, fidelity=fidelity)
    search = (Axis(path="network.dropout", low=0, high=1), Axis(path=path, low=0, high=1))
    assert spec(stopping=stopping, search=search).short_run is short


def test_limits_are_none_unless_given_and_a_cost_needs_a_price():
    assert spec().limits == Limits()
    assert Limits(max_cost=9.0, gpu_hour_price=2.5).max_cost == 9.0
    with pytest.raises(ValueError, match="max_cost 9 needs a price: add gpu_hour_price"):
        Limits(max_cost=9.0)


def test_three_checkpoints_are_kept_unless_told():
    assert spec().keep == Keep(best=3)


def test_a_study_can_be_renamed():
    assert renamed(spec(), "other-1") == spec(study="other-1")
    with pytest.raises(UserError, match=r"study name: got text '\.\./up'; expected 1"):
        renamed(spec(), "../up")


@pytest.mark.parametrize("name", ["a", "A_1", "_x", "1.5-b", "x" * 64])
def test_names_that_can_be_folders(name: str):
    assert renamed(spec(), name).study == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a b", "a/b", "é", "x" * 65, "a\n"])
def test_names_that_cannot(name: str):
    with pytest.raises(SpecError):
        renamed(spec(), name)


def test_what_is_no_spec_is_refused_when_read_back():
    with pytest.raises(SpecError) as error:
        spec_from_dict({**spec_to_dict(spec()), "trials": 0, "extra": 1})
    assert [line.split(":")[:2] for line in str(error.value).splitlines()] == [
        ["study.yaml", " extra"],
        ["study.yaml", " trials"],
    ]


@pytest.mark.parametrize(
    ("value", "held"),
    [(0, True), (0.5, True), (0.15000000000000002, True), (0.12, False), (0.55, False),
     (-0.05, False), (True, False), ("0.1", False), (None, False)],
)  # fmt: skip
def test_what_a_stepped_axis_holds(value: Any, held: bool):
    assert Axis(path="p", low=0, high=0.5, step=0.05).holds(value) is held


@pytest.mark.parametrize(
    ("value", "held"),
    [(1, True), (1.0, True), (True, False), ("a", True), (None, True), (0, False)],
)
def test_what_choices_hold(value: Any, held: bool):
    assert Axis(path="p", choices=(1, "a", None)).holds(value) is held


@given(
    st.integers(-50, 50), st.integers(1, 40), st.sampled_from([None, 0.05, 0.1, 0.25, 1, 2]),
    st.floats(-60, 200),
)  # fmt: skip
def test_an_axis_holds_what_optuna_can_record(low: int, count: int, step: Any, value: float):
    high = round(low + count * (step or 1), 9)
    axis = Axis(path="p", low=low, high=high, step=step)
    theirs = FloatDistribution(low, high, step=step)
    for candidate in (value, low, high, low + (step or 1) * (count // 2)):
        assert axis.holds(candidate) == theirs._contains(candidate)
    if isinstance(step, int):
        whole = IntDistribution(low, int(high), step=step)
        assert axis.holds(int(value)) == whole._contains(int(value))


def test_substitution_leaves_the_block_as_it_is():
    block = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    changed = substituted(block, {"a.c.d": 4, "a.x.y": 5, "e": 6, "e.f": 7})
    assert changed == {"a": {"b": 1, "c": {"d": 4}, "x": {"y": 5}}, "e": {"f": 7}}
    assert block == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


NUMBERS = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6))
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
SCALARS = st.one_of(NUMBERS, TEXT, st.booleans(), st.none())
PATHS = st.from_regex(r"[a-z_]{1,6}(\.[a-z_]{1,6}){0,2}", fullmatch=True)


@st.composite
def axes(draw: Any, path: str) -> Axis:
    """Any well-formed axis."""
    if draw(st.booleans()):
        choices = draw(st.lists(SCALARS, min_size=2, max_size=4, unique_by=_key))
        return Axis(path=path, choices=tuple(choices))
    low, high = sorted(draw(st.lists(NUMBERS, min_size=2, max_size=2, unique=True)))
    if low > 0 and draw(st.booleans()):
        return Axis(path=path, low=low, high=high, log=True)
    if isinstance(low, int) and isinstance(high, int) and draw(st.booleans()):
        return Axis(path=path, low=low, high=high, step=draw(st.sampled_from([high - low, 0.5])))
    return Axis(path=path, low=low, high=high)


def _key(scalar: Any) -> Any:
    return (isinstance(scalar, bool), scalar)


@st.composite
def specs(draw: Any) -> StudySpec:
    """Any well-formed study."""
    small = st.integers(1, 50)
    starts = draw(st.lists(st.dictionaries(PATHS, SCALARS, max_size=2), max_size=3))
    return StudySpec(
        study=draw(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", fullmatch=True)),
        minimize=draw(st.sampled_from(["fd", "fd_2step"])),
        seed=draw(st.integers(0, 2**70)),
        trial=draw(st.dictionaries(TEXT, st.one_of(SCALARS, st.lists(SCALARS, max_size=2)))),
        search=tuple(
            draw(axes(path)) for path in draw(st.sets(PATHS, min_size=1, max_size=3))
        ),
        trials=draw(st.integers(4, 99)),
        warm_start=({}, *starts),
        replicates=draw(small),
        sampler=Sampler(name=draw(st.sampled_from(["tpe", "random"])), startup_trials=draw(small)),
        stopping=Stopping(first_rung_kimg=draw(small), reduction=draw(st.integers(2, 9))),
        resources=Resources(
            **draw(st.sampled_from([{"gpus_per_worker": 0.5}, {}, {"accelerator_type": "L4"}])),
            launch_kimg=draw(small),
        ) if draw(st.booleans()) else Resources(workers=draw(small), max_trials=draw(small)),
        limits=Limits(
            max_hours=draw(st.sampled_from([None, 1.5])),
            max_cost=draw(st.sampled_from([None, 9.0])),
            gpu_hour_price=2.5,
        ),
        keep=Keep(best=draw(small)),
    )  # fmt: skip


def _by_json(values: Any) -> Any:
    return json.loads(json.dumps(values))


def _by_yaml(values: Any) -> Any:
    return yaml.safe_load(yaml.safe_dump(values, sort_keys=False))


@settings(deadline=None, max_examples=50)
@given(specs())
def test_the_round_trip_is_exact(original: StudySpec):
    values = spec_to_dict(original)
    for way in (dict, _by_json, _by_yaml):
        assert repr(spec_from_dict(way(values))) == repr(original)  # repr: 1 is not 1.0 is not True


@settings(deadline=None, max_examples=50)
@given(specs())
def test_a_written_spec_is_a_search_space_file(tmp_path_factory: Any, original: StudySpec):
    path = tmp_path_factory.getbasetemp() / "study.yaml"
    path.write_text(yaml.safe_dump(spec_to_dict(original), sort_keys=False), newline="")
    assert repr(read_spec(path)[0]) == repr(original)
