"""ADM: the U-Net of Dhariwal & Nichol 2021 (arXiv:2105.05233)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ictsweep.networks.blocks import AddedLevel, ScaledLevel, Style
from ictsweep.networks.embeddings import AugmentEmbedding, LabelEmbedding, TimestepEmbedding
from ictsweep.networks.layers import Linear, like_inputs
from ictsweep.networks.presets import ADMConfig
from ictsweep.networks.unet import Design

__all__ = ["ADMCondition", "adm_design"]

_LEVELS: dict[str, type[AddedLevel] | type[ScaledLevel]] = {
    "add": AddedLevel,
    "scale_shift": ScaledLevel,
}


def adm_design(config: ADMConfig) -> Design:
    """The U-Net of `config`, after Table 7 of Karras et al. 2022 (arXiv:2206.00364). The last
    layers of branches are zero: a new network is the sum of its skips."""
    features = tuple(config.channels * mult for mult in config.channel_mult)
    style = Style(
        eps=1e-5,
        scale=1.0,
        head_channels=config.head_channels,
        project=False,
        level=_LEVELS[config.level],
        fill=like_inputs,
        last=0.0,
        attention=1.0,
    )
    return Design(
        style=style,
        stem=features[0],
        features=features,
        blocks=config.blocks,
        attention=config.attention,
        attend_up=True,
        taps=(1, 1),
        residual_image=False,
        draw_all=False,
        embedding=4 * config.channels,
    )


class ADMCondition(nn.Module):
    """The embedding of noise level, class and augmentation: two layers on the level's features, to
    which the augmentation is added before the first and the class before the last SiLU."""

    def __init__(self, config: ADMConfig) -> None:
        super().__init__()
        width = 4 * config.channels
        self.level = TimestepEmbedding(config.channels)
        self.augment = None
        if config.augment:  # zero at first, as in EDM: a new network takes no notice of it
            self.augment = AugmentEmbedding(config.channels, like_inputs, 0.0)
        self.inner = Linear(config.channels, width, like_inputs)
        self.outer = Linear(width, width, like_inputs)
        self.label = None
        if config.classes:
            self.label = LabelEmbedding(config.classes, width, _unit_normal, bias=False)

    def forward(self, c_noise: Tensor, labels: Tensor | None, augment: Tensor | None) -> Tensor:
        """c_noise [n], labels [n] and augment [n, 9] to [n, 4 channels]."""
        features = self.level(c_noise)
        if self.augment is not None and augment is not None:
            features = features + self.augment(augment)
        features = self.outer(F.silu(self.inner(features)))
        if self.label is not None:
            features = features + self.label(labels, len(c_noise))
        return F.silu(features)


def _unit_normal(
    weight: Tensor, bias: Tensor | None, gain: float, generator: torch.Generator | None
) -> None:
    nn.init.normal_(weight, std=gain, generator=generator)
