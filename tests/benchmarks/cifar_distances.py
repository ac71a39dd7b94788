"""What the distances say of CIFAR-10 pictures whose distance from the data is known in advance.

Features are the 64 of a published ResNet-56. The training set is the data; held-out pictures (the
test set, and half of the training set against the other half) should be next to it, and the test
set's the farther the more it was blurred, compressed or covered with noise. If the order is wrong,
nothing is published. Then intervals are checked: pictures are drawn from each set again and again,
and the share of nominal 95 % intervals that cover the mean of all draws is counted, for paired
differences too.

    python -m tests.benchmarks.cifar_distances --data TRAIN.npz --test TEST.npz
        --weights resnet56.th --cache DIR [--draws 400] [--out FILE]

The .npz files hold `images` uint8 [n, 32, 32, 3]. Features are kept in the cache: 3 ms a picture.
"""

import argparse
import io
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from ictsweep.evaluation import (
    CifarResNetFeatures,
    Estimate,
    Moments,
    difference,
    factor,
    frechet,
    frechet_infinity,
    interval,
    kernel_distance,
    kernel_reference,
    manifold,
    precision,
    prepare_extractor,
    recall,
    unpaired,
)
from tests.benchmarks.measuring import conditions, publish

CPU = torch.device("cpu")
SIZE = 10_000  # pictures of each set; distances of equal size compare
DRAWN = 2_000  # pictures of a redraw
# The sets that redraws are from, and the less distorted pictures each is paired with.
PAIRS = {
    "test, JPEG quality 50": "test, JPEG quality 90",
    "test, 5 % noise": "test, 1 % noise",
    "test, blur 1": "test, blur 0.7",
}
HALF = "the other half of train"
CHAINS = (  # each in the order of the distances
    (HALF, "test", "test, JPEG quality 90", "test, JPEG quality 50"),
    ("test", "test, 1 % noise", "test, 5 % noise"),
    ("test", "test, blur 0.5", "test, blur 0.7", "test, blur 1"),
)

Metric = Callable[[Tensor], Estimate]


def blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of uint8 [n, h, w, 3], sigma in pixels."""
    smooth = gaussian_filter(pixels.astype(np.float32), (0, sigma, sigma, 0))
    return smooth.round().clip(0, 255).astype(np.uint8)


def noisy(pixels: np.ndarray, share: float) -> np.ndarray:
    """Gaussian noise with a standard deviation of this share of the range."""
    noise = np.random.default_rng(0).normal(0, 255 * share, pixels.shape)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


def compressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Each picture through JPEG."""

    def once(picture: np.ndarray) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return np.stack([once(picture) for picture in pixels])


