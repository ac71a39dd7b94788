"""Pictures through a published feature network: batches, precision, and a trial before use."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ictsweep.errors import UserError

# Divisors of 256, so that evaluations that split pictures there give the same batches.
_CPU_BATCH, _DEVICE_BATCH = 32, 128
# Rounding differs between batches by 1e-6 of the largest feature; forgotten training modes by 1e-1.
_ROUNDING = 1e-3
# The means and standard deviations of ImageNet's levels, as shares of 255.
_MEAN = (0.485, 0.456, 0.406)
_SD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What the passport says of a feature network: the fields of `Extractor` of the same names."""

    name: str
    weights: str
    resize: str
    metric: str


class NetworkExtractor:
    """An `Extractor` of a network `body` from uint8 [n, c, h, w] to [n, dims], and a `head` from
    there to class scores, or None.
    """

    def __init__(
        self, identity: Identity, body: nn.Module, dims: int, head: nn.Linear | None = None
    ) -> None:
        self.name = identity.name
        self.weights = identity.weights
        self.resize = identity.resize
        self.metric = identity.metric
        self.dims = dims
        self.classes = 0 if head is None else head.out_features
        self._body = body
        self._head = head
        self._device = torch.device("cpu")

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [n, c, h, w] on any device, n >= 1 -> float32 [n, dims] on the CPU."""
        assert images.dtype == torch.uint8
        batch = _CPU_BATCH if self._device.type == "cpu" else _DEVICE_BATCH
        with full_precision():
            parts = [self._body(x.to(self._device)).float().cpu() for x in images.split(batch)]
        return torch.cat(parts)

    @torch.no_grad()
    def probabilities(self, features: Tensor) -> Tensor:
        """Features [n, dims] -> the classes' probabilities, float32 [n, classes] on the CPU."""
        assert self._head is not None
        with full_precision():
            return self._head(features.to(self._device)).softmax(dim=1).cpu()

    def to(self, device: torch.device) -> "NetworkExtractor":
        """Move the network to a device, and return this."""
        _move(self._body, device)
        if self._head is not None:
            self._head.to(device)
        self._device = device
        return self


def _move(network: nn.Module, device: torch.device) -> None:
    # On a CPU, convolutions with the channels last take little more than half the time.
    layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
    network.to(device).to(memory_format=layout)  # pyright: ignore[reportCallIssue]


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Float32 products without TF32 on GPUs that have it."""
    products = bool(torch.backends.cuda.matmul.allow_tf32)
    convolutions = bool(torch.backends.cudnn.allow_tf32)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = products
        torch.backends.cudnn.allow_tf32 = convolutions


def rgb(images: Tensor) -> Tensor:
    """[n, 1 or 3, h, w] -> [n, 3, h, w]: grey is repeated, as Pillow's conversion does."""
    return images.expand(-1, 3, -1, -1)


def imagenet_scaled(x: Tensor) -> Tensor:
    """Levels 0 to 255 [n, 3, h, w] -> float32 with ImageNet's mean 0 and variance 1."""
    mean = torch.tensor(_MEAN, device=x.device).view(3, 1, 1)
    sd = torch.tensor(_SD, device=x.device).view(3, 1, 1)
    return (x.float() / 255 - mean) / sd


def require_rgb(images: Tensor, name: str) -> None:
    """UserError unless the pictures are grey or have three channels."""
    if images.shape[1] not in (1, 3):
        raise UserError(
            f"{name} features are for pictures with 1 or 3 channels; these have {images.shape[1]}"
        )


def tried(body: nn.Module, images: Tensor, path: Path | str, device: torch.device) -> int:
    """How many features a network gives, tried on two of the pictures uint8 [n, c, h, w] on the
    device where it will be used.

    UserError when it fails, when the result is not a finite [2, d] of decimal numbers, or when it
    depends on the call or on the other pictures of its batch (a file saved in training mode).
    """
    pair = images[torch.tensor([0, -1])].to(device)
    try:
        _move(body, device)
        with torch.no_grad(), full_precision():
            together, apart = body(pair), [body(x) for x in pair.split(1)]
    except Exception as error:  # whatever the file's code raises
        raise UserError(
            f"{path} does not take these pictures, uint8 {list(pair.shape)}: {reason_of(error, -1)}"
        ) from None
    if not isinstance(together, Tensor) or not together.is_floating_point():
        raise UserError(f"{path} gives no tensor of decimal numbers, expected features [n, d]")
    if together.dim() != 2 or len(together) != 2:
        raise UserError(f"{path} gives {list(together.shape)} for 2 pictures, expected [2, d]")
    _check_rows(together.float(), torch.cat(apart).float(), path)
    return together.shape[1]


def reason_of(error: Exception, line: int = 0) -> str:
    """One line of what a library says of its failure: the first, or the last where that tells."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[line].strip()


def _check_rows(together: Tensor, apart: Tensor, path: Path | str) -> None:
    if not bool(together.isfinite().all()):
        raise UserError(f"{path} gives features that are not finite")
    scale = float(together.abs().max())
    if apart.shape != together.shape or float((apart - together).abs().max()) > _ROUNDING * scale:
        raise UserError(
            f"{path} gives a picture other features in another call or another batch: was it saved "
            "in training mode? Features must depend on the picture alone"
        )
