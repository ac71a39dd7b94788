"""Averages kept during training so that others can be made after it.

snapshots/000064-000008000-0.05.pt      run length in kimg, images averaged over, relative width

Karras et al. 2024 (arXiv:2312.02696), section 3.2: the width of the average is chosen when training
is over, from a few snapshots of two power-function averages.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ictsweep.config import TrialConfig
from ictsweep.consistency import PowerEma
from ictsweep.files import flush_folder
from ictsweep.training.ema import averaged
from ictsweep.training.profiles import Profile

SNAPSHOTS = "snapshots"


class PostHocAverages(nn.Module):
    """Power-function averages of a model of each width in `sigma_rel`."""

    def __init__(self, model: nn.Module, sigma_rel: Sequence[float], batch: int) -> None:
        super().__init__()
        self.sigma_rel, self.batch = tuple(sigma_rel), batch
        kept = [averaged(model, PowerEma(sigma_rel=width), batch) for width in sigma_rel]
        self._averages = kept  # the same objects with their type, which a ModuleList forgets
        self.averages = nn.ModuleList(kept)

    def update(self, model: nn.Module) -> None:
        """Take in the weights that an optimiser step left in `model`."""
        for average in self._averages:
            average.update(model)

    def save(self, folder: Path, run_kimg: int) -> None:
        """Write a snapshot of each average, once there is one; one that a kill cut short is never
        seen.

        Its time is the images of the steps taken: those that float16 skipped are in no average.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for width, average in zip(self.sigma_rel, self._averages, strict=True):
            if not (images := int(average.updates) * self.batch):
                continue
            place = folder / f"{run_kimg:06d}-{images:09d}-{width!r}.pt"
            beside = folder / f".{place.name}.new"
            with beside.open("wb") as file:
                torch.save(average.module.state_dict(), file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, place)
        flush_folder(folder)


def snapshot_due(config: TrialConfig, seen: int) -> bool:
    """Whether a snapshot is taken after the step that ended at `seen` images: they are spread
    evenly over the run, the last at its end.
    """
    count, total = config.post_hoc.snapshots, config.budget_kimg * 1000
    return seen * count // total > (seen - config.optimizer.batch) * count // total


def snapshots(folder: Path, run_kimg: int) -> dict[Path, Profile]:
    """The snapshots of a run and what each averages, by time (images) and width."""
    found = {}
    for path in folder.glob(f"{run_kimg:06d}-*.pt"):
        _, images, width = path.stem.split("-", 2)
        found[path] = Profile(float(width), float(images))
    return dict(sorted(found.items(), key=lambda item: (item[1].end, item[1].sigma_rel)))


def forget_snapshots(folder: Path, run_kimg: int) -> None:
    """Remove a run's snapshots."""
    for path in folder.glob(f"{run_kimg:06d}-*.pt"):
        path.unlink(missing_ok=True)
