"""The noise that samples are drawn from: a pure function of the position, the same for all trials.

Common latents make two trials differ by their models alone, and let any number of processes share
one evaluation.
"""

import math

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
    assert first >= 0
    assert count >= 1
    start, stop = first // BLOCK, math.ceil((first + count) / BLOCK)
    blocks = [
        torch.stack([_block(seed, step, block, shape) for step in range(steps)], dim=1)
        for block in range(start, stop)
    ]
    offset = first - start * BLOCK
    return torch.cat(blocks)[offset : offset + count]


def _block(seed: int, step: int, block: int, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(derive_seed(seed, "latents", step, block))
    return torch.randn(BLOCK, *shape, generator=generator)
