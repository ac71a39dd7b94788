"""Configurations: presets and overrides, strictness, cross-checks, round trip, digest."""

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ictsweep.config import ConfigError, TrialConfig, trial_config
from ictsweep.consistency import METHODS
from ictsweep.networks import PRESETS
from ictsweep.optimizers import RAdam, block_of
from ictsweep.variants import leaves

BLOCK: dict[str, Any] = {
    "data": {"name": "digits"},
    "network": {"preset": "tiny", "dropout": 0.25},
    "method": {"preset": "ict", "distance": {"c_scale": 1e-3}},
    "optimizer": {"batch": 128},
    "budget_kimg": 96,
    "evaluate": {"every_kimg": 32},
}


def said(**changes: Any) -> list[str]:
    """What is said of the block with some of its keys changed."""
    with pytest.raises(ConfigError) as error:
        trial_config({**BLOCK, **changes})
    return str(error.value).splitlines()


def test_presets_are_overridden_value_by_value():
    config = trial_config(BLOCK)
    assert config.network.dropout == 0.25
    assert config.network.channels == PRESETS["tiny"].channels
    assert config.method.distance.c_scale == 1e-3
    assert config.method.pairs == METHODS["ict"].pairs
    assert config.optimizer == RAdam(batch=128, lr=1e-4, betas=(0.9, 0.999))
    assert (config.precision, config.ema.sigma_rel) == ("tf32", 0.05)


def test_a_nested_override_keeps_its_siblings():
    method = {"preset": "ict", "pairs": {"steps": {"s0": 5}}}
    steps = trial_config({**BLOCK, "method": method}).method.pairs.steps
    assert (steps.s0, steps.s1, steps.period) == (5, 1280, 0.125)


def test_without_a_preset_a_block_must_be_complete():
    complete = trial_config(BLOCK).to_dict()["network"]
    assert trial_config({**BLOCK, "network": complete}).network.dropout == 0.25
    partial = {key: value for key, value in complete.items() if key != "blocks"}
    assert said(network=partial) == [f"network: no preset; add preset: one of {', '.join(PRESETS)}"]
    assert said(method={"sigma_data": 0.4}) == [
        f"method: no preset; add preset: one of {', '.join(METHODS)}"
    ]


def test_an_unknown_preset_hides_no_other_problem():
    assert said(network={"preset": "huge", "dropout": 2}) == [
        f"network.preset: got text 'huge'; expected one of {', '.join(PRESETS)}",
        "network.dropout: got 2; expected a number >= 0 and < 1",
    ]


@pytest.mark.parametrize("value", [True, "0.1", None, [0.1], {"a": 1}, float("nan"), float("inf")])
def test_only_finite_numbers_are_numbers(value: Any):
    (line,) = said(ema={"sigma_rel": value})
    assert line.startswith("ema.sigma_rel: got ")


def test_an_integer_is_a_number_and_becomes_one():
    dropout = trial_config({**BLOCK, "network": {"preset": "tiny", "dropout": 0}}).network.dropout
    assert isinstance(dropout, float)


@pytest.mark.parametrize("value", [True, 128.0, "128", 0, -1])
def test_only_positive_integers_are_batches(value: Any):
    (line,) = said(optimizer={"batch": value})
    assert line.startswith("optimizer.batch: got ")
    assert "expected an integer >= 1" in line


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_a_domain_is_what_its_annotation_says(value: float):
    block = {**BLOCK, "network": {"preset": "tiny", "dropout": value}}
    if 0 <= value < 1:
        assert trial_config(block).network.dropout == value
    else:
        with pytest.raises(ConfigError, match=r"network\.dropout: got .* >= 0 and < 1"):
            trial_config(block)


def test_all_problems_are_listed():
    lines = said(precision="int8", optimizer={"lr": -1}, netwrok={}, evaluate=None)
    assert [line.split(":")[0] for line in lines] == [
        "netwrok", "optimizer.lr", "optimizer.batch", "precision", "evaluate"
    ]  # fmt: skip


def test_lengths_must_fit():
    assert said(budget_kimg=100) == [
        "budget_kimg: got 100; expected a multiple of evaluate.every_kimg 32, "
        "so that the run ends with an evaluation"
    ]
    assert said(optimizer={"batch": 300}) == [
        "evaluate.every_kimg: got 32; 32000 images are not whole batches of 300; "
        "expected a multiple of 3"
    ]


@pytest.mark.parametrize(
    ("pairs", "line"),
    [
        ({"steps": {"s1": 9}}, "method.pairs.steps.s1: got 9; expected at least s0 10"),
        ({"grid": {"sigma_min": 90}}, "method.pairs.grid.sigma_max: got 80.0; expected more than"),
        ({"grid": {"sigma_min": 1}}, "evaluate.mid_sigma: not given, which means 0.821; "),
        ({"density": {"mean": -300}}, "method.pairs.density: LogNormal(name='lognormal', m"),
        ({"grid": {"rho": 1e-3}}, "method.pairs.grid.rho: got 0.001; sigma^(1/rho) overflows"),
    ],
)
def test_noise_levels_must_fit(pairs: dict[str, Any], line: str):
    (found,) = said(method={"preset": "ict", "pairs": pairs})
    assert found.startswith(line)


def test_a_rung_is_the_same_configuration_with_another_length():
    config = trial_config(BLOCK)
    short = config.with_budget(32)
    assert short.budget_kimg == 32
    assert short.with_budget(96) == config
    with pytest.raises(ConfigError, match="budget_kimg: got 40"):
        config.with_budget(40)


