"""When a run is written down, and that it stays so.

A kill costs the work since the last checkpoint: evaluations may be hours apart, so there are
checkpoints in between, by the clock of rank 0, which alone writes (the ranks' states are equal).
"""

import time
from pathlib import Path

import torch

from ictsweep.errors import StorageError
from ictsweep.training.checkpoints import Meta, restore_newest, save_checkpoint
from ictsweep.training.runtime import Runtime, gather
from ictsweep.training.state import TrainState

CHECKPOINTS = "checkpoints"
_SHARE = 0.05  # of the time, at most, goes into checkpoints between evaluations


class Keeper:
    """The checkpoints of a run in its folder: written by rank 0, restored by all ranks."""

    def __init__(self, folder: Path, runtime: Runtime, every_s: float) -> None:
        self._folder, self._runtime, self._every_s = folder, runtime, every_s
        self._saved, self._cost = time.monotonic(), 0.0

    def due(self) -> bool:
        """Whether the last checkpoint is long ago; never on ranks that do not write."""
        passed = time.monotonic() - self._saved
        return self._runtime.rank == 0 and passed >= max(self._every_s, self._cost / _SHARE)

    def save(self, state: TrainState, meta: Meta) -> None:
        """Write a checkpoint and make it durable."""
        if self._runtime.rank == 0:
            began = time.monotonic()
            save_checkpoint(self._folder / CHECKPOINTS, state, meta)
            self._runtime.keep(self._folder, CHECKPOINTS)
            self._saved = time.monotonic()
            self._cost = self._saved - began

    def restore(self, state: TrainState, expected: Meta) -> Meta | None:
        """Restore the newest whole checkpoint, the same on all ranks; None where there is none.

        StorageError when the ranks do not see the same one.
        """
        self._runtime.fetch(self._folder)
        meta = restore_newest(self._folder / CHECKPOINTS, state, expected)
        images = torch.tensor([meta.images if meta else 0])
        found = sorted(set(gather(images).tolist()))
        if len(found) > 1:
            raise StorageError(
                f"{self._folder}: the workers of a trial found different checkpoints there (at "
                f"{' and '.join(f'{seen / 1000:g}' for seen in found)} kimg): the folder is not "
                "the same on all nodes. Give the study a --storage that all of them share."
            )
        return meta
