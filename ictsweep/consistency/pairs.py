"""Which pair of noise levels t > r to train on now. The curriculum (how far apart they are) lives
inside."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Tensor

from ictsweep.consistency.curricula import Doubling, SmoothGap, SquareRoot, StagedGap
from ictsweep.consistency.levels import KarrasGrid, LogNormal, Uniform

__all__ = ["CleanPairs", "ContinuousPairs", "GridPairs"]

Misfits = Iterator[tuple[tuple[str, ...], str]]

# Below it nothing that a pixel can show is left to remove: the lowest level of Karras et al. 2022.
_INVISIBLE = 0.002
# The narrowest relative gap t/r - 1 whose two images float32 tells apart by more than its rounding.
_NARROWEST = 2.0**-16
# The farthest a 53-bit uniform number lies from the median, in standard deviations.
_FARTHEST = 8.3


@dataclass(frozen=True, kw_only=True)
class GridPairs:
    """Neighbouring levels of a grid: t = s_{i+1}, r = s_i with i drawn from the density.

    Sections 3.4-3.5 of Song & Dhariwal 2023 (arXiv:2310.14189); Algorithm 3 of Song et al. 2023
    (arXiv:2303.01469).
    """

    name: Literal["grid"] = "grid"
    density: LogNormal | Uniform = field(default_factory=LogNormal)
    steps: Doubling | SquareRoot = field(default_factory=Doubling)
    grid: KarrasGrid = field(default_factory=KarrasGrid)

    @property
    def boundary(self) -> float:
        """The level where the consistency function is the identity: the lowest of the grid."""
        return self.grid.sigma_min

    @property
    def sigma_max(self) -> float:
        """The level where sampling starts: the highest of the grid."""
        return self.grid.sigma_max

    def levels(self, progress: float) -> int:
        """The levels of the grid at `progress` in [0, 1]: N."""
        return self.steps.levels(progress)

    def stage(self, progress: float) -> int:
        """How many doublings of the grid are complete at `progress` in [0, 1]."""
        return self.steps.stage(progress)

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
        levels, below = _table(self.grid, self.density, self.levels(progress), device)
        u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
        i = torch.searchsorted(below, u.to(device), right=True)
        return levels[i + 1], levels[i]

    def misfits(self) -> Misfits:
        """What cannot be trained on: (path inside the pairs, message naming both sides)."""
        low, high = self.grid.sigma_min, self.grid.sigma_max
        if self.steps.s1 < self.steps.s0:
            message = f"got {self.steps.s1}; expected at least s0 {self.steps.s0}"
            yield ("steps", "s1"), f"{message}, where the growth starts"
        if low >= high:
            yield ("grid", "sigma_max"), f"got {high}; expected more than sigma_min {low}"
            return
        try:
            self.density.probabilities(self.grid.levels(2))
        except ValueError as error:
            yield ("density",), str(error)
        except OverflowError:
            message = f"got {self.grid.rho}; sigma^(1/rho) overflows; values near 7 are usual"
            yield ("grid", "rho"), message


@dataclass(frozen=True, kw_only=True)
class ContinuousPairs:
    """t from a log-normal density, r from t by the gap curriculum; r = 0 where the gap is all of t.

    Section 3 of Geng et al. 2024 (arXiv:2406.14548). As there, t is not cut off at `sigma_max`,
    which is where sampling starts.
    """

    name: Literal["continuous"] = "continuous"
    density: LogNormal = field(default_factory=LogNormal)
    steps: StagedGap | SmoothGap = field(default_factory=StagedGap)
    sigma_max: Annotated[float, Gt(0)] = 80.0

    @property
    def boundary(self) -> float:
        """The level where the consistency function is the identity: 0."""
        return 0.0

    def levels(self, progress: float) -> int:
        """How many levels the path sigma_max, r(sigma_max), r(r(sigma_max)), ..., 0 visits.

        Levels under 0.002 count as the 0: once no gap spans all of t, the path never ends.
        """
        share = max(self.steps.q ** -self.steps.exponent(progress), _NARROWEST)
        return _visits(self.sigma_max, self.steps.k, self.steps.b, share)

    def stage(self, progress: float) -> int:
        """How many periods of the curriculum are complete at `progress` in [0, 1]."""
        return self.steps.stage(progress)

    def sample(
        self,
        n: int,
        progress: float,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`n` pairs (t, r) for `progress` in [0, 1]: float32 [n] each, t > r >= 0, on `device`.

        One uniform number per pair comes from `generator`, wherever that lives.
        """
        t = self.density.quantile(_inside(n, generator))
        r = self.steps.lower(t, progress)
        return t.to(device, torch.float32), r.to(device, torch.float32)

    def misfits(self) -> Misfits:
        """What cannot be trained on: (path inside the pairs, message naming both sides)."""
        yield from _range_misfits(self.density, self.sigma_max)
        narrow = self.steps.q ** -self.steps.exponent(1.0)
        if narrow < _NARROWEST:
            message = f"got {self.steps.period}; with q {self.steps.q} the gap ends at {narrow:.1e}"
            yield ("steps", "period"), f"{message} of t; expected at least {_NARROWEST:.1e}"


