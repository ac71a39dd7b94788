"""The SongUNet family: DDPM++, NCSN++ and their small relatives."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from ictsweep.networks.blocks import AddedLevel, Style
from ictsweep.networks.embeddings import (
    AugmentEmbedding,
    FourierEmbedding,
    LabelEmbedding,
    PositionalEmbedding,
)
from ictsweep.networks.layers import Linear, xavier
from ictsweep.networks.presets import UNetConfig
from ictsweep.networks.unet import Design

__all__ = ["SongCondition", "song_design"]

# Karras et al. 2022 (arXiv:2206.00364), Table 7 and released networks. The last layers of branches
# are close to zero: a new network is the sum of its skips, and still learns.
_STYLE = Style(
    eps=1e-6,
    scale=math.sqrt(0.5),  # keeps the variance of a sum of two unit-variance terms
    head_channels=None,
    project=True,
    level=AddedLevel,
    fill=xavier,
    last=1e-5,
    attention=math.sqrt(0.2),
)


def song_design(config: UNetConfig) -> Design:
    """The U-Net of `config`."""
    return Design(
        style=_STYLE,
        stem=config.channels,
        features=tuple(config.channels * mult for mult in config.channel_mult),
        blocks=config.blocks,
        attention=config.attention,
        attend_up=False,
        taps=config.resample_filter,
        residual_image=config.encoder == "residual",
        draw_all=config.decoder == "skip",
        embedding=4 * config.channels,
    )


class SongCondition(nn.Module):
    """The embedding of noise level, class and augmentation: their features added, then two layers
    with SiLU."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.level = _level(config)
        width, classes = self.level.width, config.classes
        self.label = None
        if classes:
            self.label = LabelEmbedding(classes, width, xavier, scale=math.sqrt(classes))
        self.augment = AugmentEmbedding(width, xavier) if config.augment else None
        self.inner = Linear(width, 4 * config.channels)
        self.outer = Linear(4 * config.channels, 4 * config.channels)

    def forward(self, c_noise: Tensor, labels: Tensor | None, augment: Tensor | None) -> Tensor:
        """c_noise [n], labels [n] and augment [n, 9] to [n, 4 channels]."""
        features = self.level(c_noise)
        if self.label is not None:
            features = features + self.label(labels, len(c_noise))
        if self.augment is not None and augment is not None:
            features = features + self.augment(augment)
        return F.silu(self.outer(F.silu(self.inner(features))))


def _level(config: UNetConfig) -> PositionalEmbedding | FourierEmbedding:
    if config.embedding == "fourier":  # a sine and a cosine for each of `channels` frequencies
        return FourierEmbedding(2 * config.channels, config.fourier_scale)
    return PositionalEmbedding(config.channels)
