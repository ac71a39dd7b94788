"""Many small pictures on one sheet."""

import io
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ictsweep.files import write_atomic

_VISIBLE = 32
_GREY = 96


def grid(images: Tensor, columns: int, scale: int | None = None, gap: int = 2) -> np.ndarray:
    """uint8 [n, c, h, w] -> uint8 [rows * (h * scale + gap), columns * (w * scale + gap), c], row
    by row.

    Empty places are black. `scale` repeats each pixel that many times; by default just enough
    to make the pictures 32 pixels high or more. `gap` grey pixels end every picture to the right
    and below, so that neighbours do not run into each other.
    """
    assert images.dtype == torch.uint8
    assert columns >= 1
    n, c, h, w = images.shape
    if scale is None:
        scale = math.ceil(_VISIBLE / h)
    rows = max(1, math.ceil(n / columns))
    places = images.new_zeros(rows * columns, c, h, w)
    places[:n] = images
    places = places.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    places = torch.nn.functional.pad(places, (0, gap, 0, gap), value=_GREY)
    h, w = places.shape[2:]
    sheet = places.view(rows, columns, c, h, w).permute(0, 3, 1, 4, 2)
    return sheet.reshape(rows * h, columns * w, c).cpu().numpy()


def save_png(path: Path, array: np.ndarray) -> None:
    """Write [h, w, 1 or 3] uint8 as a PNG, atomically."""
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    write_atomic(path, buffer.getvalue())
