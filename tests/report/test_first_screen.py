"""The five answers of the first screen, and what they are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ictsweep.records import LOG_VERSION, Event
from ictsweep.report import answers, glance, health
from ictsweep.report.collect import collect
from ictsweep.report.figures.agreement import agreements
from ictsweep.report.figures.evidence import evidence_info
from ictsweep.report.figures.importance import importance_info
from ictsweep.report.figures.progress import progress_info
from ictsweep.report.finals import finals
from ictsweep.report.history import history
from ictsweep.report.references import bibtex
from ictsweep.report.tied import tied_with_best
from ictsweep.report.view import Scored, StudyView
from ictsweep.study.spec import Limits
from ictsweep.study.spending import Spent
from tests.report.fixture import Script, methods, write_study
from tests.report.test_plots import planted


def _with_finals(view: StudyView, values: dict[int, float]) -> StudyView:
    trials = tuple(
        replace(t, final=Scored(value=values[t.number], error=0.1)) if t.number in values else t
        for t in view.trials
    )
    return replace(view, trials=trials, best=min(values, key=lambda n: values[n]), noise=None)


def test_who_is_tied_with_the_best(view: StudyView) -> None:
    """By evaluation errors alone 1.96 * sqrt(2) * 0.1 = 0.277 apart; by seeds' spread more."""
    seen = _with_finals(view, {3: 10.0, 4: 10.2, 6: 10.3})
    others = tuple(t for t in seen.trials if t.number in (0, 1, 2, 3, 4, 6))
    assert tied_with_best(replace(seen, trials=others)) == (3, 4)
    noisy = replace(seen, trials=others, noise=view.noise)
    assert tied_with_best(noisy) == (3, 4, 6)
    assert answers.certainty(noisy, (3, 4, 6)) == (
        "2 of the 2 other searched trials at the full budget are statistically tied with trial 3."
    )
    assert answers.certainty(noisy, (3,)).startswith("None of the 2 other searched trials")
    assert tied_with_best(replace(view, best=None)) == ()
    pair = replace(seen, trials=tuple(t for t in seen.trials if t.number in (0, 3, 4)))
    assert answers.certainty(pair, (3,)) == (
        "The other searched trial at the full budget is not tied with trial 3."
    )


def test_every_metric_beside_trial_0(view: StudyView) -> None:
    found = finals(view)
    assert [f.name for f in found] == ["fd", "fd_2step"]
    assert found[0].minimised
    seeds = [t.others["fd_2step"].value for t in view.trials if not t.searched and t.final]
    assert found[1].baseline.startswith(f"{np.mean(seeds):.2f} ± {np.std(seeds, ddof=1):.2f}")
    assert view.best is not None
    assert found[0].best.split(" ")[0] in f"{view.trial(view.best).final.value:.2f}"  # type: ignore[union-attr]
    assert finals(replace(view, trials=(), best=None)) == []


def test_what_was_used_and_of_how_much(view: StudyView) -> None:
    (only,) = health.used(view)
    assert (only.name, only.share) == ("used", None)
    assert "min" in only.text
    gpus = replace(view, gpus=2.0)
    seconds = [max(sum(s.seconds for s in t.stints), t.train_s + t.evaluate_s) for t in view.trials]
    assert gpus.held() == pytest.approx(2 * sum(seconds) / 3600)
    limits = replace(view.spec.limits, max_gpu_hours=2 * gpus.held())
    limited = replace(gpus, spec=replace(view.spec, limits=limits))
    (half,) = health.used(limited)
    assert half.share == pytest.approx(50, abs=0.1)
    assert " of " in half.text


def test_every_limit_has_its_meter(view: StudyView) -> None:
    """GPU-hours, a driver's hours and money, each of what it may be, past its end too."""
    limits = Limits(max_gpu_hours=8.0, max_hours=2.0, max_cost=3.0, gpu_hour_price=1.5)
    spent = Spent(hours=0.5, gpu_hours=4.0)
    limited = replace(view, gpus=2.0, spent=spent, spec=replace(view.spec, limits=limits))
    assert [(means.name, means.text, means.share) for means in health.used(limited)] == [
        ("used", "4 of 8 GPU-hours", 50.0),
        ("driver", "30 min 00 s of 2 h 00 min", 25.0),
        ("cost", "6.00 of 3.00", 200.0),
    ]
    assert health.used(limited)[2].width == 100
    priced = replace(limited, spec=replace(view.spec, limits=Limits(gpu_hour_price=1.5)))
    assert [means.text for means in health.used(priced)] == ["4 GPU-hours", "6.00"]


def test_failures_in_a_sentence(view: StudyView) -> None:
    text = health.failures(view)
    assert text == "2 failures (1 bug, 1 diverged); 1 trial lost by it."
    assert health.failures(replace(view, trials=view.trials[:3])) == "No launch failed."


