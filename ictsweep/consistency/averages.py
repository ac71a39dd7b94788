"""Averages of the weights over training: how much of the old average each update keeps.

theta_ema <- beta theta_ema + (1 - beta) theta, where beta = `decay(update, batch)` for update = 1,
2, ... after each step of the optimiser on `batch` images. beta = 0 copies the weights; beta = 1
leaves the average alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

__all__ = ["FixedEma", "HalfLifeEma", "PowerEma", "WarmupEma", "gamma_of"]


@dataclass(frozen=True, kw_only=True)
class PowerEma:
    """Power-function average: its width is a share of the training so far, so one setting serves
    short and long runs.

    beta_k = (1 - 1/k)^(gamma + 1); section 3.1 and Eqs. 121-127 of Karras et al. 2024
    (arXiv:2312.02696). `sigma_rel` is the width relative to the length of the run; the profile
    exists below 12^(-1/2).
    """

    name: Literal["power"] = "power"
    sigma_rel: Annotated[float, Gt(0), Lt(0.28)] = 0.05

    def decay(self, update: int, batch: int) -> float:
        """beta of update 1, 2, ...; 0 at the first."""
        return float((1.0 - 1.0 / update) ** (gamma_of(self.sigma_rel) + 1.0))


@dataclass(frozen=True, kw_only=True)
class FixedEma:
    """The same beta at every update: 0.9999 in Geng et al. 2024 (arXiv:2406.14548), 0.99993 in Song
    & Dhariwal 2023 (arXiv:2310.14189) on CIFAR-10."""

    name: Literal["fixed"] = "fixed"
    beta: Annotated[float, Ge(0), Lt(1)] = 0.9999

    def decay(self, update: int, batch: int) -> float:
        """beta at every update."""
        return self.beta


@dataclass(frozen=True, kw_only=True)
class HalfLifeEma:
    """A weight's share in the average halves every `kimg` thousand images, less at the start.

    beta = 2^(-batch / H), H = min(1000 kimg, rampup * images before this step). Karras et al. 2022
    (arXiv:2206.00364), released code: 500 kimg, rampup 0.05. None: no ramp-up.
    """

    name: Literal["half_life"] = "half_life"
    kimg: Annotated[float, Gt(0)] = 500.0
    rampup: Annotated[float, Gt(0)] | None = 0.05

    def decay(self, update: int, batch: int) -> float:
        """beta of update 1, 2, ...; 0 at the first with a ramp-up."""
        images = 1000.0 * self.kimg
        if self.rampup is not None:
            images = min(images, self.rampup * (update - 1) * batch)
        return 0.5 ** (batch / images) if images else 0.0


@dataclass(frozen=True, kw_only=True)
class WarmupEma:
    """An average that starts short and gets longer: beta = min(beta, 1 - e^(-power)) at the e-th
    step, applied at every `every`-th step only.

    The generator's average of Issenhuth et al. 2024 (arXiv:2406.09570): their released code uses
    ema-pytorch 0.2.3 with beta 0.9999, every 5, after 0 and the library's own warm-up, with which
    0.9999 is never reached. Up to step `after`, and at the first averaging after it, the weights
    are copied.
    """

    name: Literal["warmup"] = "warmup"
    beta: Annotated[float, Ge(0), Lt(1)] = 0.9999
    power: Annotated[float, Gt(0), Le(1)] = 2 / 3
    every: Annotated[int, Ge(1)] = 5
    after: Annotated[int, Ge(0)] = 0

    def decay(self, update: int, batch: int) -> float:
        """beta of update 1, 2, ...; 1 between the averagings."""
        done = update - 1
        if done % self.every:
            return 1.0
        if done <= self.after or done - self.every <= self.after:
            return 0.0
        return min(self.beta, 1.0 - (update - self.after) ** -self.power)


@lru_cache(maxsize=64)
def gamma_of(sigma_rel: float) -> float:
    """The exponent gamma of a relative width sigma_rel in (0, 0.28): the largest real root of
    sigma_rel^2 (g + 2)^2 (g + 3) = g + 1 (the standard deviation of the profile's weights over
    training time).
    """
    roots = np.roots([1.0, 7.0, 16.0 - sigma_rel**-2, 12.0 - sigma_rel**-2])
    return float(roots[np.isreal(roots)].real.max())
