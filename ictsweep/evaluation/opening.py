"""From pictures and a configuration to an evaluator."""

from pathlib import Path

import torch
from torch import Tensor

from ictsweep.evaluation.config import EvaluateConfig
from ictsweep.evaluation.evaluate import Evaluator
from ictsweep.evaluation.features import prepare_extractor
from ictsweep.evaluation.reference import Reference

_CPU = torch.device("cpu")


def open_evaluator(
    images: Tensor,
    labels: Tensor | None,
    name: str,
    digest: str,
    config: EvaluateConfig,
    seed: int,
    cache: Path,
    ema: str,
    device: torch.device = _CPU,
) -> Evaluator:
    """An evaluator against these pictures: uint8 [n, c, h, w] (CPU), labels [n] or None.

    `digest` identifies both. What the feature network and the data's features need comes from
    `cache`, where the first use puts it. `seed` is the latents'; `ema` names the average of the
    weights that will be scored; features and statistics are computed on `device`. Its `reference`
    is not built yet. UserError if the feature network is not there.
    """
    extractor = prepare_extractor(config.features, images, labels, name, cache, device, digest)
    _, c, h, w = images.shape
    return Evaluator(
        extractor=extractor,
        reference=Reference(
            pixels=images,
            labels=labels,
            digest=digest,
            extractor=extractor,
            metrics=config.measured,
            cache=cache,
            device=device,
        ),
        labels=labels,
        config=config,
        image_shape=(c, h, w),
        digest=digest,
        seed=seed,
        ema=ema,
    )
