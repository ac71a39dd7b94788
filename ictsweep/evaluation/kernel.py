"""The kernel distance: the squared maximum mean discrepancy with the kernel (x^T y / d + 1)^3.

Bińkowski et al. 2018 (arXiv:1801.01401), who call it KID when the features are Inception's. The
estimator is unbiased at every number of samples, and so may fall below 0. The published convention
averages it over random subsets; here all pairs are summed too, in tiles, which draws nothing at
random, loses nothing and needs little memory.

Inner products are taken in float32, cubes and sums in float64: at 2,048 dimensions right to 1e-10,
ten thousand times less than the error, while sums in float32 are wrong in the fourth digit.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.estimates import Estimate

# Pairs are summed in tiles of so many rows and columns: 134 MB in float64.
_TILE = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelReference:
    """The data's side: its `features` float32 [m, d] and `term`, the mean kernel of all pairs of
    two different rows."""

    features: Tensor
    term: float


def kernel_reference(features: Tensor) -> KernelReference:
    """The data's side of the kernel distance, from features [m, d], m >= 2."""
    features = features.to(torch.float32)
    return KernelReference(features=features, term=float(_to_others(features).mean()))


def kernel_distance(features: Tensor, reference: KernelReference) -> Estimate:
    """The distance of features [n, d], n >= 2, over all pairs, on the features' device.

        mean_{i != j} k(x_i, x_j) - 2 mean_{i, r} k(x_i, y_r) + mean_{r != s} k(y_r, y_s)

    The reference is held fixed. The influence of x_i is twice its projection, mean_j k(x_i, x_j) -
    mean_r k(x_i, y_r) less its mean (Hoeffding 1948). Where the two distributions are the same,
    projections vanish and the error is too large, by at most a factor of sqrt(2).
    """
    features = features.to(torch.float32)
    within = _to_others(features)
    across = _means(features, reference.features.to(features.device))
    value = float((within - 2 * across).mean()) + reference.term
    return Estimate.of(value, 2 * (within - across))


def kernel_distance_of_subsets(
    features: Tensor, reference: Tensor, seed: int, subsets: int = 100, size: int = 1000
) -> Estimate:
    """The published convention: the mean over random subsets of `size` rows of features [n, d] and
    of the data's [m, d], with no influence.

    The error is the standard deviation over the subsets over sqrt(subsets): that of drawing the
    subsets, less than that of drawing samples. They are those of torch-fidelity 0.4 from the same
    seed. UserError when either side has fewer than `size` rows.
    """
    least = min(len(features), len(reference))
    if not 2 <= size <= least:
        raise UserError(
            f"subsets of {size} for the kernel distance of {len(features)} samples to "
            f"{len(reference)} images; expected a size from 2 to {least}"
        )
    random = np.random.RandomState(seed)
    values = np.empty(subsets)
    for i in range(subsets):
        x, y = (side[_subset(random, len(side), size)] for side in (features, reference))
        values[i] = kernel_distance(x, kernel_reference(y)).value
    return Estimate(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(subsets))


def _subset(random: np.random.RandomState, n: int, size: int) -> Tensor:
    return torch.from_numpy(random.choice(n, size, replace=False))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """k of all pairs: float32 [n, d] and [m, d] -> float64 [n, m]."""
    base = (x @ y.T).to(torch.float64).div_(x.shape[1]).add_(1)
    return base.square().mul_(base)


def _means(x: Tensor, y: Tensor) -> Tensor:
    """mean_r k(x_i, y_r), float64 [n]."""
    sums = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for part, total in zip(x.split(_TILE), sums.split(_TILE), strict=True):
        for tile in y.split(_TILE):
            total += _kernel(part, tile).sum(dim=1)
    return sums / len(y)


def _to_others(x: Tensor) -> Tensor:
    """mean_{j != i} k(x_i, x_j), float64 [n]; each tile serves its mirror image too."""
    assert len(x) >= 2
    sums = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    tiles, totals = x.split(_TILE), sums.split(_TILE)
    for i, tile in enumerate(tiles):
        totals[i].add_(_kernel(tile, tile).fill_diagonal_(0).sum(dim=1))
        for j in range(i):
            values = _kernel(tile, tiles[j])
            totals[i].add_(values.sum(dim=1))
            totals[j].add_(values.sum(dim=0))
    return sums / (len(x) - 1)
