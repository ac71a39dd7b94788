"""Running averages of a model's weights: those that are sampled from, and those that teach.

theta_ema <- d theta_ema + (1 - d) theta  after every optimiser step, d being the decay of that
update (`consistency.averages`).
"""

import copy
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class Average(Protocol):
    """How much of the old average each update keeps: `consistency.PowerEma` and its like."""

    def decay(self, update: int, batch: int) -> float:
        """The share in [0, 1] that update 1, 2, ... keeps, after a step on `batch` images."""
        ...


class Averaged(nn.Module, Generic[Model]):
    """`module` is an average of a model's weights; it begins as a copy and takes no gradient.

    `decay(update)` in [0, 1] is that of update 1, 2, ...: 0 copies the weights, 1 leaves the
    average alone. The count lives on the CPU, so that an update never waits for the device.
    """

    module: Model
    updates: Tensor

    def __init__(self, model: Model, decay: Callable[[int], float]) -> None:
        super().__init__()
        self.module = copy.deepcopy(model).eval().requires_grad_(False)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights that an optimiser step left in `model`."""
        self.updates += 1
        keep = self._decay(int(self.updates))
        if keep == 1.0:
            return
        averages: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        if keep == 0.0:
            torch._foreach_copy_(averages, current)  # pyright: ignore[reportPrivateImportUsage]
        else:
            torch._foreach_lerp_(averages, current, 1.0 - keep)  # pyright: ignore


def averaged(model: Model, average: Average, batch: int) -> Averaged[Model]:
    """The average of `model` over steps of `batch` images."""
    return Averaged(model, lambda update: average.decay(update, batch))
