"""The 2,048 pooled features of InceptionV3 of 2015, by clean-fid's networks (Parmar et al. 2022,
arXiv:2104.11222): the features of FID (Heusel et al. 2017, arXiv:1706.08500).

The networks are clean-fid's; the resizing of its mode `clean` is done by matrix products on the
device instead of Pillow, which gives the same features to 1e-4.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from cleanfid import inception_pytorch
from cleanfid.inception_torchscript import InceptionV3W
from torch import Tensor, nn
from torch.nn import functional as F

from ictsweep.errors import UserError
from ictsweep.evaluation.extraction import (
    Identity,
    NetworkExtractor,
    reason_of,
    require_rgb,
    rgb,
    tried,
)
from ictsweep.evaluation.feature_config import InceptionFeatures, InceptionMode
from ictsweep.evaluation.resizing import Bicubic
from ictsweep.evaluation.weight_files import sha256
from ictsweep.evaluation.weights import published

DIMS = 2048
_SIDE = 299
_METRICS: dict[InceptionMode, str] = {
    "legacy_tensorflow": "FID",
    "clean": "FID (clean)",
    "legacy_pytorch": "FID (legacy PyTorch port)",
}
_RESIZES: dict[InceptionMode, str] = {
    "legacy_tensorflow": "bilinear to 299, no anti-aliasing, TensorFlow's corners, in the network",
    "clean": "bicubic to 299, anti-aliasing, not rounded, as Pillow",
    "legacy_pytorch": "bilinear to 299, no anti-aliasing, as PyTorch",
}


def inception_extractor(
    config: InceptionFeatures, images: Tensor, device: torch.device
) -> NetworkExtractor:
    """The extractor of a mode for pictures uint8 [n, 1 or 3, h, w]; grey is repeated.

    Its probabilities are those of the Inception Score: the network's 1,008 classes without the
    bias of the last layer, as in the first implementation (Salimans et al. 2016, arXiv:1606.03498).
    Weights other than the published ones are taken, and named as such in `metric`.
    """
    require_rgb(images, "Inception")
    path = config.location
    assert path is not None
    load = _load_port if config.mode == "legacy_pytorch" else _load_scripted
    try:
        body, output = load(path, config.mode)
    except UserError:
        raise
    except Exception as error:  # a damaged archive raises anything
        raise UserError(
            f"{path} is damaged or holds no weights of Inception ({reason_of(error)})"
        ) from None
    dims = tried(body, images, path, device)
    if (dims, output.shape[1]) != (DIMS, DIMS):
        raise UserError(f"{path} gives {dims} features, Inception gives {DIMS}")
    identity = _identity(config.mode, sha256(path))
    return NetworkExtractor(identity, body, DIMS, _head(output)).to(device)


def _identity(mode: InceptionMode, digest: str) -> Identity:
    known = digest == published(mode).sha256
    return Identity(
        name=f"inception-{mode}",
        weights=digest[:16],
        resize=_RESIZES[mode],
        metric=_METRICS[mode] + ("" if known else ", unpublished weights"),
    )


def _head(weight: Tensor) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):  # building layers draws random numbers
        head = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    head.weight = nn.Parameter(weight.detach().float(), requires_grad=False)
    return head


class _Loaded(InceptionV3W):
    """clean-fid's network around a file that is open already: its own constructor takes a folder
    and may download into it.
    """

    def __init__(self, base: Any, resize_inside: bool) -> None:
        nn.Module.__init__(self)
        self.base = base
        self.layers = base.layers
        self.resize_inside = resize_inside


class _Scripted(nn.Module):
    """From uint8 pictures to the features of the TorchScript copy."""

    def __init__(self, network: InceptionV3W, resize: nn.Module) -> None:
        super().__init__()
        self._network = network
        self._resize = resize

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, 1 or 3, h, w] -> [n, 2048]."""
        return self._network(rgb(self._resize(images.float())))


class _Port(nn.Module):
    """From uint8 pictures to the features of pytorch-fid's port."""

    def __init__(self, network: inception_pytorch.InceptionV3) -> None:
        super().__init__()
        self._network = network

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, 1 or 3, h, w] -> [n, 2048]."""
        size = (_SIDE, _SIDE)
        x = F.interpolate(images.float(), size, mode="bilinear", align_corners=False)
        return self._network(rgb(x.clamp(0, 255)) / 255)[0].flatten(1)


def _load_scripted(path: Path, mode: InceptionMode) -> tuple[nn.Module, Tensor]:
    """The network and the weights [1008, 2048] of its last layer."""
    with warnings.catch_warnings():
        # TorchScript is deprecated; the published file is TorchScript all the same.
        warnings.simplefilter("ignore")
        base = torch.jit.load(str(path), map_location="cpu").eval()
    if not (hasattr(base, "layers") and hasattr(base, "output")):
        raise UserError(f"{path} is a TorchScript file, but not that of Inception")
    inside = mode == "legacy_tensorflow"
    resize = nn.Identity() if inside else Bicubic(_SIDE)
    return _Scripted(_Loaded(base, inside), resize).eval().requires_grad_(False), base.output.weight


def _load_port(path: Path, _: InceptionMode) -> tuple[nn.Module, Tensor]:
    """The network and the weights [1008, 2048] of its last layer."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    with _published_as(state), torch.random.fork_rng(devices=[]):
        network = inception_pytorch.InceptionV3(output_blocks=[3], resize_input=False)
    # clean-fid scales [0, 1] to [-1, 1] inside.
    return _Port(network).eval().requires_grad_(False), state["fc.weight"]


@contextlib.contextmanager
def _published_as(state: dict[str, Tensor]) -> Iterator[None]:
    """clean-fid's port takes `state` for its weights: it knows no other way than a download."""
    download = inception_pytorch.load_state_dict_from_url
    inception_pytorch.load_state_dict_from_url = lambda *_, **__: state
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's, of the way clean-fid calls it
            yield
    finally:
        inception_pytorch.load_state_dict_from_url = download