def test_whether_it_improves(view: StudyView) -> None:
    assert view.best is not None
    step = next(s for s in view.steps if s.trial == view.best)
    whole = sum(t.train_s + t.evaluate_s for t in view.trials)  # of the study, not until then
    value = step.scored.value
    worse = replace(step, trial=3, scored=Scored(value=2 * value), spent_s=0.1 * whole)
    best = replace(step, spent_s=0.6 * whole)
    assert answers.improving(replace(view, steps=(worse, best))).startswith(
        "Yes: the second half of the time lowered the best by 50 %"
    )
    early, late = replace(best, spent_s=0.1 * whole), replace(worse, spent_s=0.6 * whole)
    assert answers.improving(replace(view, steps=(early, late))).startswith("No: ")
    soon = replace(best, spent_s=0.4 * whole)
    assert answers.improving(replace(view, steps=(worse, soon))).startswith("No: ")
    assert answers.improving(replace(view, steps=(best,))).startswith("Too early to say: 1")
    assert view.noise is not None
    near = replace(worse, scored=Scored(value=value + 0.5 * view.noise.sd))
    text = answers.improving(replace(view, steps=(near, best)))
    assert text.startswith("Hardly: ")
    assert text.endswith("0.5 times the spread of trial 0 over seeds.")


def test_trust_in_a_sentence(view: StudyView) -> None:
    assert answers.trust(agreements(view)).startswith("Too few to say: 3 trials with values at 32")
    text = answers.trust(agreements(planted(view, 60)))
    assert text.startswith("The order at 32 kimg agrees")
    assert "tau 0." in text
    assert answers.trust(()).startswith("Nothing to say yet")
    assert answers.mattered([]) == "Nothing beyond what chance would show."
    assert answers.mattered(["a.b.c", "d"]) == "Beyond chance: b.c and d."


def test_small_pictures_stay_in_their_boxes(view: StudyView) -> None:
    lanes = glance.evidence_lanes(evidence_info(view))
    assert lanes is not None
    marks = [mark for lane in lanes.lanes for mark in lane.marks]
    assert len(marks) == 1 + sum(t.final is not None for t in view.trials)
    assert all(0 <= mark.low <= mark.at <= mark.high <= 100 for mark in marks)
    assert sum(mark.kind == "best" for mark in marks) == 1
    stairs = glance.stairs(progress_info(view))
    assert stairs is not None
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y, _ in stairs.points)
    bars = glance.importance_bars(importance_info(view, resamples=3))
    assert all(0 <= bar.low <= bar.high <= 100 for bar in bars)
    trust = glance.trust_lanes(agreements(planted(view, 60)))
    assert trust is not None
    assert 50 < trust.lanes[0].marks[0].low < trust.lanes[0].marks[0].at < 100
    assert answers.trust_axis(agreements(planted(view, 60))).endswith("at 96 kimg, 5–95 %")
    assert glance.round_numbers(3.9, 8.2) == [4, 6, 8]


def test_history_of_the_second_log() -> None:
    """Launches with phases, failures, retries, halts, the room there was."""
    events = [
        Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 4}),
        Event(kind="prior", time=1.0, data={}),
        Event(kind="launch", time=10.0, trial=0, data={"attempt": 0, "gpus": 2.0, "halvings": 0}),
        Event(kind="fail", time=50.0, trial=0, data={"kind": "preempted", "message": "node gone"}),
        Event(kind="leave", time=52.0, trial=0, data={"seconds": 41.0, "gpus": 2.0, "phases": {}}),
        Event(kind="retry", time=53.0, trial=0, data={"attempt": 1, "reason": "free"}),
        Event(kind="cluster", time=54.0, data={"slots": 2}),
        Event(kind="launch", time=60.0, trial=0, data={"attempt": 1, "gpus": 2.0, "halvings": 1}),
        Event(kind="measure", time=90.0, trial=0, data={}),
        Event(
            kind="leave", time=100.0, trial=0,
            data={"seconds": 40.0, "gpus": 2.0, "phases": {"train_s": 30.0}},
        ),
        Event(kind="halt", time=101.0, data={"kind": "budget", "reason": "2 GPU-hours used"}),
    ]  # fmt: skip
    past = history(events)
    first, second = past.stints[0]
    assert (first.start, first.end, first.ending, first.gpus) == (10.0, 51.0, "preempted", 2.0)
    assert (second.seconds, second.ending, second.halvings) == (40.0, "", 1)
    assert second.phases == {"train_s": 30.0}
    assert past.failures[0] == ("preempted: node gone",)
    assert past.retries[0] == ("free",)
    assert past.halts[0].kind == "budget"
    assert past.room == ((0.0, 4), (54.0, 2))
    assert past.priors == 1


def test_a_launch_without_an_end_lasts_to_its_last_word() -> None:
    events = [
        Event(kind="launch", time=10.0, trial=0, data={"attempt": 0}),
        Event(kind="measure", time=90.0, trial=0, data={}),
    ]
    assert history(events).stints[0][0].seconds == 80.0
    assert history(events).stints[0][0].ending == "running"


def test_references_are_of_what_was_used(view: StudyView, tmp_path: Path) -> None:
    text = bibtex(view)
    assert text.count("@") == len(set(text.split("@"))) - 1
    assert "arXiv:2310.14189" in text  # iCT
    assert "arXiv:1810.05934" in text  # ASHA
    assert "Easy" not in text
    several = collect(write_study(tmp_path / "s", methods(), Script(pictures=False)))
    assert "Consistency Models Made Easy" in bibtex(several)
    assert all(text.count(b) == text.count(c) for b, c in ("{}", "()"))
