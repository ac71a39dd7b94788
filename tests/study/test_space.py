"""The meaning of a search space: every wrong file and its complete answer; right ones resolve."""

import json
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from ictsweep.config import ConfigError, TrialConfig
from ictsweep.errors import SpecError, UserError
from ictsweep.problems import dotted
from ictsweep.study.space import (
    check,
    distributions,
    overridden,
    read_checked,
    resolve,
    starts,
)
from ictsweep.study.spec import StudySpec, read_spec
from ictsweep.variants import leaves

HERE = Path(__file__).parent / "malformed"
BASE = (HERE / "base.yaml").read_text()
CASES = yaml.safe_load((HERE / "cases.yaml").read_text())


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files are written, and named in answers, relative to a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def written(old: str = "", new: str = "") -> Path:
    """The base file with `old` replaced by `new`; all of it where there is no old."""
    assert BASE.count(old) == 1 or not old
    path = Path("space.yaml")
    path.write_text(BASE.replace(old, new) if old else new or BASE)
    return path


def sound(old: str = "", new: str = "") -> StudySpec:
    """The spec of a sound file."""
    return read_checked(written(old, new))[0]


def answer(old: str, new: str) -> list[str]:
    """What is said of a changed base file, line by line."""
    with pytest.raises(SpecError) as error:
        read_checked(written(old, new))
    return str(error.value).splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_malformed_file_has_its_answer(case: dict[str, Any]):
    says = [f"space.yaml:{line}" for line in case["says"]]
    assert answer(case.get("old", ""), case["new"]) == says


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_answer_points_at_what_it_names(case: dict[str, Any]):
    """Unknown keys and quoted values really stand at the line and column that are told."""
    text = BASE.replace(case["old"], case["new"]) if "old" in case else case["new"]
    for line in case["says"]:
        row, column, rest = line.split(":", 2)
        there = text.splitlines()[int(row) - 1][int(column) - 1 :]
        if key := re.match(r" (?:.*\.)?([^.:]+): unknown key", rest):
            assert there.startswith(f"{key[1]}:")
        elif (value := re.match(r" [^ ]+: got text '(.*?)';", rest)) and "..." not in rest:
            assert there.removeprefix("'").startswith(value[1])


def test_cases_have_names_of_their_own():
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names) > 100


def test_form_and_meaning_are_told_together_in_the_files_order():
    path = written()
    text = BASE.replace("lr: 1e-3", "lr: -1").replace("trials: 16", "trials: 0")
    path.write_text(text.replace("seed: 0", "sede: 0"))
    with pytest.raises(SpecError) as error:
        read_checked(path)
    starts = [line.split(": ")[:2] for line in str(error.value).splitlines()]
    assert starts == [
        ["space.yaml:3:1", "sede"],
        ["space.yaml:9:19", "trial.optimizer.lr"],
        ["space.yaml:19:9", "trials"],
    ]


def test_many_problems_are_cut():
    keys = "".join(f"x{i}: 1\n" for i in range(14))
    lines = answer("seed: 0\n", keys)
    assert len(lines) == 11
    assert lines[-1] == "... and 4 more"


def test_check_says_what_reading_says():
    path = written("batch: 128", "batch: 96")
    with pytest.raises(SpecError, match="every_kimg"):
        check(*read_spec(path))


def test_suggestions_become_configurations():
    spec = sound()
    params = {"method.distance.c_scale": 2e-3, "network.dropout": 0.35, "optimizer.batch": 64}
    config = resolve(spec, params)
    assert {path: config.value(path) for path in params} == params
    assert config.network.channels == resolve(spec, {}).network.channels
    with pytest.raises(ConfigError, match=r"network\.dropuot: unknown key"):
        resolve(spec, {"network.dropuot": 0.1})


def test_the_baseline_is_the_trial_block_with_presets_resolved():
    assert starts(sound())[0] == {
        "method.distance.c_scale": 0.00054,
        "network.dropout": 0.1,
        "optimizer.batch": 128,
    }


