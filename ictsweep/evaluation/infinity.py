"""The Fréchet distance of infinitely many samples, by extrapolation.

The distance of N samples is too large by C / N to first order, with a C that depends on the model:
few samples can rank two models wrongly (Chong & Forsyth 2020, arXiv:1911.07023). They fit a line
to distances at sample sizes N against 1 / N and read it at 0. So do we, but a size's distance is
the mean over disjoint blocks that together are all samples: nothing is drawn at random, and the
smaller sizes lose no samples.
"""

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.estimates import Estimate
from ictsweep.evaluation.frechet import ReferenceFactor, frechet
from ictsweep.evaluation.statistics import Moments

# With fewer samples per dimension the bias is no longer C / N; the paper's smallest size has 2.4.
_PER_DIMENSION = 2
_MOST_BLOCKS = 8


def samples_needed(dims: int) -> int:
    """The fewest samples that the distance of features of `dims` dimensions extrapolates from."""
    return 2 * _PER_DIMENSION * dims


def frechet_infinity(features: Tensor, reference: ReferenceFactor) -> Estimate:
    """The distance of features [n, d] extrapolated to n = infinity, with its error.

    A least-squares line through the mean distances of 1, 2, 4 and 8 disjoint blocks, those that
    leave a block 2 d samples. It may fall below 0 for samples as good as the data. The reference is
    held fixed: the bias of its own finite size stays. UserError below `samples_needed` samples.
    """
    n, d = features.shape
    if n < samples_needed(d):
        raise UserError(
            f"extrapolating to infinitely many samples needs at least {samples_needed(d)} samples "
            f"for features of {d} dimensions, got {n}; draw more samples"
        )
    count = 2
    while count < _MOST_BLOCKS and n >= 2 * count * _PER_DIMENSION * d:
        count *= 2
    moments = [Moments.of(part) for part in features.tensor_split(count)]
    levels = [_level(features, moments, reference)]
    while len(moments) > 1:
        moments = [a + b for a, b in zip(moments[::2], moments[1::2], strict=True)]
        levels.append(_level(features, moments, reference))
    inverse, values, influences = (torch.stack(column) for column in zip(*levels, strict=True))
    weights = _intercept(inverse)
    return Estimate.of(float(weights @ values), weights @ influences)


def _level(
    features: Tensor, moments: list[Moments], reference: ReferenceFactor
) -> tuple[Tensor, Tensor, Tensor]:
    """1 / size, the distance and the influence [n], means over the blocks with these moments."""
    blocks = features.split([block.count for block in moments])
    found = [frechet(x, reference, block) for x, block in zip(blocks, moments, strict=True)]
    influences = [estimate.influence for estimate in found if estimate.influence is not None]
    inverse, value = (
        torch.tensor(numbers, dtype=torch.float64).mean()
        for numbers in (
            [1 / block.count for block in moments],
            [estimate.value for estimate in found],
        )
    )
    return inverse, value, torch.cat(influences)


def _intercept(inverse: Tensor) -> Tensor:
    """The weights of values at these abscissas in the value at 0 of the line through them."""
    centred = inverse - inverse.mean()
    return 1 / len(inverse) - inverse.mean() * centred / centred.square().sum()
