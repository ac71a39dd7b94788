"""A number with its sampling error; differences of two, and several draws taken together.

Error means: how the number would spread if the samples were drawn anew, the data they are compared
with held fixed. It comes from the influence of each sample, the first-order change of the number
per unit of weight moved to that sample (Hampel 1974; Efron & Tibshirani 1993, ch. 21), whose
standard deviation over sqrt(n) is the error. Influences of two models on the same latents subtract
sample by sample, which is why a paired difference is known better than either number.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ictsweep.errors import UserError


@dataclass(frozen=True, eq=False)
class Estimate:
    """A number from n samples: its `value`, its standard `error` over redraws of the samples, and
    the `influence` of each sample, float64 [n] on the CPU with mean 0.

    Where there is an influence, the error is its standard deviation over sqrt(n); None where the
    error comes from leaving blocks of samples out, as with no more samples than dimensions.
    """

    value: float
    error: float
    influence: Tensor | None = None

    @staticmethod
    def of(value: float, influence: Tensor) -> "Estimate":
        """The estimate whose samples have this influence [n], n >= 2, here centred."""
        psi = influence.detach().to("cpu", torch.float64)
        psi = psi - psi.mean()
        return Estimate(value, float(psi.std()) / math.sqrt(len(psi)), psi)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Independent draws of one number taken together: never the smallest of them.

    `mean`, the standard deviation `spread` over the draws (NaN of one draw), the `error` of the
    mean, the mean's normal interval `low` .. `high`, and the draws' `values`.
    """

    mean: float
    spread: float
    error: float
    low: float
    high: float
    values: tuple[float, ...]


def interval(estimate: Estimate, level: float = 0.95) -> tuple[float, float]:
    """The normal interval around the value that covers with probability `level` in (0, 1).

    What it covers is the number's expectation with as many samples: the bias of a Fréchet distance
    at finite n stays in, so compare numbers of equal n.
    """
    width = _normal(level) * estimate.error
    return estimate.value - width, estimate.value + width


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b for two models sampled from the same latents in the same order, with the paired error.

    UserError where either has no influence, or they are of different numbers of samples.
    """
    if a.influence is None or b.influence is None:
        raise UserError(
            "a paired difference needs the influence of each sample, which a Fréchet distance has "
            "from more samples than its features have dimensions on; draw more samples"
        )
    if len(a.influence) != len(b.influence):
        raise UserError(
            f"a paired difference needs the same latents on both sides, got {len(a.influence)} and "
            f"{len(b.influence)} samples"
        )
    return Estimate.of(a.value - b.value, a.influence - b.influence)


def unpaired(a: Estimate, b: Estimate) -> Estimate:
    """a - b for samples drawn independently: the errors add in squares."""
    return Estimate(a.value - b.value, math.hypot(a.error, b.error))


def combined(draws: Sequence[Estimate], level: float = 0.95) -> Draws:
    """Several draws (other latents, same everything else) of one number; at least one.

    The mean's error comes from the draws' own: sqrt(their sum of squares) / count. Draws of one
    model differ by their latents alone, which is what each draw's error measures, from thousands of
    samples; the spread of three numbers is known to a factor of two, so it is told and not used.
    """
    if not draws:
        raise ValueError("no draws to combine")
    values = tuple(draw.value for draw in draws)
    mean, count = statistics.fmean(values), len(values)
    spread = statistics.stdev(values) if count > 1 else math.nan
    error = math.hypot(*(draw.error for draw in draws)) / count
    width = _normal(level) * error
    return Draws(
        mean=mean, spread=spread, error=error, low=mean - width, high=mean + width, values=values
    )


def _normal(level: float) -> float:
    """How many standard errors a normal interval reaches to either side."""
    if not 0 < level < 1:
        raise ValueError(f"an interval's level lies between 0 and 1, got {level}")
    return statistics.NormalDist().inv_cdf((1 + level) / 2)
