import pytest

from ictsweep.evaluation import (
    EvaluateConfig,
    default_mid_sigma,
    level_problems,
    metric_key,
    metric_keys,
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
    assert [metric_key(k) for k in (1, 2, 3, 12)] == ["fd", "fd_2step", "fd_3step", "fd_12step"]


@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        (((1.0, 4.0),), r"the levels of a schedule must descend, got \[1.0, 4.0\]"),
        (((4.0, 4.0),), "must descend"),
        (((),), r"one intermediate noise level or more, got \[\]"),
        (((0.7,),), r"schedule \[0.7\] and steps \[1, 2\] would both be called fd_2step"),
        (((4.0, 1.0), (3.0, 1.0)), r"\[3.0, 1.0\] and schedule \[4.0, 1.0\] .* called fd_3step"),
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
