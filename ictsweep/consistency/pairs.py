"""Which pair of noise levels t > r to train on now. The curriculum (how far apart they are) lives
inside."""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from ictsweep.consistency.levels import KarrasGrid, LogNormal

__all__ = ["Doubling", "GridPairs"]

# progress / period is a quotient of two decimal fractions: a boundary may come out one rounding
# below its integer.
_BOUNDARY_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True)
class Doubling:
    """A grid whose number of intervals doubles at equal shares of the budget.

    N = min(s0 2^floor(progress / period), s1) + 1 levels.  Section 3.4 and Table 1 of Song &
    Dhariwal 2023 (arXiv:2310.14189), where period = K'/K = 1 / (log2 floor(s1/s0) + 1): 1/8 for s0
    = 10, s1 = 1280. `s0`, `s1` count intervals (s0 <= s1); `period` and `progress` are shares of
    the budget. A period too long to reach s1 within the budget is allowed: it is a choice to stop
    at a coarser grid.
    """

    s0: Annotated[int, Ge(1)] = 10
    s1: Annotated[int, Ge(1)] = 1280
    period: Annotated[float, Gt(0), Le(1)] = 0.125

    def stage(self, progress: float) -> int:
        """How many periods are complete at `progress` in [0, 1]."""
        return math.floor(progress / self.period + _BOUNDARY_SLACK)

    def intervals(self, progress: float) -> int:
        """The intervals of the grid at `progress` in [0, 1]: N - 1."""
        doublings = min(self.stage(progress), self.s1.bit_length())  # 2^that > s1: enough
        return min(self.s0 << doublings, self.s1)

    def levels(self, progress: float) -> int:
        """The levels of the grid at `progress` in [0, 1]: N."""
        return self.intervals(progress) + 1


@dataclass(frozen=True, kw_only=True)
class GridPairs:
    """Neighbouring levels of a grid: t = s_{i+1}, r = s_i with i drawn from the discretised
    density.

    Section 3.4-3.5 of Song & Dhariwal 2023 (arXiv:2310.14189).
    """

    density: LogNormal = field(default_factory=LogNormal)
    steps: Doubling = field(default_factory=Doubling)
    grid: KarrasGrid = field(default_factory=KarrasGrid)

    def sample(
        self,
        n: int,
        progress: float,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`n` pairs (t, r) for `progress` in [0, 1]: float32 [n] each, t > r, on `device`.

        One uniform number per pair comes from `generator`, wherever that lives, and is turned into
        i by the inverse of the distribution function. Nothing here waits for the device.
        """
        device = torch.device(device or generator.device)
        levels, below = _table(self.grid, self.density, self.steps.levels(progress), device)
        u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
        i = torch.searchsorted(below, u.to(device), right=True)
        return levels[i + 1], levels[i]


@lru_cache(maxsize=32)  # a pure function of values; one entry per stage of a run
def _table(
    grid: KarrasGrid, density: LogNormal, n: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The levels, float32 [n], and the distribution function at the end of each interval, float64
    [n-1]."""
    levels = grid.levels(n)
    below = density.probabilities(levels).cumsum(0)
    below /= below[-1].clone()  # exactly 1 at the end, so that no u < 1 falls outside
    return levels.to(device, torch.float32), below.to(device)
