"""What a loss is computed on: images, their randomness and their noise levels."""

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Batch", "References"]


@dataclass(frozen=True, eq=False)
class References:
    """Images [m, c, h, w] in [-1, 1] that posterior means are taken over, next to each sample's
    own; `labels` int64 [m] if the data has classes."""

    images: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """n images `x0` [n, c, h, w] in [-1, 1] with their randomness: `noise` ~ N(0, 1) of their shape
    and levels `t` > `r` >= 0, [n].

    `mask` is the dropout mask [n, size] that student and teacher share; `labels` int64 [n], -1 for
    none; `augment` float32 [n, 9] is what was done to each of `x0`, 0 for nothing (None: nothing to
    any); `generated` bool [n] says whose endpoint the generator makes (None: nobody's);
    `references` serve the posterior-mean path.
    """

    x0: Tensor
    noise: Tensor
    t: Tensor
    r: Tensor
    mask: Tensor | None = None
    labels: Tensor | None = None
    augment: Tensor | None = None
    generated: Tensor | None = None
    references: References | None = None
