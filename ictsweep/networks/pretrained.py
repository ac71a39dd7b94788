"""Published EDM networks (Karras et al. 2022, arXiv:2206.00364), read without running their code.

Their files are pickles that carry Python source to be executed on reading. Here it is skipped: the
file is read as data (`pickles`), and the network is ours, with the weights under our names.
"""

import mmap
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.networks.edm_arguments import edm_config
from ictsweep.networks.edm_names import edm_shape, from_edm
from ictsweep.networks.pickled_tensors import tensor_functions
from ictsweep.networks.pickles import Record, Refused, read_pickle, shown
from ictsweep.networks.presets import NetworkConfig, UNetConfig

__all__ = ["Pretrained", "PretrainedError", "architecture", "edm_weights"]

# Several times what networks have: entries in the tables of their modules, letters in a name.
_ENTRIES, _LETTERS = 1 << 14, 200


class PretrainedError(UserError):
    """A file of published weights that cannot be used: the message says which, and why."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A published network: `build(config, image_shape)` takes `weights` (float32); `sigma_data` is
    that of its preconditioning."""

    config: NetworkConfig
    image_shape: tuple[int, int, int]
    sigma_data: float
    weights: dict[str, Tensor]


def edm_weights(path: str | Path, *, augment: bool = False) -> Pretrained:
    """The averaged network of a pickle that EDM published, or that its training wrote.

    `augment` keeps what it has learnt of augmented pictures; otherwise that is left out, as in
    EDM's own sampling. PretrainedError if it cannot be read, if it names anything that does not
    belong in it (the name is in the message; none of its code is run), or if the network is not one
    of ours under EDM's preconditioning, tensor by tensor.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _pretrained(read_pickle(data, _known(len(data))), len(data), augment)
    except OSError as error:
        raise PretrainedError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # Refused, an empty file, or a network that cannot be
        raise PretrainedError(f"{path}: not an EDM network that can be used: {error}") from None


def architecture(config: NetworkConfig) -> NetworkConfig:
    """`config` with what only training or a new network reads at a fixed value: where two agree,
    the weights of one fit the other."""
    same = replace(config, dropout=0.0, dropout_below=None, label_dropout=0.0)
    return replace(same, fourier_scale=1.0) if isinstance(same, UNetConfig) else same


def _pretrained(data: Any, size: int, augment: bool) -> Pretrained:
    """The network in what a file of `size` bytes holds."""
    if not isinstance(data, dict) or "ema" not in data:
        raise Refused("it holds no averaged network under the key 'ema'")
    wrapper = _object(data["ema"], ("EDMPrecond",))
    sigma_data = wrapper.state.get("sigma_data")
    if type(sigma_data) not in (int, float) or not 0 < sigma_data <= sys.float_info.max:
        raise Refused(f"sigma_data is {shown(sigma_data)}")
    model = _object(_table(wrapper, "_modules").get("model"), ("SongUNet", "DhariwalUNet"))
    tensors = dict(_tensors(model))
    if outside := [name for name, _ in _tensors(wrapper) if not name.startswith("model.")]:
        raise Refused(f"tensors beside the model: {', '.join(outside)[:500]}")
    if sum(tensor.nbytes for tensor in tensors.values()) > size:  # views of the same numbers
        raise Refused("its tensors have more numbers than the file")
    if augment and "map_augment.weight" not in tensors:
        raise Refused("it was trained without augmentation labels: leave network.augment false")
    config = edm_config(model.kind, _arguments(model), len(tensors))
    config = replace(config, augment=augment)
    weights = from_edm(tensors, config)
    whole = {name: weight.to(torch.float32).contiguous() for name, weight in weights.items()}
    return Pretrained(config, edm_shape(tensors), float(sigma_data), whole)


def _persistent(meta: Any) -> Record:
    """An object whose class is pickled as source code; the source is left where it is."""
    match meta:
        case {
            "type": "class",
            "version": int() as version,
            "class_name": str() as name,
            "state": dict() as state,
        } if version == 6:
            record = Record(name)
            record.state = state
            return record
    raise Refused("an object is not stored as EDM stores its classes (version 6)")


def _known(size: int) -> Mapping[str, Callable[..., Any]]:
    """What a file of `size` bytes may name. Nothing here copies its arguments: the same ones can be
    given any number of times."""
    return {
        **tensor_functions(size),
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
        "torch.nn.modules.container.ModuleDict": lambda: Record("ModuleDict"),
        "collections.OrderedDict": lambda: {},
        "dnnlib.util.EasyDict": lambda: {},
        "builtins.set": lambda items: Record("set"),  # of older pickles; no use is made of it
    }


def _object(value: Any, kinds: tuple[str, ...]) -> Record:
    """`value` if it is an object of one of the classes with a state."""
    if isinstance(value, Record) and value.kind in kinds and isinstance(value.state, dict):
        return value
    kind = value.kind if isinstance(value, Record) else type(value).__name__
    remedy = ": another preconditioning than EDM's" if kind.endswith("Precond") else ""
    raise Refused(f"class {kind[:200]} where {' or '.join(kinds)} belongs{remedy}")


def _table(module: Record, name: str) -> dict[str, Any]:
    table = module.state.get(name) if isinstance(module.state, dict) else None
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise Refused(f"{module.kind[:200]} is no network: it has no {name}")
    if any(len(key) > _LETTERS for key in table):
        raise Refused(f"{module.kind[:200]} is no network: a name in {name} is endless")
    return table


def _tensors(module: Record) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a module and those in it, by its full name."""
    waiting, seen, entries = [("", module)], {id(module)}, 0
    while waiting:
        prefix, module = waiting.pop()
        tables = [_table(module, name) for name in ("_parameters", "_buffers", "_modules")]
        entries += sum(map(len, tables))
        if entries > _ENTRIES or len(prefix) > _LETTERS:
            raise Refused("it has more modules and tensors than a network, or deeper ones")
        parameters, buffers, children = tables
        for name, tensor in (parameters | buffers).items():
            if isinstance(tensor, Tensor):
                yield prefix + name, tensor
            elif tensor is not None:
                raise Refused(f"{prefix}{name} is no tensor")
        for name, child in children.items():
            if not isinstance(child, Record | None) or id(child) in seen:
                raise Refused(f"{prefix}{name} is no module of its own")
            if child is not None:
                seen.add(id(child))
                waiting.append((f"{prefix}{name}.", child))


def _arguments(model: Record) -> dict[str, Any]:
    """What the model was made with, all of it by keyword as EDM's scripts do."""
    positional, named = model.state.get("_init_args"), model.state.get("_init_kwargs")
    if positional or not isinstance(named, dict):
        raise Refused(f"{model.kind} does not say by keyword what it was made with")
    return named
