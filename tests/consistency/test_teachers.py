"""The averaged teacher's decay against the released code's numbers."""

import math

import pytest

from ictsweep.consistency import METHODS, Doubling, EmaTeacher, SquareRoot


def test_decay_divides_by_the_intervals_not_the_levels():
    # mu(0) = exp(2 ln 0.9 / 1) = 0.81, not the paper's exp(2 ln 0.9 / 2) = 0.9; the last is
    # exp(2 ln 0.9 / 150) = 0.998596.
    teacher, steps = EmaTeacher(mu0=0.9), SquareRoot()
    assert teacher.decay(steps, 0.0) == pytest.approx(0.81, rel=1e-12)
    assert teacher.decay(steps, 1.0) == pytest.approx(0.9986, abs=5e-5)
    assert teacher.decay(steps, 0.1) == pytest.approx(math.exp(2 * math.log(0.9) / 47), rel=1e-12)


def test_decay_follows_any_grid():
    assert EmaTeacher(mu0=0.5).decay(Doubling(s0=4, s1=8), 0.0) == pytest.approx(0.5)
    assert EmaTeacher(mu0=0.5).decay(Doubling(s0=4, s1=8), 1.0) == pytest.approx(0.5**0.5)


def test_imagenet_has_its_own():
    method = METHODS["ct_imagenet64"]
    assert isinstance(method.teacher, EmaTeacher)
    assert method.teacher.decay(method.pairs.steps, 1.0) == pytest.approx(0.95 ** (2 / 200))
