"""The primitives of a U-Net: convolution, linear map, normalisation, resampling."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "Conv",
    "Downsample",
    "Fill",
    "Linear",
    "ShrinkConv",
    "Upsample",
    "like_inputs",
    "norm",
    "xavier",
]

Fill = Callable[[Tensor, Tensor | None, float, torch.Generator | None], None]


def xavier(
    weight: Tensor, bias: Tensor | None, gain: float, generator: torch.Generator | None
) -> None:
    """Weights uniform with variance gain^2 2 / (inputs + outputs), biases zero (Glorot & Bengio
    2010)."""
    nn.init.xavier_uniform_(weight, gain=gain, generator=generator)
    if bias is not None:
        nn.init.zeros_(bias)


def like_inputs(
    weight: Tensor, bias: Tensor | None, gain: float, generator: torch.Generator | None
) -> None:
    """Weights and biases uniform in +-gain / sqrt(inputs), the rule of ADM."""
    bound = gain / math.sqrt(weight[0].numel())
    for part in (weight, bias):
        if part is not None:
            nn.init.uniform_(part, -bound, bound, generator=generator)


class Conv(nn.Conv2d):
    """A convolution that keeps the image's size; `fill` draws its weights, times `gain`."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, fill: Fill = xavier, gain: float = 1.0
    ) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.fill = fill
        self.gain = gain

    def reset_parameters(self) -> None:
        """Nothing: `initialize` fills the weights, once, from a generator of the caller's."""

    def initialize(self, generator: torch.Generator | None) -> None:
        """Draw the weights."""
        self.fill(self.weight, self.bias, self.gain, generator)


class Linear(nn.Linear):
    """A linear map with weights as in `Conv`."""

    def __init__(self, inputs: int, outputs: int, fill: Fill = xavier, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias)
        self.fill = fill

    def reset_parameters(self) -> None:
        """Nothing: see `Conv`."""

    def initialize(self, generator: torch.Generator | None) -> None:
        """Draw the weights."""
        self.fill(self.weight, self.bias, 1.0, generator)


def norm(channels: int, eps: float) -> nn.GroupNorm:
    """Group normalisation in at most 32 groups of at least 4 channels (fewer groups where 32 do not
    divide)."""
    most = max(min(32, channels // 4), 1)
    groups = max(g for g in range(1, most + 1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=eps)


class _Filter(nn.Module):
    """A symmetric low-pass filter, the same for each channel; `pair` marks (1, 1), for which torch
    has faster kernels."""

    kernel: Tensor

    def __init__(self, taps: tuple[int, ...], gain: float = 1.0) -> None:
        super().__init__()
        line = torch.tensor(taps, dtype=torch.float32)
        kernel = torch.outer(line, line) / line.sum() ** 2 * gain
        self.register_buffer("kernel", kernel[None, None], persistent=False)
        self.pair = taps == (1, 1)
        self.padding = (len(taps) - 1) // 2

    def weight(self, x: Tensor) -> Tensor:
        """The filter as a depthwise weight for `x`."""
        return self.kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)


class Downsample(_Filter):
    """Half the size, low-pass filtered."""

    def forward(self, x: Tensor) -> Tensor:
        if self.pair:
            return F.avg_pool2d(x, 2)
        weight, channels = self.weight(x), x.shape[1]
        return F.conv2d(x, weight, stride=2, padding=self.padding, groups=channels)


class Upsample(_Filter):
    """Twice the size, interpolated by the filter."""

    def __init__(self, taps: tuple[int, ...]) -> None:
        super().__init__(taps, gain=4.0)  # three of four pixels enter the filter as zeros

    def forward(self, x: Tensor) -> Tensor:
        if self.pair:
            return F.interpolate(x, scale_factor=2, mode="nearest")
        weight, channels = self.weight(x), x.shape[1]
        return F.conv_transpose2d(x, weight, stride=2, padding=self.padding, groups=channels)


class ShrinkConv(_Filter):
    """A 3x3 convolution followed by `Downsample`, in the order that costs a quarter.

    Convolutions commute: the filter comes first, and the learned convolution then computes only the
    pixels that stay. All padding is at the input, so the two orders agree at the border too.
    """

    def __init__(self, inputs: int, outputs: int, taps: tuple[int, ...]) -> None:
        super().__init__(taps)
        self.conv = Conv(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        smooth = F.conv2d(x, self.weight(x), padding=self.padding + 1, groups=x.shape[1])
        return F.conv2d(smooth, self.conv.weight, self.conv.bias, stride=2)
