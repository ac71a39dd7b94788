"""A data set as it is trained on: 8-bit pictures, in memory or in a mapped file, and the maps to
and from [-1, 1].
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

MIN_SIDE = 8  # pixels: the networks halve pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Pictures and what identifies them.

    `pixels` uint8 [n, c, h, w], perhaps a map of a file larger than the memory; `labels` int64 [n]
    or None; `name` is how people call the data set; `digest` is `digest_of(pixels, labels)`.
    """

    pixels: Tensor
    labels: Tensor | None
    name: str
    digest: str

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one picture."""
        _, c, h, w = self.pixels.shape
        return c, h, w


def digest_of(pixels: Tensor, labels: Tensor | None) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the shape, the pixels and the labels."""
    digest = hashlib.sha256(str(tuple(pixels.shape)).encode())
    digest.update(pixels.contiguous().numpy().data)
    if labels is not None:
        digest.update(labels.contiguous().numpy().data)
    return digest.hexdigest()[:16]


def to_model(pixels: Tensor) -> Tensor:
    """uint8 [..] -> float32 [..] in [-1, 1]: x / 127.5 - 1."""
    return pixels.to(torch.float32, copy=True).div_(127.5).sub_(1)


def to_pixels(x: Tensor) -> Tensor:
    """float [..] -> uint8 [..] as EDM rounds (Karras et al. 2022, arXiv:2206.00364):
    trunc(clip(127.5 x + 128, 0, 255)).

    Undoes `to_model` exactly, for each of the 256 values.
    """
    return (x.to(torch.float32) * 127.5 + 128).clip(0, 255).to(torch.uint8)
