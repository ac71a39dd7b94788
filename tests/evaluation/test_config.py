import pytest

from ictsweep.evaluation import (
    CifarResNetFeatures,
    ClassifierFeatures,
    Dinov2Features,
    EvaluateConfig,
    InceptionFeatures,
    TorchScriptFeatures,
    below_dimension,
    default_mid_sigma,
    dimension,
    distance_keys,
    level_problems,
    metric_key,
    metric_keys,
    sampled_steps,
)


def config(**changes):
    return EvaluateConfig(every_kimg=1, **changes)


@pytest.mark.parametrize("steps", [(), (3,), (1, 1), (0,), (1, 2, 4)])
def test_steps_are_one_and_two(steps):
    with pytest.raises(ValueError, match=r"steps must be \[1\], \[2\] or \[1, 2\], got \["):
        config(steps=steps)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({}, ("fd", "fd_2step")),
        ({"steps": (2, 1)}, ("fd", "fd_2step")),
        ({"steps": (2,)}, ("fd_2step",)),
        ({"schedules": ((4.0, 1.0, 0.5), (4.0, 1.0))}, ("fd", "fd_2step", "fd_3step", "fd_4step")),
        ({"steps": (1,), "schedules": ((0.7,),)}, ("fd", "fd_2step")),
    ],
)
def test_what_an_evaluation_yields(changes, keys):
    assert metric_keys(config(**changes), diffusion=False) == keys
    assert metric_keys(config(**changes), diffusion=True) == ("fd_ode",)


def test_one_step_has_the_plain_name():
    assert [metric_key("fd", k) for k in (1, 2, 3, 12)] == [
        "fd",
        "fd_2step",
        "fd_3step",
        "fd_12step",
    ]
    assert [metric_key("kid", k) for k in (1, 2, "ode")] == ["kid", "kid_2step", "kid_ode"]


def test_every_metric_of_every_way_of_sampling_has_a_name():
    several = config(features=InceptionFeatures(), metrics=("fid", "precision"), steps=(2, 1))
    assert sampled_steps(several, diffusion=False) == (1, 2)
    expected = ("fid", "precision", "fid_2step", "precision_2step")
    assert metric_keys(several, diffusion=False) == expected
    assert metric_keys(several, diffusion=True) == ("fid_ode", "precision_ode")


def test_only_distances_can_be_minimised():
    every = config(features=InceptionFeatures(), metrics=InceptionFeatures().metrics, steps=(2,))
    assert distance_keys(every, diffusion=False) == ("fid_2step", "kid_2step")
    assert distance_keys(every, diffusion=True) == ("fid_ode", "kid_ode")
    assert distance_keys(config(metrics=("recall",)), diffusion=False) == ()


@pytest.mark.parametrize(
    ("features", "frechet"), [(ClassifierFeatures(), "fd"), (InceptionFeatures(), "fid")]
)
def test_without_metrics_the_frechet_distance_is_measured(features, frechet):
    assert config(features=features).measured == (frechet,)
    assert config(features=features, metrics=("precision",)).measured == ("precision",)


@pytest.mark.parametrize(
    ("features", "metrics", "message"),
    [
        (ClassifierFeatures(), ("fid",), r"\['fid'\]: FID is the name for Inception features, not "
         "for features classifier; these give fd, kd, precision, recall"),
        (TorchScriptFeatures(path="x"), ("fd", "kid"), "KID is the name for Inception features"),
        (ClassifierFeatures(), ("is",), r"the Inception score \(is\) needs Inception features, not "
         "features classifier; these give fd, kd"),
        (InceptionFeatures(), ("fd",), "fd is the name where features are not Inception's, not for "
         "features inception; these give fid, kid, precision, recall, is"),
        (ClassifierFeatures(), ("fd", "kd", "fd"), r"\['fd', 'kd', 'fd'\]: fd is listed twice"),
    ],
)  # fmt: skip
def test_metrics_that_the_features_do_not_give(features, metrics, message):
    with pytest.raises(ValueError, match=message):
        config(features=features, metrics=metrics)


def test_dimensions_that_are_known_without_a_file():
    known = [ClassifierFeatures(), InceptionFeatures(), CifarResNetFeatures(path="x")]
    assert [dimension(features) for features in known] == [64, 2048, 64]
    assert dimension(TorchScriptFeatures(path="x")) is None
    assert dimension(Dinov2Features()) is None


@pytest.mark.parametrize(
    ("images", "key", "wrong"),
    [
        (64, "fd", True), (65, "fd", False), (64, "fd_2step", True), (64, "kd", False),
        (32, "fd_ode", False),
    ],
)  # fmt: skip
def test_a_distance_below_the_dimension_ranks_nothing(images, key, wrong):
    found = below_dimension(config(images=images), key, 64, diffusion=False)
    expected = f"got {images}; {key} of no more samples than 64 features comes from a singular"
    assert found.startswith(expected) if wrong else found == ""


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        (((1.0, 4.0),), r"the levels of a schedule must descend, got \[1.0, 4.0\]"),
        (((4.0, 4.0),), "must descend"),
        (((),), r"one intermediate noise level or more, got \[\]"),
        (((0.7,),), r"schedule \[0.7\] and steps \[1, 2\] both take 2 steps"),
        (((4.0, 1.0), (3.0, 1.0)), r"\[3.0, 1.0\] and schedule \[4.0, 1.0\] both take 3 steps"),
    ],
)
def test_schedules_that_cannot_be(schedules, message):
    with pytest.raises(ValueError, match=message):
        config(schedules=schedules)


@pytest.mark.parametrize(("side", "level"), [(8, 0.821), (32, 0.821), (33, 1.526), (64, 1.526)])
def test_the_published_level_for_the_size(side, level):
    assert default_mid_sigma(side) == level


def test_levels_inside_the_range_are_no_problem():
    assert level_problems(config(schedules=((4.0, 0.01),)), 0.002, 80.0) == []
    assert level_problems(config(steps=(1,)), 0.002, 0.5) == []
    assert level_problems(config(), 0.0, 1.0) == []


def test_levels_outside_are_located():
    outside = config(mid_sigma=90.0, schedules=((4.0, 1.0), (80.0, 2.0, 0.002)))
    end = "; expected a noise level between sigma_min 0.002 and sigma_max 80.0"
    assert level_problems(outside, 0.002, 80.0) == [
        (("mid_sigma",), f"got 90.0{end}"),
        (("schedules", 1, 0), f"got 80.0{end}"),
        (("schedules", 1, 2), f"got 0.002{end}"),
    ]


def test_a_default_outside_says_where_it_comes_from():
    end = "; expected a noise level between sigma_min 0.1 and sigma_max"
    assert level_problems(config(), 0.1, 0.5) == [
        (("mid_sigma",), f"not given, which means 0.821{end} 0.5")
    ]
    assert level_problems(config(), 0.1, 1.0, side=64) == [
        (("mid_sigma",), f"not given, which means 1.526{end} 1.0")
    ]


def test_a_level_must_stay_inside_when_it_is_scaled():
    scaled = config(mid_sigma=0.003, edge_eta=0.5)
    assert level_problems(config(mid_sigma=0.003), 0.002, 80.0) == []
    assert level_problems(scaled, 0.002, 80.0) == [
        (
            ("mid_sigma",),
            "got 0.003; expected a noise level between sigma_min 0.002 and sigma_max 80.0, "
            "times edge_eta 0.5 too",
        )
    ]
