"""How the two noise levels of a pair move together while training goes on.

Grid curricula (`Doubling`, `SquareRoot`) say how many intervals the grid has; gap curricula
(`StagedGap`, `SmoothGap`) map a continuous level t to its partner r. `progress` is the share of the
budget that is done, in [0, 1].
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

__all__ = ["Doubling", "SmoothGap", "SquareRoot", "StagedGap"]

# progress / period is a quotient of two decimal fractions: a boundary may come out one rounding
# below its integer.
_BOUNDARY_SLACK = 1e-9


@dataclass(frozen=True, kw_only=True)
class Doubling:
    """A grid whose number of intervals doubles at equal shares of the budget.

    N = min(s0 2^floor(progress / period), s1) + 1 levels.  Section 3.4 and Table 1 of Song &
    Dhariwal 2023 (arXiv:2310.14189), where period = K'/K = 1 / (log2 floor(s1/s0) + 1): 1/8 for s0
    = 10, s1 = 1280. `s0`, `s1` count intervals (s0 <= s1). A period too long to reach s1 within the
    budget is allowed: it is a choice to stop at a coarser grid.
    """

    name: Literal["doubling"] = "doubling"
    s0: Annotated[int, Ge(1)] = 10
    s1: Annotated[int, Ge(1)] = 1280
    period: Annotated[float, Gt(0), Le(1)] = 0.125

    def stage(self, progress: float) -> int:
        """How many doublings are complete: 0 at first, and no more once s1 is reached."""
        return min(_periods(progress, self.period), self._last)

    def intervals(self, progress: float) -> int:
        """The intervals of the grid: N - 1."""
        return min(self.s0 << self.stage(progress), self.s1)

    def levels(self, progress: float) -> int:
        """The levels of the grid: N."""
        return self.intervals(progress) + 1

    @property
    def _last(self) -> int:
        """The first stage with s1 intervals: the least j with s0 2^j >= s1."""
        return (-(-self.s1 // self.s0) - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class SquareRoot:
    """A grid whose number of intervals grows with the square root of progress.

    N = ceil(sqrt(progress ((s1 + 1)^2 - s0^2) + s0^2) - 1) + 1 levels.  Appendix C of Song et al.
    2023 (arXiv:2303.01469). It starts with s0 - 1 intervals (never fewer than one) and ends with
    s1.
    """

    name: Literal["square_root"] = "square_root"
    s0: Annotated[int, Ge(1)] = 2
    s1: Annotated[int, Ge(1)] = 150

    def stage(self, progress: float) -> int:
        """How many times the number of intervals has doubled since the start, rounded down."""
        return (self.intervals(progress) // self.intervals(0.0)).bit_length() - 1

    def intervals(self, progress: float) -> int:
        """The intervals of the grid: N - 1."""
        square = progress * ((self.s1 + 1) ** 2 - self.s0**2) + self.s0**2
        return max(1, math.ceil(math.sqrt(square) - 1))

    def levels(self, progress: float) -> int:
        """The levels of the grid: N."""
        return self.intervals(progress) + 1


@dataclass(frozen=True, kw_only=True)
class _Gap(ABC):
    """What both gap curricula have; `exponent` tells them apart."""

    name: str
    q: Annotated[float, Gt(1)] = 2.0
    period: Annotated[float, Gt(0), Le(1)] = 0.125
    k: Annotated[float, Ge(0)] = 8.0
    b: Annotated[float, Ge(0)] = 1.0

    def stage(self, progress: float) -> int:
        """How many periods are complete; the end of the run belongs to its last period."""
        return min(_periods(progress, self.period), _last_period(self.period))

    @abstractmethod
    def exponent(self, progress: float) -> float:
        """The exponent a of q."""

    def lower(self, t: Tensor, progress: float) -> Tensor:
        """The level r < `t` that each `t` > 0 is compared with, of its shape and dtype; >= 0."""
        wide = 1 + self.k * torch.sigmoid(-self.b * t)
        return (t * (1 - self.q ** -self.exponent(progress) * wide)).clamp(min=0)


@dataclass(frozen=True, kw_only=True)
class StagedGap(_Gap):
    """A relative gap between t and r that shrinks by a factor q at equal shares of the budget.

    r = max(0, t (1 - n(t) / q^a)),  n(t) = 1 + k sigmoid(-b t),  a = 1 + floor(progress / period).
    Section 3 of Geng et al. 2024 (arXiv:2406.14548); q = 2, k = 8, b = 1 and eight stages are its
    values for CIFAR-10. At a = 1 and q = 2, r is 0 for t up to ln 7 = 1.95, which four of five
    draws are: training starts as denoising, mostly.
    """

    name: Literal["staged_gap"] = "staged_gap"

    def exponent(self, progress: float) -> float:
        """The exponent a of q."""
        return 1.0 + self.stage(progress)


@dataclass(frozen=True, kw_only=True)
class SmoothGap(_Gap):
    """`StagedGap` without its steps: a = 1 + progress / period grows all the time, up to the
    exponent of its last stage.

    Stable Consistency Tuning (Wang et al. 2024, arXiv:2410.18958) shrinks the gap progressively,
    starting from the schedule of Geng et al. 2024; its exact curve is not published, and this one
    meets that schedule at the start of every stage.
    """

    name: Literal["smooth_gap"] = "smooth_gap"

    def exponent(self, progress: float) -> float:
        """The exponent a of q."""
        return 1.0 + min(progress / self.period, _last_period(self.period))


def _periods(progress: float, period: float) -> int:
    """Complete periods at `progress`, at most 2^53."""
    return math.floor(min(progress / period, 2.0**53) + _BOUNDARY_SLACK)


def _last_period(period: float) -> int:
    """The period that the end of the run belongs to, counted from 0."""
    return math.ceil(min(1 / period, 2.0**53) - _BOUNDARY_SLACK) - 1
