import json

import pytest

from ictsweep.evaluation import Route, passport, same

ROUTE = {"solver": "consistency multistep", "levels": (80.0, 0.821), "noises": 2}


def example(images=1000, **route):
    return passport(
        metric="digits Fréchet distance", extractor="classifier-64/1", weights="ab", images=images,
        latent_seed=3, route=Route(**{**ROUTE, **route}), ema="0.05", reference="cd",
    )  # fmt: skip


def test_a_passport_survives_json():
    assert json.loads(json.dumps(example())) == example()
    assert same(json.loads(json.dumps(example())), example()) == []


def test_differences_are_listed_with_both_values():
    a, b = example(), example(images=5000, levels=(80.0, 0.7))
    assert same(a, b) == [("images", 1000, 5000), ("levels", [80.0, 0.821], [80.0, 0.7])]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"solver": "EDM Heun ODE"}, ("solver", "consistency multistep", "EDM Heun ODE")),
        ({"eta": 0.9}, ("eta", 1.0, 0.9)),
        ({"guidance": 1.5}, ("guidance", 1.0, 1.5)),
        ({"classes": 10}, ("labels", None, "as frequent as in the data")),
    ],
)
def test_each_way_of_sampling_is_another_number(change, difference):
    assert same(example(), example(**change)) == [difference]


def test_a_missing_key_is_a_difference():
    a = example()
    b = {key: value for key, value in a.items() if key != "ema"}
    assert same(a, b) == [("ema", "0.05", None)]
    assert same(b, a) == [("ema", None, "0.05")]


def test_samples_are_not_drawn_in_tf32():
    assert example()["dtype"].startswith("float32 samples (no TF32)")


def test_what_the_design_asks_for_is_there():
    assert set(example()) == {
        "metric", "extractor", "weights", "resize", "dtype", "images", "latent_seed", "solver",
        "steps", "levels", "eta", "guidance", "labels", "ema", "reference",
    }  # fmt: skip
