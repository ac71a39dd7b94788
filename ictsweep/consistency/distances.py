"""How far apart two images are."""

import importlib.util
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt
from torch import Tensor, nn

__all__ = ["L2", "MeanSquare", "Perceptual", "PseudoHuber"]


@dataclass(frozen=True, kw_only=True)
class PseudoHuber:
    """d(x, y) = sqrt(||x - y||^2 + c^2) - c  with  c = c_scale sqrt(d), over the d coordinates of
    an image.

    Section 3.3 of Song & Dhariwal 2023 (arXiv:2310.14189). There is ONE norm, over all d
    coordinates of an image; applied to each pixel with the same c it would be a scaled squared L2,
    which is a different method.
    """

    name: Literal["pseudo_huber"] = "pseudo_huber"
    c_scale: Annotated[float, Gt(0)] = 0.00054

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance of each image of `x` to its counterpart in `y`, both [n, ...]; [n], in
        float32 or finer."""
        square = _square(x, y)
        c = self.c_scale * math.sqrt(x[0].numel())
        # The textbook form loses every digit once ||x - y|| << c; this quotient is the same number
        # and loses none.
        return square / ((square + c * c).sqrt() + c)


@dataclass(frozen=True, kw_only=True)
class L2:
    """d(x, y) = ||x - y||_2 over all coordinates of an image. Geng et al. 2024 (arXiv:2406.14548),
    CIFAR-10."""

    name: Literal["l2"] = "l2"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance of each image of `x` to its counterpart in `y`, both [n, ...]; [n], in
        float32 or finer. Equal images have no gradient."""
        square = _square(x, y)
        apart = square > 0
        return torch.where(apart, square, 1.0).sqrt() * apart


@dataclass(frozen=True, kw_only=True)
class MeanSquare:
    """d(x, y) = ||x - y||_2^2 / d, over the d coordinates of an image: CT's L2 metric as
    released (arXiv:2303.01469).

    EDM (arXiv:2206.00364) sums instead. The factor only scales the loss, but the first steps of
    RAdam are not normalised: with the sum they would be thousands of times longer, and diverge.
    """

    name: Literal["mean_square"] = "mean_square"

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance of each image of `x` to its counterpart in `y`, both [n, ...]; [n], in
        float32 or finer."""
        return _square(x, y) / x[0].numel()


@dataclass(frozen=True, kw_only=True)
class Perceptual:
    """LPIPS: the distance of two images in the features of a VGG-16, both resized to 224 pixels.

    Zhang et al. 2018 (arXiv:1801.03924), as the metric of Song et al. 2023 (arXiv:2303.01469). The
    network comes from the package `lpips`, an optional dependency: ictsweep[perceptual].
    """

    name: Literal["perceptual"] = "perceptual"

    @staticmethod
    def available() -> bool:
        """Is the package `lpips` installed?"""
        return importlib.util.find_spec("lpips") is not None

    @staticmethod
    def obstacle() -> str | None:
        """What keeps the network from being built, None if nothing does.

        The package has LPIPS's own weights; those of VGG-16 torchvision downloads when the network
        is first built, here or in training, and keeps in torch's cache folder (TORCH_HOME).
        """
        try:
            _lpips(torch.device("cpu"))
        except (ImportError, OSError, RuntimeError) as error:
            folder = Path(torch.hub.get_dir()) / "checkpoints"
            return (
                f"got perceptual; LPIPS cannot be built: {type(error).__name__}: {error}. It needs "
                f"torchvision and its weights of VGG-16 in {folder}, downloaded once if possible"
            )
        return None

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The distance of each image of `x` to its counterpart in `y`, both [n, 1 or 3, h, w] in
        [-1, 1]; float32 [n]."""
        network = _lpips(x.device)
        return network(_viewed(x), _viewed(y)).flatten()


def _square(x: Tensor, y: Tensor) -> Tensor:
    difference = (x - y).flatten(1)
    difference = difference.to(torch.promote_types(difference.dtype, torch.float32))
    return difference.square().sum(1)


def _viewed(x: Tensor) -> Tensor:
    """Three channels of 224 x 224 pixels, as the features expect them."""
    x = x.float().expand(-1, 3, -1, -1)
    return nn.functional.interpolate(x, size=224, mode="bilinear", align_corners=False)


@lru_cache(maxsize=8)  # fixed weights, one copy for each device
def _lpips(device: torch.device) -> Any:
    import lpips  # pyright: ignore[reportMissingImports]

    return lpips.LPIPS(net="vgg", verbose=False).eval().requires_grad_(False).to(device)
