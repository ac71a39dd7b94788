"""First and second moments of features: computed in parts, merged exactly, always in float64."""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """What a Gaussian is fitted from.

    `count` samples with mean `mean` float64 [d] and scatter `scatter` = sum (x - mean)(x - mean)^T
    float64 [d, d].
    """

    count: int
    mean: Tensor
    scatter: Tensor

    @staticmethod
    def of(features: Tensor) -> "Moments":
        """The moments of features [n, d], n >= 1."""
        x = features.to(torch.float64)
        mean = x.mean(dim=0)
        centred = x - mean
        return Moments(count=len(x), mean=mean, scatter=centred.T @ centred)

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both samples together, exactly (Chan, Golub & LeVeque 1983)."""
        count = self.count + other.count
        delta = other.mean - self.mean
        between = torch.outer(delta, delta) * (self.count * other.count / count)
        return Moments(
            count=count,
            mean=self.mean + delta * (other.count / count),
            scatter=self.scatter + other.scatter + between,
        )

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance, float64 [d, d]; needs two samples."""
        assert self.count >= 2
        return self.scatter / (self.count - 1)


def merged(parts: "list[Moments]") -> Moments:
    """The moments of all parts together; at least one part."""
    return reduce(Moments.__add__, parts)
