"""Which sample a step broke on: looked for once, after the loss or the gradient is no longer
finite, so that the step itself pays nothing for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ictsweep.consistency import Batch
from ictsweep.training.objective import Objective
from ictsweep.training.step import Share

_FINITE, _GRADIENT, _LOSS = 0.0, 1.0, 2.0  # what was found broken, worst last


@dataclass(frozen=True)
class Culprit:
    """An image of the global batch: what of it was not finite, its place, its levels t > r, its
    loss, and how many images of the batch were as broken as it.
    """

    what: float
    place: int
    t: float
    r: float
    loss: float
    count: int

    def __str__(self) -> str:
        where = f"at noise level t = {self.t:.4g} (r = {self.r:.4g}), loss {self.loss:.4g}"
        if self.what == _LOSS:
            return f"{self.count} image(s) without a finite loss, the first {where}"
        if self.what == _GRADIENT:
            return f"the first image without a finite gradient is {where}"
        return f"each image's loss and gradient are finite; the greatest loss is {where}"


def find_culprit(
    objective: Objective,
    share: Share,
    inputs: Callable[[int, int], Batch],
    gather: Callable[[Tensor], Tensor],
) -> Culprit:
    """The first image of the global batch whose loss, else whose gradient, is not finite; else the
    one of the greatest loss. Every rank calls, and learns the same.

    `objective` is that of the broken step, its student not distributed; `gather` joins the ranks'
    rows.
    """
    found = [_in_part(objective, inputs(offset, count), offset) for offset, count in share.parts()]
    row = _worst(torch.tensor(found, dtype=torch.float64))
    what, place, t, r, loss, count = _worst(gather(row[None])).tolist()
    return Culprit(what, int(place), t, r, loss, int(count))


def _in_part(objective: Objective, batch: Batch, offset: int) -> list[float]:
    """A culprit's row, of a micro-batch."""
    with torch.no_grad():
        losses = objective.losses(batch).double()
    broken = (~losses.isfinite()).nonzero().flatten().tolist()
    if broken:
        what, index, count = _LOSS, broken[0], len(broken)
    elif (index := _without_gradient(objective, batch)) is not None:
        what, count = _GRADIENT, 1
    else:
        what, index, count = _FINITE, int(losses.argmax()), 1
    levels = [float(batch.t[index]), float(batch.r[index]), float(losses[index])]
    return [what, offset + index, *levels, count]


def _without_gradient(objective: Objective, batch: Batch) -> int | None:
    """The first image whose own gradient is not finite, by halving."""
    low, high = 0, len(batch.x0)
    if _differentiable(objective, batch, low, high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if not _differentiable(objective, batch, low, middle):
            high = middle
        elif not _differentiable(objective, batch, middle, high):
            low = middle
        else:
            return None  # only the sum of many overflows
    return low


def _differentiable(objective: Objective, batch: Batch, low: int, high: int) -> bool:
    weights = list(objective.student.parameters())
    loss = objective.losses(_rows(batch, low, high)).sum()
    parts = torch.autograd.grad(loss, weights, allow_unused=True)
    return all(bool(part.isfinite().all()) for part in parts if part is not None)


def _rows(batch: Batch, low: int, high: int) -> Batch:
    """Images low .. high of a batch; its references are everyone's."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    rows = {name: value[low:high] for name, value in values.items() if isinstance(value, Tensor)}
    return replace(batch, **rows)


def _worst(rows: Tensor) -> Tensor:
    """The row of the worst kind: of the first image, or of the greatest loss where all is finite.
    Broken images of the same kind are counted over all rows.
    """
    worst = rows[rows[:, 0] == rows[:, 0].max()]
    kind = float(worst[0, 0])
    chosen = worst[worst[:, 4].argmax() if kind == _FINITE else worst[:, 1].argmin()].clone()
    chosen[5] = worst[:, 5].sum()
    return chosen
