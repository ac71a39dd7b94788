"""A ledger that is kept says at any moment what reading the log anew would."""

import random

import pytest

from ictsweep.records import Event, Ledger, retry_event, trials
from tests.study.worlds import Historian, play, spec


def test_a_kept_ledger_says_at_every_event_what_the_log_says() -> None:
    log = play(spec(), order=random.Random(0), sampler=Historian, broken=[5])
    log += [retry_event(5, 1, 0, "asked for", 1.0), Event(kind="launch", time=2.0, trial=5)]
    kept = Ledger()
    for n, event in enumerate(log, 1):
        kept.apply(event)
        if event.trial is not None:
            assert kept.trial(event.trial) == trials(log[:n])[event.trial]
    assert kept.trials() == trials(log)
    assert kept.trial(5).attempts == 1
    assert len(kept.trial(5).launches) == 1


def test_only_what_changed_is_made_again() -> None:
    log = play(spec(), order=random.Random(0), sampler=Historian)
    kept = Ledger(log)
    before = kept.trials()
    kept.apply(Event(kind="launch", time=2.0, trial=3))
    same = [one is other for one, other in zip(before, kept.trials(), strict=True)]
    assert same == [number != 3 for number in range(len(before))]


def test_an_event_of_a_trial_that_was_never_asked_is_no_log() -> None:
    with pytest.raises(KeyError):
        Ledger([Event(kind="launch", time=0.0, trial=0)])
