"""The Fréchet distance between two Gaussians fitted to features, and its sampling error.

    d^2 = |mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)

(Dowson & Landau 1982; Heusel et al. 2017, arXiv:1706.08500, eq. 6). Tensors in, floats out.

With C2 = F F^T, the eigenvalues of C1 C2 are those of the symmetric F^T C1 F, so the trace of the
root needs no matrix square root: one `eigvalsh`, and `F` once per reference.
"""

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ictsweep.evaluation.statistics import Moments, merged


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceFactor:
    """The reference Gaussian: `mean` [d], `root` F [d, rank], where F F^T is the covariance, and
    its `trace`.
    """

    mean: Tensor
    root: Tensor
    trace: float


def factor(moments: Moments) -> ReferenceFactor:
    """F = V sqrt(L) from the eigen-decomposition of the covariance.

    Not Cholesky, which fails on singular covariances. Directions without variance beyond rounding
    are left out: they add nothing to the trace of the root but the square root of their rounding
    error.
    """
    covariance = moments.covariance
    values, vectors = torch.linalg.eigh(covariance)
    floor = values[-1].clamp_min(0) * len(values) * torch.finfo(values.dtype).eps
    kept = values > floor
    return ReferenceFactor(
        mean=moments.mean,
        root=vectors[:, kept] * values[kept].sqrt(),
        trace=float(covariance.trace()),
    )


def frechet_distance(sample: Moments, reference: ReferenceFactor) -> float:
    """The squared Fréchet distance, >= 0; right for singular covariances too."""
    covariance = sample.covariance
    product = reference.root.T @ covariance @ reference.root
    return _distance(sample.mean, float(covariance.trace()), product, reference)


def frechet_of_features(features: Tensor, reference: ReferenceFactor) -> float:
    """`frechet_distance` of features [n, d], n >= 2; through an n x n matrix when n < d."""
    n, d = features.shape
    if n >= d:
        return frechet_distance(Moments.of(features), reference)
    assert n >= 2
    x = features.to(torch.float64)
    mean = x.mean(dim=0)
    centred = (x - mean) / math.sqrt(n - 1)
    half = centred @ reference.root
    # half @ half.T has the eigenvalues of F^T C F, less zeros.
    return _distance(mean, float(centred.square().sum()), half @ half.T, reference)


def frechet_with_error(
    features: Tensor, reference: ReferenceFactor, blocks: int = 20
) -> tuple[float, float]:
    """The distance of features [n, d] and its standard error over redraws of the n samples.

    The reference is held fixed. Delete-a-block jackknife (Künsch 1989; Efron & Tibshirani 1993,
    ch. 11): with g blocks and theta_i the distance without block i, SE^2 = (g - 1) / g * sum
    (theta_i - mean theta)^2. With few samples there are fewer blocks; three samples are the least.
    The bias of the distance at finite n stays in the value: fix n to compare.
    """
    n, d = features.shape
    if n < 3:
        raise ValueError(f"a standard error needs at least 3 samples, got {n}")
    parts = features.tensor_split(min(blocks, n))
    if n >= d:
        moments = [Moments.of(part) for part in parts]
        value = frechet_distance(merged(moments), reference)
        left_out = [frechet_distance(rest, reference) for rest in _all_but_one(moments)]
    else:
        value = frechet_of_features(features, reference)
        rests = (torch.cat([*parts[:i], *parts[i + 1 :]]) for i in range(len(parts)))
        left_out = [frechet_of_features(rest, reference) for rest in rests]
    g = len(left_out)
    theta = torch.tensor(left_out, dtype=torch.float64)
    return value, float(((g - 1) / g * (theta - theta.mean()).square().sum()).sqrt())


def _distance(mean: Tensor, trace: float, product: Tensor, reference: ReferenceFactor) -> float:
    """The formula, with tr (C1 C2)^(1/2) = sum of the roots of the eigenvalues of `product`."""
    roots = torch.linalg.eigvalsh(product).clamp_min(0).sqrt().sum()  # rounding makes some < 0
    gap = (mean - reference.mean).square().sum()
    return max(0.0, float(gap - 2 * roots) + trace + reference.trace)


def _all_but_one(moments: list[Moments]) -> list[Moments]:
    """The moments without each part in turn, from prefixes and suffixes: nothing is subtracted."""
    before = list(accumulate(moments[:-1], Moments.__add__))
    after = list(accumulate(reversed(moments[1:]), Moments.__add__))[::-1]
    between = [left + right for left, right in zip(before[:-1], after[1:], strict=True)]
    return [after[0], *between, before[-1]]
