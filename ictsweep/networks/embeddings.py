"""How a network is told the noise level, c_noise [n] to features [n, width], the class, labels [n],
and what was done to the image, labels [n, 9]."""

import math

import torch
from torch import Tensor, nn

from ictsweep.networks.layers import Fill, Linear

__all__ = [
    "AUGMENT_LABELS",
    "AugmentEmbedding",
    "FourierEmbedding",
    "LabelEmbedding",
    "PositionalEmbedding",
    "TimestepEmbedding",
]


# What was done to an image, all 0 for nothing: two mirrorings, the scale, two numbers each of the
# rotation, the anisotropic scale and the shift.
AUGMENT_LABELS = 9


class PositionalEmbedding(nn.Module):
    """sin(c f), cos(c f) for frequencies f falling from 1 to 1/10000: the embedding of DDPM++ in
    Karras et al. 2022 (arXiv:2206.00364)."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        exponent = torch.arange(width // 2, dtype=torch.float32) / max(width // 2 - 1, 1)
        self.register_buffer("frequencies", 1e-4**exponent, persistent=False)

    def forward(self, c_noise: Tensor) -> Tensor:
        angle = c_noise[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class TimestepEmbedding(nn.Module):
    """cos(c f), sin(c f) for frequencies f falling from 1 towards 1/10000, which is not reached:
    the embedding of ADM."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        exponent = torch.arange(width // 2, dtype=torch.float32) / (width // 2)
        self.register_buffer("frequencies", 1e-4**exponent, persistent=False)

    def forward(self, c_noise: Tensor) -> Tensor:
        angle = c_noise[:, None] * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], dim=1)


class FourierEmbedding(nn.Module):
    """sin(2 pi c f), cos(2 pi c f) for fixed random frequencies f ~ N(0, scale^2): the embedding of
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
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class LabelEmbedding(Linear):
    """A linear map of one-hot labels of height `scale`; a label of -1, or none at all, is the zero
    vector.

    A product rather than a look-up: its gradient adds up in the same order on every device, and
    every weight has one even if no image has a label.
    """

    def __init__(
        self, classes: int, width: int, fill: Fill, *, scale: float = 1.0, bias: bool = True
    ) -> None:
        super().__init__(classes, width, fill, bias)
        self.scale = scale

    def forward(self, labels: Tensor | None, n: int) -> Tensor:
        """int64 labels [n] in [-1, classes) to [n, width]."""
        hot = self.weight.new_zeros(n, self.in_features)
        if labels is not None:
            numbers = torch.arange(self.in_features, device=labels.device)
            hot = (labels[:, None] == numbers).to(self.weight.dtype) * self.scale
        return super().forward(hot)


class AugmentEmbedding(Linear):
    """A linear map without bias of what was done to a picture: the labels [n, 9] of Karras et al.
    2022 (arXiv:2206.00364), appendix F.2, to features [n, width].

    Without a bias zero says nothing was done, and so does leaving it out.
    """

    def __init__(self, width: int, fill: Fill, gain: float = 1.0) -> None:
        super().__init__(AUGMENT_LABELS, width, fill, bias=False)
        self.gain = gain

    def initialize(self, generator: torch.Generator | None) -> None:
        """Draw the weights, times the gain."""
        self.fill(self.weight, None, self.gain, generator)
