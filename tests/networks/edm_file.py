"""Files as EDM's training writes them, made without its code: stand-ins for its modules with the
same structure, pickled through a stand-in for its `torch_utils.persistence`."""

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ictsweep.errors import UserError
from ictsweep.networks import PretrainedError, edm_weights

SONG = {
    "model_channels": 4,
    "channel_mult": [1, 2],
    "num_blocks": 1,
    "attn_resolutions": [2],
    "channel_mult_noise": 1,
    "embedding_type": "positional",
    "augment_dim": 9,
    "label_dim": 3,
    "dropout": 0.13,
}
ADM = {
    "model_channels": 64,
    "channel_mult": [1, 2],
    "num_blocks": 1,
    "attn_resolutions": [2],
    "label_dim": 3,
}
SHAPE = (1, 4, 4)


class Stored:
    """An object that is pickled as source code and state, as `persistent_class` has it."""

    def __init__(self, kind: str, **state: Any) -> None:
        self.kind = kind
        self.state = state

    def __reduce__(self):
        source = "raise SystemExit('the source was run')"
        meta = {"type": "class", "version": 6, "module_src": source}
        meta |= {"class_name": self.kind, "state": self.state}
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,)


def importable(monkeypatch) -> None:
    """Give pickle the functions and classes that it writes by name."""

    def _reconstruct_persistent_obj(meta):
        raise AssertionError("never called here")

    class EasyDict(dict):
        pass

    places = {
        "torch_utils.persistence": _reconstruct_persistent_obj,
        "dnnlib.util": EasyDict,
    }
    for path, value in places.items():
        value.__module__, value.__qualname__ = path, value.__name__
        package, module = ModuleType(path.split(".")[0]), ModuleType(path)
        setattr(module, value.__name__, value)
        monkeypatch.setitem(sys.modules, package.__name__, package)
        monkeypatch.setitem(sys.modules, path, module)


def module(kind: str, *, children: dict[str, Any] | None = None, **tensors: Any) -> Stored:
    """A module with parameters; `resample_filter` is a buffer, as in EDM."""
    buffers = {"resample_filter": tensors.pop("resample_filter", None)}
    buffers |= {"freqs": tensors.pop("freqs")} if "freqs" in tensors else {}
    parameters = {name: t if t is None else nn.Parameter(t, False) for name, t in tensors.items()}
    state: dict[str, Any] = {"training": False, "_parameters": parameters, "_buffers": buffers}
    state |= {"_non_persistent_buffers_set": set(), "skip_scale": np.sqrt(0.5)}
    return Stored(kind, **state, _modules=children or {})


