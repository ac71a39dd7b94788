"""The consistency-training loss: the one place where a method's choices meet."""

from collections.abc import Callable

import torch
from torch import Tensor

from ictsweep.consistency.methods import Method

__all__ = ["Denoise", "consistency_loss"]

# (x [n, c, h, w], sigma [n], dropout mask or None) -> clean image [n, c, h, w]
Denoise = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def consistency_loss(
    student: Denoise,
    teacher: Denoise,
    method: Method,
    x0: Tensor,
    noise: Tensor,
    t: Tensor,
    r: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """lambda(t, r) d(f(x0 + t z, t), sg f(x0 + r z, r)) of each image, [n]: the batch's loss is its
    mean.

    Table 1 of Song & Dhariwal 2023 (arXiv:2310.14189). `x0` in [-1, 1] and `noise` ~ N(0, 1) are
    [n, c, h, w], `t` > `r` are [n]. In iCT `teacher` is the student itself. It gets no gradient,
    and the SAME `mask`: with another one the two outputs would differ by dropout noise far above
    the small difference that the loss is about.
    """
    shape = (-1, *[1] * (x0.ndim - 1))
    with torch.no_grad():  # first, while no activations of the student are held
        target = teacher(x0 + r.view(shape) * noise, r, mask)
    prediction = student(x0 + t.view(shape) * noise, t, mask)
    return method.weighting(t, r) * method.distance(prediction, target)
