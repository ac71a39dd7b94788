"""What the Fréchet distance costs at Inception's 2,048 dimensions, against clean-fid's and
torch-fidelity's.

All get the means and covariances of the same features, with a spectrum that decays as those of
networks do, and return a distance. Ours is timed cold (the reference is factored too), with the
reference's factor at hand, as in all evaluations of a study but the first, and once more with its
standard error from the features. First ours have to agree with clean-fid's to 1e-6, and where the
covariances are singular as well with the formula's other form, |F1^T F2| by singular values, which
loses no digits: if not, there is no number.

    python tests/benchmarks/fid_math.py [--dims 2048] [--samples 5000] [--repeats 5] [--out FILE]

Time is the process's own CPU time on one thread, the contestants taking turns; trust the ratios,
not the seconds.
"""

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import scipy
import torch
from cleanfid.fid import frechet_distance as cleanfid_distance
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch_fidelity.metric_fid import fid_statistics_to_metric

from ictsweep.evaluation import Moments, factor, frechet, frechet_distance

TOLERANCE = 1e-6
OURS = ("cached", "cold", "with_error")
PEERS = ("peer", "fidelity")  # clean-fid, torch-fidelity

Contestants = dict[str, Callable[[], float]]


def features(n: int, d: int, seed: int, mixing: Tensor) -> Tensor:
    """Gaussian features float64 [n, d] with standard deviations 1 / k in mixed directions."""
    generator = torch.Generator().manual_seed(seed)
    scale = 1 / torch.arange(1, d + 1, dtype=torch.float64)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return (x * scale) @ mixing + 0.01 * seed


def two_sets(n: int, d: int) -> list[Tensor]:
    """`n` features of `d` dimensions from each of two distributions."""
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return [features(n, d, seed, mixing) for seed in (1, 2)]


def contestants(sets: list[Tensor]) -> Contestants:
    """The ways to the distance between two sets of features."""
    sample, reference = (Moments.of(x) for x in sets)
    a, b = sample.mean.numpy(), reference.mean.numpy()
    c, e = sample.covariance.numpy(), reference.covariance.numpy()
    prepared = factor(reference)
    return {
        "cached": lambda: frechet_distance(sample, prepared),
        "cold": lambda: frechet_distance(sample, factor(reference)),
        "with_error": lambda: frechet(sets[0], prepared, sample).value,
        "peer": lambda: float(cleanfid_distance(a, c, b, e)),
        "fidelity": lambda: float(
            fid_statistics_to_metric({"mu": a, "sigma": c}, {"mu": b, "sigma": e}, verbose=False)[
                "frechet_inception_distance"
            ]
        ),
    }


def exact(sets: list[Tensor]) -> float:
    """The distance with tr (C1 C2)^(1/2) as the sum of the singular values of X1 X2^T, for few
    samples: right to rounding."""
    x, y = ((s - s.mean(dim=0)) / (len(s) - 1) ** 0.5 for s in sets)
    gap = (sets[0].mean(dim=0) - sets[1].mean(dim=0)).square().sum()
    return float(
        gap + x.square().sum() + y.square().sum() - 2 * torch.linalg.svdvals(x @ y.T).sum()
    )


def errors(ways: Contestants, truth: float) -> dict[str, float]:
    """The relative difference of each way from `truth`."""
    return {name: abs(way() / truth - 1) for name, way in ways.items()}


def measure(ways: Contestants, repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each call, the contestants taking turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.process_time()
            way()
            times[name].append(time.process_time() - start)
    return times


def summary(times: dict[str, list[float]]) -> dict[str, object]:
    """Median seconds, and per way the peers' times over ours, turn by turn: median and extremes."""
    result: dict[str, object] = {
        f"{name}_s": round(statistics.median(values), 4) for name, values in times.items()
    }
    for name, peer in product(OURS, PEERS):
        ratios = [p / o for o, p in zip(times[name], times[peer], strict=True)]
        label = f"{name}_ratio" if peer == "peer" else f"{name}_{peer}_ratio"
        result[label] = round(statistics.median(ratios), 2)
        result[f"{label}_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return result


def conditions() -> dict[str, object]:
    """The versions that decide the speed, and how busy the machine was."""
    return {
        "torch": torch.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def compare(n: int, d: int, repeats: int) -> tuple[dict[str, float], dict[str, list[float]]]:
    """How far the ways are apart, and the times; no times where ours are too far off."""
    few = two_sets(d // 8, d // 4)
    singular = errors(contestants(few), exact(few))
    ways = contestants(two_sets(n, d))
    regular = errors(ways, ways["peer"]())
    found = {
        "disagreement": max(regular[name] for name in OURS),
        "singular_error": max(singular[name] for name in OURS),
        "peer_singular_error": singular["peer"],
        "fidelity_disagreement": regular["fidelity"],
        "fidelity_singular_error": singular["fidelity"],
    }
    good = max(found["disagreement"], found["singular_error"]) <= TOLERANCE
    return found, measure(ways, repeats) if good else {}


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, print one line and one JSON object; 1 if the distances disagree."""
    parser = argparse.ArgumentParser(description="cost of the Fréchet distance against clean-fid")
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # clean-fid's call of scipy's sqrtm
        found, times = compare(options.samples, options.dims, options.repeats)
    if not times:
        print(f"fid_math: the distances disagree: {found}; nothing was measured")
        return 1
    result = {
        "benchmark": "fid_math",
        "peer": "clean-fid frechet_distance (scipy sqrtm)",
        "fidelity": "torch-fidelity fid_statistics_to_metric (numpy eigvals)",
        "dims": options.dims,
        "samples": options.samples,
        "repeats": options.repeats,
        **found,
        **summary(times),
        **conditions(),
    }
    print(
        f"fid_math: {result['cached_ratio']}x clean-fid with the reference's factor, "
        f"{result['cold_ratio']}x cold ({result['cached_s']}, {result['cold_s']} and "
        f"{result['peer_s']} CPU s at {options.dims} dimensions, agreeing to "
        f"{found['disagreement']:.0e})"
    )
    record = json.dumps(result)
    print(record)
    if options.out is not None:
        options.out.write_text(record + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
