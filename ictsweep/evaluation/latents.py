"""The noise and the labels that samples are drawn from: a pure function of the position, the same
for all trials.

Common latents make two trials differ by their models alone, and let any number of processes share
one evaluation.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ictsweep.seeds import derive_seed

# Part of what a latent is: another block size is another stream of numbers.
BLOCK = 64


def latents(seed: int, first: int, count: int, steps: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise for samples first .. first + count, float32 [count, steps, *shape].

    Drawn in blocks of 64 positions, each from (seed, "latents", step, block): independent of how
    the range is split, and the first steps of a multistep draw are the draw with fewer steps.
    """

    def draw(block: int) -> Tensor:
        generators = [_generator(seed, "latents", step, block) for step in range(steps)]
        return torch.stack([torch.randn(BLOCK, *shape, generator=g) for g in generators], dim=1)

    return _of_blocks(draw, first, count)


def class_labels(seed: int, first: int, count: int, of_data: Tensor) -> Tensor:
    """The labels of samples first .. first + count, int64 [count]: those of random pictures of the
    data, whose labels are `of_data` [n].

    So the samples' classes are as frequent as in the data that they are compared with; were they
    not, a perfect model would be far from it. Drawn like `latents`, from (seed, "labels", block):
    independent of how the range is split and of the latents.
    """

    def draw(block: int) -> Tensor:
        generator = _generator(seed, "labels", block)
        return of_data[torch.randint(len(of_data), (BLOCK,), generator=generator)]

    return _of_blocks(draw, first, count)


def _of_blocks(draw: Callable[[int], Tensor], first: int, count: int) -> Tensor:
    """Positions first .. first + count of an endless tensor drawn block by block."""
    assert first >= 0
    assert count >= 1
    start, stop = first // BLOCK, math.ceil((first + count) / BLOCK)
    offset = first - start * BLOCK
    return torch.cat([draw(block) for block in range(start, stop)])[offset : offset + count]


def _generator(seed: int, purpose: str, *position: int) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(seed, purpose, *position))
