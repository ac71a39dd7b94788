"""The Fréchet distance between two Gaussians fitted to features, and its sampling error.

    d^2 = |mu1 - mu2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)

(Dowson & Landau 1982; Heusel et al. 2017, arXiv:1706.08500, eq. 6). Tensors in, floats out.

With C2 = F F^T, the eigenvalues of C1 C2 are those of the symmetric F^T C1 F, so the trace of the
root needs no matrix square root: one `eigvalsh`, and `F` once per reference.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ictsweep.evaluation.estimates import Estimate
from ictsweep.evaluation.statistics import BLOCK, Moments


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceFactor:
    """The reference Gaussian: `mean` [d], `root` F [d, rank], where F F^T is the covariance, and
    its `trace`.
    """

    mean: Tensor
    root: Tensor
    trace: float

    def to(self, device: torch.device) -> "ReferenceFactor":
        """The same factor on another device."""
        return replace(self, mean=self.mean.to(device), root=self.root.to(device))


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


def frechet(
    features: Tensor, reference: ReferenceFactor, moments: Moments | None = None
) -> Estimate:
    """The distance of features [n, d], n >= 3, with its error and each sample's influence.

    `moments` are the features', where they are known. The reference is held fixed, and the bias of
    the distance at finite n stays in the value: fix n to compare. All is computed on the features'
    device.

    With A = F^T C F = V w V^T, tr A^(1/2) changes by tr (A^(-1/2) dA) / 2, and a sample x moves the
    mean by x - mu and the covariance by (x - mu)(x - mu)^T - C. So its influence is

        psi(x) = 2 (x - mu)^T (mu - mu_r) + |x - mu|^2 - |w^(-1/4) V^T F^T (x - mu)|^2

    less its mean: the first derivative of the Bures distance (Bhatia, Jain & Lim 2019,
    arXiv:1712.01504), in the directions in which both covariances vary. That holds for n > d; with
    no more samples than dimensions the error comes from a jackknife over blocks and there is no
    influence.
    """
    n, d = features.shape
    if n < 3:
        raise ValueError(f"a standard error needs at least 3 samples, got {n}")
    reference = reference.to(features.device)
    if n <= d:
        return Estimate(frechet_of_features(features, reference), _jackknife(features, reference))
    moments = Moments.of(features) if moments is None else moments.to(features.device)
    covariance = moments.covariance
    product = reference.root.T @ covariance @ reference.root
    # The value is from `eigvalsh`: `eigh` rounds small eigenvalues ten times as much.
    value = _distance(moments.mean, float(covariance.trace()), product, reference)
    transport = reference.root @ _inverse_root(product)
    gap = moments.mean - reference.mean
    psi = [_influence(part - moments.mean, gap, transport) for part in features.split(BLOCK)]
    return Estimate.of(value, torch.cat(psi))


def _inverse_root(product: Tensor) -> Tensor:
    """V w^(-1/4) of a covariance V w V^T, without the directions that vary by rounding alone."""
    values, vectors = torch.linalg.eigh(product)
    floor = values[-1:].clamp_min(0) * len(values) * torch.finfo(values.dtype).eps
    kept = values > floor
    return vectors[:, kept] * values[kept].pow(-0.25)


def _influence(centred: Tensor, gap: Tensor, transport: Tensor) -> Tensor:
    """psi of centred features float64 [n, d], but for a constant; `transport` is F V w^(-1/4)."""
    variance = centred.square().sum(dim=1) - (centred @ transport).square().sum(dim=1)
    return 2 * centred @ gap + variance


def _jackknife(features: Tensor, reference: ReferenceFactor, blocks: int = 20) -> float:
    """The standard error of few features [n, d], n <= d, by leaving blocks out (Künsch 1989; Efron
    & Tibshirani 1993, ch. 11).

    With g blocks and theta_i the distance without block i, SE^2 = (g - 1) / g * sum
    (theta_i - mean theta)^2.
    """
    parts = features.tensor_split(min(blocks, len(features)))
    rests = (torch.cat([*parts[:i], *parts[i + 1 :]]) for i in range(len(parts)))
    left_out = [frechet_of_features(rest, reference) for rest in rests]
    theta = torch.tensor(left_out, dtype=torch.float64)
    g = len(parts)
    return float(((g - 1) / g * (theta - theta.mean()).square().sum()).sqrt())


def _distance(mean: Tensor, trace: float, product: Tensor, reference: ReferenceFactor) -> float:
    """The formula, with tr (C1 C2)^(1/2) = sum of the roots of the eigenvalues of `product`."""
    roots = torch.linalg.eigvalsh(product).clamp_min(0).sqrt().sum()  # rounding makes some < 0
    gap = (mean - reference.mean).square().sum()
    return max(0.0, float(gap - 2 * roots) + trace + reference.trace)
