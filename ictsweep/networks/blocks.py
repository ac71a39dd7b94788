"""The residual block of both U-Net families, its self-attention, and the ways to be told the noise
level."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ictsweep.networks.dropout import Dropout
from ictsweep.networks.layers import Conv, Fill, Linear, norm

__all__ = ["AddedLevel", "Attention", "Block", "ScaledLevel", "Style"]


class AddedLevel(Linear):
    """The noise level, added to the features before they are normalised."""

    def __init__(self, embedding: int, features: int, fill: Fill) -> None:
        super().__init__(embedding, features, fill)

    def normalize(self, y: Tensor, embedding: Tensor, normalization: nn.GroupNorm) -> Tensor:
        """norm(y + level), [n, c, h, w]; overwrites `y`."""
        return normalization(y.add_(self(embedding)[:, :, None, None]))


class ScaledLevel(Linear):
    """The noise level, as a scale and a shift of the normalised features (adaptive group
    normalisation, Dhariwal & Nichol 2021, arXiv:2105.05233, Eq. 6)."""

    def __init__(self, embedding: int, features: int, fill: Fill) -> None:
        super().__init__(embedding, 2 * features, fill)

    def normalize(self, y: Tensor, embedding: Tensor, normalization: nn.GroupNorm) -> Tensor:
        """(1 + scale) norm(y) + shift, [n, c, h, w]."""
        scale, shift = self(embedding)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(shift, normalization(y), 1 + scale)


@dataclass(frozen=True)
class Style:
    """What tells the blocks of one family from another's.

    `eps` is that of the normalisations; `scale` multiplies every sum of two branches; attention has
    heads of `head_channels` (None: one head); with `project` a resampled input passes a 1x1
    convolution even if its width stays. `fill` draws the weights, times `last` in the last layer of
    a branch and `attention` in the first one of an attention.
    """

    eps: float
    scale: float
    head_channels: int | None
    project: bool
    level: type[AddedLevel] | type[ScaledLevel]
    fill: Fill
    last: float
    attention: float


class Attention(nn.Module):
    """Residual self-attention over the pixels."""

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.heads = channels // (style.head_channels or channels)
        self.scale = style.scale
        self.norm = norm(channels, style.eps)
        self.qkv = Conv(channels, 3 * channels, 1, style.fill, style.attention)
        self.out = Conv(channels, channels, 1, style.fill, style.last)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        # Pixels before features: under channels_last these are views, and nothing is copied.
        rows = self.qkv(self.norm(x)).permute(0, 2, 3, 1)
        q, k, v = rows.reshape(n, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return _sum(self.out(seen.reshape(n, h, w, c).permute(0, 3, 1, 2)), x, self.scale)


class Block(nn.Module):
    """norm, SiLU, (resample,) convolve, norm told the noise level, SiLU, drop, convolve; plus the
    input; then attend.

    With `recompute` set it keeps only its inputs for the backward pass and computes the rest again.
    """

    recompute = False

    def __init__(
        self,
        inputs: int,
        outputs: int,
        embedding: int,
        dropout: Dropout,
        style: Style,
        *,
        resample: nn.Module | None = None,
        attention: bool = False,
    ) -> None:
        super().__init__()
        self.scale = style.scale
        self.norm_in = norm(inputs, style.eps)
        self.conv_in = Conv(inputs, outputs, 3, style.fill)
        self.level = style.level(embedding, outputs, style.fill)
        self.norm_out = norm(outputs, style.eps)
        self.dropout = dropout
        self.conv_out = Conv(outputs, outputs, 3, style.fill, style.last)
        self.resample = resample or nn.Identity()
        project = inputs != outputs or (resample is not None and style.project)
        self.skip = Conv(inputs, outputs, 1, style.fill) if project else nn.Identity()
        self.attention = Attention(outputs, style) if attention else nn.Identity()

    def forward(
        self, x: Tensor, embedding: Tensor, mask: Tensor | None, skip: Tensor | None = None
    ) -> Tensor:
        """`x` [n, c, h, w], to which the features `skip` of the way down are appended; `embedding`
        [n, e] of the level."""
        if self.recompute and torch.is_grad_enabled():
            # The mask is an argument and nothing is drawn: there is no random state to restore.
            return checkpoint(
                self._compute,
                *(x, embedding, mask, skip),
                use_reentrant=False,
                preserve_rng_state=False,
            )
        return self._compute(x, embedding, mask, skip)

    def _compute(
        self, x: Tensor, embedding: Tensor, mask: Tensor | None, skip: Tensor | None
    ) -> Tensor:
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        y = self.conv_in(self.resample(F.silu(self.norm_in(x))))
        y = F.silu(self.level.normalize(y, embedding, self.norm_out))
        y = self.conv_out(self.dropout(y, mask))
        return self.attention(_sum(y, self.skip(self.resample(x)), self.scale))


def _sum(branch: Tensor, x: Tensor, scale: float) -> Tensor:
    """scale (branch + x); overwrites `branch`, the output of a convolution, which keeps its input
    only."""
    total = branch.add_(x)
    return total if scale == 1 else total.mul_(scale)
