"""What the loss of a pair of noise levels counts."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ictsweep.consistency.preconditioning import Scalings

__all__ = ["InverseCoutSquared", "InverseGap", "UniformWeight"]


@dataclass(frozen=True, kw_only=True)
class UniformWeight:
    """lambda = 1. Algorithm 3 of Song et al. 2023 (arXiv:2303.01469)."""

    name: Literal["uniform"] = "uniform"

    def __call__(self, t: Tensor, r: Tensor, scalings: Scalings) -> Tensor:
        """The weight of each pair `t` > `r`, both [n]; [n]."""
        return t.new_ones(t.shape)


@dataclass(frozen=True, kw_only=True)
class InverseGap:
    """lambda = 1 / (t - r). Section 3.1 of Song & Dhariwal 2023 (arXiv:2310.14189).

    With the levels of one grid this is the inverse of the interval's width: small noise, where
    levels are dense, counts most.
    """

    name: Literal["inverse_gap"] = "inverse_gap"

    def __call__(self, t: Tensor, r: Tensor, scalings: Scalings) -> Tensor:
        """The weight of each pair `t` > `r`, both [n]; [n]."""
        return (t - r).reciprocal()


@dataclass(frozen=True, kw_only=True)
class InverseCoutSquared:
    """lambda = 1 / c_out(t)^2: the network's output is judged by one measure at all levels.

    (t^2 + sd^2) / (t sd)^2 with the boundary at 0: section 5 of Karras et al. 2022
    (arXiv:2206.00364).
    """

    name: Literal["inverse_c_out_squared"] = "inverse_c_out_squared"

    def __call__(self, t: Tensor, r: Tensor, scalings: Scalings) -> Tensor:
        """The weight of each pair `t` > `r`, both [n]; [n]."""
        return scalings.c_out(t).square().reciprocal()