class Weights:
    """Modules of a network with normal weights."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(0)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator)

    def linear(self, inputs: int, outputs: int, bias: bool = True) -> Stored:
        values = self.normal(outputs) if bias else None
        return module("Linear", weight=self.normal(outputs, inputs), bias=values)

    def conv(self, inputs: int, outputs: int, kernel: int) -> Stored:
        if not kernel:
            taps = torch.full((1, 1, 2, 2), 0.25)
            return module("Conv2d", weight=None, bias=None, resample_filter=taps)
        weight = self.normal(outputs, inputs, kernel, kernel)
        return module("Conv2d", weight=weight, bias=self.normal(outputs))

    def norm(self, channels: int) -> Stored:
        return module("GroupNorm", weight=self.normal(channels), bias=self.normal(channels))

    def block(self, inputs, outputs, embedding, *, told=1, attention=False, skip=None) -> Stored:
        kernel = 1 if inputs != outputs else skip
        parts = {
            "norm0": self.norm(inputs),
            "conv0": self.conv(inputs, outputs, 3),
            "affine": self.linear(embedding, told * outputs),
            "norm1": self.norm(outputs),
            "conv1": self.conv(outputs, outputs, 3),
            "skip": None if kernel is None else self.conv(inputs, outputs, kernel),
        }
        if attention:
            parts["norm2"] = self.norm(outputs)
            parts["qkv"] = self.conv(outputs, 3 * outputs, 1)
            parts["proj"] = self.conv(outputs, outputs, 1)
        return module("UNetBlock", children=parts)


def _levels(w: Weights, c: int, song: bool) -> tuple[dict[str, Stored], dict[str, Stored]]:
    """Encoder and decoder for 4x4 and 2x2 pixels, one block each, c and 2 c features."""

    def block(inputs: int, outputs: int, attention: bool = False) -> Stored:
        told = 1 if song else 2
        return w.block(inputs, outputs, 4 * c, told=told, attention=attention)

    def resampled(channels: int) -> Stored:
        """A 1x1 convolution on the skip, or none."""
        told, skip = (1, 1) if song else (2, 0)
        return w.block(channels, channels, 4 * c, told=told, skip=skip)

    encoder = {
        "4x4_conv": w.conv(1, c, 3),
        "4x4_block0": block(c, c),
        "2x2_down": resampled(c),
        "2x2_block0": block(c, 2 * c, attention=True),
    }
    decoder = {
        "2x2_in0": block(2 * c, 2 * c, attention=True),
        "2x2_in1": block(2 * c, 2 * c),
        "2x2_block0": block(4 * c, 2 * c, attention=not song),
        "2x2_block1": block(3 * c, 2 * c, attention=True),
        "4x4_up": resampled(2 * c),
        "4x4_block0": block(3 * c, c),
        "4x4_block1": block(2 * c, c),
    }
    return encoder, decoder


def model(kind: str) -> Stored:
    """SongUNet(**SONG) or DhariwalUNet(**ADM), for 4x4 images of one channel."""
    w, song = Weights(), kind == "SongUNet"
    arguments = SONG if song else ADM
    c = arguments["model_channels"]
    assert isinstance(c, int)
    encoder, decoder = _levels(w, c, song)
    parts: dict[str, Any] = {
        "map_noise": module("PositionalEmbedding"),
        "map_layer0": w.linear(c, 4 * c),
        "map_layer1": w.linear(4 * c, 4 * c),
        "map_label": w.linear(3, c) if song else w.linear(3, 4 * c, bias=False),
    }
    if song:
        parts["map_augment"] = w.linear(9, c, bias=False)
        decoder["4x4_aux_norm"], decoder["4x4_aux_conv"] = w.norm(c), w.conv(c, 1, 3)
    else:
        parts["map_augment"] = None
        parts["out_norm"], parts["out_conv"] = w.norm(c), w.conv(c, 1, 3)
    for name, children in (("enc", encoder), ("dec", decoder)):
        parts[name] = nn.ModuleDict()
        parts[name]._modules = children
    made = module(kind, children=parts)
    size = {"img_resolution": 4, "in_channels": 1, "out_channels": 1}
    made.state |= {"_init_args": (), "_init_kwargs": {**size, **arguments}}
    return made


def snapshot(inside: Any, kind: str = "EDMPrecond", **state: Any) -> dict[str, Any]:
    """What EDM's training saves of a model."""
    wrapper = module(kind, children={"model": inside})
    wrapper.state |= {"sigma_data": 0.5, "sigma_max": float("inf"), "use_fp16": True, **state}
    wrapper.state |= {"_init_args": (), "_init_kwargs": {"model_type": inside.kind}}
    easy = sys.modules["dnnlib.util"].EasyDict
    data = {"ema": wrapper, "loss_fn": Stored("EDMLoss", P_mean=-1.2), "augment_pipe": None}
    return {**data, "dataset_kwargs": easy(path="images", use_labels=True)}


def tensor(inside: Stored, path: str) -> Tensor:
    """A weight of a model by EDM's name."""
    *modules, name = path.split(".")
    for part in modules:
        table = inside._modules if isinstance(inside, nn.ModuleDict) else inside.state["_modules"]
        inside = table[part]
    return inside.state["_parameters"][name]


def write(path: Path, value: Any) -> Path:
    """`value` pickled; returns the path."""
    path.write_bytes(pickle.dumps(value))
    return path


class Calls:
    """Pickled as a call of `function`."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def refusal(tmp_path: Path, value: Any) -> str:
    """The message with which a file of `value` is refused."""
    with pytest.raises(PretrainedError) as caught:
        edm_weights(write(tmp_path / "n.pkl", value))
    assert isinstance(caught.value, UserError)
    assert str(tmp_path / "n.pkl") in str(caught.value)
    return str(caught.value)
