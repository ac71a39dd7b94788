"""Optimisers as values: which one, how fast at each point of a run, and on how many images."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

__all__ = ["Adam", "AdamW", "Lion", "Optimizer", "RAdam", "block_of"]

Beta = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """What all optimisers have in common.

    `lr` is the highest learning rate. `batch` is global: the number of workers never changes it.
    `clip` bounds the norm of the whole gradient. `warmup` and `decay_after` are shares of the
    budget: the rate rises linearly over the first, and falls with the inverse square root of
    progress beyond the second (1: never), as in Karras et al. 2024 (arXiv:2312.02696).
    """

    name: str
    lr: Annotated[float, Gt(0)] = 1e-4
    batch: Annotated[int, Ge(1)]
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    clip: Annotated[float, Gt(0)] | None = None
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.0
    decay_after: Annotated[float, Gt(0), Le(1)] = 1.0

    @property
    def block(self) -> int:
        """Images of the batch that share a random generator, see `block_of`."""
        return block_of(self.batch)

    def lr_at(self, progress: float) -> float:
        """The learning rate at `progress` in [0, 1]: lr min(1, p / warmup) / sqrt(max(1, p /
        decay_after)).
        """
        rise = min(1.0, progress / self.warmup) if self.warmup else 1.0
        return self.lr * rise / math.sqrt(max(1.0, progress / self.decay_after))


@dataclass(frozen=True, kw_only=True)
class RAdam(Optimizer):
    """RAdam (Liu et al. 2020, arXiv:1908.03265), as in iCT (arXiv:2310.14189) and ECT: its
    rectification is a warm-up of its own.
    """

    name: Literal["radam"] = "radam"


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980); the rate is that of EDM (arXiv:2206.00364, Table
    7), which ECT keeps on ImageNet-64.
    """

    name: Literal["adam"] = "adam"
    lr: Annotated[float, Gt(0)] = 1e-3


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): `weight_decay` times the learning rate
    is taken off the weights, apart from the gradient.
    """

    name: Literal["adamw"] = "adamw"
    weight_decay: Annotated[float, Ge(0)] = 0.01


@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Lion (Chen et al. 2023, arXiv:2302.06675): steps of equal size, the sign of a momentum.

    Rate 1e-4 without weight decay as GAF trains CIFAR-10 (Issenhuth et al. 2024, arXiv:2406.09570).
    """

    name: Literal["lion"] = "lion"
    betas: tuple[Beta, Beta] = (0.9, 0.99)
    weight_decay: Annotated[float, Ge(0)] = 0.0


def block_of(batch: int) -> int:
    """Images of a batch that share a random generator: at most 32, and few enough that 2, 4 or 8
    workers can share any batch that they divide.

    Workers take whole blocks, so an image's randomness never depends on how many there are.
    """
    share = batch // math.gcd(batch, 8)
    return max(size for size in range(1, 33) if share % size == 0)
