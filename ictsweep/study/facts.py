"""What trial 0 is made of, in lines for people."""

from collections.abc import Mapping
from typing import Any

import torch

from ictsweep.config import TrialConfig
from ictsweep.data import Images
from ictsweep.networks import build
from ictsweep.starts import RandomInit
from ictsweep.variants import inputs, variants


def facts(block: Mapping[str, Any], config: TrialConfig, images: Images) -> list[str]:
    """Data, network, method and optimiser of the configuration that a trial block describes."""
    count, shape = len(images.pixels), "x".join(map(str, images.shape))
    classes = "" if images.labels is None else f", {len(images.labels.unique())} classes"
    size = parameters(config, images)
    path = "" if isinstance(config.init, RandomInit) else f" {config.init.path}"
    return [
        f"data: {images.name}, {count:,} images of {shape}{classes}",
        f"network: {_name(block['network'])} ({config.network.name}), {size:,} parameters, "
        f"first weights {config.init.name}{path}",
        f"method: {_name(block['method'])}: {_parts(config.method)}",
        f"optimizer: {config.optimizer.name}, batch {config.optimizer.batch}, rate "
        f"{config.optimizer.lr:g}; average: {config.ema.name}; precision: {config.precision}",
    ]


def parameters(config: TrialConfig, images: Images) -> int:
    """How many parameters the network has; ValueError or RuntimeError if it cannot be built."""
    with torch.device("meta"):
        network = build(config.network, images.shape)
    return sum(parameter.numel() for parameter in network.parameters())


def _name(block: Mapping[str, Any]) -> str:
    """A block's preset, marked when values of it are overridden."""
    changed = " with changes" if set(block) - {"preset"} else ""
    return f"{block['preset']}{changed}" if "preset" in block else "of its own"


def _parts(method: Any) -> str:
    """The variants that a method is composed of."""
    parts = [field.name for field, hint in inputs(type(method)) if len(variants(hint)) > 1]
    return ", ".join(f"{part} {getattr(method, part).name}" for part in parts)
