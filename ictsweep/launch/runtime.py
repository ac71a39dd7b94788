"""The trainer's world inside a Ray Train worker: reports and verdicts go through the study's
mailbox, and whoever may ask the trial to leave is listened to.
"""

import contextlib
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import ray.util
import torch
from ray.exceptions import RayError
from ray.train.v2._internal.execution.context import get_train_context

from ictsweep.answers import Word
from ictsweep.records import Measurement


class RayRuntime:
    """A worker's Runtime. `remote` is where the trial's folder is durable: None for a disk that all
    nodes share.
    """

    def __init__(self, trial: int, mailbox: Any, remote: Any = None) -> None:
        context = ray.train.get_context()
        self.rank = context.get_world_rank()
        self.world_size = context.get_world_size()
        self.device: torch.device = ray.train.torch.get_device()  # pyright: ignore[reportAttributeAccessIssue]
        self._trial, self._mailbox, self._remote = trial, mailbox, remote
        # The public question is an exchange of all workers; this is what it would say here.
        self._notice = get_train_context().preemption_context
        self._dismissed = threading.Event()
        self._settle()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def leaving(self) -> bool:
        """Whether the study dismissed the trial, or one of its nodes is about to be taken."""
        return self._dismissed.is_set() or self.preempted

    @property
    def preempted(self) -> bool:
        """Whether Ray Train was told that a node of the trial is about to be taken."""
        return self._notice.preemption_info is not None

    @property
    def dismissed(self) -> bool:
        """Whether the study asked the trial to leave."""
        return self._dismissed.is_set()

    def report(self, measurement: Measurement) -> Word:
        """Hand rank 0's measurement to the study: GO_ON when it is on the disk, LEAVE if the trial
        is dismissed before. Every rank waits here: no collective can time out while the study's
        storage is away.
        """
        if self.rank == 0:
            said = self._mailbox.report.remote(self._trial, asdict(measurement))
        else:
            key = (self._trial, measurement.run_kimg, measurement.kimg)
            said = self._mailbox.recorded.remote(*key)
        return Word(ray.get(said))

    def verdict(self, rung_kimg: int) -> Word:
        """Wait for the study's word. Every rank asks the mailbox, for the same reason."""
        return Word(ray.get(self._mailbox.verdict.remote(self._trial, rung_kimg)))

    def keep(self, folder: Path, *names: str) -> None:
        """Carry what was written or removed under these names to where the folder is durable."""
        if self._remote is not None:
            self._remote.push(folder, *names)

    def fetch(self, folder: Path) -> bool:
        """Bring what a run goes on from to this node."""
        if self._remote is not None:
            self._remote.pull(folder, "checkpoints", "snapshots")
        return self._remote is not None

    def _settle(self) -> None:
        """Say where this worker lives, so that it can be found, and freed, without it."""
        self._mailbox.stand.remote(self._trial, ray.get_runtime_context().get_node_id())
        group = ray.util.get_current_placement_group()
        if self.rank == 0 and group is not None:
            self._mailbox.settle.remote(self._trial, group.id.hex())

    def _listen(self) -> None:
        with contextlib.suppress(RayError):  # without its study a worker is ended soon
            ray.get(self._mailbox.wait_dismissed.remote(self._trial))
            self._dismissed.set()
