"""The weights of EDM's networks under our names."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ictsweep.networks.build import build
from ictsweep.networks.pickles import Refused
from ictsweep.networks.presets import ADMConfig, NetworkConfig

__all__ = ["edm_shape", "from_edm"]

_BLOCK = {
    "norm_in": "norm0",
    "conv_in": "conv0",
    "level": "affine",
    "norm_out": "norm1",
    "conv_out": "conv1",
    "skip": "skip",
    "attention.norm": "norm2",
    "attention.qkv": "qkv",
    "attention.out": "proj",
}
_CONDITION = {
    "inner": "map_layer0",
    "outer": "map_layer1",
    "label": "map_label",
    "augment": "map_augment",
    "level": "map_noise",
    "frequencies": "freqs",
}


def from_edm(theirs: Mapping[str, Tensor], config: NetworkConfig) -> dict[str, Tensor]:
    """The state of our network of `config` from the state of EDM's SongUNet or DhariwalUNet
    (NVlabs/edm, training/networks.py), in its precision.

    Weights of the augmentation labels are left out where `config.augment` is off: without such
    labels, as in EDM's own sampling, they do nothing. Refused (a ValueError) for tensors that are
    missing, left over or of another shape, under EDM's names.
    """
    shape = edm_shape(theirs)
    with torch.device("meta"):
        ours = build(config, shape).state_dict()
    left = {name for name in theirs if not _does_nothing(name)}
    state = {}
    for key, expected in ours.items():
        name = _edm_name(key, config, shape[1])
        if name not in theirs:
            raise Refused(f"tensor {name} is missing")
        left.discard(name)
        if theirs[name].shape != expected.shape:
            sizes = f"{list(theirs[name].shape)}; expected {list(expected.shape)}"
            raise Refused(f"tensor {name} has shape {sizes}")
        state[key] = _split(theirs[name], config) if ".qkv." in key else theirs[name]
    if left:
        raise Refused(f"tensors left over: {', '.join(sorted(left))[:500]}")
    return state


def edm_shape(theirs: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """The shape (c, h, w) of the images of an EDM network; Refused if it has no first convolution,
    or an empty one."""
    for name, tensor in theirs.items():
        found = re.fullmatch(r"enc\.([1-9][0-9]{0,4})x\1_conv\.weight", name)
        if found and tensor.ndim == 4 and tensor.numel():
            return tensor.shape[1], int(found[1]), int(found[1])
    raise Refused("tensor enc.NxN_conv.weight is missing, the first convolution of N by N images")


def _does_nothing(name: str) -> bool:
    return name == "map_augment.weight" or name.endswith(".resample_filter")


def _edm_name(key: str, config: NetworkConfig, size: int) -> str:
    """EDM's name of our weight `key`, of a network for `size` rows of pixels."""
    match key.split("."):
        case ["condition", *rest]:
            return ".".join(_CONDITION.get(part, part) for part in rest)
        case ["stem", kind]:
            return f"enc.{size}x{size}_conv.{kind}"
        case ["encoder", level, *rest]:
            return f"enc.{_at(size, int(level))}_{_down(rest)}"
        case ["decoder", index, *rest]:
            level = len(config.channel_mult) - 1 - int(index)
            if rest[0] == "head" and isinstance(config, ADMConfig):
                return _head(rest).replace("aux", "out")
            return f"dec.{_at(size, level)}_{_up(rest, lowest=index == '0')}"
    raise AssertionError(key)


def _at(size: int, level: int) -> str:
    return f"{size >> level}x{size >> level}"


def _down(rest: list[str]) -> str:
    if rest[0] == "image_down":
        return f"aux_residual.{rest[-1]}"
    if rest[0] == "down":
        return f"down.{_block(rest[1:])}"
    return f"block{rest[1]}.{_block(rest[2:])}"


def _up(rest: list[str], *, lowest: bool) -> str:
    if rest[0] == "head":
        return _head(rest)
    if rest[0] == "entry":
        return f"{f'in{rest[1]}' if lowest else 'up'}.{_block(rest[2:])}"
    return f"block{rest[1]}.{_block(rest[2:])}"


def _head(rest: list[str]) -> str:
    return f"{'aux_norm' if rest[1] == '0' else 'aux_conv'}.{rest[-1]}"


def _block(rest: list[str]) -> str:
    *layer, kind = rest
    return f"{_BLOCK['.'.join(layer)]}.{kind}"


def _split(weight: Tensor, config: NetworkConfig) -> Tensor:
    """Queries, keys and values one after the other; EDM has the three of a channel together."""
    channels = weight.shape[0] // 3
    heads = channels // config.head_channels if isinstance(config, ADMConfig) else 1
    parts = weight.reshape(heads, channels // heads, 3, *weight.shape[1:])
    return parts.movedim(2, 0).reshape(weight.shape)
