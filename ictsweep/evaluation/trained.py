"""The features of a small classifier trained on the data themselves: once, cached, and hashed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.classifier import (
    FEATURES,
    RECIPE,
    Classifier,
    features_of,
    train_classifier,
)
from ictsweep.evaluation.content import content_digest, require_content
from ictsweep.evaluation.files import cached
from ictsweep.evaluation.weight_files import fingerprint

# The least that can be split and trained on; for the distance to mean anything takes far more.
_MIN_IMAGES = 10
_SCALE_IMAGES = 10_000
_PART = 4096


class TrainedExtractor:
    """An `Extractor` of the data's own classifier, on the CPU in float32 whatever device it is sent
    to: so its numbers are the same everywhere.

    `accuracy` is the classifier's share of right answers on held-out pictures. Features are scaled
    so that the training data's have variance 1 on average: their total variance is 64, which is
    what samples would score if all had the data's mean features.
    """

    name = f"classifier-{FEATURES}/{RECIPE}"
    resize = "none"
    dims = FEATURES

    def __init__(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], name: str) -> None:
        c, h, w = facts["image_shape"]
        self.classes = len(tensors["head.bias"])
        with torch.random.fork_rng(devices=[]):  # building layers draws random numbers
            self._network = Classifier((c, h, w), self.classes).eval().requires_grad_(False)
        self._network.load_state_dict({k: v for k, v in tensors.items() if k != "scale"})
        self._scale = tensors["scale"]
        self.weights = fingerprint(tensors)
        self.accuracy = float(facts["accuracy"])
        self.metric = f"{name} Fréchet distance{facts['remark']}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [n, c, h, w] on any device -> float32 [n, 64] on the CPU."""
        assert images.dtype == torch.uint8
        return features_of(self._network, images.cpu()) * self._scale

    def probabilities(self, features: Tensor) -> Tensor:
        """Features [n, 64] -> the classes' probabilities, float32 [n, classes]."""
        return self._network.head(features.cpu() / self._scale).softmax(dim=1)

    def to(self, device: torch.device) -> "TrainedExtractor":
        """Itself: it stays on the CPU."""
        return self


def trained_extractor(
    images: Tensor, labels: Tensor | None, name: str, cache: Path, digest: str | None = None
) -> TrainedExtractor:
    """The extractor of these pictures, uint8 [n, c, h, w] with labels [n] or None.

    Trained now, or read from `cache`: seconds for thousands of small pictures, a minute or two at
    most. It lies there under the data's `digest`; where that is known, the pictures are read and
    hashed for the training alone, not at each start (None: hashed now). Labels that tell nothing
    apart (one class) count as none. UserError when there is nothing to learn from: fewer than 10
    pictures, or all the same; and when pictures to train on have another digest.
    """
    if len(images) < _MIN_IMAGES:
        raise UserError(
            f"{name}: {len(images)} images; the feature network that scores samples "
            f"needs at least {_MIN_IMAGES} to be trained on"
        )
    known = content_digest(images, labels) if digest is None else digest

    def train() -> tuple[dict[str, Tensor], dict[str, Any]]:
        if digest is not None:
            require_content(content_digest(images, labels), digest)
        return _train(images, _classes(labels))

    tensors, facts = cached(cache, f"extractor-{known}-{RECIPE}", train)
    return TrainedExtractor(tensors, facts, name)


def _classes(labels: Tensor | None) -> Tensor | None:
    """Labels counted from 0 without gaps; None if there are not two classes."""
    if labels is None:
        return None
    values, classes = labels.unique(return_inverse=True)
    return classes if len(values) > 1 else None


def _train(images: Tensor, classes: Tensor | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    # Part by part: a memory-mapped data set need not fit into memory.
    if all(bool((part == images[:1]).all()) for part in images.split(_PART)):
        raise UserError(
            f"all {len(images)} images are the same: there are no features to score samples with"
        )
    trained = train_classifier(images, classes)
    sample = features_of(trained.network, images[:_SCALE_IMAGES]).double()
    # Rounded like the weights, and for the same reason.
    scale = sample.var(dim=0).mean().rsqrt().to(torch.bfloat16).to(torch.float32)
    facts = {
        "image_shape": list(images.shape[1:]),
        "accuracy": trained.accuracy,
        "remark": _remark(images, classes),
    }
    return {**trained.network.state_dict(), "scale": scale}, facts


def _remark(images: Tensor, classes: Tensor | None) -> str:
    """What the features were trained to tell apart, if not the labels, for the metric's name."""
    if classes is not None:
        return ""
    square = images.shape[2] == images.shape[3]
    return " (rotation features)" if square else " (flip features)"
