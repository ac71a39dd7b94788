"""Studies without training, for the benchmark of the study's own cost: fake trainers (nothing is
trained; their measurements are made up, as long and as detailed as real ones).
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import FloatDistribution

from ictsweep.answers import Word
from ictsweep.records import LOG_VERSION, Event, TrialRecord, trials
from ictsweep.study.changes import agreed
from ictsweep.study.conductor import Conductor, Post, Writer
from ictsweep.study.engine import Engine
from ictsweep.study.engine import Sampler as Suggests
from ictsweep.study.memory import Memory
from ictsweep.study.order import check_folder
from ictsweep.study.retention import Retention
from ictsweep.study.spec import Axis, Sampler, Stopping, StudySpec
from ictsweep.study.store import StudyFolder

AXES = tuple(f"axis_{n}" for n in range(5))
DISTRIBUTIONS = {name: FloatDistribution(0.0, 1.0) for name in AXES}
START = dict.fromkeys(AXES, 0.5)
_PASSPORT = {
    "metric": "digits Fréchet distance", "extractor": "classifier-64/1",
    "weights": "b676723110fa10dd", "resize": "none",
    "dtype": "float32 samples (no TF32), uint8 images, float32 features, float64 statistics",
    "images": 1000, "latent_seed": 0, "solver": "consistency multistep", "steps": 1,
    "levels": [80.0], "eta": 1.0, "guidance": 1.0, "labels": None, "ema": "power 0.05",
    "reference": "ac2213023a1dd19f",
}  # fmt: skip

_SPECTRUM = {
    "sigma": [round(0.0104 * 1.94**band, 4) for band in range(14)],
    "images": [37 * band for band in range(1, 15)],
    "loss": [round(0.3172 / band, 4) for band in range(1, 15)],
}


def spec(trials: int, reports: int, sampler: str = "tpe") -> StudySpec:
    """Every trial reports once a kimg up to the first rung, at `reports` kimg; the best quarter
    goes on to the second, four times as long, where it reports once more.
    """
    return StudySpec(
        study="fake",
        minimize="fd",
        seed=3,
        trial={"budget_kimg": 4 * reports},
        search=tuple(Axis(path=name, low=0.0, high=1.0) for name in AXES),
        trials=trials,
        replicates=1,
        sampler=Sampler(name=sampler),  # type: ignore[arg-type]
        stopping=Stopping(first_rung_kimg=reports, reduction=4, fidelity="same_run"),
    )


def points(study: StudySpec) -> list[int]:
    """The kimg at which a trial reports."""
    first, last = study.rungs
    return [*range(1, first + 1), last]


def measurement(study: StudySpec, params: Mapping[str, float], seed: int, kimg: int) -> dict:
    """A made-up evaluation, in the log's form: better near one corner and with time, and noisy."""
    noise = random.Random(seed * 1000 + kimg).gauss(0.0, 0.5)
    value = 10.0 + 60.0 * sum(params.values()) / (1 + kimg / study.rungs[0]) + noise
    return {
        "run_kimg": study.rungs[-1], "kimg": kimg, "values": {"fd": value, "fd_2step": value / 2},
        "errors": {"fd": 0.7, "fd_2step": 0.4},
        "passports": {"fd": dict(_PASSPORT), "fd_2step": {**_PASSPORT, "steps": 2}},
        "levels": 1281, "loss": 3.170430898666382, "grad_norm": 302.6651916503906,
        "train_s": 6.37131506599917, "evaluate_s": 0.6949363680000715,
        "samples": f"samples/{study.rungs[-1]:06d}-{kimg:06d}.png", "stage": 7,
        "grad_cosine": None, "spectrum": _SPECTRUM,
    }  # fmt: skip


class Stopwatch(Memory):
    """The sampler; counts the CPU seconds that suggestions cost, trial by trial."""

    def __init__(self, study: StudySpec) -> None:
        super().__init__(study, DISTRIBUTIONS)
        self.seconds: dict[int, float] = {}

    def suggest(self, number: int) -> dict[str, Any]:
        """The sampler's suggestion."""
        start = time.process_time()
        params = super().suggest(number)
        self.seconds[number] = time.process_time() - start
        return params


