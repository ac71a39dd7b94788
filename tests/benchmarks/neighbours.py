"""What precision, recall and the kernel distance cost, in CPU time and in memory.

First they have to agree with torch-fidelity's on the same features, else there is no number; then
CPU time on one thread, the contestants taking turns. torch-fidelity's kernel distance is of its
usual 100 subsets of 1,000; ours is of all pairs, `--samples` against as many.

Memory is the most that a process of its own had resident, in two runs at the published size of
50,000 features on either side: all of it at 64 dimensions, and at 2,048 the first rows (`--rows`)
of the samples against all of the data, since a block of rows against all columns is the most that
is ever in memory, however many blocks there are.

    python -m tests.benchmarks.neighbours [--samples 4000] [--dims 2048] [--repeats 3]
        [--rows 2048] [--out FILE]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.metric_kid import kernel_mmd, kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from ictsweep.evaluation import Manifold, kernel_distance, kernel_reference, manifold
from ictsweep.evaluation import precision as precision_of
from ictsweep.evaluation import recall as recall_of
from tests.benchmarks.measuring import conditions, middle, publish, take_turns

CPU = torch.device("cpu")
FULL = 50_000
GUARD = 4e9  # bytes, at the published size
KERNEL = {
    "kid_kernel": "poly",
    "kid_kernel_poly_degree": 3,
    "kid_kernel_poly_gamma": None,
    "kid_kernel_poly_coef0": 1,
    "verbose": False,
}

Contestants = dict[str, Callable[[], object]]


def features(n: int, d: int, seed: int) -> Tensor:
    """Positive features float32 [n, d], correlated in a few directions as networks' are."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(8, d, generator=torch.Generator().manual_seed(0))
    hidden = torch.randn(n, 8, generator=random) * (1 - 0.05 * seed)
    return (hidden @ mixing * 0.15 + 0.1 * torch.randn(n, d, generator=random) + 0.4).clamp_min(0)


def ours(x: Tensor, data: Tensor) -> tuple[float, float]:
    """Precision and recall."""
    prepared = manifold(data)
    return precision_of(x, prepared).value, recall_of(x, prepared).value


def peers(x: Tensor, data: Tensor) -> tuple[float, float]:
    """torch-fidelity's precision and recall."""
    found = prc_features_to_metric(
        x, data, prc_neighborhood=3, prc_batch_size=10_000, save_cpu_ram=True, verbose=False
    )
    return found["precision"], found["recall"]


def disagreement(x: Tensor, data: Tensor) -> dict[str, float]:
    """How far precision, recall and (relative) the kernel distance are from torch-fidelity's."""
    mine, theirs = ours(x, data), peers(x, data)
    kernel = kernel_distance(x, kernel_reference(data)).value
    peer = float(kernel_mmd(x.double().numpy(), data.double().numpy(), **KERNEL))
    return {
        "precision": abs(mine[0] - theirs[0]),
        "recall": abs(mine[1] - theirs[1]),
        "kernel": abs(kernel / peer - 1),
    }


def contestants(x: Tensor, data: Tensor) -> Contestants:
    """What is timed, on the same features."""
    size = min(1000, len(x))
    return {
        "neighbours": lambda: ours(x, data),
        "peer_neighbours": lambda: peers(x, data),
        "kernel_all_pairs": lambda: kernel_distance(x, kernel_reference(data)),
        "peer_kernel_subsets": lambda: kid_features_to_metric(
            x, data, kid_subsets=100, kid_subset_size=size, rng_seed=0, **KERNEL
        ),
    }


def held_at_full_size(dims: int, rows: int) -> dict[str, float]:
    """Seconds of CPU, and bytes resident at most, of this process with 50,000 features on either
    side: everything at few dimensions, the first rows' precision at many."""
    torch.set_num_threads(1)
    # Uniform, since making them must not take more memory than what is measured.
    x, data = (torch.rand(FULL, dims) for _ in range(2))
    before, start = _peak(), time.process_time()
    if rows >= FULL:
        ours(x, data)
    else:
        precision_of(x[:rows], Manifold(features=data, radii=torch.ones(FULL).double()))
    return {"before": before, "peak": _peak(), "cpu_s": time.process_time() - start}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def in_a_process(dims: int, rows: int) -> dict[str, float]:
    """`held_at_full_size` in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.neighbours", "--held", str(dims), str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, print one line and one JSON object; 1 if the numbers disagree or memory is
    above the guard."""
    parser = argparse.ArgumentParser(description="cost of precision, recall and kernel distance")
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2048, help="of 50,000, in the memory run")
    parser.add_argument("--held", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    if options.held:
        print(json.dumps(held_at_full_size(*options.held)))
        return 0
    torch.set_num_threads(1)
    x, data = (features(options.samples, options.dims, seed) for seed in (1, 2))
    apart = disagreement(x[:1500], data[:1500])
    if max(apart["precision"], apart["recall"]) > 1e-6 or apart["kernel"] > 1e-5:
        print(f"neighbours: the numbers disagree ({apart}); nothing was measured")
        return 1
    times = take_turns(contestants(x, data), CPU, options.repeats, warmup=0)
    memory = {"64": in_a_process(64, FULL), "2048": in_a_process(2048, options.rows)}
    result = {"benchmark": "neighbours", "peer": "torch-fidelity", "disagreement": apart}
    result |= {f"{name}_s": middle(values, 3)[0] for name, values in times.items()}
    pairs = zip(times["peer_neighbours"], times["neighbours"], strict=True)
    result["neighbours_ratio"], result["ratio_range"] = middle(
        [peer / mine for peer, mine in pairs], 2
    )
    result |= {"samples": options.samples, "dims": options.dims, "memory": memory}
    result |= {"rows": options.rows, **conditions(CPU)}
    peak = max(run["peak"] for run in memory.values())
    print(
        f"neighbours: {result['neighbours_ratio']}x torch-fidelity's CPU time; 50,000 against "
        f"50,000 at 2,048 dimensions hold {memory['2048']['peak'] / 1e9:.2f} GB at most"
    )
    publish(result, options.out)
    return 0 if peak < GUARD else 1


if __name__ == "__main__":
    raise SystemExit(main())
