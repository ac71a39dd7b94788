"""What runs in each worker process of a trial: the Ray-free trainer on Ray's process group."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import ray.util
import torch

from ictsweep.config import trial_config
from ictsweep.data import load
from ictsweep.errors import Diverged
from ictsweep.records import Measurement
from ictsweep.training import Job, fit_lineage, yardstick


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """All that a trial's workers need, in plain picklable values. Lengths in kimg; `recorded` pairs
    (run_kimg, kimg).
    """

    trial: int
    config: dict[str, Any]
    seed: int
    study_seed: int
    folder: str
    cache: str
    rungs: tuple[int, ...]
    short_run: bool
    recorded: tuple[tuple[int, int], ...]
    micro_batch: int | None
    recompute: bool
    mailbox: Any


class RayRuntime:
    """The trainer's world inside a Ray Train worker: reports and verdicts go through the study's
    mailbox.
    """

    def __init__(self, trial: int, mailbox: Any) -> None:
        context = ray.train.get_context()
        self.rank = context.get_world_rank()
        self.world_size = context.get_world_size()
        self.device: torch.device = ray.train.torch.get_device()  # pyright: ignore[reportAttributeAccessIssue]
        self._trial = trial
        group = ray.util.get_current_placement_group()
        if self.rank == 0 and group is not None:
            mailbox.settle.remote(trial, group.id.hex())
        self._mailbox = mailbox

    def report(self, measurement: Measurement) -> None:
        """Hand rank 0's measurement to the study; returns when it is on the disk."""
        if self.rank == 0:
            ray.get(self._mailbox.report.remote(self._trial, asdict(measurement)))

    def verdict(self, rung_kimg: int) -> bool:
        """Wait for the study's word. Every rank asks the mailbox: no collective can time out while
        the study thinks.
        """
        return ray.get(self._mailbox.verdict.remote(self._trial, rung_kimg))


def work(assignment: Assignment) -> None:
    """Train the assigned trial through its rungs. A diverged run is reported, not raised: nothing
    failed but the numbers.
    """
    runtime = RayRuntime(assignment.trial, assignment.mailbox)
    config = trial_config(assignment.config)
    images = load(config.data)
    evaluator = yardstick(config, images, assignment.study_seed, Path(assignment.cache))
    job = Job(
        config=config, images=images, evaluator=evaluator, seed=assignment.seed,
        folder=Path(assignment.folder), micro_batch=assignment.micro_batch,
        recompute=assignment.recompute,
    )  # fmt: skip
    try:
        fit_lineage(
            job, runtime, rungs=assignment.rungs, short_run=assignment.short_run,
            recorded=assignment.recorded,
        )  # fmt: skip
    except Diverged as error:
        if runtime.rank == 0:
            ray.get(assignment.mailbox.give_up.remote(assignment.trial, "diverged", str(error)))
