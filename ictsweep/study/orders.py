"""Orders given to a study: a failed trial's retry, and what became of an order, in words (pure)."""

from collections.abc import Sequence

from ictsweep.errors import UserError
from ictsweep.records import Event, Halt, State, TrialRecord, retry_event
from ictsweep.study.retries import ASKED_FOR


def once_more(records: Sequence[TrialRecord], number: int, time: float) -> Event:
    """The decision that a failed trial is to run again: with its seed and in its folder, from its
    last checkpoint, to the rung that it was heading for. UserError for any other trial.
    """
    record = next((r for r in records if r.number == number), None)
    if record is None:
        raise UserError(f"trial {number}: the study has no such trial{_failed(records)}")
    if record.state != State.FAILED:
        why = "nothing is to be tried again" + _failed(records)
        if record.failures and record.state == State.RUNNING:
            why = "it is to be tried again already, as soon as the study is resumed"
        raise UserError(f"trial {number} has not failed (it is {record.state}): {why}")
    return retry_event(number, record.attempts + 1, record.halvings, ASKED_FOR, time)


def _failed(records: Sequence[TrialRecord]) -> str:
    numbers = [str(r.number) for r in records if r.state == State.FAILED]
    return f"; those that failed: {', '.join(numbers)}" if numbers else "; none has failed"


def under_way(records: Sequence[TrialRecord]) -> str:
    """Which trials have something left to do: "under way: trial 3, 5"."""
    running = [str(r.number) for r in records if r.state == State.RUNNING]
    return f"under way: trial {', '.join(running)}" if running else "no trial is under way"


def outcome(records: Sequence[TrialRecord], since: Sequence[Event], again: str) -> str:
    """How a study stands whose driver was asked to stop and has left. `since` are the events after
    the asking; `again` is the command that continues it.
    """
    halts = [event for event in since if event.kind == "halt"]
    if not halts and all(record.state != State.RUNNING for record in records):
        return "the study has come to its end"
    if not halts:
        how = "its driver died before it answered; all that was recorded is kept"
    elif halts[-1].data["kind"] == Halt.ASKED:
        how = "stopped"
    else:
        how = f"it stopped by itself: {halts[-1].data['reason']}"
    return f"{how}; {under_way(records)}; continue with: {again}"
