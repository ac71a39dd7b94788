"""A session that pauses in order, whoever asks; what it has spent; what it does without its log."""

import random

import pytest

from ictsweep.answers import Word
from ictsweep.errors import Ousted, StorageError
from ictsweep.records import LOG_VERSION, Event, Failure, Halt, Ledger, State
from ictsweep.study.conductor import GRACE_S, STARTING_S, Conductor
from ictsweep.study.retries import ASKED_FOR
from ictsweep.study.spec import Limits
from ictsweep.study.spending import Meter
from tests.study.stage import Disk, Fate, Session, Words, uninterrupted
from tests.study.worlds import Historian, engine, measured, spec


class Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A conductor with its disk, words and clock, two places and the study opened."""

    def __init__(self, *, slots: int = 2, gpus: float = 4.0, **changes) -> None:
        self.study = spec(**changes)
        self.disk, self.words, self.time = Disk(), Words(), Time()
        opening = Event(
            kind="study", time=self.time(), data={"version": LOG_VERSION, "slots": slots}
        )
        self.disk.append([opening])
        mind = engine(self.study, Historian())
        mind.apply(opening)
        self.conductor = Conductor(
            self.disk, mind, self.words, [opening], gpus=gpus, clock=self.time
        )

    def measure(self, trial: int, rung: int, value: float = 1.0) -> None:
        event = measured(self.study, trial, rung, value)
        self.conductor.take(trial, 0, "measure", event.data)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.disk.events]


def launched(desk: Desk) -> list[int]:
    found = []
    while (record := desk.conductor.next_launch()) is not None:
        found.append(record.number)
    return found


def test_no_more_trials_are_present_than_there_is_room_for():
    desk = Desk()
    assert launched(desk) == [0, 1]
    desk.measure(0, 4)
    desk.measure(1, 4)
    assert desk.words.verdicts == {(0, 4): Word.GO_ON, (1, 4): Word.GO_ON}
    desk.conductor.room(3)
    assert launched(desk) == [2]
    desk.conductor.room(1)
    desk.conductor.gone(0, 0, "gone")
    assert launched(desk) == []
    assert [e.data["slots"] for e in desk.disk.events if e.kind == "cluster"] == [3, 1]


def test_who_leaves_hands_its_place_on_and_nobody_is_sent_away_meanwhile():
    """A trial launched before the one that it follows is gone would start a process of its own."""
    desk = Desk(slots=3, trials=6, replicates=1)
    assert launched(desk) == [0, 1, 2]
    for trial in range(3):
        desk.measure(trial, 4, value=1.0 + trial)
    assert desk.words.verdicts == {(0, 4): Word.GO_ON, (1, 4): Word.STOP, (2, 4): Word.STOP}
    desk.measure(0, 12)  # ahead of its turn: it waits for trials 3 and 4, which have no place yet
    assert launched(desk) == []
    assert desk.words.dismissed == set()
    desk.conductor.gone(1, 0, "gone")
    assert launched(desk) == [3]
    desk.conductor.gone(2, 0, "gone")
    assert launched(desk) == [4]


def test_room_that_has_not_changed_is_not_recorded():
    desk = Desk()
    desk.conductor.room(2)
    assert "cluster" not in desk.kinds()


def test_why_no_machine_comes_is_recorded_once_and_when_it_is_over():
    desk = Desk()
    for refused in ("l4: none", "l4: none", "", ""):
        desk.conductor.room(2, refused)
    told = [dict(e.data) for e in desk.disk.events if e.kind == "cluster"]
    assert told == [{"slots": 2, "refused": "l4: none"}, {"slots": 2}]


def test_a_trial_that_gets_no_machine_is_given_that_of_one_that_only_waits():
    """Two studies count on the same two machines; this one's trial 0 got none of them."""
    desk = Desk()
    desk.words.settled = lambda trial: trial != 0
    assert launched(desk) == [0, 1]
    desk.measure(1, 4)  # its verdict waits for trial 0's result
    desk.time.now += STARTING_S
    assert launched(desk) == []
    assert desk.words.dismissed == set()
    desk.time.now += 1
    assert launched(desk) == []
    assert desk.words.dismissed == {1}


