"""Augmentation that does not leak into samples: the network is told what was done to each picture.

Appendix F.2 of Karras et al. 2022 (arXiv:2206.00364), after Karras et al. 2020 (arXiv:2006.06676):
mirrorings, and one geometric transform that scales, rotates, stretches and shifts. What was done is
given to the network in 9 numbers which are all 0 for an untouched picture; so a sampler that says
nothing asks for untouched ones.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Augmentation", "augmented", "draw_augmentation"]

_LOG2_SCALE = 0.2  # standard deviation, of the scale and of the anisotropic one
_SHIFT = 0.125  # standard deviation, of the picture's side

# The low-pass filter of the sym6 wavelet (Daubechies 1992, least asymmetric, 6 vanishing moments):
# orthogonal to its even shifts, so that doubling a picture and halving it gives the picture back.
_SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
_EDGE = len(_SYM6) // 4  # pixels beyond the picture that its last pixels are made of


@dataclass(frozen=True, kw_only=True, eq=False)
class Augmentation:
    """What is done to each of n pictures, all of it 0 or False where nothing is.

    `mirrored` and `upended` bool [n]: left to right, top to bottom. Then, with float32 numbers:
    enlarged 2^(0.2 scale)-fold; turned by `angle` radians; enlarged 2^(0.2 stretch)-fold along
    `direction` (radians) and reduced as much across it; shifted by `shift` [n, 2] (x, y) times an
    eighth of the picture's width and height.
    """

    mirrored: Tensor
    upended: Tensor
    scale: Tensor
    angle: Tensor
    stretch: Tensor
    direction: Tensor
    shift: Tensor

    @property
    def labels(self) -> Tensor:
        """What the network is told, [n, 9]: 0 where a picture is untouched, and only there. As in
        EDM, stretching along a direction and squeezing along the opposite one are told alike.
        """
        columns = [
            self.mirrored.to(self.scale.dtype),
            self.upended.to(self.scale.dtype),
            self.scale,
            self.angle.cos() - 1,
            self.angle.sin(),
            self.stretch * self.direction.cos(),
            self.stretch * self.direction.sin(),
        ]
        return torch.cat([torch.stack(columns, dim=1), self.shift], dim=1)


def draw_augmentation(
    n: int,
    probability: float,
    mirror: bool,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> Augmentation:
    """The augmentation of `n` pictures on `device`, where `generator` lives.

    Each of the rest happens with `probability`, on its own: upended (then in half of the cases),
    scale ~ N(0, 1), angle uniform in the circle, stretch ~ N(0, 1) along the rows or, in half of
    the cases, along any direction, shift ~ N(0, 1). With `mirror` half of the pictures are
    mirrored, whatever the probability: the network is told of that too. Table 6 of Karras et al.
    2022.
    """
    options = {"generator": generator, "device": device or generator.device}
    u = torch.rand(10, n, **options)
    normal = torch.randn(4, n, **options)
    chosen = u[:5] < probability
    turn = math.pi * (2 * u[5:7] - 1)
    nothing = torch.zeros_like(normal[0])
    return Augmentation(
        mirrored=(u[7] < 0.5) & mirror,
        upended=chosen[0] & (u[8] < 0.5),
        scale=torch.where(chosen[1], normal[0], nothing),
        angle=torch.where(chosen[2], turn[0], nothing),
        stretch=torch.where(chosen[3], normal[1], nothing),
        direction=torch.where(chosen[3] & (u[9] < 0.5), turn[1], nothing),
        shift=torch.where(chosen[4], normal[2:], nothing).T,
    )


def augmented(images: Tensor, what: Augmentation) -> Tensor:
    """`images` float32 [n, c, h, w] in [-1, 1], each after its augmentation.

    The geometric transform is one look-up in a picture of twice the size, which the sym6 wavelet
    makes and undoes (bilinear between its pixels). Beyond its border the picture is reflected, by
    all but one of its pixels; farther out, it is grey. EDM reflects by as much as the batch needs
    at its corners; here a picture does not depend on the others. Untouched pictures stay as they
    are bit by bit. The products want float32 without TF32.
    """
    images = torch.where(_each(what.mirrored), images.flip(-1), images)
    images = torch.where(_each(what.upended), images.flip(-2), images)
    moved = what.labels[:, 2:].any(dim=1)
    return torch.where(_each(moved), _transformed(images, what), images)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _transformed(images: Tensor, what: Augmentation) -> Tensor:
    """Each pixel is looked up where the inverse transform puts it."""
    h, w = images.shape[-2:]
    size = [*images.shape[:2], *(2 * (side + 2 * _EDGE) for side in (h, w))]
    grid = F.affine_grid(_inverse(what, h, w).to(images.dtype), size, align_corners=False)
    doubled = _doubling(h).to(images) @ (images @ _doubling(w).to(images).T)
    found = F.grid_sample(doubled, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return _halving(h).to(images) @ (found @ _halving(w).to(images).T)


def _inverse(what: Augmentation, h: int, w: int) -> Tensor:
    """From places in the doubled result to places in the doubled source, [n, 2, 3], each in units
    of half of its own size: the result has `_EDGE` pixels more on every side, the source reflects.
    """
    matrix = _linear(what)
    sides = matrix.new_tensor([w, h])
    # Doubling puts the two pixels for one at -1/4 - 1/4 and 1/4 - 1/4 of it: half a pixel of twice
    # the size is taken off before the transform, and put back after it.
    offset = 0.5 - 2 * _SHIFT * sides * what.shift
    moved = (matrix @ offset[:, :, None]) - 0.5
    inverse = torch.cat([matrix * (sides + 2 * _EDGE), moved], dim=2)
    return inverse / (3 * sides - 2)[:, None]


def _linear(what: Augmentation) -> Tensor:
    """The inverse of scale, rotation and anisotropic scale, [n, 2, 2], y pointing down."""
    larger, longer = (torch.exp2(_LOG2_SCALE * part) for part in (what.scale, what.stretch))
    squeeze = torch.stack([1 / longer, longer], dim=1) / larger[:, None]
    turn, back = _rotation(what.angle - what.direction), _rotation(what.direction)
    return turn @ (squeeze[:, :, None] * back)


def _rotation(angle: Tensor) -> Tensor:
    rows = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1)
    return rows.view(-1, 2, 2)


@lru_cache(maxsize=8)  # a pure function of the side
def _doubling(side: int) -> Tensor:
    """From a row of pixels to the row of twice the size, reflected at both ends: [2 (3 side - 2),
    side]."""
    padded = torch.arange(3 * side - 2)
    taps = torch.tensor(_SYM6, dtype=torch.float64)
    source = side - 1 - (side - 1 - (padded - (side - 1)).abs()).abs()
    matrix = torch.zeros(2 * len(padded), side, dtype=torch.float64)
    for tap, height in enumerate(taps):
        row = 2 * padded + tap - (len(_SYM6) // 2 - 1)
        inside = (row >= 0) & (row < len(matrix))
        matrix.index_put_((row[inside], source[inside]), height, accumulate=True)
    return matrix


@lru_cache(maxsize=8)
def _halving(side: int) -> Tensor:
    """From the row of twice the size, `_EDGE` pixels longer at both ends, back: [side, 2 (side + 2
    _EDGE)]."""
    matrix = torch.zeros(side, 2 * (side + 2 * _EDGE), dtype=torch.float64)
    row = torch.arange(side)
    for tap, height in enumerate(_SYM6):
        matrix[row, 2 * (row + _EDGE) + tap - (len(_SYM6) // 2 - 1)] = height
    return matrix