INTEGERS = """\
  network.blocks: {range: [1, 4]}
  network.channels: {range: [16, 64], step: 16}
  method.pairs.steps.s1: {range: [20, 1280], log: true}
  optimizer.lr: {choices: [1e-4, 1e-3, 1]}
  precision: {choices: [tf32, fp32]}
"""


def test_axes_in_optunas_terms():
    spec = sound("  optimizer.batch: {choices: [64, 128]}\n", INTEGERS)
    assert distributions(spec) == {
        "method.distance.c_scale": FloatDistribution(1e-4, 3e-3, log=True),
        "network.dropout": FloatDistribution(0.0, 0.5, step=0.05),
        "network.blocks": IntDistribution(1, 4),
        "network.channels": IntDistribution(16, 64, step=16),
        "method.pairs.steps.s1": IntDistribution(20, 1280, log=True),
        "optimizer.lr": CategoricalDistribution((1e-4, 1e-3, 1.0)),
        "precision": CategoricalDistribution(("tf32", "fp32")),
    }
    rates = distributions(spec)["optimizer.lr"]
    assert isinstance(rates, CategoricalDistribution)
    assert [type(rate) for rate in rates.choices] == [float] * 3


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_whatever_is_suggested_resolves(seed: int):
    spec = sound("  optimizer.batch: {choices: [64, 128]}\n", INTEGERS)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    params = study.ask(distributions(spec)).params
    config = resolve(spec, params)
    assert {path: config.value(path) for path in params} == params


def test_optuna_can_record_the_baseline_and_every_start():
    spec = sound()
    for params in starts(spec):
        create_trial(params=params, distributions=distributions(spec), value=0.0)


LEAVES = [dotted(leaf) for leaf in leaves(TrialConfig)]
OWN = {path for path in LEAVES if f"  {path}: {{" not in BASE}


@pytest.mark.parametrize("path", sorted(OWN))
def test_every_value_of_a_trial_is_checked_on_its_axis(path: str):
    """No axis is silently ignored, whatever it is over: true is nowhere a value to search."""
    old, new = "  optimizer.batch: {choices: [64, 128]}", f"  {path}: {{choices: [true, false]}}"
    first = answer(old, new)[0]
    config = resolve(sound(), {})
    if path.split(".")[0] in ("data", "evaluate", "budget_kimg", "post_hoc"):
        assert first.startswith(f"space.yaml:17:3: search.{path}: cannot be searched: ")
    elif has(config, path):
        assert first.startswith(f"space.yaml:17:{len(path) + 16}: search.{path}.choices[0]: got t")
    else:
        says = f"space.yaml:17:3: search.{path}: trial 0 has no such value: unknown key; "
        assert first.startswith(says)
        assert " belongs to " in first


def has(config: TrialConfig, path: str) -> bool:
    """Whether the configuration's variants have a value there."""
    try:
        config.value(path)
    except AttributeError:
        return False
    return True


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("s0: {range: [5, 20]}", "s1: {range: [20, 90]}", False),
        ("s0: {range: [5, 21]}", "s1: {range: [20, 90]}", True),
        ("s1: {choices: [90, 20, 1280]}", "s0: {range: [5, 21]}", True),
    ],
)
def test_axes_that_exclude_each_other(first: str, second: str, clash: bool):
    axes = f"  method.pairs.steps.{first}\n  method.pairs.steps.{second}"
    method = "  method: {preset: ict, pairs: {steps: {s1: 90}}}"
    text = BASE.replace("  optimizer.batch: {choices: [64, 128]}", axes)
    path = written("", text.replace("  method: {preset: ict}", method))
    if clash:
        with pytest.raises(SpecError, match=r"space\.yaml:18:3: .* is possible together with"):
            read_checked(path)
    else:
        read_checked(path)


