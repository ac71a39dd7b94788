"""One optimizer step on one global batch, the same whatever the number of processes and
micro-batches.

The global batch is cut into fixed blocks; every block draws its levels, noise and dropout mask from
a generator seeded by its position in the stream of images. So a sample's randomness depends on the
sample alone: not on the rank, not on the micro-batch.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ictsweep.consistency import Method, consistency_loss
from ictsweep.errors import UserError
from ictsweep.networks import draw_mask
from ictsweep.seeds import derive_seed


@dataclass(frozen=True)
class Draws:
    """The randomness of n images: noise [n,c,h,w], levels t > r [n], dropout mask [n,size] or
    None.
    """

    noise: Tensor
    t: Tensor
    r: Tensor
    mask: Tensor | None


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


def share_of(batch: int, block: int, rank: int, world_size: int, micro: int | None) -> Share:
    """Rank's share of a global batch made of blocks.

    UserError if the blocks do not divide evenly over the ranks.
    """
    if (batch // block) % world_size:
        raise UserError(
            f"a global batch of {batch} is {batch // block} blocks of {block} images, which "
            f"{world_size} workers cannot share evenly: "
            f"choose a number of workers that divides {batch // block}"
        )
    count = batch // world_size
    micro = count if micro is None else max(block, micro // block * block)
    return Share(rank * count, count, micro)


def draw(
    method: Method, shape: tuple[int, int, int], mask_size: int, *,
    seed: int, first: int, count: int, block: int, progress: float, device: torch.device,
) -> Draws:  # fmt: skip
    """The randomness of images first .. first + count of the stream; `first` and `count` are
    multiples of `block`.
    """
    blocks = []
    for start in range(first, first + count, block):
        generator = torch.Generator(device).manual_seed(derive_seed(seed, "step", start))
        t, r = method.pairs.sample(block, progress, generator, device)
        noise = torch.randn(block, *shape, generator=generator, device=device)
        mask = draw_mask(block, mask_size, generator, device) if mask_size else None
        blocks.append(Draws(noise, t, r, mask))
    masks = [b.mask for b in blocks if b.mask is not None]
    return Draws(
        torch.cat([b.noise for b in blocks]),
        torch.cat([b.t for b in blocks]),
        torch.cat([b.r for b in blocks]),
        torch.cat(masks) if masks else None,
    )


def accumulate(
    student: nn.Module,
    teacher: nn.Module,
    method: Method,
    share: Share,
    batch: int,
    world_size: int,
    inputs: Callable[[int, int], tuple[Tensor, Draws]],
) -> Tensor:
    """Add the gradient of the global batch's mean loss; returns this rank's part of that mean
    (detached scalar).

    `inputs(offset, count)` gives x0 in [-1, 1] and the draws of a micro-batch. DDP averages
    gradients over ranks, so each rank's sum is divided by batch / world_size.
    """
    total = torch.zeros((), device=next(student.parameters()).device)
    parts = list(share.parts())
    for index, (offset, count) in enumerate(parts):
        x0, draws = inputs(offset, count)
        with _no_sync(student, index < len(parts) - 1):
            losses = consistency_loss(
                student, teacher, method, x0, draws.noise, draws.t, draws.r, draws.mask
            )
            loss = losses.sum() * (world_size / batch)
            loss.backward()
        total += loss.detach()
    return total


def _no_sync(model: nn.Module, wanted: bool) -> contextlib.AbstractContextManager[Any]:
    """Gradients meet once per step, at its last micro-batch."""
    if wanted and isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()
