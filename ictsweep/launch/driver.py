"""A trial becomes a Ray Train run: the function that Ray Tune calls for each trial."""

import json
import threading
from dataclasses import dataclass
from typing import Any

import ray
import ray.train
import ray.tune
from ray.train.torch import TorchTrainer

from ictsweep.launch.worker import Assignment, work

POLL_S = 1.0  # how long to wait for a letter before looking whether the run has ended


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What each worker of a trial is given."""

    workers: int
    cpus_per_worker: float
    gpus_per_worker: float

    def per_worker(self) -> dict[str, float]:
        """Ray's resources of one worker."""
        gpus = {"GPU": self.gpus_per_worker} if self.gpus_per_worker else {}
        return {"CPU": self.cpus_per_worker, **gpus}


def drive(assignment: Assignment, machines: Machines, ray_folder: str) -> None:
    """Run one trial: `fit()` in a thread, its letters passed on to the study by `ray.tune.report`
    as they come.

    Never raises for a failed run: the failure is a fact that the study records, like any other.
    """
    run = _Run(assignment, machines, ray_folder)
    run.start()
    while run.is_alive():
        _forward(assignment, POLL_S)
    while _forward(assignment, 0.01):
        pass
    if run.error is not None:
        _post(assignment.trial, {"fail": {"kind": "error", "message": _gist(run.error)}})


class _Run(threading.Thread):
    """`TorchTrainer.fit()` beside the trial's own thread; `error` is what it ended with."""

    def __init__(self, assignment: Assignment, machines: Machines, ray_folder: str) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self._trainer = TorchTrainer(
            lambda config: work(config["assignment"]),
            train_loop_config={"assignment": assignment},
            scaling_config=ray.train.ScalingConfig(
                num_workers=machines.workers,
                use_gpu=machines.gpus_per_worker > 0,
                resources_per_worker=machines.per_worker(),
            ),
            run_config=ray.train.RunConfig(
                name=f"trial-{assignment.trial:04d}", storage_path=ray_folder
            ),
        )

    def run(self) -> None:
        try:
            self._trainer.fit()
        except Exception as error:  # the study decides what a failure means
            self.error = error


def _forward(assignment: Assignment, timeout_s: float) -> bool:
    letter: Any = ray.get(assignment.mailbox.next_letter.remote(assignment.trial, timeout_s))
    if letter is None:
        return False
    _post(assignment.trial, letter)
    return True


def _post(trial: int, letter: Any) -> None:
    """Pass a letter to the study through Tune, as text: Tune flattens nested results."""
    ray.tune.report({"trial": trial, "letter": json.dumps(letter)})


def _gist(error: BaseException) -> str:
    """The line of a remote traceback that says what happened: the last that is not blank."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
