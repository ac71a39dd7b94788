"""The failures that the demonstration shows are still there. When one of these tests fails, Ray has
fixed something: look whether this project's own part is still needed, and tell the README.
"""

from pathlib import Path

import pytest

from tests.demonstrations import stock_ray
from tests.demonstrations.stock_ray import Difference, Trial

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """The uninterrupted study."""
    return stock_ray.run(tmp_path_factory.mktemp("stock") / "whole")


@pytest.fixture(scope="module")
def restored(whole: list[Trial], tmp_path_factory: pytest.TempPathFactory) -> list[Difference]:
    """What a killed and restored one decides otherwise."""
    again = stock_ray.run(tmp_path_factory.mktemp("stock") / "again")
    assert stock_ray.differences(whole, again) == [], "it does not even repeat itself"
    killed = stock_ray.run_killed(tmp_path_factory.mktemp("stock") / "killed")
    return stock_ray.differences(whole, killed)


def test_rungs_are_empty_after_a_restore(restored: list[Difference]) -> None:
    first = restored[0]
    assert first.trial == stock_ray.KILLED_TRIAL
    assert "after the restore 0" in first.reason


def test_late_values_are_filled_into_lower_rungs(restored: list[Difference]) -> None:
    filled = [d for d in restored if "back-filled" in d.reason]
    assert {d.trial for d in filled} == {stock_ray.KILLED_TRIAL}
    assert len(filled) == 2


def test_a_trial_ends_that_would_have_gone_on(restored: list[Difference]) -> None:
    assert any(d.whole.startswith("continue") and d.restored.startswith("stop") for d in restored)


def test_optuna_is_told_that_stopped_trials_are_complete(whole: list[Trial]) -> None:
    stopped = stock_ray.told_complete(whole)
    assert stopped
    for number in stopped:  # and their last value is not among their intermediate ones
        assert len(whole[number].told["steps"]) == len(whole[number].verdicts) - 1


def test_a_kill_while_tune_writes_its_snapshot_begins_the_study_anew(tmp_path: Path) -> None:
    stock_ray.run_torn(tmp_path / "torn")
    lost, left, copies = stock_ray.forgotten(tmp_path / "torn")
    assert lost > stock_ray.KILLED_TRIAL
    assert left >= copies >= 1


def test_this_projects_engine_decides_the_same_wherever_it_is_cut() -> None:
    cuts, wrong = stock_ray.ours()
    assert cuts > 50
    assert wrong == 0
