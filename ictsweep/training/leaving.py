"""How the processes of a run leave it together, in the middle of an evaluation too.

Had one process gone alone, the others would wait for it in their next exchange. A training step
asks in the exchange that it makes anyway (`runtime.over_ranks`); an evaluation asks before
each of its own, and a process that is told to leave between two of them goes to that question at
once. Every process thus answers the same question last, and all of them hear the same answer.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ictsweep.evaluation import Sampler
from ictsweep.training.runtime import Runtime, gather


class Interrupted(Exception):
    """An evaluation ended before its scores, in all processes: the run is being left."""


def interruptible(sampler: Sampler, runtime: Runtime) -> Sampler:
    """`sampler`, which raises Interrupted instead of drawing once the run is to be left."""

    def draw(latents: Tensor, labels: Tensor | None) -> Tensor:
        if runtime.leaving:
            _stay_together(leaving=True)
        return sampler(latents, labels)

    return draw


def gathering(runtime: Runtime) -> Callable[[Tensor], Tensor]:
    """`runtime.gather`, which raises Interrupted when any process is to leave."""

    def together(tensor: Tensor) -> Tensor:
        _stay_together(runtime.leaving)
        return gather(tensor)

    return together


def _stay_together(leaving: bool) -> None:
    if bool(gather(torch.tensor([float(leaving)])).any()):
        raise Interrupted
