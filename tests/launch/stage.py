"""One trial on real Ray with a script in the place of the study: launched by Tune, trained by Ray
Train, its letters taken and answered.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.tune
import torch
from ray.tune.schedulers import FIFOScheduler

from ictsweep.answers import Word
from ictsweep.launch.driver import drive
from ictsweep.launch.machines import Machines
from ictsweep.launch.mailbox import open_mailbox
from ictsweep.launch.room import seat
from ictsweep.launch.worker import Assignment
from ictsweep.training import Trainer
from tests.training.small import fields

ONE = Machines(workers=1, cpus_per_worker=1, gpus_per_worker=0.0)
FEW = {"every_kimg": 1, "images": 32, "grid": 16}

Letter = tuple[str, Mapping[str, Any]]


def assignment(home: Path, cache: Path, mailbox: Any, **changes: Any) -> Assignment:
    """The small trial as trial 7, on one long run with a rung at 2 of 4 kimg."""
    values: dict[str, Any] = {
        "trial": 7, "attempt": 0, "config": fields(evaluate=FEW), "seed": 5, "study_seed": 0,
        "folder": str(home / "trial"), "cache": str(cache), "rungs": (2, 4), "short_run": False,
        "recorded": (), "micro_batch": None, "halvings": 0, "recompute": False, "mailbox": mailbox,
    }  # fmt: skip
    return Assignment(**{**values, **changes})


@dataclass
class Script(FIFOScheduler):
    """Plays the study: records what comes, answers with `words`; `then` may do more at a letter."""

    mailbox: Any
    words: Mapping[int, Word] = field(default_factory=lambda: {2: Word.GO_ON})
    then: Callable[[str, Mapping[str, Any]], None] = lambda kind, data: None
    letters: list[Letter] = field(default_factory=list)
    error: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        ((kind, data),) = json.loads(result["letter"]).items()
        self.letters.append((kind, data))
        self.then(kind, data)
        if kind == "measure":
            number, kimg = result["trial"], data["kimg"]
            self.mailbox.acknowledge.remote(number, data["run_kimg"], kimg)
            if kimg in self.words:
                self.mailbox.deliver.remote(number, kimg, str(self.words[kimg]))
        return FIFOScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self.error = "the trial's driver died"

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """The letters of a kind."""
        return [data for found, data in self.letters if found == kind]

    @property
    def failure(self) -> tuple[str, str] | None:
        """(kind, message) of the one failure that was told."""
        found = [(data["kind"], data["message"]) for data in self.of("fail")]
        assert len(found) <= 1
        return found[0] if found else None


def play(home: Path, script: Script, what: Assignment, machines: Machines = ONE) -> Script:
    """Launch the assignment and play the script until the trial's processes are gone."""
    ray.get(script.mailbox.welcome.remote(what.trial))
    return perform(home, script, what, machines)


def perform(home: Path, script: Script, what: Any, machines: Machines = ONE) -> Script:
    """Play the script for an assignment, or for what Tune makes several of: two at a time."""
    ray.tune.run(
        ray.tune.with_resources(
            partial(_trial, machines=machines, ray_folder=str(home / "ray" / "train")), seat()
        ),
        config={"assignment": what}, name=f"session-{time.time_ns()}",
        storage_path=str(home / "ray"), scheduler=script, verbose=0, raise_on_failed_trial=False,
        reuse_actors=True, max_concurrent_trials=2,
    )  # fmt: skip
    return script


def _trial(config: dict[str, Any], *, machines: Machines, ray_folder: str) -> None:
    drive(config["assignment"], machines, ray_folder)


def script(**changes: Any) -> Script:
    """A script with a mailbox of its own."""
    return Script(open_mailbox(), **changes)


@dataclass(frozen=True, kw_only=True)
class Sabotaged(Assignment):
    """An assignment that spoils another process it arrives in: `deed` is one of DEEDS. In the
    process that made it, `maker`, it does nothing: Tune copies it there, and a trial that reports
    sends it back.
    """

    deed: str
    maker: int

    def __reduce__(self) -> tuple[Any, ...]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return _arrive, (values,)


def sabotaged(what: Assignment, deed: str) -> Sabotaged:
    """The same assignment with a deed."""
    values = {name: getattr(what, name) for name in what.__dataclass_fields__}
    return Sabotaged(**values, deed=deed, maker=os.getpid())


def _arrive(values: dict[str, Any]) -> Sabotaged:
    if os.getpid() != values["maker"]:
        DEEDS[values["deed"]]()
    return Sabotaged(**values)


def _before_step(act: Callable[[Trainer], None]) -> None:
    step = Trainer._step

    def spoilt(trainer: Trainer) -> bool:
        if trainer.seen >= 1200:
            act(trainer)
        return step(trainer)

    Trainer._step = spoilt  # type: ignore[method-assign]


def _no_memory(trainer: Trainer) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def _no_room(trainer: Trainer) -> None:
    raise OSError(28, os.strerror(28), str(trainer.job.folder))


def _hang(trainer: Trainer) -> None:
    if trainer.runtime.rank == 1:
        time.sleep(3600)


def _leave_alone(trainer: Trainer) -> None:
    """Rank 1 ends as a killed process does, in the middle of a step that rank 0 takes."""
    if trainer.runtime.rank == 1:
        os.kill(os.getpid(), 9)


DEEDS: dict[str, Callable[[], None]] = {
    "no memory": lambda: _before_step(_no_memory),
    "no room": lambda: _before_step(_no_room),
    "hang": lambda: _before_step(_hang),
    "killed": lambda: _before_step(_leave_alone),
}
