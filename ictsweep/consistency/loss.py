"""The consistency-training loss: the one place where a method's choices meet."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ictsweep.consistency.batch import Batch
from ictsweep.consistency.methods import Method

__all__ = ["Denoise", "consistency_loss"]

# (x [n, c, h, w], sigma [n], dropout mask, labels, augmentation: each or None) -> clean image
# [n, c, h, w]
Denoise = Callable[[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None], Tensor]


def consistency_loss(
    student: Denoise,
    teacher: Denoise,
    generator: Denoise | None,
    method: Method,
    batch: Batch,
) -> Tensor:
    """lambda(t, r) d(f(x_t, t), sg f(x_r, r)) of each image, [n]: the batch's loss is its mean.

    Table 1 of Song & Dhariwal 2023 (arXiv:2310.14189), with the noisy images of the method's path.
    `teacher` is the student itself unless the method keeps an average of it. It gets no gradient,
    and the SAME mask: with another one the two outputs would differ by dropout noise far above the
    small difference that the loss is about. `generator` makes the endpoints that batch.generated
    asks for, without dropout. All three are told the same labels and augmentation. Where r = 0,
    f(x, r) = x and neither teacher nor generator is called.
    """
    boundary = method.pairs.boundary
    with torch.no_grad():  # first, while no activations of the student are held
        x_t, x_r = method.path(_endpoint(generator, boundary, batch), batch)
        target = _above(boundary, teacher, x_r, batch)
    prediction = student(x_t, batch.t, batch.mask, batch.labels, batch.augment)
    weight = method.weighting(batch.t, batch.r, method.scalings)
    return weight * method.distance(prediction, target)


def _endpoint(generator: Denoise | None, boundary: float, batch: Batch) -> Tensor:
    """x0, or sg g(x0 + r z, r) where an endpoint is to be generated."""
    if batch.generated is None:
        return batch.x0
    assert generator is not None, "generated endpoints need a generator"
    chosen = batch.generated.nonzero().flatten()
    if not len(chosen):
        return batch.x0
    part = _at(batch, chosen)
    shape = (-1, *[1] * (batch.x0.ndim - 1))
    x_r = part.x0 + part.r.view(shape) * part.noise
    images = _above(boundary, generator, x_r, replace(part, mask=None))
    return _with(batch.x0, chosen, images)


def _above(boundary: float, denoise: Denoise, x: Tensor, batch: Batch) -> Tensor:
    """f(x, r), which is x at the boundary.

    A boundary above 0 is left to the preconditioning, which is exact there: few pairs reach it, and
    a teacher that works on the student's whole batch never waits for the device. Of r = 0 no
    network can be told, so it is asked for the other samples only.
    """
    if boundary > 0:
        return denoise(x, batch.r, batch.mask, batch.labels, batch.augment)
    above = batch.r.nonzero().flatten()
    if len(above) == len(x):
        return denoise(x, batch.r, batch.mask, batch.labels, batch.augment)
    if not len(above):
        return x
    part = _at(batch, above)
    images = denoise(x[above], part.r, part.mask, part.labels, part.augment)
    return _with(x, above, images)


def _with(x: Tensor, index: Tensor, images: Tensor) -> Tensor:
    """A copy of `x`, in its memory format, with `images` at `index`."""
    copy = x.to(images.dtype, copy=True)  # index_copy would make it contiguous
    copy[index] = images
    return copy


def _at(batch: Batch, index: Tensor) -> Batch:
    """The samples of `batch` at `index`; references stay whole."""

    def pick(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[index]

    return Batch(
        x0=batch.x0[index],
        noise=batch.noise[index],
        t=batch.t[index],
        r=batch.r[index],
        mask=pick(batch.mask),
        labels=pick(batch.labels),
        augment=pick(batch.augment),
        generated=pick(batch.generated),
        references=batch.references,
    )
