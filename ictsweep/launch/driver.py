"""A trial becomes a Ray Train run: the function that Ray Tune calls for each trial."""

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import ray
import ray.train
import ray.tune
from ray.train.torch import TorchConfig, TorchTrainer

from ictsweep.launch.cluster import gone
from ictsweep.launch.failures import Said, of_run
from ictsweep.launch.machines import Machines
from ictsweep.launch.worker import Assignment, work
from ictsweep.records import Failure

POLL_S = 1.0  # how long to wait for a letter before looking whether the run has ended

# A run fails for good: whether a trial is launched again is the study's to decide, and to record.
_NO_RETRIES = ray.train.FailureConfig(
    max_failures=0, controller_failure_limit=0, max_preemption_failures=0
)


def drive(assignment: Assignment, machines: Machines, ray_folder: str) -> None:
    """Run one trial: `fit()` in a thread, its letters passed on to the study by `ray.tune.report`
    as they come; the last one says that its processes are gone.

    Never raises for a failed run: the failure is a fact that the study records, like any other.
    """
    began = time.monotonic()
    mailbox = assignment.mailbox
    mailbox.stand.remote(assignment.trial, ray.get_runtime_context().get_node_id())
    desk = _Desk(assignment)
    run = _Run(assignment, machines, ray_folder)
    run.start()
    while run.is_alive():
        desk.forward(POLL_S)
    while desk.forward(0.01):
        pass
    if run.error is not None:
        kind, message = of_run(run.error, desk.said, lambda: _machines_gone(assignment))
        desk.post({"fail": {"kind": str(kind), "message": message}})
    elif desk.said:
        kind, message = desk.said[0]
        desk.post({"fail": {"kind": str(kind), "message": message}})
    seconds = time.monotonic() - began
    settled = ray.get(mailbox.group_of.remote(assignment.trial)) is not None
    gpus = machines.gpus if settled else 0.0  # it waited for machines, and none came
    desk.post({"leave": {"seconds": seconds, "gpus": gpus, "phases": desk.phases_of(seconds)}})


class _Run(threading.Thread):
    """`TorchTrainer.fit()` beside the trial's own thread; `error` is what it ended with."""

    def __init__(self, assignment: Assignment, machines: Machines, ray_folder: str) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self._trainer = TorchTrainer(
            lambda config: work(config["assignment"], machines),
            train_loop_config={"assignment": assignment},
            torch_config=TorchConfig(timeout_s=machines.timeout_s),
            scaling_config=ray.train.ScalingConfig(
                num_workers=machines.workers,
                use_gpu=machines.gpus_per_worker > 0,
                resources_per_worker=machines.per_worker(),
                accelerator_type=machines.accelerator_type,
            ),
            run_config=ray.train.RunConfig(
                name=f"trial-{assignment.trial:04d}", storage_path=ray_folder,
                failure_config=_NO_RETRIES,
            ),
        )  # fmt: skip

    def run(self) -> None:
        try:
            self._trainer.fit()
        except Exception as error:  # the study decides what a failure means
            self.error = error


class _Desk:
    """Sorts a trial's letters: measurements go on at once, what workers say of their end is kept
    until the run has ended, when more is known.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.said: list[Said] = []
        self._phases: Mapping[str, float] = {}
        self._assignment = assignment

    def forward(self, timeout_s: float) -> bool:
        """Take the next letter; False when none came in time."""
        mailbox, trial = self._assignment.mailbox, self._assignment.trial
        letter: Any = ray.get(mailbox.next_letter.remote(trial, timeout_s))
        if letter is None:
            return False
        if "fail" in letter:
            self.said.append((Failure(letter["fail"]["kind"]), letter["fail"]["message"]))
        elif "phases" in letter:
            self._phases = letter["phases"]
        else:
            self.post(letter)
        return True

    def post(self, letter: Any) -> None:
        """Pass a letter to the study through Tune, as text: Tune flattens nested results."""
        ray.tune.report({"trial": self._assignment.trial, "letter": json.dumps(letter)})

    def phases_of(self, seconds: float) -> dict[str, float]:
        """Where the launch's seconds went: what passed before and after the worker's own clock is
        start-up. Empty where the worker was ended before it could say.
        """
        if not self._phases:
            return {}
        outside = max(0.0, seconds - sum(self._phases.values()))
        return {**self._phases, "startup_s": self._phases["startup_s"] + outside}


def _machines_gone(assignment: Assignment) -> bool:
    nodes: Any = ray.get(assignment.mailbox.nodes_of.remote(assignment.trial))
    return bool(gone(nodes))
