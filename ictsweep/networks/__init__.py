"""The networks that are trained: a U-Net family, its published members, and dropout with an
explicit mask."""

from ictsweep.networks.dropout import draw_mask
from ictsweep.networks.presets import PRESETS, UNetConfig
from ictsweep.networks.unet import UNet

__all__ = ["PRESETS", "UNet", "UNetConfig", "draw_mask"]