@pytest.mark.parametrize(
    ("batch", "workers", "fits"),
    [(128, 1, True), (128, 8, True), (128, 3, False), (128, 16, False), (64, 2, True),
     (64, 5, False), (100, 4, True), (100, 5, False), (100, 8, False)],
)  # fmt: skip
def test_workers_share_whole_blocks(batch: int, workers: int, fits: bool):
    text = BASE.replace("workers: 2", f"workers: {workers}").replace(
        "batch: 128", f"batch: {batch}"
    )
    text = text.replace("  optimizer.batch: {choices: [64, 128]}\n", "")
    path = written("", text)
    if fits:
        read_checked(path)
    else:
        with pytest.raises(
            SpecError, match=rf"resources.workers: got {workers}; a batch of {batch}"
        ):
            read_checked(path)


@pytest.mark.parametrize("first", [32, 96, 288])
def test_rungs_that_end_at_the_budget(first: int):
    assert sound("first_rung_kimg: 32", f"first_rung_kimg: {first}").rungs[-1] == 288


def test_an_early_first_rung_needs_short_runs():
    text = BASE.replace("budget_kimg: 288", "budget_kimg: 864")
    early = written("", text)
    with pytest.raises(SpecError, match="expected at least 96, or fidelity: short_run"):
        read_checked(early)
    short = text.replace("reduction: 3}", "reduction: 3, fidelity: short_run}")
    assert sound("", short).rungs == (32, 96, 288, 864)
    curriculum = "method.pairs.steps.period: {range: [0.1, 0.2]}"
    searched = text.replace("optimizer.batch: {choices: [64, 128]}", curriculum)
    assert sound("", searched).short_run


def test_settings_from_the_command_line():
    spec = sound()
    config = overridden(
        spec, ["optimizer.lr=1e-2", "network.channel_mult=[1, 1]", "network.preset = tiny"]
    )
    assert (config.optimizer.lr, config.network.channel_mult) == (1e-2, (1, 1))
    assert overridden(spec, []) == resolve(spec, {})
    assert overridden(spec, ["evaluate.every_kimg=96"]).evaluate.every_kimg == 96


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("optimizer.lr", "--set optimizer.lr: expected PATH=VALUE, such as optimizer.lr=1e-3"),
        ("optimizer.lr=big", "--set: optimizer.lr: got text 'big'; expected a number > 0"),
        ("optimizer.lr.x=1", "--set: optimizer.lr: got a block (x); expected a number > 0"),
        ("optimizer.lr=[1", "'[1':1:3: not valid YAML: while parsing a flow sequence, "
         "begun at 1:1: expected ',' or ']', but got '<stream end>'"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit(setting: str, says: str):
    with pytest.raises(UserError) as error:
        overridden(sound(), [setting])
    assert str(error.value) == says


def test_an_axis_over_presets_needs_one_in_the_trial():
    network = resolve(sound(), {}).to_dict()["network"]
    text = BASE.replace("{preset: tiny, dropout: 0.1}", json.dumps(network))
    text = text.replace(
        "network.dropout: {range: [0, 0.5], step: 0.05}", "network.preset: {choices: [tiny, adm]}"
    )
    assert answer("", text.replace(", {network.dropout: 0.2}", "")) == [
        "space.yaml:16:3: search.network.preset: trial 0 has no preset; write one of the choices "
        "tiny, adm into `trial`"
    ]


def test_a_start_may_change_values_that_only_together_fit():
    """s0 alone would lie above the trial's s1."""
    axes = (
        "  method.pairs.steps.s0: {range: [5, 20]}\n"
        "  network.blocks: {range: [1, 2]}\n"
        "  method.pairs.steps.s1: {range: [20, 90]}"
    )
    text = BASE.replace("  optimizer.batch: {choices: [64, 128]}", axes)
    text = text.replace("{preset: ict}", "{preset: ict, pairs: {steps: {s0: 5, s1: 20}}}")
    both = "{method.pairs.steps.s0: 20, method.pairs.steps.s1: 40}"
    spec, _ = read_checked(written("", text.replace("{network.dropout: 0.2}", both)))
    assert starts(spec)[1]["network.blocks"] == 1
    assert starts(spec)[1]["method.pairs.steps.s1"] == 40