def test_a_trial_that_is_only_slow_dismisses_nobody():
    desk = Desk()
    launched(desk)
    desk.measure(1, 4)
    desk.time.now += 100 * STARTING_S
    assert launched(desk) == []
    assert desk.words.dismissed == set()


def test_a_pause_asks_everyone_to_leave_and_ends_when_they_are_gone():
    desk = Desk()
    launched(desk)
    desk.conductor.pause(Halt.INTERRUPTED, "interrupted")
    desk.conductor.pause(Halt.BUDGET, "later, and not the reason")
    assert desk.words.dismissed == {0, 1}
    assert not desk.conductor.finished
    for number in (0, 1):
        desk.conductor.take(
            number, 0, "leave", {"seconds": 7.0, "gpus": 4.0, "phases": {"train_s": 5.0}}
        )
        desk.conductor.gone(number, 0, "ended without its measurement")
    assert desk.conductor.finished
    desk.conductor.close()
    assert desk.kinds()[-3:] == ["leave", "leave", "halt"]
    assert desk.disk.events[-1].data == {"kind": "interrupted", "reason": "interrupted"}
    records = Ledger(desk.disk.events).trials()
    assert all(r.state == State.RUNNING and not r.failures for r in records)
    assert records[0].leaves[0].phases == {"train_s": 5.0}


def test_who_does_not_leave_is_not_waited_for_for_ever():
    desk = Desk()
    launched(desk)
    desk.conductor.pause(Halt.ASKED, "asked")
    desk.time.now += GRACE_S - 1
    assert not desk.conductor.overdue
    desk.time.now += 2
    assert desk.conductor.overdue
    desk.conductor.close()
    leaves = [e for e in desk.disk.events if e.kind == "leave"]
    assert [(e.trial, e.data["seconds"], e.data["phases"]) for e in leaves] == [
        (0, GRACE_S + 1, {}), (1, GRACE_S + 1, {})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "hours", "says"),
    [
        (Limits(max_hours=2.0), 2.0, "max_hours: 2.00 of 2 hours"),
        (Limits(max_gpu_hours=12.0), 1.5, "max_gpu_hours: 12.00 of 12 GPU-hours"),
        (Limits(max_cost=30.0, gpu_hour_price=2.5), 1.5, "max_cost: 30.00 of 30 are spent"),
    ],
)
def test_the_study_pauses_at_the_first_limit_it_reaches(limits, hours, says):
    """Two trials of four GPUs each: 8 GPU-hours an hour."""
    desk = Desk(limits=limits)
    launched(desk)
    desk.time.now += 3600 * hours - 1
    desk.conductor.within_limits()
    assert desk.conductor.pausing is None
    desk.time.now += 1
    desk.conductor.within_limits()
    assert desk.conductor.pausing is not None
    assert desk.conductor.pausing[0] == Halt.BUDGET
    assert says in desk.conductor.pausing[1]


def test_hours_add_up_over_sessions_and_a_killed_one_counts_to_its_last_word():
    """Session 1: 100 s, killed, its trial on 2 GPUs from 1010 to its last word at 1100. Session 2,
    a day later: 50 s, the same trial on 2 GPUs for 30 s by its own account.
    """
    launch = {"attempt": 0, "gpus": 2.0, "halvings": 0}
    leave = {"seconds": 30.0, "gpus": 2.0, "phases": {}}
    meter = Meter(
        [
            Event(kind="study", time=1000.0, data={"slots": 1}),
            Event(kind="launch", time=1010.0, trial=0, data=launch),
            Event(kind="measure", time=1100.0, trial=0, data={}),
            Event(kind="study", time=90000.0, data={"slots": 1}),
            Event(kind="launch", time=90010.0, trial=0, data=launch),
            Event(kind="leave", time=90050.0, trial=0, data=leave),
        ]
    )
    spent = meter.spent()
    assert spent.hours == pytest.approx(150 / 3600)
    assert spent.gpu_hours == pytest.approx((90 * 2 + 30 * 2) / 3600)
    assert spent.cost(Limits(gpu_hour_price=36.0)) == pytest.approx(240 / 100)
    assert spent.cost(Limits()) is None


