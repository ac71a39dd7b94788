"""How much of the gradient's direction a coarse precision keeps.

Consistency training looks at the difference of two outputs that come closer with every doubling of
the grid; at some point it drowns in rounding, and nothing else tells.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ictsweep.consistency import Batch
from ictsweep.training.objective import Objective
from ictsweep.training.precision import FULL, tf32

_HALVINGS = 40  # from 2^16 to far below any scale that could still train
_MOST_IMAGES = 128


def probe_size(micro: int, block: int) -> int:
    """How many images to measure on: whole blocks, and half a micro-batch where that is possible,
    because float32 holds twice the activations of 16 bit.
    """
    return max(block, min(micro // 2, _MOST_IMAGES) // block * block)


def gradient_cosine(objective: Objective, batch: Batch) -> float | None:
    """The cosine between the gradient of the batch's mean loss in the objective's precision and in
    float32, from the same weights and draws; in [-1, 1]. None if the coarse one overflows at any
    scale. Leaves no gradient behind.
    """
    coarse = _finite_gradient(objective, batch)
    with tf32(False):
        exact = _gradient(replace(objective, precision=FULL), batch, 1.0)
    if coarse is None:
        return None
    product = _dot(coarse, exact) / math.sqrt(_dot(coarse, coarse) * _dot(exact, exact))
    return product if math.isfinite(product) else None


def _finite_gradient(objective: Objective, batch: Batch) -> list[Tensor] | None:
    """The gradient times a power of two, small enough for the range of 16 bits."""
    scales = [1.0]
    if objective.precision.dtype == torch.float16:
        scales = [2.0 ** (16 - halvings) for halvings in range(_HALVINGS)]
    for scale in scales:
        gradient = _gradient(objective, batch, scale)
        if all(bool(part.isfinite().all()) for part in gradient):
            return gradient
    return None


def _gradient(objective: Objective, batch: Batch, scale: float) -> list[Tensor]:
    weights = [p for p in objective.student.parameters() if p.requires_grad]
    loss = objective.losses(batch).mean() * scale
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]


def _dot(a: list[Tensor], b: list[Tensor]) -> float:
    """In float64: the norms of a gradient's parts are orders of magnitude apart."""
    return float(sum((x.double() * y.double()).sum() for x, y in zip(a, b, strict=True)))
