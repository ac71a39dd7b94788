"""What follows a trial's failure: again, or the end. Pure functions of the trial's own failures.

A machine that was taken costs the trial nothing; a process that died for no stated reason gets a
few more chances; too little memory gets one more, with smaller micro-batches, which change no
result. What would fail again is not tried again: a loss that diverged, an error in input or code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ictsweep.records import Failed, Failure

MOST: dict[str, int] = {Failure.PREEMPTED: 1000, Failure.LOST: 3, Failure.OOM: 1}
ASKED_FOR = "asked for"  # the reason of a retry that a person ordered; it forgives what was before
EQUAL_FAILURES = 3  # trials that end in the same way, or in a row: the cause is common to all

_STUDYS = frozenset({Failure.STORAGE, Failure.DISK_FULL})


@dataclass(frozen=True, kw_only=True)
class Again:
    """Launch the trial once more, its micro-batch halved `halvings` times."""

    attempt: int
    halvings: int
    reason: str


def again(failures: Sequence[Failed], attempt: int, halvings: int) -> Again | None:
    """The answer to the last of a trial's `failures` (all since a person forgave them): once more,
    or None when it ends the trial. `attempt` and `halvings` are those of the launch that failed.
    """
    kind = failures[-1].kind
    most = MOST.get(kind, 0)
    before = sum(failure.kind == kind for failure in failures)
    if before > most:
        return None
    smaller = halvings + 1 if kind == Failure.OOM else halvings
    how = " with micro-batches half as large" if smaller > halvings else ""
    reason = f"{kind} ({before} of at most {most} times): {failures[-1].message}; again{how}"
    return Again(attempt=attempt + 1, halvings=smaller, reason=reason)


def is_the_studys(kind: str) -> bool:
    """Whether a failure is of what all trials share (the storage), so that no trial fails by it:
    the study halts, and the trial goes on when it is resumed.
    """
    return kind in _STUDYS


def common_cause(reasons: Sequence[str], in_a_row: int) -> str:
    """Why a study whose trials failed with `reasons` (the last `in_a_row` of them with no other
    ending between) should ask for no more; "" when it should go on. Numbers in a message do not
    tell failures apart.
    """
    alike = [re.sub(r"\d+", "#", reason) for reason in reasons]
    if in_a_row >= EQUAL_FAILURES:
        return f"{in_a_row} trials in a row failed; the last one: {reasons[-1]}"
    if reasons and (equal := alike.count(alike[-1])) >= EQUAL_FAILURES:
        return f"{equal} trials failed in the same way: {reasons[-1]}"
    return ""


class Endings:
    """How a study's trials ended since somebody could last have mended what they share."""

    def __init__(self) -> None:
        self._failures: list[str] = []
        self._in_a_row = 0

    def take(self, failure: str) -> str:
        """Take in that a trial ended, with this failure ("" if it ended otherwise); why the study
        should ask for no more, "" when it should go on.
        """
        if not failure:
            self._in_a_row = 0
            return ""
        self._failures.append(failure)
        self._in_a_row += 1
        return common_cause(self._failures, self._in_a_row)


class Chances:
    """One trial's failures since its last forgiveness, and the one that nothing has answered."""

    def __init__(self) -> None:
        self.failures: list[Failed] = []
        self.pending: Failed | None = None
        self.attempt = 0
        self.halvings = 0

    def fail(self, failed: Failed) -> None:
        """Take a failure in. What follows the first one of an attempt is its consequence."""
        if self.pending is None and failed.attempt >= self.attempt:
            self.pending = failed
            self.failures.append(failed)

    def retry(self, attempt: int, halvings: int, reason: str) -> None:
        """Take in that it was launched again."""
        self.pending, self.attempt, self.halvings = None, attempt, halvings
        if reason == ASKED_FOR:
            self.failures.clear()

    def answer(self) -> Again | None:
        """What the pending failure deserves: another launch, or None."""
        return again(self.failures, self.attempt, self.halvings)

    def resume(self) -> None:
        """A driver opened the study again: what was the storage's fault is no longer."""
        if self.pending is not None and is_the_studys(self.pending.kind):
            self.pending = None
            self.failures.pop()