def sets(train: np.ndarray, test: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """The sets by name, made only when their features are not known."""
    return {
        "train": lambda: train,
        "test": lambda: test,
        "test, JPEG quality 90": lambda: compressed(test, 90),
        "test, JPEG quality 50": lambda: compressed(test, 50),
        "test, 1 % noise": lambda: noisy(test, 0.01),
        "test, 5 % noise": lambda: noisy(test, 0.05),
        "test, blur 0.5": lambda: blurred(test, 0.5),
        "test, blur 0.7": lambda: blurred(test, 0.7),
        "test, blur 1": lambda: blurred(test, 1),
    }


def features_of(options: argparse.Namespace) -> dict[str, Tensor]:
    """Features [n, 64] of every set, from the cache or computed now."""
    train, test = (np.load(path)["images"] for path in (options.data, options.test))
    config = CifarResNetFeatures(path=str(options.weights))
    first = torch.from_numpy(test[:2]).permute(0, 3, 1, 2)
    extractor = prepare_extractor(config, first, None, "cifar10", options.cache)
    found = {}
    for name, make in sets(train, test).items():
        kept = options.cache / f"{name.replace(' ', '_').replace('%', 'percent')}.npy"
        if not kept.exists():
            pixels = torch.from_numpy(make()).permute(0, 3, 1, 2).contiguous()
            np.save(kept, extractor(pixels).numpy())
        found[name] = torch.from_numpy(np.load(kept))
    return found


def metrics_against(data: Tensor) -> dict[str, Metric]:
    """The metrics against features of the data; precision and recall look at its first rows."""
    reference, kernel = factor(Moments.of(data)), kernel_reference(data)
    balls = manifold(data[:SIZE])
    return {
        "distance": lambda x: frechet(x, reference),
        "at infinity": lambda x: frechet_infinity(x, reference),
        "kernel distance": lambda x: kernel_distance(x, kernel),
        "precision": lambda x: precision(x, balls),
        "recall": lambda x: recall(x, balls),
    }


def table(features: Mapping[str, Tensor]) -> dict[str, dict[str, list[float]]]:
    """For each set the value and the ends of its 95 % interval by metric."""
    train = features["train"]
    half = len(train) // 2
    rows = {HALF: measured(train[half:][:SIZE], metrics_against(train[:half]))}
    whole = metrics_against(train)
    for name, x in features.items():
        if name != "train":
            rows[name] = measured(x[:SIZE], whole)
    return rows


def measured(x: Tensor, metrics: Mapping[str, Metric]) -> dict[str, list[float]]:
    """Value, low and high end of every metric."""
    found = {name: metric(x) for name, metric in metrics.items()}
    return {name: [estimate.value, *interval(estimate)] for name, estimate in found.items()}


def misplaced(rows: Mapping[str, Mapping[str, list[float]]]) -> list[str]:
    """The pairs of neighbours in a chain whose intervals do not lie in the right order; of the two
    held-out sets, next to the data, the values have to."""
    return [
        f"{metric}: {near} {rows[near][metric]}, {far} {rows[far][metric]}"
        for chain in CHAINS
        for near, far in pairwise(chain)
        for metric in ("distance", "at infinity", "kernel distance")
        if _overlap(rows[near][metric], rows[far][metric], values_only=near == HALF)
    ]


def _overlap(near: list[float], far: list[float], values_only: bool) -> bool:
    return near[0] >= far[0] if values_only else near[2] >= far[1]


def covered(drawn: list[Estimate], level: float = 0.95) -> dict[str, float]:
    """The share of the draws' intervals that hold the mean of all, and claimed over true spread."""
    values = np.array([estimate.value for estimate in drawn])
    ends = np.array([interval(estimate, level) for estimate in drawn])
    inside = (ends[:, 0] < values.mean()) & (values.mean() < ends[:, 1])
    claimed = np.mean([estimate.error for estimate in drawn])
    return {
        "coverage": round(float(inside.mean()), 3),
        "error over spread": round(float(claimed / values.std(ddof=1)), 3),
    }


def coverage(features: Mapping[str, Tensor], draws: int) -> dict[str, dict[str, Any]]:
    """Coverage by metric and set, and of the paired difference to the less distorted pictures."""
    metrics = metrics_against(features["train"][:SIZE])
    found: dict[str, dict[str, Any]] = {}
    for name in ("test", *PAIRS):
        found[name] = {
            metric: covered([measure(x) for x in redraws(features[name], metric, draws)])
            for metric, measure in metrics.items()
        }
        if name in PAIRS:
            found[name]["paired difference"] = paired(
                features[name], features[PAIRS[name]], metrics["distance"], draws
            )
    return found


def redraws(x: Tensor, metric: str, draws: int) -> Iterator[Tensor]:
    """Rows drawn from x [SIZE, d] with replacement; a quarter of the draws for slow metrics. Recall
    takes few rows and none twice, since a duplicate is its own nearest neighbour."""
    for i in range(draws if metric in ("distance", "at infinity") else draws // 4):
        random = torch.Generator().manual_seed(i)
        if metric == "recall":
            yield x[torch.randperm(SIZE, generator=random)[: DRAWN // 4]]
        else:
            yield x[torch.randint(SIZE, (DRAWN,), generator=random)]


def paired(x: Tensor, y: Tensor, distance: Metric, draws: int) -> dict[str, float]:
    """Coverage of distance(x) - distance(y) on the same pictures, and its error over the
    unpaired."""
    draws_of = (redraws(z, "distance", draws) for z in (x, y))
    pairs = [(distance(a), distance(b)) for a, b in zip(*draws_of, strict=True)]
    together = [difference(a, b) for a, b in pairs]
    ratio = np.mean([estimate.error for estimate in together]) / np.mean(
        [unpaired(a, b).error for a, b in pairs]
    )
    return {**covered(together), "error over unpaired": round(float(ratio), 3)}


def main(arguments: list[str] | None = None) -> int:
    """Print the table, the coverage and one JSON object; 1 if the order is wrong."""
    parser = argparse.ArgumentParser(description="distances of CIFAR-10 pictures of known quality")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    features = features_of(options)
    rows = table(features)
    for name, row in rows.items():
        cells = [
            f"{metric} {v:.4g} [{low:.4g}, {high:.4g}]" for metric, (v, low, high) in row.items()
        ]
        print(f"{name}: {', '.join(cells)}")
    if wrong := misplaced(rows):
        print("cifar_distances: in the wrong order:", *wrong, sep="\n")
        return 1
    result = {
        "benchmark": "cifar_distances",
        "features": "ResNet-56, 64 dimensions",
        "images": SIZE,
        "table": rows,
        "redrawn": DRAWN,
        "draws": options.draws,
        "coverage": coverage(features, options.draws),
        **conditions(CPU),
    }
    publish(result, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
