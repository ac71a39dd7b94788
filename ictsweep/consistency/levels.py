"""Noise levels: the grid that discrete methods are trained on, and the densities that say how often
each level is visited."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor

__all__ = ["KarrasGrid", "LogNormal", "Uniform"]


@dataclass(frozen=True, kw_only=True)
class KarrasGrid:
    """Noise levels evenly spaced in sigma^(1/rho): dense where an image forms, coarse where only
    noise is left.

    s_i = (sigma_min^(1/rho) + (i-1)/(n-1) (sigma_max^(1/rho) - sigma_min^(1/rho)))^rho, i = 1..n.
    Eq. 5 of Karras et al. 2022 (arXiv:2206.00364), in ascending order as in Song et al. 2023
    (arXiv:2303.01469). Needs sigma_min < sigma_max; the unit is the standard deviation of the
    noise, for data in [-1, 1].
    """

    sigma_min: Annotated[float, Gt(0)] = 0.002
    sigma_max: Annotated[float, Gt(0)] = 80.0
    rho: Annotated[float, Gt(0)] = 7.0

    def levels(
        self,
        n: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The `n` >= 2 levels, ascending, [n]. Both ends are exactly sigma_min and sigma_max in
        `dtype`.

        Computed in float64 on the CPU, so every device trains on the same numbers.
        """
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        share = torch.arange(n, dtype=torch.float64) / (n - 1)
        levels = (low + share * (high - low)) ** self.rho
        levels[0], levels[-1] = self.sigma_min, self.sigma_max
        return levels.to(device=device, dtype=dtype)


@dataclass(frozen=True, kw_only=True)
class LogNormal:
    """A log-normal density over noise levels: ln sigma ~ N(mean, std^2).

    Continuous as in section 5 of Karras et al. 2022 (arXiv:2206.00364), or discretised to the
    intervals of a grid as in section 3.5 of Song & Dhariwal 2023 (arXiv:2310.14189).
    """

    name: Literal["lognormal"] = "lognormal"
    mean: float = -1.1
    std: Annotated[float, Gt(0)] = 2.0

    def probabilities(self, sigmas: Tensor) -> Tensor:
        """The share of each interval between ascending `sigmas` [n], float64 [n-1], summing to one.

        p(i) is proportional to erf((ln s_{i+1} - mean) / (sqrt2 std)) - erf((ln s_i - mean) /
        (sqrt2 std)), i = 1..n-1. ValueError if the density has no mass on the grid (in float64),
        when no share can be told.
        """
        z = (sigmas.double().log() - self.mean) / (math.sqrt(2.0) * self.std)
        mass = torch.special.erf(z).diff()
        if not mass.sum() > 0:
            raise ValueError(
                f"{self} has no mass between sigma {float(sigmas[0]):g} and {float(sigmas[-1]):g}: "
                "move its mean towards ln of these levels, or widen std"
            )
        return mass / mass.sum()

    def quantile(self, u: Tensor) -> Tensor:
        """The levels below which shares `u` in (0, 1) of the density lie, float64, any shape:
        exp(mean + std Phi^-1(u))."""
        return (self.mean + self.std * torch.special.ndtri(u.double())).exp()


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Every interval of the grid equally often, whatever its width: i ~ U{1..n-1}.

    Algorithm 3 of Song et al. 2023 (arXiv:2303.01469).
    """

    name: Literal["uniform"] = "uniform"

    def probabilities(self, sigmas: Tensor) -> Tensor:
        """The share of each interval between `sigmas` [n]: 1 / (n-1), float64 [n-1]."""
        intervals = len(sigmas) - 1
        return torch.full((intervals,), 1 / intervals, dtype=torch.float64)