def flat(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The values (not blocks) of nested mappings, by path."""
    found: dict[tuple[str, ...], Any] = {}
    for key, value in values.items():
        inside = flat(value, (*path, key)) if isinstance(value, Mapping) else {(*path, key): value}
        found |= inside
    return found


def test_values_are_found_by_their_dotted_path():
    """Those of the variants chosen; no other path that a trial could have leads anywhere."""
    config = trial_config(BLOCK)
    values = flat(config.to_dict())
    known = list(leaves(TrialConfig))
    assert set(values) < set(known)
    for path in known:
        dotted = ".".join(map(str, path))
        if path in values:
            value = config.value(dotted)
            assert (list(value) if isinstance(value, tuple) else value) == values[path]
        else:
            with pytest.raises(AttributeError):
                config.value(dotted)


ROUND_TRIPS = [
    *({"network": {"preset": name}} for name in PRESETS),
    *({"method": {"preset": name}} for name in METHODS),
    *({"optimizer": {"name": name, "batch": 128}} for name in ("radam", "adam", "adamw", "lion")),
    *({"ema": ema} for ema in ({"name": "fixed", "beta": 0.99}, {"name": "half_life", "kimg": 3})),
    *({"init": {"name": name, "path": "here"}} for name in ("checkpoint", "edm")),
    {"method": {"preset": "ict", "pairs": {"density": {"name": "uniform"}}}},
    {"method": {"preset": "gaf", "endpoint": {"ema": {"name": "fixed"}}}},
    {"evaluate": {"every_kimg": 32, "schedules": [[10, 1], [5, 2, 1]], "edge_eta": 0.9}},
    {"post_hoc": {"snapshots": 3}},
]


@pytest.mark.parametrize("changes", ROUND_TRIPS, ids=str)
def test_to_dict_is_complete_and_plain(changes: dict[str, Any]):
    config = trial_config({**BLOCK, **changes})
    values = config.to_dict()
    assert trial_config(values) == config
    assert trial_config(json.loads(json.dumps(values))) == config
    assert trial_config(yaml.safe_load(yaml.safe_dump(values))) == config


def test_the_digest_tells_configurations_apart():
    config = trial_config(BLOCK)
    assert config.digest() == trial_config(config.to_dict()).digest()
    assert config.digest() != config.with_budget(32).digest()
    assert len(config.digest()) == 16


def test_the_digest_is_the_same_in_every_process():
    block = json.dumps(BLOCK)
    code = (
        "import json\nfrom ictsweep.config import trial_config\n"
        f"print(trial_config(json.loads({block!r})).digest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == trial_config(BLOCK).digest()


def test_errors_survive_the_way_between_processes():
    with pytest.raises(ConfigError) as error:
        trial_config({**BLOCK, "budget_kimg": 0})
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize(
    ("precision", "method", "fits"),
    [
        ("bf16", {"preset": "ct"}, True),  # 151 levels
        ("bf16", {"preset": "ict", "pairs": {"steps": {"s1": 160}}}, True),
        ("bf16", {"preset": "ict", "pairs": {"steps": {"s1": 161}}}, False),
        ("bf16", {"preset": "ict", "pairs": {"steps": {"period": 0.25}}}, True),  # ends at 161
        ("bf16", {"preset": "ict"}, False),
        ("bf16", {"preset": "ect"}, False),
        ("bf16_at_any_level", {"preset": "ict"}, True),
        ("fp16", {"preset": "ict"}, True),
    ],
)
def test_bf16_needs_a_coarse_grid(precision: str, method: dict[str, Any], fits: bool):
    if fits:
        assert trial_config({**BLOCK, "precision": precision, "method": method})
    else:
        (line,) = said(precision=precision, method=method)
        assert line.startswith("precision: got text 'bf16'; method.pairs reaches ")
        assert line.endswith("use fp16, or bf16_at_any_level to have it all the same")


def test_a_diffusion_model_needs_no_intermediate_level():
    pairs = {"name": "clean", "sigma_max": 0.5}  # below the level where two-step sampling pauses
    assert trial_config({**BLOCK, "method": {"preset": "edm", "pairs": pairs}})
    (line,) = said(method={"preset": "ect", "pairs": {"sigma_max": 0.5}})
    assert line.startswith("evaluate.mid_sigma: not given, which means 0.821; expected a noise")


def test_guidance_needs_labels_that_are_sometimes_hidden():
    known = {"preset": "tiny", "classes": 10, "label_dropout": 0.1}
    evaluate = {"every_kimg": 32, "guidance": 1.5}
    assert trial_config({**BLOCK, "network": known, "evaluate": evaluate})
    assert said(evaluate=evaluate)[0].startswith("evaluate.guidance: got 1.5; guidance needs a net")


def test_augmentation_and_the_network_that_is_told_of_it_go_together():
    data, network = {"name": "digits", "augment": 0.12}, {"preset": "tiny", "augment": True}
    assert trial_config({**BLOCK, "data": data, "network": network})
    (line,) = said(data=data)
    assert line.startswith("data.augment: got 0.12; a network that is not told")
    (line,) = said(network=network)
    assert line.startswith("network.augment: got true; no picture is augmented; set data.augment")
    (line,) = said(data=data, network=network, method={"preset": "sct"})
    assert line.startswith("data.augment: got 0.12; expected 0: the references of method.path")
    alone = {"preset": "sct", "path": {"references": 1}}
    assert trial_config({**BLOCK, "data": data, "network": network, "method": alone})
    assert said(data={"name": "digits", "augment": 1.5})[0].startswith("data.augment: got 1.5")


@pytest.mark.parametrize(
    ("batch", "block"), [(1, 1), (32, 4), (48, 6), (64, 8), (100, 25), (256, 32), (4096, 32)]
)
def test_a_batch_is_whole_blocks_that_2_4_or_8_workers_share(batch: int, block: int):
    assert block_of(batch) == RAdam(batch=batch).block == block
