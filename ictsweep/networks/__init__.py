"""The networks that are trained: two U-Net families, their published members and weights, and
dropout with an explicit mask."""

from ictsweep.networks.build import build, recompute
from ictsweep.networks.dropout import draw_mask
from ictsweep.networks.edm_names import from_edm
from ictsweep.networks.embeddings import AUGMENT_LABELS
from ictsweep.networks.presets import PRESETS, ADMConfig, NetworkConfig, UNetConfig
from ictsweep.networks.pretrained import (
    Pretrained,
    PretrainedError,
    architecture,
    edm_weights,
)
from ictsweep.networks.unet import UNet

__all__ = [
    "AUGMENT_LABELS",
    "PRESETS",
    "ADMConfig",
    "NetworkConfig",
    "Pretrained",
    "PretrainedError",
    "UNet",
    "UNetConfig",
    "architecture",
    "build",
    "draw_mask",
    "edm_weights",
    "from_edm",
    "recompute",
]
