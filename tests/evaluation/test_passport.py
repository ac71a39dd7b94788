import json

from ictsweep.evaluation import passport, same


def example(**changes):
    facts = {
        "metric": "digits Fréchet distance", "extractor": "classifier-64/1", "weights": "ab",
        "images": 1000, "latent_seed": 3, "steps": 2, "levels": (80.0, 0.821), "ema": "0.05",
        "reference": "cd",
    }  # fmt: skip
    return passport(**{**facts, **changes})


def test_a_passport_survives_json():
    assert json.loads(json.dumps(example())) == example()
    assert same(json.loads(json.dumps(example())), example()) == []


def test_differences_are_listed_with_both_values():
    a, b = example(), example(images=5000, levels=(80.0, 0.7))
    assert same(a, b) == [("images", 1000, 5000), ("levels", [80.0, 0.821], [80.0, 0.7])]


def test_a_missing_key_is_a_difference():
    a = example()
    b = {key: value for key, value in a.items() if key != "ema"}
    assert same(a, b) == [("ema", "0.05", None)]
    assert same(b, a) == [("ema", None, "0.05")]


def test_what_the_design_asks_for_is_there():
    assert set(example()) == {
        "metric", "extractor", "weights", "resize", "dtype", "images", "latent_seed", "steps",
        "levels", "ema", "reference",
    }  # fmt: skip
