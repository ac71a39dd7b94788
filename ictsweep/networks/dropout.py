"""Dropout whose randomness is an argument, so that two passes can share it exactly.

Consistency training compares two outputs of one network; both must lose the same features (Song &
Dhariwal 2023, arXiv:2310.14189, as quoted by others). A mask that is drawn once and passed to both
cannot go wrong, whatever the device; and one draw of 16-bit integers for all layers is several
times cheaper than a floating-point draw in each.
"""

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "DropoutPlan", "draw_mask"]

_VALUES = 1 << 16  # a 16-bit draw takes each of these with equal probability
_LOWEST = -(1 << 15)


def draw_mask(
    n: int,
    size: int,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> Tensor:
    """Uniform random int16 [n, size] for `n` images: every value of the 16 bits is equally likely.

    It is one draw of 64-bit integers from `generator` (on the generator's device), each read as
    four numbers. An image's row does not depend on how many images follow. The rate of dropout is
    not in it: layers compare with their own.
    """
    words = -(-size // 4)
    bits = torch.empty(n, words, dtype=torch.int64, device=generator.device)
    bits.random_(-(2**63), None, generator=generator)
    return bits.view(torch.int16)[:, :size].to(device or generator.device)


class Dropout(nn.Module):
    """Drops features of one layer where its part of the mask says so, in training mode; identity in
    eval mode.

    A feature is kept when its draw, as an integer, is >= a threshold; the kept are divided by the
    probability of being kept. The rate is rounded to a multiple of 1/65536 and the division uses
    the rounded one: the mean is exact.
    """

    def __init__(self, rate: float, start: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        dropped = min(round(rate * _VALUES), _VALUES - 1)
        self.threshold = dropped + _LOWEST
        self.scale = _VALUES / (_VALUES - dropped)
        self.rate = rate
        self.start = start
        self.shape = shape

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """`x` [n, c, h, w] thinned by `mask` [n, mask_size].

        ValueError if training needs a mask and there is none.
        """
        if not self.training or self.threshold == _LOWEST:
            return x
        if mask is None:
            raise ValueError(
                "dropout in training mode needs a mask: pass draw_mask(n, network.mask_size, "
                "generator, device), the same to student and teacher, or call eval()"
            )
        channels, height, width = self.shape
        draws = mask[:, self.start : self.start + channels * height * width]
        # Features lie last in the mask, as they do in memory under channels_last.
        draws = draws.view(-1, height, width, channels).permute(0, 3, 1, 2)
        # 1 where draw >= threshold, else 0: on a CPU five times faster than comparing and filling.
        keep = draws.clamp(self.threshold - 1, self.threshold).sub_(self.threshold - 1)
        return x * keep.to(x.dtype).mul_(self.scale)

    def extra_repr(self) -> str:
        return f"rate={self.rate}, shape={self.shape}"


class DropoutPlan:
    """Hands out the parts of the mask to the layers of a network that is being built; `size` is
    what they need. Only layers of at most `below` rows of pixels drop anything, if it is given."""

    def __init__(self, rate: float, below: int | None = None) -> None:
        self.rate = rate
        self.below = below
        self.size = 0

    def layer(self, channels: int, height: int, width: int) -> Dropout:
        """The dropout of the next layer, for features of this shape."""
        rate = self.rate if self.below is None or height <= self.below else 0.0
        dropout = Dropout(rate, self.size, (channels, height, width))
        if rate > 0:
            self.size += channels * height * width
        return dropout
