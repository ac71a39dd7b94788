"""Samples as batches of 8-bit pictures, the same however they are shared among processes."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ictsweep.evaluation.config import BATCH

# Latents float32 [n, noises, c, h, w] and labels int64 [n] or None, both on the CPU -> pictures
# [n, c, h, w] in [-1, 1], on any device.
Sampler = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A batch of samples from position `first` on: `pixels` uint8 [n, c, h, w] on the CPU, and
    which of them were `finite`, bool [n] (NaN becomes black).
    """

    first: int
    pixels: Tensor
    finite: Tensor


def draw(sampler: Sampler, inputs: tuple[Tensor, Tensor | None], first: int) -> Drawn:
    """The samples of latents [n, noises, c, h, w] and labels [n] or None."""
    with torch.no_grad():
        samples = sampler(*inputs)
    latents, _ = inputs
    assert samples.shape == (len(latents), *latents.shape[2:])
    finite = samples.isfinite().flatten(1).all(dim=1).cpu()
    return Drawn(first=first, pixels=to_uint8(samples), finite=finite)


def batches(share: range) -> Iterator[range]:
    """The batches of some positions, which start where one does."""
    assert share.start % BATCH == 0
    for first in range(share.start, share.stop, BATCH):
        yield range(first, min(first + BATCH, share.stop))


def share_of(images: int, rank: int, world_size: int) -> range:
    """The positions of a process: whole batches, as many for all; they may pass the end."""
    size = math.ceil(math.ceil(images / BATCH) / world_size) * BATCH
    return range(rank * size, (rank + 1) * size)


def to_uint8(x: Tensor) -> Tensor:
    """[-1, 1] -> uint8 (CPU) as EDM rounds: trunc(clip(127.5 x + 128, 0, 255)); NaN becomes 0."""
    levels = (x.float() * 127.5 + 128).clip(0, 255)
    return levels.nan_to_num(nan=0.0).to(torch.uint8).cpu()
