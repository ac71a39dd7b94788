"""The time left: right, and computed seldom."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ictsweep.live import pace
from ictsweep.live.pace import Pace
from ictsweep.records import Event
from ictsweep.study.forecast import MOST, forecast
from tests.live.stories import story
from tests.study.worlds import play, spec


def timed(events: Sequence[Event], start: float = 1000.0) -> list[Event]:
    """The same, 10 s apart."""
    return [replace(event, time=start + 10 * n) for n, event in enumerate(events)]


def fed(events: Sequence[Event], study=None) -> Pace:
    found = Pace(study or spec())
    for event in events:
        found.apply(event)
    return found


@pytest.mark.parametrize("cut", [12, 20, 33])
def test_time_left_is_the_pace_of_this_session_times_what_is_left(cut: int) -> None:
    log = timed(play(spec(), order=random.Random(0)))[:cut]
    clock, end = forecast(spec(), 3, log[1:])
    assert 0 < clock < end
    elapsed = 10 * cut + 7
    assert fed(log).left(1000.0 + elapsed) == pytest.approx((end - clock) * elapsed / clock)


def test_a_resumed_study_is_judged_by_its_new_session() -> None:
    """What earlier sessions did is done, but says nothing of how fast this one is."""
    log = play(spec(), order=random.Random(0))
    old, new = timed(log[:20]), timed([log[0], *log[20:30]], start=90_000.0)
    before, _ = forecast(spec(), 3, old[1:])
    clock, end = forecast(spec(), 3, [*old[1:], *new])
    assert before < clock
    expected = (end - clock) * 500 / (clock - before)
    assert fed([*old, *new]).left(90_500.0) == pytest.approx(expected)
    assert fed([*old, new[0]]).left(90_500.0) is None  # no progress in it yet


def test_nothing_is_left_at_the_end_and_nothing_is_known_at_the_beginning() -> None:
    log = timed(play(spec(), order=random.Random(0)))
    assert fed(log).left(5000.0) == 0.0
    assert fed(log[:1]).left(5000.0) is None
    assert fed([]).left(5000.0) is None


def test_looking_again_and_again_computes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without news, never; with news, not within the rest that is prescribed."""
    calls, real, now = [], pace.run_ahead, [0.0]
    monkeypatch.setattr(pace, "run_ahead", lambda *a: (calls.append(1), real(*a))[1])
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = timed(play(spec(), order=random.Random(0)))
    found = fed(log[:20])
    left = [found.left(2000.0 + n) for n in range(50)]
    assert len(calls) == 1
    assert left == sorted(left)  # nothing moved while time passed
    for event in log[20:30]:
        found.apply(event)
        found.left(2100.0)
    assert len(calls) == 1
    now[0] += 6.0
    found.left(2200.0)
    assert len(calls) == 2
    now[0] += 600.0
    found.left(2300.0)
    assert len(calls) == 2


def test_a_forecast_that_took_long_is_not_repeated_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most a fiftieth of the time goes into forecasts."""
    calls, real, now = [], pace.run_ahead, [0.0]

    def slow(*arguments):
        calls.append(now[0])
        now[0] += 2.0
        return real(*arguments)

    monkeypatch.setattr(pace, "run_ahead", slow)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = timed(play(spec(), order=random.Random(0)))
    found = fed(log[:15])
    news = iter(log[15:])
    for second in range(300):
        now[0] += 1.0
        if second % 20 == 0:
            found.apply(next(news))
        found.left(3000.0)
    assert calls[0] == 1.0
    assert all(later - earlier >= 100.0 for earlier, later in itertools.pairwise(calls))
    assert len(calls) == 4


def test_retries_and_room_that_is_gone_do_not_stop_the_forecast() -> None:
    log = story()
    gone = Event(kind="cluster", time=1110.0, data={"slots": 0})
    for cut in range(8, len(log)):
        left = fed([*log[:cut], gone]).left(2000.0)
        assert left is not None
        assert left > 0


def test_large_studies_are_judged_by_the_trials_that_ended() -> None:
    study = spec(trials=MOST + 1)
    log = timed(play(spec(), order=random.Random(0)))
    ended = sum(e.kind == "verdict" and e.data["action"] != "continue" for e in log)
    assert ended == 12
    expected = (study.total - ended) * 600 / ended
    assert fed(log, study).left(1600.0) == pytest.approx(expected)
