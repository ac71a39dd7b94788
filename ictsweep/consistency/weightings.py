"""What the loss of a pair of noise levels counts."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["InverseGap"]


@dataclass(frozen=True, kw_only=True)
class InverseGap:
    """lambda = 1 / (t - r). Section 3.1 of Song & Dhariwal 2023 (arXiv:2310.14189).

    With the levels of one grid this is the inverse of the interval's width: small noise, where
    levels are dense, counts most.
    """

    def __call__(self, t: Tensor, r: Tensor) -> Tensor:
        """The weight of each pair `t` > `r`, both [n]; [n]."""
        return (t - r).reciprocal()
