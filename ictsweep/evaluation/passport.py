"""What a metric's number depends on, so that only comparable numbers are ever ranked together."""

from collections.abc import Mapping
from typing import Any

from ictsweep.errors import UserError
from ictsweep.evaluation.features import Extractor
from ictsweep.evaluation.route import Route

BELOW = "below dimension"
_WORDS = {"kid": "KID", "kd": "kernel distance", "precision": "precision", "recall": "recall",
          "is": "Inception Score"}  # fmt: skip


def passport(
    *,
    metric: str,
    extractor: Extractor,
    images: int,
    latent_seed: int,
    route: Route,
    ema: str,
    reference: str,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The identity of a number, in JSON types.

    `metric` is its kind ("fid"; the passport has the name for people); `extractor` the feature
    network; `images` how many samples; `latent_seed` the noise and the labels; `route` the sampler;
    `ema` which average of the weights; `reference` the hash of the data, their labels included,
    that the samples are compared with and get their labels from; `details` what else this metric
    depends on (its kernel, its neighbours, its splits). A Fréchet distance of no more images than
    features is marked `BELOW`: the samples' covariance is singular, and such a number is comparable
    with no other.
    """
    below = metric in ("fid", "fd") and images <= extractor.dims
    return {
        "metric": _named(metric, extractor.metric),
        "extractor": extractor.name,
        "weights": extractor.weights,
        "resize": extractor.resize,
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
        **(details or {}),
        **({BELOW: True} if below else {}),
    }


def comparable(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What keeps two numbers from being compared: (key, value in a, value in b), None for a missing
    key. Empty if they may be.

    The mark `BELOW` keeps from it even where both have it.
    """
    keys = sorted(a.keys() | b.keys())
    return [(k, a.get(k), b.get(k)) for k in keys if a.get(k) != b.get(k) or k == BELOW]


def require_comparable(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """UserError that names every difference between the passports of two numbers."""
    if differences := comparable(a, b):
        lines = [f"  {key}: {_said(one)} and {_said(other)}" for key, one, other in differences]
        raise UserError(
            "these numbers cannot be compared, their passports differ:\n" + "\n".join(lines)
        )


def _said(value: Any) -> str:
    return "not given" if value is None else str(value)


def _named(metric: str, frechet: str) -> str:
    """What people call a metric in the features whose Fréchet distance they call `frechet`."""
    if metric not in _WORDS:
        return frechet
    return frechet.replace("FID", _WORDS[metric]).replace("Fréchet distance", _WORDS[metric])
