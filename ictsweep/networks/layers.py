"""The layers of a U-Net: convolution, resampling, self-attention, residual block."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ictsweep.networks.dropout import Dropout

__all__ = ["Attention", "Block", "Conv", "Downsample", "Linear", "ShrinkConv", "Upsample", "norm"]

# Gain of a branch's last layer: a new network is close to the sum of its skips, and still learns.
NEAR_ZERO = 1e-5
_HALF = math.sqrt(0.5)  # keeps the variance of a sum of two unit-variance terms


class Conv(nn.Conv2d):
    """A convolution that keeps the image's size. Weights are Xavier-uniform times `gain`, biases
    zero."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.gain = gain

    def reset_parameters(self) -> None:
        """Nothing: `initialize` fills the weights, once, from a generator of the caller's."""

    def initialize(self, generator: torch.Generator | None) -> None:
        """Draw the weights."""
        _xavier(self.weight, self.bias, self.gain, generator)


class Linear(nn.Linear):
    """A linear map with weights as in `Conv`."""

    def reset_parameters(self) -> None:
        """Nothing: see `Conv`."""

    def initialize(self, generator: torch.Generator | None) -> None:
        """Draw the weights."""
        _xavier(self.weight, self.bias, 1.0, generator)


def _xavier(
    weight: Tensor, bias: Tensor | None, gain: float, generator: torch.Generator | None
) -> None:
    nn.init.xavier_uniform_(weight, gain=gain, generator=generator)
    if bias is not None:
        nn.init.zeros_(bias)


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in at most 32 groups of at least 4 channels (fewer groups where 32 do not
    divide)."""
    most = max(min(32, channels // 4), 1)
    groups = max(g for g in range(1, most + 1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


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


class Attention(nn.Module):
    """Residual self-attention over the pixels, one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.qkv = Conv(channels, 3 * channels, 1, gain=math.sqrt(0.2))
        self.out = Conv(channels, channels, 1, gain=NEAR_ZERO)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, 1, c, h * w).transpose(-1, -2).unbind(1)
        seen = F.scaled_dot_product_attention(q, k, v)
        return (x + self.out(seen.transpose(-1, -2).reshape(n, c, h, w))) * _HALF


class Block(nn.Module):
    """norm, SiLU, (resample,) convolve, add the noise level, norm, SiLU, drop, convolve; plus the
    input; then attend.

    The noise level is added, not used as a scale: a plain adaptive scale makes consistency training
    diverge (Lu & Song 2024, arXiv:2410.11081, section 4.1).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        dropout: Dropout,
        *,
        resample: nn.Module | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.norm_in = norm(inputs)
        self.conv_in = Conv(inputs, outputs, 3)
        self.level = Linear(embedding, outputs)
        self.norm_out = norm(outputs)
        self.dropout = dropout
        self.conv_out = Conv(outputs, outputs, 3, gain=NEAR_ZERO)
        self.resample = resample or nn.Identity()
        project = resample is not None or inputs != outputs
        self.skip = Conv(inputs, outputs, 1) if project else nn.Identity()
        self.attention = Attention(outputs) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, mask: Tensor | None) -> Tensor:
        y = self.conv_in(self.resample(F.silu(self.norm_in(x))))
        y = y + self.level(embedding)[:, :, None, None]
        y = self.conv_out(self.dropout(F.silu(self.norm_out(y)), mask))
        return self.attention((y + self.skip(self.resample(x))) * _HALF)
