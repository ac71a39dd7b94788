"""What EDM's networks are made with, as our configurations."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ictsweep.networks.pickles import Refused, shown
from ictsweep.networks.presets import ADMConfig, NetworkConfig, UNetConfig

__all__ = ["edm_config"]

# EDM's argument: our field, and EDM's default (NVlabs/edm, training/networks.py).
_Table = Mapping[str, tuple[str, Any]]
_BOTH: _Table = {
    "label_dim": ("classes", 0),
    "label_dropout": ("label_dropout", 0),
    "dropout": ("dropout", 0.10),
}
_SONG: _Table = {
    **_BOTH,
    "model_channels": ("channels", 128),
    "channel_mult": ("channel_mult", [1, 2, 2, 2]),
    "num_blocks": ("blocks", 4),
    "attn_resolutions": ("attention", [16]),
    "embedding_type": ("embedding", "positional"),
    "encoder_type": ("encoder", "standard"),
    "decoder_type": ("decoder", "standard"),
    "resample_filter": ("resample_filter", [1, 1]),
}
_ADM: _Table = {
    **_BOTH,
    "model_channels": ("channels", 192),
    "channel_mult": ("channel_mult", [1, 2, 3, 4]),
    "num_blocks": ("blocks", 3),
    "attn_resolutions": ("attention", [32, 16, 8]),
}
_FAMILIES: Mapping[str, tuple[type[NetworkConfig], _Table, Mapping[str, Any]]] = {
    "SongUNet": (UNetConfig, _SONG, {"fourier_scale": 16.0}),
    "DhariwalUNet": (ADMConfig, _ADM, {"level": "scale_shift", "dropout_below": None}),
}
# The tensors say the image's shape, and whether augmentation has labels (see `edm_weights`).
_ELSEWHERE = {"img_resolution", "in_channels", "out_channels", "augment_dim"}
_LONGEST, _LARGEST = 64, 1 << 16  # no network has more levels, features or classes


def edm_config(kind: str, arguments: Mapping[str, Any], tensors: int) -> NetworkConfig:
    """Our configuration of EDM's `kind` ("SongUNet" or "DhariwalUNet") made with keyword
    `arguments`; `tensors` is how many its weights are.

    Refused (a ValueError), naming it, for an argument that is unknown, that has no counterpart here
    or a value that ours cannot have; also for one so large that no network is meant by it.
    """
    family, table, values = _FAMILIES[kind]
    widths = {"channel_mult_emb": 4}
    if family is UNetConfig:
        widths["channel_mult_noise"] = 2 if arguments.get("embedding_type") == "fourier" else 1
    for name, value in arguments.items():
        if name in widths and not (type(value) is int and value == widths[name]):
            raise Refused(f"argument {name} is {shown(value)}; expected {widths[name]}")
        if name not in {*table, *_ELSEWHERE, *widths}:
            raise Refused(f"argument {shown(name)} of {kind} is unknown")
    read = {
        field: _read(family, field, name, arguments.get(name, default))
        for name, (field, default) in table.items()
    }
    _check_extent(read["channels"], read["channel_mult"], read["blocks"], tensors)
    return family(**values, **read)


def _check_extent(channels: int, mults: tuple[int, ...], blocks: int, tensors: int) -> None:
    # On the way down and up a level has twice its blocks, each of ten tensors or more.
    if 20 * len(mults) * blocks > tensors:
        raise Refused(f"{blocks} blocks a level have more tensors than the {tensors} there")
    if channels * max(mults) > _LARGEST:
        raise Refused(f"argument channel_mult is {shown(mults)}: too much for {channels} channels")


def _read(family: type[NetworkConfig], field: str, name: str, value: Any) -> Any:
    items = value if isinstance(value, list | tuple) else [value]
    if len(items) > _LONGEST or any(type(n) is int and n > _LARGEST for n in items):
        raise Refused(f"argument {name} is {shown(value)}: too large")
    hint = get_type_hints(family, include_extras=True)[field]
    adapter = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False))
    try:
        return adapter.validate_python(tuple(value) if isinstance(value, list) else value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise Refused(f"argument {name} is {shown(value)}: {message}") from None
