"""The features of any network that somebody saved as TorchScript."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ictsweep.errors import UserError
from ictsweep.evaluation.extraction import Identity, NetworkExtractor, reason_of, tried
from ictsweep.evaluation.feature_config import TorchScriptFeatures
from ictsweep.evaluation.weight_files import file_hash


def torchscript_extractor(
    config: TorchScriptFeatures, images: Tensor, device: torch.device
) -> NetworkExtractor:
    """The extractor in the file at `config.path`, tried on two of the pictures uint8 [n, c, h, w].

    The file's forward takes uint8 pictures of the data's size and channels and returns their
    features, float [n, d], each row a function of its picture alone; what it resizes and scales, it
    does itself. It has no probabilities. UserError for anything else.
    """
    path = Path(config.path)
    body = _load(path)
    dims = tried(body, images, path, device)
    weights = file_hash(path)
    identity = Identity(
        name="torchscript",
        weights=weights,
        resize="inside the network, if any",
        metric=f"TorchScript {weights[:8]} Fréchet distance",
    )
    return NetworkExtractor(identity, body, dims).to(device)


def _load(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated; the file is what it is
            return torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # a damaged archive raises anything
        raise UserError(f"{path} is damaged or no TorchScript file ({reason_of(error)})") from None
