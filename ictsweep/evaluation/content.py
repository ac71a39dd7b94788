"""What identifies pictures and their labels: the hash that the manifest of prepared data has."""

import hashlib

import torch
from torch import Tensor

from ictsweep.errors import UserError

_PART = 4096


class ContentHash:
    """The hash of pictures that come in parts, in the words of `Images.digest`: 16 hexadecimal
    digits of the SHA-256 of the shape, the pixels and the labels.
    """

    def __init__(self, shape: torch.Size) -> None:
        self._digest = hashlib.sha256(str(tuple(shape)).encode())

    def add(self, pixels: Tensor) -> None:
        """The next pictures, uint8 [m, c, h, w] on the CPU."""
        self._digest.update(pixels.contiguous().numpy().data)

    def finish(self, labels: Tensor | None) -> str:
        """The hash, after all pictures; `labels` int64 [n] or None."""
        if labels is not None:
            self._digest.update(labels.contiguous().numpy().data)
        return self._digest.hexdigest()[:16]


def content_digest(pixels: Tensor, labels: Tensor | None) -> str:
    """The hash of pictures uint8 [n, c, h, w], which may lie in a mapped file larger than the
    memory, and labels [n] or None.
    """
    found = ContentHash(pixels.shape)
    for part in pixels.split(_PART):
        found.add(part)
    return found.finish(labels)


def require_content(found: str, expected: str) -> None:
    """UserError unless the hash found is the one that the data were prepared with."""
    if found != expected:
        raise UserError(
            f"the data changed: their hash is {found}, they were prepared as {expected}; "
            "delete the folder and prepare them again, or prepare into another one (--to)"
        )
