"""Power-function EMA: its length is a share of the training so far, so one setting serves short and
long runs.

theta_ema(k) = beta_k theta_ema(k-1) + (1 - beta_k) theta(k),  beta_k = (1 - 1/k)^(gamma + 1)
(Karras et al. 2023, "Analyzing and Improving the Training Dynamics of Diffusion Models",
arXiv:2312.02696, Eqs. 121-127).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def gamma_of(sigma_rel: float) -> float:
    """The exponent gamma of a relative width sigma_rel in (0, 0.28): the largest real root of
    sigma_rel^2 (g + 2)^2 (g + 3) = g + 1 (the standard deviation of the profile's weights over
    training time).
    """
    roots = np.roots([1.0, 7.0, 16.0 - sigma_rel**-2, 12.0 - sigma_rel**-2])
    return float(roots[np.isreal(roots)].real.max())


def decay(update: int, gamma: float) -> float:
    """beta_k of update k = 1, 2, ...; 0 at the first, which copies the weights."""
    return float((1.0 - 1.0 / update) ** (gamma + 1.0))


def averaged(model: nn.Module, sigma_rel: float) -> AveragedModel:
    """A power-function average of `model`, updated by `update_parameters(model)` after every
    optimizer step.
    """
    gamma = gamma_of(sigma_rel)

    def average(averages: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
        weight = 1.0 - decay(int(updates) + 1, gamma)
        torch._foreach_lerp_(averages, current, weight)  # pyright: ignore[reportPrivateImportUsage]

    average_all = torch.no_grad()(average)
    ema = AveragedModel(model, multi_avg_fn=average_all)  # pyright: ignore[reportArgumentType]
    return ema.eval().requires_grad_(False)
