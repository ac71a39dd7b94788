"""How a network is told the noise level: c_noise [n] to features [n, width]."""

import math

import torch
from torch import Tensor, nn

__all__ = ["FourierEmbedding", "PositionalEmbedding"]


class PositionalEmbedding(nn.Module):
    """sin(c f), cos(c f) for frequencies f falling from 1 to 1/10000: the embedding of DDPM++ in
    Karras et al. 2022."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        exponent = torch.arange(width // 2, dtype=torch.float32) / max(width // 2 - 1, 1)
        self.register_buffer("frequencies", 1e-4**exponent, persistent=False)

    def forward(self, c_noise: Tensor) -> Tensor:
        angle = c_noise[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class FourierEmbedding(nn.Module):
    """cos(2 pi c f), sin(2 pi c f) for fixed random frequencies f ~ N(0, scale^2): the embedding of
    NCSN++.

    A large scale makes f change fast with the noise level, which consistency training cannot bear:
    Song & Dhariwal 2023 (arXiv:2310.14189) lower it from 16 to 0.02. The frequencies are part of
    the state.
    """

    frequencies: Tensor

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.width = width
        self.scale = scale
        self.register_buffer("frequencies", torch.zeros(width // 2))

    def initialize(self, generator: torch.Generator | None) -> None:
        """Draw the frequencies."""
        nn.init.normal_(self.frequencies, std=self.scale, generator=generator)

    def forward(self, c_noise: Tensor) -> Tensor:
        angle = c_noise[:, None] * (2 * math.pi * self.frequencies)
        return torch.cat([angle.cos(), angle.sin()], dim=1)
