"""What runs in each worker process of a trial: the Ray-free trainer on Ray's process group."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch

from ictsweep.answers import Outcome
from ictsweep.config import trial_config
from ictsweep.data import load
from ictsweep.errors import Diverged, TrainingError
from ictsweep.launch.devices import wait_until_free
from ictsweep.launch.failures import of_worker
from ictsweep.launch.machines import Machines
from ictsweep.launch.runtime import RayRuntime
from ictsweep.records import Failure
from ictsweep.storage.shared import bring
from ictsweep.training import Clock, Job, fit_lineage, yardstick


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """All that a trial's workers need, in plain picklable values. Lengths in kimg; `recorded` pairs
    (run_kimg, kimg). The micro-batch is halved `halvings` times. `remote` is where the trial's
    folder is durable, `shared` where feature networks are: None for a disk that all nodes share.
    """

    trial: int
    attempt: int
    config: dict[str, Any]
    seed: int
    study_seed: int
    folder: str
    cache: str
    rungs: tuple[int, ...]
    short_run: bool
    recorded: tuple[tuple[int, int], ...]
    micro_batch: int | None
    halvings: int
    recompute: bool
    mailbox: Any
    remote: Any = None
    shared: Any = None


def work(assignment: Assignment, machines: Machines) -> None:
    """Train the assigned trial through its rungs, and say what it came to.

    A diverged run is reported, not raised: nothing failed but the numbers. Whatever else ends it is
    raised once it has been said: so the other workers end too.
    """
    # As many threads as CPUs were asked for, whatever the machine and its environment: sums round
    # differently on other numbers of threads, and a trial may go on elsewhere.
    torch.set_num_threads(max(1, int(machines.cpus_per_worker)))
    runtime = RayRuntime(assignment.trial, assignment.mailbox, assignment.remote)
    clock, letters = Clock(), _Letters(assignment)
    try:
        if machines.gpus_per_worker >= 1:
            wait_until_free(runtime.device)
        outcome = _fit(assignment, runtime, clock)
    except Diverged as error:
        if runtime.rank == 0:
            letters.give_up(Failure.DIVERGED, str(error))
    except Exception as error:
        kind, gist = of_worker(error)
        letters.give_up(kind, gist)
        raise TrainingError(gist) from error
    else:
        if outcome is Outcome.LEFT and runtime.rank == 0 and not runtime.dismissed:
            letters.give_up(Failure.PREEMPTED, "notice was given that a machine will be taken")
    finally:
        if runtime.rank == 0:
            letters.spend(clock)


def _fit(assignment: Assignment, runtime: RayRuntime, clock: Clock) -> Outcome:
    config = trial_config(assignment.config)
    images = load(config.data)
    if assignment.shared is not None:
        bring(assignment.shared, Path(assignment.cache))
    evaluator = yardstick(
        config, images, assignment.study_seed, Path(assignment.cache), runtime.device
    )
    job = Job(
        config=config, images=images, evaluator=evaluator, seed=assignment.seed,
        folder=Path(assignment.folder), micro_batch=assignment.micro_batch,
        halvings=assignment.halvings, recompute=assignment.recompute, clock=clock,
    )  # fmt: skip
    return fit_lineage(
        job, runtime, rungs=assignment.rungs, short_run=assignment.short_run,
        recorded=assignment.recorded,
    )  # fmt: skip


class _Letters:
    """What a worker writes to the study besides its measurements; each is in the mailbox when the
    call returns, whatever becomes of the worker then.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._trial, self._mailbox = assignment.trial, assignment.mailbox

    def give_up(self, kind: Failure, message: str) -> None:
        ray.get(self._mailbox.give_up.remote(self._trial, str(kind), message))

    def spend(self, clock: Clock) -> None:
        ray.get(self._mailbox.spend.remote(self._trial, clock.spent()))
