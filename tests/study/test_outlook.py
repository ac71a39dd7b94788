"""Ways in which a study may go: made by the engine, fair, and wide enough."""

import random
from collections.abc import Sequence

import pytest

from ictsweep.records import Event
from ictsweep.study import outlook
from ictsweep.study.forecast import trained_kimg
from ictsweep.study.outlook import Outlook, Outlooks, expected_kimg, outlooks
from ictsweep.study.spans import Span
from ictsweep.study.spec import Sampler, Stopping, StudySpec
from tests.study.worlds import play, spec

SAME_RUN = Stopping(first_rung_kimg=4, reduction=3, fidelity="same_run")


def kimg(found: Outlook) -> float:
    return found.kimg


def mean(found: Sequence[Outlook]) -> float:
    return sum(map(kimg, found)) / len(found)


@pytest.mark.parametrize("stopping", [spec().stopping, SAME_RUN])
def test_trials_go_through_the_rungs(stopping: Stopping) -> None:
    study = spec(stopping=stopping)
    for found in outlooks(study, 3).by_chance[:10]:
        assert list(found.runs) == list(range(study.total))
        for trial, runs in found.runs.items():
            ways = [(4,), (4, 12), (4, 12, 36)] if study.short_run else [(4,), (12,), (36,)]
            assert runs in ways
            assert trial >= 3 or runs == ways[-1]  # the baseline is never stopped
        assert found.kimg == sum(sum(runs) for runs in found.runs.values())
        assert found.clock_kimg >= (found.kimg + 2 * study.total) / 3  # 2 kimg to launch each


def test_a_study_that_learns_is_within_the_bounds() -> None:
    """Real sampler, curves that differ by configuration: what it trains is between the bounds, for
    nine of ten seeds.
    """
    within = []
    for seed in range(20):
        study = spec(seed=seed, trials=24, sampler=Sampler(startup_trials=8))
        span = outlooks(study, 3).span(kimg)
        trained = trained_kimg(play(study, order=random.Random(seed)))
        within.append(span.low <= trained <= span.high)
    assert sum(within) >= 18


def test_bounds_are_quantiles_of_the_two_ways() -> None:
    def way(kimg: int) -> Outlook:
        return Outlook(runs={0: (kimg,)}, clock_kimg=1.0)

    found = Outlooks(by_chance=[way(n) for n in range(101)], learning=[way(200), way(100)])
    assert found.span(kimg) == Span(5, 100, 195)
    assert Outlooks(by_chance=[way(7)], learning=[way(3)]).span(kimg) == Span(3, 5, 7)


def test_the_way_without_the_engine_is_as_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same means within three standard errors, and the same bounds within a fifth."""
    study = spec(trials=60, sampler=Sampler(startup_trials=10))
    by_engine = outlooks(study, 1)
    monkeypatch.setattr(outlook, "MOST", 0)
    one_by_one = outlooks(study, 1)
    assert one_by_one.by_chance[0] != by_engine.by_chance[0]
    a, b = by_engine.span(kimg), one_by_one.span(kimg)
    values = [found.kimg for found in by_engine.by_chance]
    sd = (sum((v - a.likely) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    assert abs(a.likely - b.likely) < 3 * sd * (2 / len(values)) ** 0.5
    assert (b.low, b.high) == pytest.approx((a.low, a.high), rel=0.2)


def test_without_stopping_there_is_nothing_to_be_unsure_of() -> None:
    study = spec(stopping=Stopping(first_rung_kimg=36))
    for slots in (1, 4):
        span = outlooks(study, slots).span(kimg)
        assert span == Span.exactly(12 * 36)


def test_learning_trains_more_than_chance() -> None:
    found = outlooks(spec(trials=60), 3)
    assert mean(found.learning) > 1.5 * mean(found.by_chance)
    for sampler in (Sampler(startup_trials=60), Sampler(name="random", startup_trials=2)):
        unlearned = outlooks(spec(trials=60, sampler=sampler), 3)
        assert mean(unlearned.learning) == mean(unlearned.by_chance)


def test_thousands_of_trials_are_looked_at_in_seconds() -> None:
    study: StudySpec = spec(trials=5000)
    found = outlooks(study, 8)
    assert len(found.by_chance) == 5
    span = found.span(kimg)
    full = 5002 * 36
    assert 0.2 * full < span.low <= span.likely <= span.high < full


def test_the_expectation_is_the_mean_by_chance() -> None:
    assert expected_kimg(spec()) == mean(outlooks(spec(), 1).by_chance)


def test_bounds_of_one_event_log_and_of_the_outlook_count_alike() -> None:
    events: list[Event] = play(spec(), order=random.Random(0))
    assert outlook._runs(events)[0] == (4, 12, 36)
    assert sum(map(sum, outlook._runs(events).values())) == trained_kimg(events)
