"""Weights' files of the two Inception networks, in the published files' layouts, drawn at random.

The layers are clean-fid's own; nothing is downloaded.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from cleanfid import inception_pytorch
from cleanfid.inception_torchscript import InceptionV3W
from torch import Tensor, nn
from torch.nn import functional as F

_CPU = torch.device("cpu")


class Scripted(nn.Module):
    """What inception-2015-12-05.pt offers: `layers`, `output`, and a forward that resizes."""

    def __init__(self, layers: nn.Module, output: nn.Linear) -> None:
        super().__init__()
        self.layers = layers
        self.output = output

    def forward(
        self,
        img: Tensor,
        return_features: bool = False,
        use_fp16: bool = False,
        no_output_bias: bool = False,
    ) -> Tensor:
        n, c, h, w = img.shape
        x = img.to(torch.float16 if use_fp16 else torch.float32)
        # TensorFlow's old bilinear resizing: corners of pixels, not their centres, are aligned.
        move = torch.eye(2, 3, device=x.device)
        move[0, 2] = 1 / w - 1 / 299
        move[1, 2] = 1 / h - 1 / 299
        places = F.affine_grid(
            move.to(x.dtype).unsqueeze(0).repeat(n, 1, 1), [n, c, 299, 299], align_corners=False
        )
        x = F.grid_sample(x, places, mode="bilinear", padding_mode="border", align_corners=False)
        features = self.layers((x - 128) / 128).reshape(n, -1).to(torch.float32)
        if return_features:
            return features
        bias = None if no_output_bias else self.output.bias
        return F.softmax(F.linear(features, self.output.weight, bias), dim=1)


@contextlib.contextmanager
def without_download(state: dict[str, Tensor] | None) -> Iterator[None]:
    """clean-fid's port takes `state` for its published weights; None: it keeps what it drew."""

    def load(*_args: object, **_options: object) -> dict[str, Tensor] | None:
        return state

    with (
        patch.object(inception_pytorch, "load_state_dict_from_url", load),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        if state is not None:
            yield
            return
        with patch.object(nn.Module, "load_state_dict", lambda *_: None):
            yield


def random_inception(seed: int = 0) -> Any:
    """clean-fid's InceptionV3 with its classifier; features have a spread of about one."""
    with torch.random.fork_rng(devices=[]), without_download(None):
        torch.manual_seed(seed)
        network: Any = inception_pytorch.fid_inception_v3()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                assert module.running_var is not None
                nn.init.uniform_(module.bias, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.8, 1.2)
        nn.init.normal_(network.fc.weight, std=0.02)
    return network.eval().requires_grad_(False)


def write_port(network: nn.Module, path: Path) -> None:
    """The state_dict as pytorch-fid publishes it."""
    torch.save(network.state_dict(), path)


def pooled_layers(network: Any) -> nn.Sequential:
    """From [n, 3, 299, 299] to [n, 2048, 1, 1]."""
    first = [network.Conv2d_1a_3x3, network.Conv2d_2a_3x3, network.Conv2d_2b_3x3]
    second = [network.Conv2d_3b_1x1, network.Conv2d_4a_3x3]
    names = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
    mixed = [getattr(network, f"Mixed_{name}") for name in names]
    pool = nn.MaxPool2d(kernel_size=3, stride=2)
    return nn.Sequential(*first, pool, *second, pool, *mixed, nn.AvgPool2d(kernel_size=8, stride=8))


def write_scripted(network: Any, path: Path) -> None:
    """A TorchScript file with the published one's layout."""
    layers = pooled_layers(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        traced: Any = torch.jit.trace(layers, torch.zeros(2, 3, 299, 299), check_trace=False)
        torch.jit.script(Scripted(traced, network.fc)).save(str(path))


def cleanfid_model(
    folder: Path, network: nn.Module, mode: str, device: torch.device = _CPU
) -> Callable[[Tensor], Tensor]:
    """clean-fid's own function of a mode from resized pictures to features, as its
    `build_feature_extractor` puts it together, with the scripted file in `folder` or the port's
    weights.
    """
    if mode == "legacy_pytorch":
        with without_download(network.state_dict()):
            port = inception_pytorch.InceptionV3(output_blocks=[3], resize_input=False)
        port = port.to(device).eval()
        return lambda x: port(x / 255)[0].squeeze(-1).squeeze(-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return InceptionV3W(str(folder), False, mode == "legacy_tensorflow").to(device).eval()
