"""The gradient of one global batch, the same whatever the number of processes and micro-batches."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ictsweep.consistency import Batch
from ictsweep.errors import UserError
from ictsweep.training.objective import Objective
from ictsweep.training.spectrum import BANDS, by_level


@dataclass(frozen=True)
class Share:
    """A rank's part of the global batch: images first .. first + count of it, in micro-batches of
    at most `micro`.
    """

    first: int
    count: int
    micro: int

    def parts(self) -> Iterator[tuple[int, int]]:
        """(offset in the global batch, images) of each micro-batch."""
        for offset in range(0, self.count, self.micro):
            yield self.first + offset, min(self.micro, self.count - offset)


def share_of(
    batch: int, block: int, rank: int, world_size: int, micro: int | None, halvings: int = 0
) -> Share:
    """Rank's share of a global batch made of blocks, its micro-batches (of `micro` images, of the
    whole share for None) halved so many times, but never below one block.

    UserError if the blocks do not divide evenly over the ranks.
    """
    if (batch // block) % world_size:
        raise UserError(
            f"a global batch of {batch} is {batch // block} blocks of {block} images, which "
            f"{world_size} workers cannot share evenly: "
            f"choose a number of workers that divides {batch // block}"
        )
    count = batch // world_size
    micro = (count if micro is None else min(micro, count)) >> halvings
    return Share(rank * count, count, max(block, micro // block * block))


def accumulate(
    objective: Objective,
    share: Share,
    batch: int,
    world_size: int,
    inputs: Callable[[int, int], Batch],
    scale: Callable[[Tensor], Tensor],
) -> Tensor:
    """Add the gradient of the global batch's mean loss; returns this rank's part of that mean,
    then its images and summed losses by noise level (`spectrum.by_level`): detached, in one row.

    `inputs(offset, count)` gives a micro-batch; `scale` is applied to what is differentiated. DDP
    averages gradients over ranks, so each rank's sum is divided by batch / world_size.
    """
    student = objective.student
    total = torch.zeros(1 + 2 * BANDS, device=next(student.parameters()).device)
    parts = list(share.parts())
    for index, (offset, count) in enumerate(parts):
        with _no_sync(student, index < len(parts) - 1):
            inside = inputs(offset, count)
            losses = objective.losses(inside)
            loss = losses.sum() * (world_size / batch)
            scale(loss).backward()
        total += torch.cat([loss.detach()[None], by_level(losses.detach(), inside.t)])
    return total


def _no_sync(model: nn.Module, wanted: bool) -> contextlib.AbstractContextManager[Any]:
    """Gradients meet once per step, at its last micro-batch."""
    if wanted and isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()
