"""Whose output at the lower level is the target."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Gt, Lt

from ictsweep.consistency.curricula import Doubling, SquareRoot

__all__ = ["EmaTeacher", "Student"]


@dataclass(frozen=True, kw_only=True)
class Student:
    """The student itself, its gradient stopped, with the student's dropout mask.

    Section 3.2 of Song & Dhariwal 2023 (arXiv:2310.14189).
    """

    name: Literal["student"] = "student"


@dataclass(frozen=True, kw_only=True)
class EmaTeacher:
    """An average of the student that gets longer as the grid gets finer.

    mu(k) = exp(s0 ln(mu0) / (N(k) - 1)); Appendix C of Song et al. 2023 (arXiv:2303.01469). The
    paper divides by N(k), the released code by N(k) - 1, as here: with s0 = 2 and mu0 = 0.9 it
    starts at 0.81, not 0.9.
    """

    name: Literal["ema"] = "ema"
    mu0: Annotated[float, Gt(0), Lt(1)] = 0.9

    def decay(self, steps: Doubling | SquareRoot, progress: float) -> float:
        """mu at `progress` in [0, 1]: the share of the old average that an update keeps."""
        return math.exp(steps.s0 * math.log(self.mu0) / steps.intervals(progress))
