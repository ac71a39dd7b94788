"""How far apart two images are: one number per image."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

__all__ = ["PseudoHuber"]


@dataclass(frozen=True, kw_only=True)
class PseudoHuber:
    """sqrt(||x - y||^2 + c^2) - c with c = c_scale sqrt(d): squared L2 below c, L2 above it.

    Section 3.3 of Song & Dhariwal 2023 (arXiv:2310.14189). There is ONE norm, over all d
    coordinates of an image; applied to each pixel with the same c it would be a scaled squared L2,
    which is a different method.
    """

    c_scale: Annotated[float, Gt(0)] = 0.00054

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance of each image of `x` to its counterpart in `y`, both [n, ...]; [n], in
        float32 or finer."""
        difference = (x - y).flatten(1)
        difference = difference.to(torch.promote_types(difference.dtype, torch.float32))
        square = difference.square().sum(1)
        c = self.c_scale * math.sqrt(difference.shape[1])
        # The textbook form loses every digit once ||x - y|| << c; this quotient is the same number
        # and loses none.
        return square / ((square + c * c).sqrt() + c)