@dataclass(frozen=True, kw_only=True)
class CleanPairs:
    """t from a log-normal density and r = 0: the target is the clean image, which is denoising.

    Section 5 and Table 1 of Karras et al. 2022 (arXiv:2206.00364).
    """

    name: Literal["clean"] = "clean"
    density: LogNormal = field(default_factory=lambda: LogNormal(mean=-1.2, std=1.2))
    sigma_max: Annotated[float, Gt(0)] = 80.0

    @property
    def boundary(self) -> float:
        """The level where the denoiser is the identity: 0."""
        return 0.0

    def levels(self, progress: float) -> int:
        """Two at every `progress`: t and 0."""
        return 2

    def stage(self, progress: float) -> int:
        """0 at every `progress`: there is no curriculum."""
        return 0

    def sample(
        self,
        n: int,
        progress: float,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor]:
        """`n` pairs (t, 0): float32 [n] each, t > 0, on `device`.

        One uniform number per pair comes from `generator`, wherever that lives.
        """
        t = self.density.quantile(_inside(n, generator)).to(device, torch.float32)
        return t, torch.zeros_like(t)

    def misfits(self) -> Misfits:
        """What cannot be trained on: (path inside the pairs, message naming both sides)."""
        yield from _range_misfits(self.density, self.sigma_max)


@lru_cache(maxsize=32)  # a pure function of values; one entry per stage of a run
def _table(
    grid: KarrasGrid, density: LogNormal | Uniform, n: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """The levels, float32 [n], and the distribution function at the end of each interval, float64
    [n-1]."""
    levels = grid.levels(n)
    below = density.probabilities(levels).cumsum(0)
    below /= below[-1].clone()  # exactly 1 at the end, so that no u < 1 falls outside
    return levels.to(device, torch.float32), below.to(device)


@lru_cache(maxsize=32)
def _visits(sigma_max: float, k: float, b: float, share: float) -> int:
    level, count = sigma_max, 1
    while level >= _INVISIBLE:
        level *= max(0.0, 1 - share * (1 + k / (1 + math.exp(min(b * level, 700.0)))))
        count += 1
    return count


def _inside(n: int, generator: torch.Generator) -> Tensor:
    """`n` uniform numbers in the open interval (0, 1), float64, where the generator lives."""
    u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
    return u.clamp(min=2.0**-54)  # 0 has no quantile


def _range_misfits(density: LogNormal, sigma_max: float) -> Misfits:
    """A density whose levels, squared, leave the range of float32; a sampling that starts where
    nothing is left to remove."""
    low, high = (density.mean + side * _FARTHEST * density.std for side in (-1, 1))
    if low < math.log(1e-18) or high > math.log(1e18):
        message = f"{density} reaches sigma {math.exp(min(max(low, -700), 700)):.0e} to"
        top = math.exp(min(max(high, -700), 700))
        yield ("density",), f"{message} {top:.0e}; float32 squares levels from 1e-18 to 1e18"
    if sigma_max <= _INVISIBLE:
        yield ("sigma_max",), f"got {sigma_max}; expected more than {_INVISIBLE}"
