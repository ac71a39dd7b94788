import json
from types import SimpleNamespace
from typing import Any

import pytest

from ictsweep.errors import UserError
from ictsweep.evaluation import BELOW, Route, comparable, passport, require_comparable

ROUTE = {"solver": "consistency multistep", "levels": (80.0, 0.821), "noises": 2}
DIGITS: Any = SimpleNamespace(
    name="classifier-64/1", weights="ab", resize="none", metric="digits Fréchet distance", dims=64
)
CLEAN: Any = SimpleNamespace(
    name="inception", weights="ef", resize="bicubic", metric="FID (clean)", dims=2048
)


def example(images=1000, metric="fd", extractor=DIGITS, details=None, **route):
    return passport(
        metric=metric, extractor=extractor, images=images, latent_seed=3, details=details,
        route=Route(**{**ROUTE, **route}), ema="0.05", reference="cd",
    )  # fmt: skip


def test_a_passport_survives_json():
    assert json.loads(json.dumps(example())) == example()
    assert comparable(json.loads(json.dumps(example())), example()) == []


def test_differences_are_listed_with_both_values():
    a, b = example(), example(images=5000, levels=(80.0, 0.7))
    assert comparable(a, b) == [("images", 1000, 5000), ("levels", [80.0, 0.821], [80.0, 0.7])]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"solver": "EDM Heun ODE"}, ("solver", "consistency multistep", "EDM Heun ODE")),
        ({"eta": 0.9}, ("eta", 1.0, 0.9)),
        ({"guidance": 1.5}, ("guidance", 1.0, 1.5)),
        ({"classes": 10}, ("labels", None, "as frequent as in the data")),
        ({"details": {"splits": 10}}, ("splits", None, 10)),
    ],
)
def test_each_way_of_measuring_is_another_number(change, difference):
    assert comparable(example(), example(**change)) == [difference]


def test_a_missing_key_is_a_difference():
    a = example()
    b = {key: value for key, value in a.items() if key != "ema"}
    assert comparable(a, b) == [("ema", "0.05", None)]
    assert comparable(b, a) == [("ema", None, "0.05")]


def test_samples_are_not_drawn_in_tf32():
    assert example()["dtype"].startswith("float32 samples (no TF32)")


def test_what_the_design_asks_for_is_there():
    assert set(example()) == {
        "metric", "extractor", "weights", "resize", "dtype", "images", "latent_seed", "solver",
        "steps", "levels", "eta", "guidance", "labels", "ema", "reference",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("images", "metric", "marked"),
    [(64, "fd", True), (65, "fd", False), (64, "kd", False), (32, "precision", False)],
)
def test_a_distance_of_no_more_images_than_features_is_marked(images, metric, marked):
    assert example(images=images, metric=metric).get(BELOW, False) is marked


def test_a_marked_number_is_comparable_with_nothing():
    """Not even with one marked alike."""
    below = example(images=40)
    assert comparable(below, below) == [(BELOW, True, True)]
    with pytest.raises(UserError, match="below dimension"):
        require_comparable(below, below)


def test_comparing_the_incomparable_is_refused_with_each_difference():
    with pytest.raises(UserError) as error:
        require_comparable(example(), example(images=5000, classes=10))
    assert str(error.value) == (
        "these numbers cannot be compared, their passports differ:\n"
        "  images: 1000 and 5000\n"
        "  labels: not given and as frequent as in the data"
    )
    require_comparable(example(), example())


@pytest.mark.parametrize(
    ("metric", "extractor", "name"),
    [
        ("fd", DIGITS, "digits Fréchet distance"),
        ("kd", DIGITS, "digits kernel distance"),
        ("recall", DIGITS, "digits recall"),
        ("fid", CLEAN, "FID (clean)"),
        ("kid", CLEAN, "KID (clean)"),
        ("is", CLEAN, "Inception Score (clean)"),
    ],
)
def test_what_people_call_it(metric, extractor, name):
    assert example(metric=metric, extractor=extractor)["metric"] == name
