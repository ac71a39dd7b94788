"""When a run is written down, and that it stays so.

A kill costs the work since the last checkpoint: evaluations may be hours apart, so there are
checkpoints in between, by the clock of rank 0, which alone writes (the ranks' states are equal).
"""

import time
from functools import partial
from pathlib import Path

import torch

from ictsweep.disk import FULL, passing
from ictsweep.errors import StorageError
from ictsweep.patience import RUNNING
from ictsweep.training.checkpoints import Meta, newest, read_state, save_checkpoint
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
        """Write a checkpoint and make it durable; a disk that is full or away is waited for."""
        if self._runtime.rank == 0:
            began = time.monotonic()
            RUNNING.through(
                partial(save_checkpoint, self._folder / CHECKPOINTS, state, meta), _may_pass
            )
            self._runtime.keep(self._folder, CHECKPOINTS)
            self._saved = time.monotonic()
            self._cost = self._saved - began

    def restore(self, state: TrainState, expected: Meta) -> Meta | None:
        """Restore the newest whole checkpoint that all ranks have; None where there is none.

        Where folders are durable elsewhere, a kill may have left the newest one on the machine that
        wrote it: then the one before it is restored. StorageError when the ranks do not see the
        same ones of a folder that they should share.
        """
        durable = self._runtime.fetch(self._folder)
        place = self._folder / CHECKPOINTS
        path, meta = newest(place, expected)
        found = _seen_by_all(meta)
        if durable and len(found) > 1:
            path, meta = newest(place, expected, most=found[0])
            found = _seen_by_all(meta)
        if len(found) > 1:
            raise StorageError(
                f"{self._folder}: the workers of a trial found different checkpoints there (at "
                f"{' and '.join(f'{seen / 1000:g}' for seen in found)} kimg): the folder is not "
                "the same on all nodes. Give the study a --storage that all of them share."
            )
        if path is not None:
            state.load_state_dict(read_state(path))
        return meta


def _seen_by_all(meta: Meta | None) -> list[int]:
    """After how many images the ranks would go on, each number once, the least first."""
    images = torch.tensor([meta.images if meta else 0])
    return sorted(set(gather(images).tolist()))


def _may_pass(error: BaseException) -> bool:
    """What the disk says may stand behind an error of torch's own words."""
    return any(
        passing(one) or (isinstance(one, OSError) and one.errno in FULL)
        for one in (error, error.__context__)
        if one is not None
    )
