"""The metrics by name: features of samples and of the data in, numbers with their errors out."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ictsweep.evaluation.estimates import Estimate
from ictsweep.evaluation.extraction import full_precision
from ictsweep.evaluation.frechet import frechet
from ictsweep.evaluation.inception_score import inception_score
from ictsweep.evaluation.kernel import kernel_distance
from ictsweep.evaluation.manifold import precision, recall
from ictsweep.evaluation.reference import NEIGHBOURS, Reference
from ictsweep.evaluation.statistics import Moments

_SPLITS = 10


def measure(
    metric: str, features: Tensor, reference: Reference, moments: Moments | None
) -> Estimate:
    """The value of a metric for features [n, d] of samples; `moments` are theirs where they are
    known. Computed on the reference's device, without TF32 whatever the training allows.
    """
    with full_precision():
        return _MEASURES[metric](features.to(reference.device), reference, moments)


def details(metric: str, sample_size: int) -> dict[str, Any]:
    """What a metric's number depends on besides features and data, for its passport; `sample_size`
    is how many of the data's pictures are compared one by one.
    """
    found = dict(_DETAILS.get(metric, {}))
    return found if metric in _OF_ALL else {**found, "reference images": sample_size}


def _frechet(x: Tensor, reference: Reference, moments: Moments | None) -> Estimate:
    return frechet(x, reference.factor, moments)


def _kernel(x: Tensor, reference: Reference, _: Moments | None) -> Estimate:
    return kernel_distance(x, reference.kernel)


def _precision(x: Tensor, reference: Reference, _: Moments | None) -> Estimate:
    return precision(x, reference.manifold)


def _recall(x: Tensor, reference: Reference, _: Moments | None) -> Estimate:
    return recall(x, reference.manifold)


def _inception_score(x: Tensor, reference: Reference, _: Moments | None) -> Estimate:
    return inception_score(reference.extractor.probabilities(x), _SPLITS)


_MEASURES: Mapping[str, Callable[[Tensor, Reference, Moments | None], Estimate]] = MappingProxyType(
    {
        "fid": _frechet, "fd": _frechet, "kid": _kernel, "kd": _kernel,
        "precision": _precision, "recall": _recall, "is": _inception_score,
    }
)  # fmt: skip
_OF_ALL = ("fid", "fd", "is")  # of all the data's pictures, or of none
_KERNEL = {"kernel": "(x.y / d + 1)^3, unbiased, all pairs"}
_DETAILS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "kid": _KERNEL, "kd": _KERNEL, "is": {"splits": _SPLITS},
        "precision": {"neighbours": NEIGHBOURS}, "recall": {"neighbours": NEIGHBOURS},
    }
)  # fmt: skip
