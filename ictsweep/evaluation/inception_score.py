"""The Inception Score: how sure a classifier is of each sample, and how unsure of all together.

    IS = exp( mean_i KL( p(y | x_i) || mean_j p(y | x_j) ) )

(Salimans et al. 2016, arXiv:1606.03498), averaged over splits of the samples, ten in the published
convention. From 1 to the number of classes, higher is better; it depends on the splits' size.
"""

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.estimates import Estimate


def inception_score(probabilities: Tensor, splits: int = 10) -> Estimate:
    """The score of class probabilities [n, classes], n >= 2 `splits`, in the order of the rows.

    With KL_i the divergence of x_i, the derivative of a split's score S by its samples is S (KL_i -
    mean KL): the change of the marginal cancels. UserError where there are too few samples.
    """
    n = len(probabilities)
    if n < 2 * splits:
        raise UserError(
            f"an Inception Score over {splits} splits needs at least {2 * splits} samples, got {n}"
        )
    # Split i is rows i n / splits to (i + 1) n / splits, as in the published code.
    ends = [i * n // splits for i in range(1, splits)]
    p = probabilities.to(torch.float64)
    values, influences = zip(*map(_split_score, p.tensor_split(ends)), strict=True)
    return Estimate.of(float(torch.stack(values).mean()), torch.cat(influences))


def _split_score(p: Tensor) -> tuple[Tensor, Tensor]:
    """The score of one split, and its samples' influence on it."""
    entropy = torch.special.entr(p).sum(dim=1)  # 0 log 0 is 0
    divergence = -entropy - torch.xlogy(p, p.mean(dim=0)).sum(dim=1)
    score = divergence.mean().exp()
    return score, score * (divergence - divergence.mean())