def test_what_a_person_orders_between_two_sessions_spends_nothing():
    """A driver killed on Friday with a trial on 8 GPUs; on Monday the trial that failed is to run
    again, and the study is resumed.
    """
    launch = {"attempt": 0, "gpus": 8.0, "halvings": 0}
    killed = [
        Event(kind="study", time=0.0, data={"slots": 1}),
        Event(kind="launch", time=3600.0, trial=5, data=launch),
        Event(kind="measure", time=7200.0, trial=5, data={}),
    ]
    monday = 7200.0 + 63 * 3600
    forgiven = {"attempt": 1, "halvings": 0, "reason": ASKED_FOR}
    meter = Meter([*killed, Event(kind="retry", time=monday, trial=4, data=forgiven)])
    assert (meter.spent().hours, meter.spent().gpu_hours) == (2.0, 8.0)
    meter.apply(Event(kind="study", time=monday + 60, data={"slots": 1}))
    assert (meter.spent().hours, meter.spent().gpu_hours) == (2.0, 8.0)


class Broken(Disk):
    """A log whose storage fails from some append on."""

    def __init__(self, works: int) -> None:
        super().__init__()
        self._left = works

    def append(self, events) -> None:
        self._left -= 1
        if self._left < 0:
            raise StorageError("the disk is away")
        super().append(events)


class Away(Disk):
    """A log whose storage fails at one append, or from then on; it keeps how often it was asked."""

    def __init__(self, error: StorageError, *, returns: bool) -> None:
        super().__init__()
        self._error, self._returns, self.asked = error, returns, 0

    def append(self, events) -> None:
        self.asked += 1
        if self.asked == 1 or not self._returns:
            raise self._error
        super().append(events)


def failing(disk: Away) -> Desk:
    """Two trials present when the log fails: at trial 0's measurement. Trial 1's is void then, and
    trial 0 leaves.
    """
    desk = Desk()
    launched(desk)
    desk.conductor._log = disk
    desk.measure(0, 4)
    desk.time.now += 7
    desk.conductor.gone(0, 0, "left")
    desk.measure(1, 4)
    assert disk.asked == 1, "nothing more is tried while the session runs"
    desk.conductor.close()
    return desk


def test_a_log_that_failed_is_given_a_last_word_why_the_study_stopped():
    disk = Away(StorageError("the disk was away"), returns=True)
    desk = failing(disk)
    assert [(e.kind, e.trial) for e in disk.events] == [
        ("leave", 0), ("leave", 1), ("halt", None)
    ]  # fmt: skip
    assert disk.events[0].data["seconds"] == 7.0
    assert disk.events[-1].data == {"kind": "storage", "reason": "the disk was away"}
    assert disk.asked == 2
    assert isinstance(desk.conductor.error, StorageError)


@pytest.mark.parametrize(
    ("error", "asked"), [(StorageError("the disk is away"), 2), (Ousted("another driver"), 1)]
)
def test_a_last_word_is_tried_once_and_never_by_who_was_ousted(error, asked):
    disk = Away(error, returns=False)
    assert failing(disk).conductor.error is error
    assert (disk.asked, disk.events) == (asked, [])


@pytest.mark.parametrize("works", range(1, 40, 3))
def test_nothing_is_decided_on_what_could_not_be_recorded(works):
    """The session pauses, keeps the error, and another one on the log goes on as if undisturbed."""
    study = spec()
    disk = Broken(works)
    session = Session(study, disk, random.Random(1), slots=2)
    conductor = session.run()
    assert isinstance(conductor.error, StorageError)
    assert conductor.pausing is not None
    assert conductor.pausing[0] == Halt.STORAGE
    whole = Disk()
    whole.events = list(disk.events)
    Session(study, whole, random.Random(2), slots=2).run()
    kinds = ("ask", "verdict")
    undisturbed = [(e.trial, e.data) for e in uninterrupted(study, 2) if e.kind in kinds]
    assert [(e.trial, e.data) for e in whole.events if e.kind in kinds] == undisturbed


