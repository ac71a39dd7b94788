"""The methods as values: the published numbers, parts that do not fit, and the public names."""

import dataclasses
from dataclasses import replace

import pytest

import ictsweep.consistency as consistency
from ictsweep.consistency import (
    L2,
    METHODS,
    CleanPairs,
    ContinuousPairs,
    Data,
    Doubling,
    EmaTeacher,
    Generated,
    GridPairs,
    InverseCoutSquared,
    InverseGap,
    KarrasGrid,
    LogNormal,
    MeanSquare,
    Method,
    OneSample,
    PosteriorMean,
    PseudoHuber,
    SmoothGap,
    SquareRoot,
    StagedGap,
    Student,
    Uniform,
    UniformWeight,
    WarmupEma,
)

GRID = {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
ICT = {
    "pairs": {
        "name": "grid",
        "density": {"name": "lognormal", "mean": -1.1, "std": 2.0},
        "steps": {"name": "doubling", "s0": 10, "s1": 1280, "period": 0.125},
        "grid": GRID,
    },
    "endpoint": {"name": "data"},
    "path": {"name": "one_sample"},
    "teacher": {"name": "student"},
    "distance": {"name": "pseudo_huber", "c_scale": 0.00054},
    "weighting": {"name": "inverse_gap"},
    "sigma_data": 0.5,
    "eval_sigma_min": None,
}
GAP = {"q": 2.0, "period": 0.125, "k": 8.0, "b": 1.0}
ECT = {
    **ICT,
    "pairs": {
        "name": "continuous",
        "density": {"name": "lognormal", "mean": -1.1, "std": 2.0},
        "steps": {"name": "staged_gap", **GAP},
        "sigma_max": 80.0,
    },
    "distance": {"name": "l2"},
    "eval_sigma_min": 0.003,
}
CT = {
    **ICT,
    "pairs": {
        "name": "grid",
        "density": {"name": "uniform"},
        "steps": {"name": "square_root", "s0": 2, "s1": 150},
        "grid": GRID,
    },
    "teacher": {"name": "ema", "mu0": 0.9},
    "distance": {"name": "mean_square"},
    "weighting": {"name": "uniform"},
}
POSTERIOR = {"name": "posterior_mean", "references": 1024}
WARMUP = {"name": "warmup", "beta": 0.9999, "power": 2 / 3, "every": 5, "after": 0}
PUBLISHED = {
    "ict": ICT,
    "edm": {
        **ICT,
        "pairs": {
            "name": "clean",
            "density": {"name": "lognormal", "mean": -1.2, "std": 1.2},
            "sigma_max": 80.0,
        },
        "distance": {"name": "mean_square"},
        "weighting": {"name": "inverse_c_out_squared"},
    },
    "ct": CT,
    "ct_imagenet64": {
        **CT,
        "pairs": {**CT["pairs"], "steps": {"name": "square_root", "s0": 2, "s1": 200}},
        "teacher": {"name": "ema", "mu0": 0.95},
    },
    "ect": ECT,
    "ect_imagenet64": {
        **ECT,
        "pairs": {
            **ECT["pairs"],
            "density": {"name": "lognormal", "mean": -0.8, "std": 1.6},
            "steps": {"name": "staged_gap", **GAP, "q": 4.0, "period": 0.25},
        },
        "distance": {"name": "pseudo_huber", "c_scale": pytest.approx(0.06 / 12288**0.5)},
        "weighting": {"name": "inverse_c_out_squared"},
        "eval_sigma_min": None,
    },
    "sct": {**ECT, "path": POSTERIOR},
    "sct_ict": {**ICT, "path": POSTERIOR},
    "gaf": {**ICT, "endpoint": {"name": "generated", "share": 0.5, "ema": WARMUP}},
    "gaf_ect": {**ECT, "endpoint": {"name": "generated", "share": 0.3, "ema": WARMUP}},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_numbers(name):
    assert dataclasses.asdict(METHODS[name]) == PUBLISHED[name]


def test_every_method_is_listed_fits_and_is_a_value():
    assert list(METHODS) == list(PUBLISHED)
    assert METHODS["ict"] == Method()
    for method in METHODS.values():
        assert method.misfits() == []
        assert hash(method) == hash(replace(method))
    assert len(set(METHODS.values())) == len(METHODS)


def test_variants_start_with_their_name():
    for part in (
        GridPairs, ContinuousPairs, CleanPairs, LogNormal, Uniform, Doubling, SquareRoot, StagedGap,
        SmoothGap, Data, Generated, OneSample, PosteriorMean, Student, EmaTeacher, PseudoHuber, L2,
        MeanSquare, InverseGap, UniformWeight, InverseCoutSquared, WarmupEma,
    ):  # fmt: skip
        first = dataclasses.fields(part)[0]
        assert first.name == "name"
        assert part().name == first.default


def test_scalings_belong_to_the_method():
    method = Method(pairs=GridPairs(grid=KarrasGrid(sigma_min=0.01)), sigma_data=0.7)
    assert (method.scalings.sigma_min, method.scalings.sigma_data) == (0.01, 0.7)
    assert method.eval_scalings == method.scalings
    ect = METHODS["ect"]
    assert (ect.scalings.sigma_min, ect.eval_scalings.sigma_min) == (0.0, 0.003)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        (
            replace(METHODS["ect"], teacher=EmaTeacher()),
            ("teacher",),
            ["got ema", "pairs continuous"],
        ),
        (replace(METHODS["edm"], teacher=EmaTeacher()), ("teacher",), ["got ema", "pairs clean"]),
        (
            replace(METHODS["edm"], endpoint=Generated()),
            ("endpoint",),
            ["got generated", "pairs clean"],
        ),
        (
            Method(pairs=GridPairs(steps=Doubling(s0=5, s1=3))),
            ("pairs", "steps", "s1"),
            ["got 3", "s0 5"],
        ),
        (
            replace(METHODS["ect"], eval_sigma_min=80.0),
            ("eval_sigma_min",),
            ["got 80.0", "at most 0.01", "level 80.0"],
        ),
        (Method(eval_sigma_min=0.0101), ("eval_sigma_min",), ["got 0.0101", "at most 0.01"]),
        (replace(METHODS["edm"], eval_sigma_min=0.003), ("eval_sigma_min",), ["pairs clean"]),
    ],
)
def test_parts_that_do_not_fit_are_named_on_both_sides(method, path, words):
    ((where, message),) = method.misfits()
    assert where == path
    assert all(word in message for word in words), message


def test_sampling_pauses_above_the_identity_and_above_the_boundary():
    assert METHODS["ict"].eval_range == (0.002, 80.0)
    assert METHODS["ect"].eval_range == (0.003, 80.0)
    assert replace(METHODS["ict"], eval_sigma_min=0.01).eval_range == (0.01, 80.0)
    assert replace(METHODS["ict"], eval_sigma_min=0.001).eval_range == (0.002, 80.0)
    assert replace(METHODS["ict"], eval_sigma_min=0.01).misfits() == []


def test_methods_are_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Method().sigma_data = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Doubling(10, 1280, 0.125)  # type: ignore[misc]


def test_the_public_names_are_listed_and_there():
    assert consistency.__all__ == sorted(consistency.__all__, key=lambda n: (not n.isupper(), n))
    assert all(hasattr(consistency, name) for name in consistency.__all__)
