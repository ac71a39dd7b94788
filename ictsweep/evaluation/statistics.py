"""First and second moments of features: computed in parts, merged exactly, always in float64."""

from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

# Features are turned to float64 so many rows at a time: 134 MB at 2,048 dimensions.
BLOCK = 8192


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
        n, d = features.shape
        mean = features.mean(dim=0, dtype=torch.float64)
        scatter = torch.zeros(d, d, dtype=torch.float64, device=features.device)
        for part in features.split(BLOCK):
            centred = part - mean
            scatter.addmm_(centred.T, centred)
        return Moments(count=n, mean=mean, scatter=scatter)

    def to(self, device: torch.device) -> "Moments":
        """The same moments on another device."""
        return replace(self, mean=self.mean.to(device), scatter=self.scatter.to(device))

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