def test_a_trial_that_meets_a_full_disk_pauses_the_study_and_fails_nobody():
    study, disk = spec(), Disk()
    fate = Fate({(1, 0): (Failure.DISK_FULL,)})
    conductor = Session(study, disk, random.Random(0), slots=2, fate=fate).run()
    assert conductor.pausing == (Halt.STORAGE, "trial 1: scripted at 0")
    Session(study, disk, random.Random(0), slots=2, fate=fate).run()
    assert State.FAILED not in {r.state for r in Ledger(disk.events).trials()}


def test_a_launch_that_the_storage_does_not_let_begin_pauses_the_study_and_fails_nobody():
    """Its configuration could not be written: it is recorded as launched and as left."""
    desk = Desk()
    record = desk.conductor.next_launch()
    assert record is not None
    desk.conductor.not_launched(record, StorageError("the disk is full"))
    assert desk.conductor.pausing == (Halt.STORAGE, "the disk is full")
    assert desk.conductor.finished
    desk.conductor.close()
    assert desk.kinds()[-3:] == ["launch", "leave", "halt"]
    assert desk.conductor.next_launch() is None


def test_what_could_not_be_recorded_is_not_launched():
    desk = Desk()
    desk.conductor._log = Broken(0)
    assert desk.conductor.next_launch() is None
    assert isinstance(desk.conductor.error, StorageError)
    assert desk.conductor.finished


def test_a_study_that_ends_while_it_is_asked_to_pause_is_complete():
    """Ctrl-C in its last evaluation, which is recorded all the same."""
    desk = Desk(slots=1, trials=1, replicates=1)
    assert launched(desk) == [0]
    *before, last = desk.study.rungs
    for rung in before:
        desk.measure(0, rung)
    desk.conductor.pause(Halt.INTERRUPTED, "interrupted")
    desk.measure(0, last)
    desk.conductor.gone(0, 0, "gone")
    desk.conductor.close()
    assert desk.conductor.pausing is None
    assert desk.kinds()[-2:] == ["verdict", "leave"]


def test_a_trial_that_a_person_retries_is_not_told_its_old_end():
    """The verdict of its failure is about a run that nobody waits for any more."""
    desk = Desk()
    launched(desk)
    desk.conductor.take(0, 0, "fail", {"kind": "bug", "message": "a division by zero"})
    assert "verdict" in desk.kinds()
    assert desk.words.verdicts == {}
    forgiven = {"attempt": 1, "halvings": 0, "reason": ASKED_FOR}
    events = [*desk.disk.events, Event(kind="retry", time=desk.time(), trial=0, data=forgiven)]
    mind, words = engine(desk.study, Historian()), Words()
    mind.replay(events)
    assert 0 in mind.flights
    Conductor(Disk(), mind, words, events, clock=desk.time)
    assert words.verdicts == {}


def test_what_follows_a_failure_is_not_a_second_one():
    desk = Desk()
    launched(desk)
    desk.conductor.take(0, 0, "fail", {"kind": "oom", "message": "too little memory"})
    assert desk.kinds()[-2:] == ["fail", "retry"]
    desk.conductor.take(0, 0, "fail", {"kind": "lost", "message": "its group broke"})
    desk.conductor.gone(0, 0, "ended without its measurement")
    record = desk.conductor.next_launch()
    assert record is not None
    assert (record.number, record.attempts, record.halvings) == (0, 1, 1)
    assert [f.kind for f in record.failures] == ["oom"]
    desk.conductor.take(0, 1, "fail", {"kind": "oom", "message": "too little memory"})
    verdicts = [(e.trial, e.data["action"]) for e in desk.disk.events if e.kind == "verdict"]
    assert verdicts == [(0, "fail")]