@dataclass
class Account:
    """The CPU seconds of this process by the number of trials asked so far, and the measurements
    taken by then.
    """

    cpu: list[float] = field(default_factory=list)
    reports: list[int] = field(default_factory=list)
    taken: int = 0

    def note(self, event: Event) -> None:
        """An event was appended to the log."""
        self.taken += event.kind == "measure"
        if event.kind == "ask":
            self.cpu.append(time.process_time())
            self.reports.append(self.taken)


class Counting:
    """A log's writer that keeps the account of what is appended."""

    def __init__(self, log: Writer, account: Account) -> None:
        self._log, self._account = log, account

    def append(self, events: Any) -> None:
        """Append; then count."""
        self._log.append(events)
        for event in events:
            self._account.note(event)


class Room:
    """The conductor's words to trials of this very process: kept until they are read."""

    def __init__(self) -> None:
        self.words: dict[int, Word] = {}

    def acknowledge(self, trial: int, run_kimg: int, kimg: int) -> None:
        """Nobody waits for it."""

    def deliver(self, trial: int, rung_kimg: int, word: Word) -> None:
        """A trial's verdict."""
        self.words[trial] = word

    def dismiss(self, trial: int) -> None:
        """Nobody is dismissed: there is room for all."""

    def welcome(self, trial: int) -> None:
        """Nothing was said before."""

    def release(self, trial: int) -> None:
        """Nothing is held."""


def opened(slots: int) -> Event:
    """A session's opening."""
    return Event(kind="study", time=time.time(), data={"version": LOG_VERSION, "slots": slots})


def mind(study: StudySpec, sampler: Suggests | None = None) -> Engine:
    """The study's engine, by default with the sampler that the study asks for."""
    return Engine(study, [START], sampler or Memory(study, DISTRIBUTIONS))


def opened_in(
    home: StudyFolder, log: Writer, post: Post, sampler: Suggests, slots: int
) -> Conductor:
    """A session's conductor, opened as `ictsweep.study.session` does."""
    first, events = opened(slots), check_folder(home)
    study = agreed(home, events, None, accept=False)
    log.append([first])
    engine = mind(study, sampler)
    engine.replay([*events, first])
    shelf = Retention(home, trials(events))
    return Conductor(log, engine, post, [*events, first], shelf=shelf)


@dataclass
class Trainer:
    """A fake trainer in this process: what it still has to report, and whether it waits for a
    verdict.
    """

    record: TrialRecord
    left: list[int]
    waits: bool = False


def run_alone(conductor: Conductor, study: StudySpec, room: Room) -> None:
    """Run the session to its end: every present trial reports in turn, and leaves at its last
    word.
    """
    trainers: dict[int, Trainer] = {}
    while not conductor.finished:
        while (record := conductor.next_launch()) is not None:
            left = points(study)[len(record.measurements) :]
            trainers[record.number] = Trainer(record, left)
        for trainer in list(trainers.values()):
            word = room.words.pop(trainer.record.number, None) if trainer.waits else None
            if word == Word.STOP:
                del trainers[trainer.record.number]
                _leave(conductor, trainer.record)
            elif word == Word.GO_ON or not trainer.waits:
                _report(conductor, study, trainer)


def _leave(conductor: Conductor, record: TrialRecord) -> None:
    said = {"seconds": 1.0, "gpus": 0.0, "phases": {}}
    conductor.take(record.number, record.attempts, "leave", said)
    conductor.gone(record.number, record.attempts, "")


def _report(conductor: Conductor, study: StudySpec, trainer: Trainer) -> None:
    record, kimg = trainer.record, trainer.left.pop(0)
    trainer.waits = kimg in study.rungs
    made = measurement(study, record.params, record.seed, kimg)
    conductor.take(record.number, record.attempts, "measure", made)
