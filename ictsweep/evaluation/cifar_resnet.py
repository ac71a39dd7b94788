"""The pooled features of a ResNet for CIFAR-10 (He et al. 2016, arXiv:1512.03385, section 4.2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ictsweep.errors import UserError
from ictsweep.evaluation.extraction import (
    Identity,
    NetworkExtractor,
    imagenet_scaled,
    reason_of,
    tried,
)
from ictsweep.evaluation.feature_config import CifarResNetFeatures
from ictsweep.evaluation.weight_files import file_hash

_WIDTHS = (16, 32, 64)
_SHAPE = (3, 32, 32)


class CifarResNet(nn.Module):
    """ResNet-(6n + 2): one convolution, three stages of n residual blocks of width 16, 32 and 64,
    average pooling to 64 features, one linear layer.

    The names of its weights are those of the published files.
    """

    def __init__(self, n: int, classes: int) -> None:
        super().__init__()
        self.conv1 = _convolution(3, _WIDTHS[0], 1)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.layer1 = _stage(n, _WIDTHS[0], _WIDTHS[0])
        self.layer2 = _stage(n, _WIDTHS[0], _WIDTHS[1])
        self.layer3 = _stage(n, _WIDTHS[1], _WIDTHS[2])
        self.linear = nn.Linear(_WIDTHS[2], classes)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, 3, 32, 32] -> the pooled features [n, 64]."""
        x = F.relu(self.bn1(self.conv1(imagenet_scaled(images))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return x.mean(dim=(2, 3))


class _Block(nn.Module):
    """Two 3x3 convolutions beside the identity; where the size halves and the width doubles, the
    identity skips every second pixel and is padded with channels of zeros (the paper's option A).
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self._stride = 1 if width_in == width else 2
        self._pad = (width - width_in) // 2
        self.conv1 = _convolution(width_in, width, self._stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """[n, width_in, h, w] -> [n, width, h / stride, w / stride]."""
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        beside = x[:, :, :: self._stride, :: self._stride]
        return F.relu(inner + F.pad(beside, (0, 0, 0, 0, self._pad, self._pad)))


def cifar_resnet_extractor(
    config: CifarResNetFeatures, images: Tensor, device: torch.device
) -> NetworkExtractor:
    """The extractor of the weights at `config.path`, for pictures uint8 [n, 3, 32, 32]."""
    path = Path(config.path)
    if tuple(images.shape[1:]) != _SHAPE:
        raise UserError(
            f"cifar_resnet features are for pictures of 3 x 32 x 32; these are "
            f"{' x '.join(map(str, images.shape[1:]))}"
        )
    network, n = _load(path)
    tried(network, images, path, device)
    identity = Identity(
        name=f"cifar-resnet-{6 * n + 2}",
        weights=file_hash(path),
        resize="none",
        metric=f"ResNet-{6 * n + 2} Fréchet distance",
    )
    return NetworkExtractor(identity, network, _WIDTHS[-1], network.linear).to(device)


def _load(path: Path) -> tuple[CifarResNet, int]:
    """The network in a file and its n, read from the names of the weights."""
    state = _state(path)
    n = len({key.split(".")[1] for key in state if key.startswith("layer1.")})
    head = state.get("linear.weight")
    if not n or head is None or head.dim() != 2:
        raise UserError(f"{path} holds no ResNet for CIFAR-10: no layer1 or no linear.weight in it")
    with torch.random.fork_rng(devices=[]):  # building layers draws random numbers
        network = CifarResNet(n, len(head))
    # Files from before PyTorch 0.4 do not count batches.
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    try:
        network.load_state_dict({**counters, **state})
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"{path} is not of a ResNet-{6 * n + 2} for CIFAR-10: {reason}") from None
    return network.eval().requires_grad_(False), n


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, alone or under "state_dict", without the names' "module."."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises anything
        raise UserError(f"{path} is damaged or no file of weights ({reason_of(error)})") from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(v, Tensor) for v in content.values()):
        raise UserError(f"{path} holds no state_dict: expected tensors by name")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def _stage(n: int, width_in: int, width: int) -> nn.Sequential:
    return nn.Sequential(*[_Block(width if i else width_in, width) for i in range(n)])


def _convolution(width_in: int, width: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=False)
