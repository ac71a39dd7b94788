"""A simulated cluster for tests: the real conductor and engine, processes that are plain objects,
and a hand that decides who moves next, who dies and when the driver is killed.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ictsweep.answers import Word
from ictsweep.records import LOG_VERSION, Event, Failure, Halt, TrialRecord
from ictsweep.study.conductor import Conductor
from ictsweep.study.spec import StudySpec
from tests.study.worlds import Historian, engine, measured, score


class Killed(Exception):
    """The driver died in the middle of whatever it was doing."""


class Disk:
    """A log that survives its drivers. `fatal` is how many appends the driver lives for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.fatal = -1

    def append(self, events: Sequence[Event]) -> None:
        """Keep events, and perhaps die right after."""
        self.events += events
        self.fatal -= 1
        if self.fatal == 0:
            raise Killed


class Words:
    """What the conductor has said, as the mailbox keeps it."""

    def __init__(self) -> None:
        self.recorded: set[tuple[int, int, int]] = set()
        self.verdicts: dict[tuple[int, int], Word] = {}
        self.dismissed: set[int] = set()

    def acknowledge(self, trial: int, run_kimg: int, kimg: int) -> None:
        """Keep."""
        self.recorded.add((trial, run_kimg, kimg))

    def deliver(self, trial: int, rung_kimg: int, word: Word) -> None:
        """Keep."""
        assert self.verdicts.setdefault((trial, rung_kimg), word) == word, "a verdict changed"

    def dismiss(self, trial: int) -> None:
        """Keep."""
        self.dismissed.add(trial)

    def welcome(self, trial: int) -> None:
        """Forget the dismissal."""
        self.dismissed.discard(trial)

    def settled(self, trial: int) -> bool:
        """Who is launched has its place here."""
        return True

    def release(self, trial: int) -> None:
        """Nothing is held here."""

    def vanished(self, trial: int) -> bool:
        """No machine does here: who loses one says so."""
        return False


@dataclass
class Process:
    """A launch of a trial: which rung it works at, and whether its value is handed in."""

    record: TrialRecord
    rung: int = 0
    reported: bool = False


@dataclass(frozen=True)
class Fate:
    """What befalls a trial on its way to a rung, once for each entry: failures in their order."""

    kinds: Mapping[tuple[int, int], tuple[Failure, ...]] = field(default_factory=dict)

    def without(self, *kinds: Failure) -> "Fate":
        """The same fate, but for some kinds of failure."""
        return Fate({p: tuple(k for k in ks if k not in kinds) for p, ks in self.kinds.items()})


class Session:
    """One driver's life: `run` moves processes at random until the session ends, or raises
    Killed.
    """

    def __init__(
        self,
        study: StudySpec,
        disk: Disk,
        dice: random.Random,
        *,
        slots: int,
        fate: Fate | None = None,
        rooms: Sequence[int] = (),
        sampler: Callable[[], Any] = Historian,
    ) -> None:
        self.study, self.disk, self.dice = study, disk, dice
        self._fate, self._rooms, self._slots = fate or Fate(), list(rooms), slots
        self._sampler = sampler
        self.processes: dict[int, Process] = {}
        self.most_present = 0

    def open(self) -> Conductor:
        """Read the log, record the opening, begin."""
        mind = engine(self.study, self._sampler())
        self.words = Words()
        opening = Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": self._slots})
        self.disk.append([opening])
        mind.replay(self.disk.events)
        return Conductor(self.disk, mind, self.words, list(self.disk.events), clock=lambda: 0.0)

    def run(self, *, until: int | None = None) -> Conductor:
        """Move until the session's end; ask it to pause after `until` moves."""
        conductor, moves = self.open(), 0
        while True:
            self._launch(conductor)
            if conductor.finished and not self.processes:
                conductor.close()
                return conductor
            able = [n for n, process in self.processes.items() if self._can_move(process)]
            assert able or self._rooms, f"nobody can move: {self.processes}"
            moves += 1
            if until is not None and moves == until:
                conductor.pause(Halt.INTERRUPTED, "interrupted")
            elif self._rooms and (not able or self.dice.random() < 0.1):
                conductor.room(self._rooms.pop())
            else:
                self._move(conductor, self.dice.choice(able))

    def _launch(self, conductor: Conductor) -> None:
        while (record := conductor.next_launch()) is not None:
            assert record.number not in self.processes, "launched twice"
            self.processes[record.number] = Process(record)
        waiting = [n for n in self.processes if n in conductor.engine.flights]
        self.most_present = max(self.most_present, len(waiting))

    def _known(self, process: Process) -> bool:
        found = process.record.measurements
        return any((m.run_kimg, m.kimg) == self._kimg(process) for m in found)

    def _kimg(self, process: Process) -> tuple[int, int]:
        rung = self.study.rungs[process.rung]
        return (rung if self.study.short_run else self.study.rungs[-1]), rung

    def _can_move(self, process: Process) -> bool:
        """Whether it trains, may read its verdict, or is asked to leave."""
        number = process.record.number
        known = self._known(process) or process.reported
        if not known or number in self.words.dismissed:
            return True
        if process.reported and (number, *self._kimg(process)) not in self.words.recorded:
            return False
        last = process.rung == len(self.study.rungs) - 1
        return last or (number, self._kimg(process)[1]) in self.words.verdicts

    def _move(self, conductor: Conductor, number: int) -> None:
        process = self.processes[number]
        if number in self.words.dismissed and self.dice.random() < 0.7:
            self._end(conductor, process, "left")
        elif not (process.reported or self._known(process)):
            self._train(conductor, process)
        elif process.rung == len(self.study.rungs) - 1:
            self._end(conductor, process, "done")
        elif (word := self.words.verdicts.get((number, self._kimg(process)[1]))) is not None:
            if word == Word.GO_ON:
                process.rung, process.reported = process.rung + 1, False
            else:
                self._end(conductor, process, "stopped")
        else:
            self._end(conductor, process, "left")

    def _train(self, conductor: Conductor, process: Process) -> None:
        number, attempt = process.record.number, process.record.attempts
        kinds = self._fate.kinds.get((number, process.rung), ())
        before = sum(f.kind in kinds for f in conductor.ledger.trial(number).failures)
        if before < len(kinds):
            kind = kinds[before]
            if kind != Failure.LOST:  # who is lost says nothing
                data = {"kind": str(kind), "message": f"scripted at {process.rung}"}
                conductor.take(number, attempt, "fail", data)
            self._end(conductor, process, "died")
            return
        process.reported = True
        params, seed = process.record.params, process.record.seed
        rung = self.study.rungs[process.rung]
        event = measured(self.study, number, rung, score(dict(params), seed, rung))
        conductor.take(number, attempt, "measure", event.data)

    def _end(self, conductor: Conductor, process: Process, how: str) -> None:
        number, attempt = process.record.number, process.record.attempts
        del self.processes[number]
        if how != "died" or self.dice.random() < 0.5:
            data = {"seconds": 1.0, "gpus": 0.0, "phases": {"train_s": 1.0}}
            conductor.take(number, attempt, "leave", data)
        conductor.gone(number, attempt, f"{how} without its measurement")


def uninterrupted(study: StudySpec, slots: int, fate: Fate | None = None) -> list[Event]:
    """The log of a study that nobody disturbed."""
    disk = Disk()
    Session(study, disk, random.Random(0), slots=slots, fate=fate).run()
    return disk.events
