"""Keeps log, engine and trials in step: record, apply, decide, record, tell. Knows neither Ray nor
Tune.

Every fact goes to the log before anything decides on it, every decision before anyone acts on it.
A trial is `present` while it has processes. When the study must pause (a person, a limit, a
storage that fails), the present ones are asked to leave with their checkpoints, and the session
ends when they are gone.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from ictsweep.answers import Word
from ictsweep.errors import Ousted, StorageError
from ictsweep.records import Action, Event, Failure, Halt, Ledger, TrialRecord
from ictsweep.study.clock import Clock
from ictsweep.study.engine import Engine
from ictsweep.study.retries import is_the_studys
from ictsweep.study.spending import Meter, exceeded

GRACE_S = 120.0  # how long trials that were asked to leave are waited for
STARTING_S = 120.0  # a trial without a place after so long waits for machines, not for Ray


class Writer(Protocol):
    """The log's one writer."""

    def append(self, events: Sequence[Event]) -> None:
        """Append events; StorageError when they are not safe."""
        ...


class Post(Protocol):
    """What can be said to a trial, wherever it runs."""

    def acknowledge(self, trial: int, run_kimg: int, kimg: int) -> None:
        """A measurement is recorded."""
        ...

    def deliver(self, trial: int, rung_kimg: int, word: Word) -> None:
        """A verdict is recorded."""
        ...

    def dismiss(self, trial: int) -> None:
        """Leave with a checkpoint, to be launched again later."""
        ...

    def welcome(self, trial: int) -> None:
        """The trial is about to be launched: what its last processes were told is void."""
        ...

    def settled(self, trial: int) -> bool:
        """Whether the trial's processes have their place on the cluster."""
        ...

    def release(self, trial: int) -> None:
        """Free what the trial's processes held, should they not have done it."""
        ...

    def vanished(self, trial: int) -> bool:
        """Whether a machine on which the trial's processes ran is gone."""
        ...


class Shelf(Protocol):
    """Where trials' checkpoints are kept."""

    def ended(self, record: TrialRecord) -> None:
        """A trial ended: what nothing needs any more may go."""
        ...


