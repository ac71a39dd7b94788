"""Which checkpoints stay, decided over the whole study; the rest goes at once.

A trial that can be resumed keeps everything: one under way, paused or waiting for its retry, and a
failed one, which `ictsweep retry` resumes. Of the finished trials, the best `keep.best`
configurations and trial 0 (what every claim is measured against) keep the checkpoint at their end.
Further seeds of trial 0 measure noise: they have no place among the configurations. Stopped trials
keep none. Samples, configurations and the log are small and always stay.
"""

import contextlib
import logging
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from ictsweep.errors import StorageError
from ictsweep.records import State, TrialRecord
from ictsweep.study.spec import Keep
from ictsweep.study.store import StudyFolder

CHECKPOINTS, SNAPSHOTS = "checkpoints", "snapshots"  # under a trial's folder
_log = logging.getLogger(__name__)
Scored = tuple[float, int]  # a value, the lower the better, and its trial


class Stays(Enum):
    """What stays of a trial's checkpoints and snapshots."""

    ALL = "whatever a resumed run needs"
    LAST = "the checkpoint at its end, and its snapshots"
    NONE = "nothing"


@dataclass(frozen=True, kw_only=True)
class Podium:
    """The best finished configurations so far, the best first: at most `size`."""

    size: int
    places: tuple[Scored, ...] = ()

    def joined(self, value: float, trial: int) -> tuple["Podium", int | None]:
        """With a trial that finished with `value`, and the trial that has no place on it (any
        more). Ties favour the earlier trial; a value that is no number comes last.
        """
        ordered = sorted([*self.places, (value, trial)], key=_order)
        dropped = [number for _, number in ordered[self.size :]]
        return replace(self, places=tuple(ordered[: self.size])), (dropped or [None])[0]

    def holds(self, trial: int) -> bool:
        """Whether a trial has a place on it."""
        return any(number == trial for _, number in self.places)


def _order(scored: Scored) -> tuple[bool, float, int]:
    value, trial = scored
    return math.isnan(value), value, trial


def podium(keep: Keep, records: Iterable[TrialRecord]) -> Podium:
    """The best finished configurations among `records`."""
    found = Podium(size=keep.best)
    for record in records:
        if (value := final_value(record)) is not None:
            found, _ = found.joined(value, record.number)
    return found


def final_value(record: TrialRecord) -> float | None:
    """What a finished configuration is ranked by; None for every other trial."""
    if record.state != State.COMPLETE or record.replicate_of is not None:
        return None
    return record.cards[-1].value


def stays(record: TrialRecord, best: Podium) -> Stays:
    """What stays of a trial, given the best of the study it belongs to."""
    if record.state in (State.RUNNING, State.FAILED):
        return Stays.ALL
    kept = best.holds(record.number) or record.number == 0
    return Stays.LAST if record.state == State.COMPLETE and kept else Stays.NONE


class Retention:
    """The rule as a study's driver applies it: to all trials once, then to each as it ends."""

    def __init__(self, folder: StudyFolder, records: Iterable[TrialRecord]) -> None:
        """Remove what a driver before this one no longer came to, or had only begun to."""
        spec, records = folder.spec(), list(records)
        self._folder, self._budget = folder, spec.rungs[-1]
        self._podium = podium(spec.keep, records)
        there = _parts(folder, "trials")
        for record in records:
            self._strip(there[record.number], record.number, stays(record, self._podium))

    def ended(self, record: TrialRecord) -> None:
        """A trial ended: its own checkpoints go, or those of one that it displaced."""
        displaced = None
        if (value := final_value(record)) is not None and not self._podium.holds(record.number):
            self._podium, displaced = self._podium.joined(value, record.number)
        going = {record.number: stays(record, self._podium)}
        if displaced:  # trial 0 stays without a place
            going[displaced] = Stays.NONE
        for number, what in going.items():
            with _put_off(number):
                there = _parts(self._folder, f"trials/{number:04d}")[number]
                self._strip(there, number, what)

    def _strip(self, parts: Collection[str], number: int, what: Stays) -> None:
        names = [f"trials/{number:04d}/{part}" for part in outworn(parts, what, self._budget)]
        with _put_off(number):
            if names:
                self._folder.remove(*names)


@contextlib.contextmanager
def _put_off(number: int) -> Iterator[None]:
    """What the storage does not let happen now is tried again when the study is opened."""
    try:
        yield
    except StorageError as error:
        _log.warning("trial %d: %s", number, error)


def outworn(parts: Collection[str], what: Stays, budget_kimg: int) -> list[str]:
    """Those of a trial's `parts` (its snapshots, each of its checkpoints) that nothing needs any
    more.
    """
    if what is Stays.ALL:
        return []
    if what is Stays.NONE:
        return sorted(parts)
    last = f"{CHECKPOINTS}/{budget_kimg:06d}-{budget_kimg:06d}"
    if last not in parts:
        return []  # lost some other way: what stands beside it is all there is
    return sorted(part for part in parts if part not in (last, SNAPSHOTS))


def _parts(folder: StudyFolder, under: str) -> dict[int, set[str]]:
    """By trial, what is there of its checkpoints and snapshots, on this machine and in the study's
    bucket, under a name of the study.
    """
    found: dict[int, set[str]] = defaultdict(set)
    numbers = under.removeprefix("trials").removeprefix("/") or "*"
    names = [
        path.relative_to(folder.path).as_posix()
        for top in (f"{CHECKPOINTS}/*", SNAPSHOTS)
        for path in folder.path.glob(f"trials/{numbers}/{top}")
    ]
    if folder.remote is not None:
        names += [stat.name for stat in folder.remote.bucket.listed(under)]
    for name in names:
        _, number, top, *inside = name.split("/")
        if number.isdigit() and (top == SNAPSHOTS or (top == CHECKPOINTS and inside)):
            found[int(number)].add(top if top == SNAPSHOTS else f"{top}/{inside[0]}")
    return found
