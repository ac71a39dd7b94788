"""What a metric's number depends on, so that only comparable numbers are ever ranked together."""

from collections.abc import Mapping
from typing import Any

from ictsweep.evaluation.route import Route


def passport(
    *,
    metric: str,
    extractor: str,
    weights: str,
    images: int,
    latent_seed: int,
    route: Route,
    ema: str,
    reference: str,
) -> dict[str, Any]:
    """The identity of a number, in JSON types.

    `metric` is what people call it; `extractor` and `weights` the feature network and the hash of
    its weights; `images` how many samples; `latent_seed` the noise and the labels; `route` the
    sampler; `ema` which average of the weights; `reference` the hash of the data, their labels
    included, that the samples are compared with and get their labels from.
    """
    return {
        "metric": metric,
        "extractor": extractor,
        "weights": weights,
        "resize": "none",
        "dtype": "float32 samples (no TF32), uint8 images, float32 features, float64 statistics",
        "images": images,
        "latent_seed": latent_seed,
        "solver": route.solver,
        "steps": route.steps,
        "levels": list(route.levels),
        "eta": route.eta,
        "guidance": route.guidance,
        "labels": "as frequent as in the data" if route.classes else None,
        "ema": ema,
        "reference": reference,
    }


def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Where two passports differ: (key, value in a, value in b), None for a missing key.

    Empty if the numbers may be compared.
    """
    keys = sorted(a.keys() | b.keys())
    return [(key, a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)]
