"""From pictures to features: the one interface of all feature networks, and how each is prepared.

A network of your own comes in as a TorchScript file (`TorchScriptFeatures`) or as one more class
here that has what `Extractor` lists.
"""

import importlib.util
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.feature_config import (
    CifarResNetFeatures,
    ClassifierFeatures,
    Dinov2Features,
    FeatureConfig,
    InceptionFeatures,
    TorchScriptFeatures,
)
from ictsweep.evaluation.trained import trained_extractor
from ictsweep.evaluation.weight_files import file_problem
from ictsweep.evaluation.weights import published

_CPU = torch.device("cpu")


class Extractor(Protocol):
    """Maps pictures to features, in float32 without TF32; what it is goes into every passport.

    `name` is the network's; `weights` 16 hexadecimal digits of the SHA-256 of its weights; `resize`
    what is done to the pictures' size before, in words ("none"); `metric` what people call the
    Fréchet distance of these features; `dims` how many there are; `classes` how many probabilities
    can be made of them, 0 for none.
    """

    name: str
    weights: str
    resize: str
    metric: str
    dims: int
    classes: int

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [n, c, h, w] on any device, n >= 1 -> float32 [n, dims] on the CPU.

        In batches of a fixed size from the first picture on: calls that split pictures at multiples
        of 256 give the same bits as one call; other splits differ by rounding alone.
        """
        ...

    def probabilities(self, features: Tensor) -> Tensor:
        """Features [n, dims] -> the classes' probabilities, float32 [n, classes] on the CPU."""
        ...

    def to(self, device: torch.device) -> "Extractor":
        """Move the network to a device, and return it."""
        ...


def prepare_extractor(
    config: FeatureConfig,
    images: Tensor,
    labels: Tensor | None,
    name: str,
    cache: Path,
    device: torch.device = _CPU,
    digest: str | None = None,
) -> Extractor:
    """The extractor that a configuration asks for, on `device`.

    `images` uint8 [n, c, h, w] with labels [n] or None are the data that samples are compared with,
    called `name`: a classifier is trained on them (seconds; kept in `cache` under their `digest`,
    computed now where it is None), other networks are tried on two of them. UserError, with what to
    do, when a file or a package is missing, when a file holds something else, or when the network
    does not fit the pictures.
    """
    if isinstance(config, ClassifierFeatures):
        return trained_extractor(images, labels, name, cache, digest)
    problems = feature_problems(config)
    if problems:
        raise UserError("; ".join(problems))
    return _published_extractor(config, images, device)


def _published_extractor(
    config: InceptionFeatures | CifarResNetFeatures | TorchScriptFeatures | Dinov2Features,
    images: Tensor,
    device: torch.device,
) -> Extractor:
    """Each network's module, with its libraries, is imported where it is asked for."""
    match config:
        case InceptionFeatures():
            from ictsweep.evaluation.inception import inception_extractor

            return inception_extractor(config, images, device)
        case CifarResNetFeatures():
            from ictsweep.evaluation.cifar_resnet import cifar_resnet_extractor

            return cifar_resnet_extractor(config, images, device)
        case TorchScriptFeatures():
            from ictsweep.evaluation.torchscript import torchscript_extractor

            return torchscript_extractor(config, images, device)
        case Dinov2Features():
            from ictsweep.evaluation.dinov2 import dinov2_extractor

            return dinov2_extractor(config, images, device)


def feature_problems(config: FeatureConfig) -> list[str]:
    """What is missing or wrong, as far as a look at the files tells: cheap, for before a start."""
    problems = []
    if config.location is not None:
        problem = file_problem(config.location, scripted=_is_scripted(config))
        problems += [f"{problem}: {_remedy(config)}"] if problem else []
    if isinstance(config, Dinov2Features) and importlib.util.find_spec("timm") is None:
        problems.append("DINOv2 features need timm: pip install 'ictsweep[dinov2]'")
    return problems


def _is_scripted(config: FeatureConfig) -> bool:
    if isinstance(config, InceptionFeatures):
        return config.mode != "legacy_pytorch"
    return isinstance(config, TorchScriptFeatures)


def _remedy(config: FeatureConfig) -> str:
    if not isinstance(config, InceptionFeatures):
        return (
            f"`path` of the {config.name} features (--weights of commands) must name the file of "
            "their weights"
        )
    file = published(config.mode)
    option = " --mode legacy_pytorch" if config.mode == "legacy_pytorch" else ""
    return (
        f"`ictsweep prepare inception{option}` fetches the weights; without a network, copy "
        f"{file.url} to {config.location}"
    )
