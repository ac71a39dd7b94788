"""Images from noise: in one step or a few, or along the whole ODE."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["guided", "heun", "sample"]

# (x [n, c, h, w], sigma [n]) -> clean image [n, c, h, w]
_Denoise = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def sample(
    denoise: _Denoise,
    latents: Tensor,
    levels: Sequence[float],
    *,
    sigma_min: float = 0.002,
    eta: float = 1.0,
) -> Tensor:
    """Images [n, c, h, w] from standard normal `latents` [n, steps, c, h, w].

    x = f(l_1 z_1, l_1);  then for each further level  x = f(x + sqrt(l_j^2 - sigma_min^2) z_j,
    l_j). Algorithm 1 of Song et al. 2023 (arXiv:2303.01469). `levels` descend from sigma_max:
    (80.0,) is one step, (80.0, 0.821) two. Step j always reads latents[:, j], and latents that no
    level needs are left alone: so one- and two-step samples start from the same noise.

    `eta` moves every level but the first off the edge where a phased consistency model jumps: eta
    l_j takes the place of l_j. Stable Consistency Tuning (Wang et al. 2024, arXiv:2410.18958) has
    such a parameter, but its exact rule is not published; 1 is off.

    ValueError if there are fewer latents than levels, or no level.
    """
    if not 1 <= len(levels) <= latents.shape[1]:
        raise ValueError(f"{len(levels)} levels need as many latents; there are {latents.shape[1]}")
    x = denoise(levels[0] * latents[:, 0], latents.new_full(latents.shape[:1], levels[0]))
    for j, edge in enumerate(levels[1:], start=1):
        level = eta * edge
        x = x + max(level**2 - sigma_min**2, 0.0) ** 0.5 * latents[:, j]
        x = denoise(x, latents.new_full(latents.shape[:1], level))
    return x


@torch.no_grad()
def heun(denoise: _Denoise, latents: Tensor, levels: Sequence[float]) -> Tensor:
    """Images [n, c, h, w] from standard normal `latents` [n, steps, c, h, w]: the probability-flow
    ODE dx/ds = (x - D(x, s)) / s solved from levels[0] down to 0.

    Algorithm 1 of Karras et al. 2022 (arXiv:2206.00364): a trapezoidal (second-order) step between
    neighbouring `levels`, which descend and end above 0, and an Euler step from the last one to 0.
    The state is float64; `denoise` sees the latents' dtype. Only latents[:, 0] is read. ValueError
    if there is no level.
    """
    if not levels:
        raise ValueError("0 levels; an ODE needs at least one to start from")

    def slope(x: Tensor, level: float) -> Tensor:
        sigma = latents.new_full(latents.shape[:1], level)
        return (x - denoise(x.to(latents.dtype), sigma).double()) / level

    x = levels[0] * latents[:, 0].double()
    for level, below in pairwise([*levels, 0.0]):
        here = slope(x, level)
        euler = x + (below - level) * here
        x = x + (below - level) * (here + slope(euler, below)) / 2 if below > 0 else euler
    return x.to(latents.dtype)


def guided(denoise: _Denoise, weaker: _Denoise, scale: float) -> _Denoise:
    """f + (scale - 1) (f - f_weaker): away from what a weaker model would do.

    With the model without its label it is classifier-free guidance (Ho & Salimans 2022,
    arXiv:2207.12598), with an earlier average of the weights autoguidance (Karras et al. 2024,
    arXiv:2406.02507; for consistency models arXiv:2410.18958). Scale 1 is `denoise` itself.
    """
    if scale == 1:
        return denoise

    def combined(x: Tensor, sigma: Tensor) -> Tensor:
        strong = denoise(x, sigma)
        return strong + (scale - 1) * (strong - weaker(x, sigma))

    return combined
