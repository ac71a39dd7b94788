"""Two noisy images on one path to an endpoint: where the pair of levels is compared."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from ictsweep.consistency.batch import Batch, References

__all__ = ["OneSample", "PosteriorMean"]


@dataclass(frozen=True, kw_only=True)
class OneSample:
    """x_t = y + t z and x_r = y + r z with the same noise z. Section 5 of Song et al. 2023
    (arXiv:2303.01469)."""

    name: Literal["one_sample"] = "one_sample"

    def __call__(self, endpoint: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(x_t, x_r) of `endpoint` y [n, c, h, w], both of its shape."""
        shape = (-1, *[1] * (endpoint.ndim - 1))
        x_t, x_r = (endpoint + level.view(shape) * batch.noise for level in (batch.t, batch.r))
        return x_t, x_r


@dataclass(frozen=True, kw_only=True)
class PosteriorMean:
    """x_r lies on the way from x_t to the mean of the images that x_t may come from.

    w = softmax_j(-||x_t - y_j||^2 / (2 t^2)),  D = sum_j w_j y_j,  x_r = (r/t) x_t + (1 - r/t) D
    over the sample's own x0 and the batch's references. Stable Consistency Tuning, Wang et al. 2024
    (arXiv:2410.18958); the weights are those of Xu et al. 2023 (arXiv:2302.00670). `references`
    counts the own x0, so 1 is `OneSample`. The number used in the paper is not published; 1024 is
    the reference batch of Xu et al.'s released CIFAR-10 runs.
    """

    name: Literal["posterior_mean"] = "posterior_mean"
    references: Annotated[int, Ge(1)] = 1024

    def __call__(self, endpoint: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(x_t, x_r) of `endpoint` y [n, c, h, w], both of its shape.

        References of another class are left out where the sample has a label. Samples whose
        endpoint was generated keep x_r = y + r z: the posterior holds for noisy data only.
        """
        x_t, x_r = OneSample()(endpoint, batch)
        if batch.references is None:
            return x_t, x_r
        shift = _posterior_shift(batch, batch.references)
        shift = shift * (1 - batch.r / batch.t).to(shift.dtype)[:, None]
        if batch.generated is not None:
            shift = shift * ~batch.generated[:, None]
        # (r/t) (x0 + t z) + (1 - r/t) D, written so that D = x0 changes nothing in any bit
        return x_t, x_r + shift.view_as(x_r).to(x_r.dtype)


def _posterior_shift(batch: Batch, references: References) -> Tensor:
    """D - x0 of each sample, [n, pixels], in float32 or finer."""
    x0, noise, others = (x.flatten(1).double() for x in (batch.x0, batch.noise, references.images))
    t = batch.t.double()[:, None]
    # ||x_t - y||^2 - ||x_t - x0||^2 = ||x0 - y||^2 + 2 t z.(x0 - y): 0 for the own image, exactly
    own = (x0 * (x0 + 2 * t * noise)).sum(1, keepdim=True)
    excess = own + others.square().sum(1) - 2 * (x0 + t * noise) @ others.T
    logits = torch.cat([torch.zeros_like(t), excess / (-2 * t.square())], dim=1)
    if batch.labels is not None and references.labels is not None:
        other_class = (batch.labels[:, None] != references.labels) & (batch.labels[:, None] >= 0)
        logits[:, 1:].masked_fill_(other_class, -torch.inf)
    weights = _softmax(logits)[:, 1:]
    return weights @ others - weights.sum(1, keepdim=True) * x0


def _softmax(logits: Tensor) -> Tensor:
    """exp(logits) over their sum along the last axis; an image twice as near as the own one would
    overflow it without the maximum taken off."""
    shares = (logits - logits.amax(1, keepdim=True)).exp()
    return shares / shares.sum(1, keepdim=True)
