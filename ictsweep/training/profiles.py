"""Averaging profiles as functions of training time, and how to make one of them from others.

The power-function average of a run of length T weighs the weights of time s <= T by
p(s) = (g + 1) s^g / T^(g + 1). Any weighted sum of such averages is again an average, whose profile
is the same sum of profiles; so an average that nobody kept can be built, after training, from ones
that were. Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models"
(arXiv:2312.02696), section 3.2 and appendix C.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ictsweep.consistency import gamma_of


@dataclass(frozen=True)
class Profile:
    """The profile of a power-function average of relative width `sigma_rel`, kept until `end`
    (images, or any other measure of training time).
    """

    sigma_rel: float
    end: float


@dataclass(frozen=True, eq=False)
class Mixture:
    """Shares [n] of given profiles that come closest to a wanted one, and the distance that is
    left: the root of the integral of the squared difference, relative to that of the wanted one.
    """

    shares: np.ndarray
    error: float


def inner(a: Profile, b: Profile) -> float:
    """The integral of the product of two profiles, in closed form:
    (ga + 1)(gb + 1) / (ga + gb + 1) (m / a)^ga (m / b)^gb m / (a b), where a, b are the ends and m
    is the earlier one.
    """
    ga, gb, first = gamma_of(a.sigma_rel), gamma_of(b.sigma_rel), min(a.end, b.end)
    size = (ga + 1) * (gb + 1) / (ga + gb + 1)
    return size * (first / a.end) ** ga * (first / b.end) ** gb * first / (a.end * b.end)


def mix(kept: Sequence[Profile], wanted: Profile) -> Mixture:
    """The least-squares shares of `kept` (all different) for `wanted`, summing to one.

    The sum is an addition to the paper's system: so what did not change during training is the same
    in the mixture, exactly.
    """
    sizes = np.array([inner(p, p) for p in kept]) ** 0.5  # profiles scaled to one: well conditioned
    whole = inner(wanted, wanted) ** 0.5
    products = np.array([[inner(p, q) for q in kept] for p in kept]) / np.outer(sizes, sizes)
    towards = np.array([inner(p, wanted) for p in kept]) / (sizes * whole)
    sums = (whole / sizes)[:, None]
    system = np.block([[products, sums], [sums.T, np.zeros((1, 1))]])
    scaled = np.linalg.lstsq(system, np.append(towards, 1.0), rcond=1e-14)[0][:-1]
    left = 1.0 - 2.0 * scaled @ towards + scaled @ products @ scaled
    return Mixture(shares=scaled * whole / sizes, error=max(left, 0.0) ** 0.5)
