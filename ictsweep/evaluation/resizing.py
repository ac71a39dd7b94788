"""Pillow's bicubic resizing as two matrix products, on any device.

A separable filter is linear in the rows and in the columns. The matrix of a size is taken from
PyTorch's filter in float64, once: so it is closer to Pillow's than that filter in float32 is.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Bicubic(nn.Module):
    """Pictures [n, c, h, w] of levels 0 to 255 -> float32 [n, c, side, side], cut to that range.

    With anti-aliasing, as Pillow resizes pictures of decimal numbers (clean-fid's mode `clean`;
    Parmar et al. 2022, arXiv:2104.11222): nothing is rounded to whole levels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self._side = side
        self._matrices: dict[tuple[int, torch.device], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] of any type -> float32 [n, c, side, side]."""
        rows, columns = self._matrix(x.shape[2], x.device), self._matrix(x.shape[3], x.device)
        return (rows @ (x.float() @ columns.T)).clamp(0, 255)

    def _matrix(self, size: int, device: torch.device) -> Tensor:
        """The weights of one dimension, float32 [side, size]."""
        key = (size, device)
        if key not in self._matrices:
            # Each column of this picture is one pixel's response; its width stays as it is.
            units = torch.eye(size, dtype=torch.float64)[None, None]
            weights = F.interpolate(units, (self._side, size), mode="bicubic", antialias=True)
            self._matrices[key] = weights[0, 0].to(device, torch.float32)
        return self._matrices[key]
