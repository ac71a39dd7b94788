"""From a free-form network F to a consistency function f that cannot break its boundary
condition."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

__all__ = ["Denoiser", "Scalings"]


@dataclass(frozen=True, kw_only=True)
class Scalings:
    """The four coefficients of f(x, s) = c_skip(s) x + c_out(s) F(c_in(s) x, c_noise(s)).

    Table 1 of Karras et al. 2022 (arXiv:2206.00364), shifted by sigma_min as in Appendix C of Song
    et al. 2023 (arXiv:2303.01469) so that f(x, sigma_min) = x. The shift enters c_skip and the
    numerator of c_out, not its root; with sigma_min = 0 they are Karras et al.'s own. `sigma_data`
    is the standard deviation of the data; each method maps noise levels [n] to coefficients [n].
    """

    sigma_data: Annotated[float, Gt(0)] = 0.5
    sigma_min: Annotated[float, Ge(0)] = 0.002

    def c_skip(self, sigma: Tensor) -> Tensor:
        """sd^2 / ((s - sigma_min)^2 + sd^2), written so that it is exactly 1 at sigma_min for every
        sd."""
        return (((sigma - self.sigma_min) / self.sigma_data).square() + 1).reciprocal()

    def c_out(self, sigma: Tensor) -> Tensor:
        """sd (s - sigma_min) / sqrt(s^2 + sd^2); exactly 0 at sigma_min."""
        return self.sigma_data * (sigma - self.sigma_min) * self.c_in(sigma)

    def c_in(self, sigma: Tensor) -> Tensor:
        """1 / sqrt(s^2 + sd^2): the input of F has unit variance."""
        return (sigma.square() + self.sigma_data**2).rsqrt()

    def c_noise(self, sigma: Tensor) -> Tensor:
        """ln(s) / 4: what F is told of the noise level."""
        return sigma.log() / 4


class Denoiser(nn.Module):
    """The consistency function f(x, sigma) of a network called as F(x, c_noise, mask, labels,
    augment).

    The coefficients and their products are float32, or float64 when x is, in whatever precision F
    works: at the boundary c_skip x is all that is left, and it must not be rounded. Hence f(x,
    sigma_min) equals x bit by bit.
    """

    def __init__(self, network: nn.Module, scalings: Scalings) -> None:
        super().__init__()
        self.network = network
        self.scalings = scalings

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        mask: Tensor | None = None,
        labels: Tensor | None = None,
        augment: Tensor | None = None,
    ) -> Tensor:
        """The clean image behind each `x` [n, c, h, w] at noise level `sigma` > 0 [n]; `mask`,
        `labels` and `augment` go to the network as they are."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        sigma = sigma.to(x.dtype)
        s = sigma.view(-1, *[1] * (x.ndim - 1))
        c_noise = self.scalings.c_noise(sigma)
        raw = self.network(self.scalings.c_in(s) * x, c_noise, mask, labels, augment)
        return self.scalings.c_skip(s) * x + self.scalings.c_out(s) * raw.to(x.dtype)
