"""What the report says, word by word."""

from dataclasses import replace
from pathlib import Path

import pytest

from ictsweep.records import Card, State
from ictsweep.report.collect import collect
from ictsweep.report.format import (
    duration,
    like,
    number,
    plus_minus,
    probability,
    setting,
    tick,
)
from ictsweep.report.view import Scored, StudyView
from ictsweep.report.words import finding, label, progress, stop, why
from ictsweep.study.noise import Verdict, compare
from tests.report.fixture import Script, space, write_study


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (31.2468, 0.8321, "31.2 ± 0.8"),
        (31.2468, 0.1549, "31.25 ± 0.15"),
        (31.2468, 0.0963, "31.25 ± 0.10"),
        (31.2468, 12.3, "31 ± 12"),
        (1234.5, 57.0, "1,230 ± 60"),
        (31.2468, None, "31.2"),
        (31.2468, 0.0, "31.2"),
        (31.2468, float("nan"), "31.2"),
        (-0.5, 0.02, "-0.500 ± 0.020"),
    ],
)
def test_value_and_error(value: float, error: float | None, text: str) -> None:
    assert plus_minus(value, error) == text


def test_numbers() -> None:
    assert [number(x) for x in (0, 123.456, 0.0123456, 1.2e-7)] == [
        "0",
        "123",
        "0.0123",
        "1.20e-07",
    ]
    assert [tick(x) for x in (0.0005, -1.6, 200.0, 0.0)] == ["0.0005", "-1.6", "200", "0"]
    assert [setting(x) for x in (0.00037051, True, None, "a", 3)] == [
        "0.0003705",
        "true",
        "null",
        "a",
        "3",
    ]
    assert [probability(p) for p in (0.00001, 0.0213, 0.214)] == ["< 0.001", "0.021", "0.21"]
    assert [duration(s) for s in (48, 252, 7500, 273_600)] == [
        "48 s",
        "4 min 12 s",
        "2 h 05 min",
        "3 d 04 h",
    ]
    assert like(27.87, 0.8) == "27.9"


CARD = Card(
    rung_kimg=96, value=31.2, error=0.8, cutoff=27.9, rank=14, of=18, keep=6, reason="no"
)  # fmt: skip


def test_a_stop_in_words() -> None:
    assert stop(CARD) == (
        "stopped at rung 96 kimg: 31.2 ± 0.8, cut-off 27.9, rank 14 of 18, the best 6 go on"
    )
    assert stop(replace(CARD, keep=1)).endswith("only the best goes on")


def test_why_a_trial_ended(view: StudyView) -> None:
    assert why(view.trial(13)) == (
        "diverged at rung 96 kimg: loss inf, gradient norm nan at 51.2 kimg, N = 81"
    )
    assert why(view.trial(5)) == "failed at rung 32 kimg: bug: RuntimeError: shape mismatch"
    assert why(view.trial(0)) == "trained to the full budget"
    assert (label(view.trial(13)), label(view.trial(5))) == ("diverged", "failed")
    running = replace(view.trial(4), state=State.RUNNING, kimg=64)
    assert why(running) == "under way, 64 kimg trained"


def _compared(view: StudyView, seeds: list[float], best: float, tried: int = 15) -> StudyView:
    assert view.best is not None
    changed = replace(view.trial(view.best), final=Scored(value=best, error=0.3))
    trials = tuple(changed if t.number == view.best else t for t in view.trials)
    return replace(view, trials=trials, comparison=compare(seeds, best, tried))


def test_a_clear_win(view: StudyView) -> None:
    found = finding(_compared(view, [20.0, 20.4, 19.6, 20.1, 19.9], 14.0))
    assert found.headline == f"Trial {view.best} reached 14.00 ± 0.30, 30 % below trial 0."
    assert (found.verdict, found.label) == (Verdict.CLEAR, "clearly better")
    text = " ".join(found.reasons)
    assert "scores 20.00 ± 0.29 (mean ± standard deviation over 5 seeds)" in text
    assert (
        "The best of 15 searched configurations, 14.0, lies 20.6 of these standard deviations"
        in text
    )
    assert "Of 15 trials no different from trial 0, the luckiest would show about 19.49" in text
    assert "expect a new seed of it to score somewhat higher" in text


def test_a_win_that_may_be_luck(view: StudyView) -> None:
    found = finding(_compared(view, [18.0, 20.0, 22.0], 15.0))
    assert found.label == "not distinguishable from luck"
    text = " ".join(found.reasons)
    assert "do at least this well with probability 0.39" in text
    assert "(5–95 %: 3.3 to 19.1)" in text
    assert text.endswith(
        "That is not distinguishable from luck. More seeds of trial 0 would narrow that range."
    )


def test_nothing_to_be_found(view: StudyView) -> None:
    found = finding(_compared(view, [18.0, 20.0, 22.0], 21.0))
    assert found.headline == "No searched configuration beat trial 0."
    assert found.label == "nothing better found"
    assert "nothing to find here" in found.reasons[-1]
    assert "0.5 of these standard deviations above that mean" in " ".join(found.reasons)


def test_one_seed(view: StudyView) -> None:
    found = finding(_compared(view, [20.0], 15.0))
    assert found.label == "unknown (one seed)"
    assert "scores 20.0 on 1 seed." in found.reasons[0]
    assert "may be luck" in found.reasons[-1]


def test_while_it_runs(tmp_path: Path) -> None:
    view = collect(write_study(tmp_path / "s", script=Script(pictures=False), until=60))
    found = finding(view)
    assert found.headline == "No searched trial has reached the full budget of 288 kimg yet."
    assert "which is not a final value" in found.reasons[0]
    assert progress(view).startswith("In progress: 3 of 18 trials ended, 2 under way")


def test_before_anything(tmp_path: Path) -> None:
    view = collect(write_study(tmp_path / "s", until=2))
    assert finding(view).headline == "Nothing has been measured yet."


def test_when_all_failed(tmp_path: Path) -> None:
    script = Script(fail=dict.fromkeys(range(20), "oom: out of memory"))
    view = collect(write_study(tmp_path / "s", script=script))
    assert finding(view).headline == "All 4 trials failed."
    assert finding(view).reasons == ("The last one said: oom: out of memory",)
    assert progress(view) == "Incomplete: 4 of 18 trials ended and none is under way."


def test_when_trial_0_has_no_final_value(view: StudyView) -> None:
    found = finding(replace(view, comparison=None, noise=None))
    assert found.headline.startswith(f"Trial {view.best} is best at ")
    assert "no final value to compare it with" in found.headline


def test_done(view: StudyView) -> None:
    assert progress(view) == "Done: all 18 trials ended."


def test_only_one_trial_and_it_failed(tmp_path: Path) -> None:
    spec = space(trials=1, replicates=1)
    view = collect(write_study(tmp_path / "s", spec, Script(fail={0: "bug: no"})))
    assert finding(view).headline == "The only trial failed."
