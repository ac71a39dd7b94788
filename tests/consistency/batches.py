"""Batches of the scalar programs' images, and three linear networks to tell apart."""

import torch
from torch import Tensor, nn

from ictsweep.consistency import (
    METHODS,
    Batch,
    Denoiser,
    Method,
    consistency_loss,
)
from tests.consistency.scalar import (
    GENERATOR,
    IMAGES,
    NOISES,
    STUDENT,
    TEACHER,
)

ICT, ECT = METHODS["ict"], METHODS["ect"]


class Linear(nn.Module):
    """F(x, c) = a x + b c + e for every pixel, in float64."""

    def __init__(self, abe: tuple[float, float, float]) -> None:
        super().__init__()
        self.abe = nn.Parameter(torch.tensor(abe, dtype=torch.float64))

    def forward(self, x: Tensor, c_noise: Tensor, *_: Tensor | None) -> Tensor:
        return self.abe[0] * x + self.abe[1] * c_noise[:, None, None, None] + self.abe[2]


def double(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def images(values) -> Tensor:
    return double(values).view(-1, 1, 2, 2)


def at(t: Tensor, r: Tensor, **others) -> Batch:
    return Batch(images(IMAGES), images(NOISES), t, r, **others)


def on_grid(n: int, method: Method = ICT, **others) -> tuple[Batch, list[int]]:
    """The three images on the intervals 1, n // 2 and n - 1 of n levels."""
    levels = method.pairs.grid.levels(n)
    i = torch.tensor([1, n // 2, n - 1])
    return at(levels[i], levels[i - 1], **others), i.tolist()


def in_stage(progress: float, method: Method = ECT, t=(0.4, 2.5, 6.0), **others) -> Batch:
    """The three images at continuous levels `t`, with r by the method's curriculum."""
    return at(double(t), method.pairs.steps.lower(double(t), progress), **others)


def denoisers(method: Method) -> list[Denoiser]:
    return [Denoiser(Linear(w), method.scalings) for w in (STUDENT, TEACHER, GENERATOR)]


def losses(method: Method, batch: Batch) -> list[float]:
    """With a teacher and a generator of their own, so that no network can stand in for another."""
    student, teacher, generator = denoisers(method)
    got = consistency_loss(student, teacher, generator, method, batch)
    assert got.shape == (3,)
    return got.tolist()


def each(program, *columns) -> list[float]:
    return [program(*row) for row in zip(IMAGES, NOISES, *columns, strict=True)]
