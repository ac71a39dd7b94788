"""Images from noise, in one step or a few."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["sample"]


@torch.no_grad()
def sample(
    denoise: Callable[[Tensor, Tensor], Tensor],
    latents: Tensor,
    levels: Sequence[float],
    *,
    sigma_min: float = 0.002,
) -> Tensor:
    """Images [n, c, h, w] from standard normal `latents` [n, steps, c, h, w].

    x = f(l_1 z_1, l_1);  then for each further level  x = f(x + sqrt(l_j^2 - sigma_min^2) z_j,
    l_j). Algorithm 1 of Song et al. 2023 (arXiv:2303.01469). `levels` descend from sigma_max:
    (80.0,) is one step, (80.0, 0.821) two. Step j always reads latents[:, j], and latents that no
    level needs are left alone: so one- and two-step samples start from the same noise. ValueError
    if there are fewer latents than levels, or no level.
    """
    if not 1 <= len(levels) <= latents.shape[1]:
        raise ValueError(f"{len(levels)} levels need as many latents; there are {latents.shape[1]}")
    x = denoise(levels[0] * latents[:, 0], latents.new_full(latents.shape[:1], levels[0]))
    for j, level in enumerate(levels[1:], start=1):
        x = x + (level**2 - sigma_min**2) ** 0.5 * latents[:, j]
        x = denoise(x, latents.new_full(latents.shape[:1], level))
    return x
