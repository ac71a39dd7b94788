"""From a configuration to its network, and how it spends memory."""

import torch
from torch import nn

from ictsweep.networks.adm import ADMCondition, adm_design
from ictsweep.networks.blocks import Block
from ictsweep.networks.presets import ADMConfig, NetworkConfig
from ictsweep.networks.song import SongCondition, song_design
from ictsweep.networks.unet import UNet

__all__ = ["build", "recompute"]


def build(
    config: NetworkConfig,
    image_shape: tuple[int, int, int],
    generator: torch.Generator | None = None,
) -> UNet:
    """The network of `config` for images of shape (c, h, w), with new weights from `generator` (or
    torch's global one).

    ValueError if h or w cannot be halved once per level.
    """
    if isinstance(config, ADMConfig):
        return UNet(config, adm_design(config), ADMCondition(config), image_shape, generator)
    return UNet(config, song_design(config), SongCondition(config), image_shape, generator)


def recompute(network: nn.Module) -> None:
    """Let the residual blocks of `network` keep only their inputs for the backward pass and compute
    the rest again (activation checkpointing, Chen et al. 2016, arXiv:1604.06174).

    It costs one more forward pass per step; weights, their names, masks and results stay.
    """
    for module in network.modules():
        if isinstance(module, Block):
            module.recompute = True