class Conductor:
    """A session's state beside the log: who is present, and whether the study is pausing."""

    def __init__(
        self,
        log: Writer,
        engine: Engine,
        post: Post,
        events: Sequence[Event],
        *,
        gpus: float = 0.0,
        shelf: Shelf | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`events` are the log's, all applied to `engine`; `gpus` what each trial holds."""
        self.engine = engine
        self.ledger = Ledger(events)
        self.error: StorageError | None = None
        self.pausing: tuple[Halt, str] | None = None
        self._log, self._post, self._gpus, self._shelf = log, post, gpus, shelf
        self._clock = clock or Clock()
        self._meter = Meter(events)
        self._present: dict[int, float] = {}  # since when
        self._dismissed: set[int] = set()
        self._farewells: dict[int, Mapping[str, Any]] = {}
        self._paused_at = 0.0
        self._refused = ""
        self._unsaid: list[Event] = []
        for event in events:
            if event.trial in engine.flights:
                self._tell(event)
        self._decide()

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher now and then; the truth is in the log, so there is nothing to
        keep.
        """
        return {}

    @property
    def present(self) -> list[int]:
        """The trials that have processes."""
        return sorted(self._present)

    @property
    def finished(self) -> bool:
        """Whether nothing more will be launched."""
        return self.engine.finished or (self.pausing is not None and not self._present)

    @property
    def overdue(self) -> bool:
        """Whether trials were asked to leave so long ago that nobody should wait any more."""
        return self.pausing is not None and self._clock() - self._paused_at > GRACE_S

    def take(self, number: int, attempt: int, kind: str, data: Mapping[str, Any]) -> None:
        """A letter of a trial's launch: a measure, fail or leave fact. Then every decision that it
        makes due.
        """
        if kind == "leave":
            self._farewells[number] = data
        elif kind == "fail":
            self._fail(number, attempt, data["kind"], data["message"])
        else:
            self._fact(kind, number, data)
        self._decide()

    def gone(self, number: int, attempt: int, message: str) -> None:
        """A launch's processes are gone. If it neither did its work nor said why, it is lost, with
        `message`, or was preempted if its machine is gone too.
        """
        self._post.release(number)
        self._left(number)
        if number not in self._dismissed and self._is_current(number, attempt):
            kind = Failure.PREEMPTED if self._post.vanished(number) else Failure.LOST
            self._fail(number, attempt, kind, message)
        self._dismissed.discard(number)
        self._decide()

    def next_launch(self) -> TrialRecord | None:
        """A trial that should run and has no processes, now recorded as launched."""
        if self.pausing is not None:
            return None
        absent = [n for n in self.engine.to_train() if n not in self._present]
        if not absent or self._busy() >= self.engine.slots:
            self._make_room()
            return None
        if len(self._present) >= self.engine.slots:
            return None  # who leaves now hands its driver process on: a new one costs seconds
        return self._launch(absent[0])

    def not_launched(self, record: TrialRecord, error: StorageError) -> None:
        """A launch that is recorded could not begin, for the storage: the study pauses."""
        self.pause(Halt.STORAGE, str(error))
        self.gone(record.number, record.attempts, str(error))

    def room(self, slots: int, refused: str = "") -> None:
        """So many trials fit on the cluster now; `refused` is why no machine comes that was asked
        for, "" if that is not so.
        """
        if (slots, refused) != (self.engine.slots, self._refused):
            self._refused = refused
            said = {"refused": refused} if refused else {}
            self._fact("cluster", None, {"slots": slots, **said})
            self._decide()

    def within_limits(self) -> None:
        """Pause when the study has spent what it may."""
        if reason := exceeded(self._meter.spent(self._clock()), self.engine.spec.limits):
            self.pause(Halt.BUDGET, reason)

    def pause(self, kind: Halt, reason: str) -> None:
        """Ask every present trial to leave; the first reason stands."""
        if self.pausing is None:
            self.pausing, self._paused_at = (kind, reason), self._clock()
            for number in self._present:
                self._dismiss(number)

    def close(self) -> None:
        """Record how the session ends, if the study has not come to its own end."""
        for number in self.present:
            self._left(number)
        if self.engine.halted and self.pausing is None:
            self.pausing = Halt.FAILURES, self.engine.halted
        if self.engine.finished and not self.engine.halted and self.error is None:
            self.pausing = None  # the last trial came to its end while it was asked to leave
        if self.pausing is not None:
            kind, reason = self.pausing
            self._fact("halt", None, {"kind": str(kind), "reason": reason})
        if self._unsaid and not isinstance(self.error, Ousted):
            with suppress(StorageError):  # the storage may be back: then `status` can say why
                self._log.append([e for e in self._unsaid if e.kind in ("leave", "halt")])

    def _busy(self) -> int:
        """Places taken: a trial that has its last verdict is about to leave its own."""
        return sum(number in self.engine.flights for number in self._present)

    def _make_room(self) -> None:
        """Where the next decision waits for a trial that has no place, while others hold theirs
        only to wait for that decision: the one whose turn comes last leaves, to come back for its
        verdict.
        """
        idle = [n for n in self.engine.waiting() if n in self._present]
        awaited = self.engine.awaited()
        if idle and awaited is not None and not self._dismissed and self._lacks_place(awaited[0]):
            self._dismiss(idle[-1])

    def _lacks_place(self, number: int) -> bool:
        """Whether a trial has processes neither running nor about to: another study may hold the
        machines that this one counts on.
        """
        if number not in self._present:
            return number in self.engine.to_train()
        waited = self._clock() - self._present[number]
        return waited > STARTING_S and not self._post.settled(number)

    def _launch(self, number: int) -> TrialRecord | None:
        attempt, halvings = self.engine.launch(number)
        self._dismissed.discard(number)
        self._present[number] = self._clock()
        self._post.welcome(number)
        data = {"attempt": attempt, "gpus": self._gpus, "halvings": halvings}
        self._fact("launch", number, data)
        if self.error is not None:
            del self._present[number]
            return None
        return self.ledger.trial(number)

    def _dismiss(self, number: int) -> None:
        self._dismissed.add(number)
        self._post.dismiss(number)

    def _left(self, number: int) -> None:
        """The end of a launch, as its driver told it, or as far as it can be told from here."""
        since = self._present.pop(number)
        ours = {"seconds": self._clock() - since, "gpus": self._gpus, "phases": {}}
        self._fact("leave", number, {**ours, **self._farewells.pop(number, {})})

    def _fail(self, number: int, attempt: int, kind: str, message: str) -> None:
        if not self._is_current(number, attempt):
            return  # the consequence of a failure that is known, or of an end
        self._fact("fail", number, {"kind": str(kind), "message": message, "attempt": attempt})
        if is_the_studys(kind):
            self.pause(Halt.STORAGE, f"trial {number}: {message}")

    def _is_current(self, number: int, attempt: int) -> bool:
        """Whether a trial has something to train, in this attempt and no later one."""
        return number in self.engine.to_train() and self.engine.launch(number)[0] == attempt

    def _fact(self, kind: str, number: int | None, data: Mapping[str, Any]) -> None:
        self._record(Event(kind=kind, time=self._clock(), trial=number, data=data))

    def _decide(self) -> None:
        while self.error is None and (event := self.engine.due(self._clock())) is not None:
            self._record(event)

    def _record(self, event: Event) -> None:
        if self.error is not None:  # the log could not be written: nothing more may be decided
            self._unsaid.append(event)
            return
        try:
            self._log.append([event])
        except StorageError as error:
            self.error = error
            self.pause(Halt.STORAGE, str(error))
            return
        self.engine.apply(event)
        self.ledger.apply(event)
        self._meter.apply(event)
        self._tell(event)
        self._tidy(event)

    def _tidy(self, event: Event) -> None:
        if self._shelf is None or event.kind != "verdict" or event.trial is None:
            return
        if event.data["action"] != Action.CONTINUE:
            self._shelf.ended(self.ledger.trial(event.trial))

    def _tell(self, event: Event) -> None:
        trial = event.trial
        if trial is None:
            return
        if event.kind == "measure":
            self._post.acknowledge(trial, event.data["run_kimg"], event.data["kimg"])
        elif event.kind == "verdict" and event.data["action"] != Action.FAIL:  # nobody waits for it
            word = Word.GO_ON if event.data["action"] == Action.CONTINUE else Word.STOP
            self._post.deliver(trial, event.data["card"]["rung_kimg"], word)
