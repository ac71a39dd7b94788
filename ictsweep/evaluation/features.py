"""The feature extractor of a data set: a small classifier trained on it once, cached, and known by
its weights' hash.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.classifier import FEATURES, RECIPE, Classifier, scaled, train_classifier
from ictsweep.evaluation.files import cached

# Fixed, so that features do not depend on how the caller cuts a set into batches.
_BATCH = 256
# Enough for two or so pictures per held-out fifth; the distance itself needs far more to mean
# anything.
_MIN_IMAGES = 10


class Extractor:
    """Maps pictures to features, on the CPU in float32: the same numbers whatever trained the
    model.

    `weights` is the hash of all weights, `metric` the name of the distance measured with these
    features, `accuracy` the classifier's share of right answers on held-out pictures. Features are
    scaled so that those of the training data have variance 1 on average: a model that always makes
    the same average picture scores 64.
    """

    name = f"classifier-{FEATURES}/{RECIPE}"

    def __init__(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], name: str) -> None:
        shape, classes = tensors["convolutions.0.weight"].shape, tensors["head.bias"].shape[0]
        c, h, w = facts["image_shape"]
        assert shape[1] == c
        with torch.random.fork_rng(devices=[]):
            self._network = Classifier((c, h, w), classes).eval().requires_grad_(False)
        self._network.load_state_dict({k: v for k, v in tensors.items() if k != "scale"})
        self._scale = tensors["scale"]
        self.weights = fingerprint(tensors)
        self.accuracy = float(facts["accuracy"])
        turned = "" if facts["labelled"] else " (rotation features)"
        self.metric = f"{name} Fréchet distance{turned}"

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 [n, c, h, w] on any device -> float32 [n, 64] on the CPU."""
        assert images.dtype == torch.uint8
        with torch.no_grad():
            parts = [
                self._network.features(scaled(part, torch.float32))
                for part in images.cpu().split(_BATCH)
            ]
        return torch.cat(parts) * self._scale


def prepare_extractor(images: Tensor, labels: Tensor | None, name: str, cache: Path) -> Extractor:
    """The extractor of these pictures (uint8 [n, c, h, w], labels [n] or None), trained now or read
    from `cache`.

    Seconds for thousands of small pictures, a minute or two at most. Labels that tell nothing apart
    (one class) count as none. UserError with fewer than 10 pictures.
    """
    if len(images) < _MIN_IMAGES:
        raise UserError(
            f"{name}: {len(images)} images; at least {_MIN_IMAGES} are needed to train the feature network"
        )
    classes = _classes(labels)
    content = {"images": images} if classes is None else {"images": images, "labels": classes}
    key = f"extractor-{fingerprint(content)}-{RECIPE}"
    tensors, facts = cached(cache, key, lambda: _train(images, classes))
    return Extractor(tensors, facts, name)


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of names, types, shapes and bytes, in order of
    the names.
    """
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].contiguous()
        digest.update(f"{key}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes() if value.dim() == 0 else value.numpy().data)
    return digest.hexdigest()[:16]


def _classes(labels: Tensor | None) -> Tensor | None:
    """Labels counted from 0 without gaps; None if there are not two classes."""
    if labels is None:
        return None
    values, classes = labels.unique(return_inverse=True)
    return classes if len(values) > 1 else None


def _train(images: Tensor, classes: Tensor | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    trained = train_classifier(images, classes)
    with torch.no_grad():
        sample = trained.network.features(scaled(images[:10_000], torch.float32)).double()
    # Rounded like the weights, and for the same reason.
    scale = sample.var(dim=0).mean().rsqrt().to(torch.bfloat16).to(torch.float32)
    facts = {
        "image_shape": list(images.shape[1:]),
        "accuracy": trained.accuracy,
        "labelled": classes is not None,
    }
    return {**trained.network.state_dict(), "scale": scale}, facts
