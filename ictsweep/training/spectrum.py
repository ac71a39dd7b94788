"""Where along the noise levels the loss sits: images trained on and their mean loss per band of
levels, from the losses that training computes anyway.

16 bands of equal width in log sigma from 0.002 to 80, the range of Karras et al. 2022
(arXiv:2206.00364); a level outside counts in the outermost band. Each is 1.94 times its lower end.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BANDS = 16
_LOWEST, _HIGHEST = 0.002, 80.0
_WIDTH = math.log(_HIGHEST / _LOWEST) / BANDS
_DIGITS = 4  # of what is recorded: far finer than losses scatter


def by_level(losses: Tensor, sigma: Tensor) -> Tensor:
    """[the images in each band, the sum of their losses], float32 [2 * BANDS], from the loss
    [n] and the higher noise level [n] of each image. Nothing here waits for the device, and the
    sums have one order (an indexed addition would have none on a GPU).
    """
    band = ((sigma / _LOWEST).log() / _WIDTH).floor().clamp(0, BANDS - 1)
    inside = band[:, None] == torch.arange(BANDS, device=sigma.device)
    shares = torch.where(inside, losses[:, None], 0.0)
    return torch.cat([inside.sum(0, dtype=torch.float32), shares.sum(0, dtype=torch.float32)])


def added(before: Sequence[float], now: Sequence[float]) -> list[float]:
    """`by_level` of the steps so far (none yet: empty) and of one more."""
    return [a + b for a, b in zip(before, now, strict=True)] if before else list(now)


def spectrum(total: Sequence[float]) -> dict[str, list[float]]:
    """Of the bands that were trained on: `sigma` (the geometric middle), `images`, and their mean
    `loss`, each rounded to four digits; empty before the first step.
    """
    found: dict[str, list[float]] = {"sigma": [], "images": [], "loss": []}
    for band, (images, loss) in enumerate(zip(total[:BANDS], total[BANDS:], strict=True)):
        if images:
            found["sigma"].append(_rounded(_LOWEST * math.exp((band + 0.5) * _WIDTH)))
            found["images"].append(int(images))
            found["loss"].append(_rounded(loss / images))
    return found if found["sigma"] else {}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
