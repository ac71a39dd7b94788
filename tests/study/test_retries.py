"""What a failure deserves, by kind; when failures have a common cause."""

import pytest

from ictsweep.records import Failed, Failure
from ictsweep.study.retries import MOST, again, common_cause, is_the_studys


def failures(*kinds: str) -> list[Failed]:
    return [Failed(time=0.0, kind=kind, message="m") for kind in kinds]


@pytest.mark.parametrize(("kind", "most"), [("preempted", 1000), ("lost", 3), ("oom", 1)])
def test_each_kind_is_tried_again_so_often_and_no_more(kind, most):
    assert MOST[kind] == most
    answer = again(failures(*[kind] * most), 4, 0)
    assert answer is not None
    assert answer.attempt == 5
    assert again(failures(*[kind] * (most + 1)), 4, 0) is None


def test_kinds_are_counted_apart():
    assert again(failures("lost", "lost", "lost", "preempted", "preempted"), 5, 0) is not None
    assert again(failures("oom", "lost"), 2, 1) is not None


def test_only_too_little_memory_halves_the_micro_batch():
    halvings = {}
    for kind in ("preempted", "lost", "oom"):
        answer = again(failures(kind), 0, 2)
        assert answer is not None
        halvings[kind] = answer.halvings
    assert halvings == {"preempted": 2, "lost": 2, "oom": 3}


@pytest.mark.parametrize("kind", ["diverged", "bug", "error", "disk_full", "storage"])
def test_what_would_fail_again_is_not_tried_again(kind):
    assert again(failures(kind), 0, 0) is None


def test_what_the_storage_does_is_no_trials_fault():
    assert [kind for kind in Failure if is_the_studys(kind)] == ["disk_full", "storage"]


def test_a_common_cause_is_equal_failures_or_a_row_of_any():
    """Numbers in a message do not tell failures apart."""
    assert common_cause([], 0) == ""
    assert common_cause(["bug: a", "bug: b"], 2) == ""
    assert "3 trials in a row" in common_cause(["bug: a", "lost: b", "bug: c"], 3)
    equal = ["bug: shape 3x4", "bug: other", "bug: shape 5x6", "bug: shape 7x8"]
    assert "3 trials failed in the same way: bug: shape 7x8" in common_cause(equal, 1)
    assert common_cause(equal[:3], 1) == ""
