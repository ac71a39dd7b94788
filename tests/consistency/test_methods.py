"""The methods as values: the published numbers, equality, and the public names."""

import dataclasses

import pytest

import ictsweep.consistency as consistency
from ictsweep.consistency import METHODS, Doubling, GridPairs, KarrasGrid, Method


def test_ict_has_the_published_numbers():
    assert dataclasses.asdict(METHODS["ict"]) == {
        "pairs": {
            "density": {"mean": -1.1, "std": 2.0},
            "steps": {"s0": 10, "s1": 1280, "period": 0.125},
            "grid": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
        },
        "distance": {"c_scale": 0.00054},
        "weighting": {},
        "sigma_data": 0.5,
    }
    assert METHODS["ict"] == Method()


def test_scalings_belong_to_the_method():
    method = Method(pairs=GridPairs(grid=KarrasGrid(sigma_min=0.01)), sigma_data=0.7)
    assert (method.scalings.sigma_min, method.scalings.sigma_data) == (0.01, 0.7)


def test_methods_are_values():
    assert hash(Method()) == hash(Method())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Method().sigma_data = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Doubling(10, 1280, 0.125)  # type: ignore[misc]


def test_the_public_names_are_listed_and_there():
    assert consistency.__all__ == sorted(consistency.__all__, key=lambda n: (not n.isupper(), n))
    assert all(hasattr(consistency, name) for name in consistency.__all__)
