"""What a training step of DDPM++ costs on a GPU, against ECT's own, in TF32 and fp16.

As in `step`, whose check comes first: the two agree in float64 on loss and gradients to 1e-9, or
there is no number. Then both take their own steps on the device, by turns, timed by CUDA events:
images per second, the share of the fastest convolution or matrix product measured on the same
device (see `mfu`), and the peak of the memory that each loop allocated. ECT's code switches on
cuDNN's search for the fastest kernel; "ours_searched" is our step with it.

    python -m tests.benchmarks.gpu_step --peers FOLDER [--channels 128] [--batch 128]
        [--repeats 20] [--out FILE]
"""

import argparse
import contextlib
import copy
import dataclasses
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from ictsweep.training.precision import allow_tf32
from tests.benchmarks.accounting import count
from tests.benchmarks.measuring import (
    conditions,
    default_device,
    middle,
    noise_images,
    publish,
    take_turns,
    trainer_on,
)
from tests.benchmarks.mfu import DTYPES, peaks
from tests.benchmarks.peer_loops import ECT
from tests.benchmarks.step import PROGRESS, SHAPE, TOLERANCE, Case, cases, disagreement

CHECKED_CHANNELS = 32  # float64 is slow
Step = Callable[[], object]


def ours(case: Case, device: torch.device, folder: Path) -> Step:
    """Our step of a case's configuration."""
    images = noise_images(4 * case.config.optimizer.batch, SHAPE)
    return trainer_on(case.config, images, device, folder, PROGRESS)._step


def theirs(case: Case, device: torch.device) -> Step:
    """ECT's own step, with the device's random state shared as its code does."""
    peer = case.peer
    assert isinstance(peer, ECT)
    peer.losses.torch = torch  # in place of the CPU's stand-in
    peer.precond.to(device)
    peer.average.to(device)
    cast(Any, peer.precond).use_fp16 = case.config.precision == "fp16"
    x0 = torch.rand(case.config.optimizer.batch, *SHAPE, device=device) * 2 - 1
    return searched(lambda: peer.step(x0))


def searched(step: Step) -> Step:
    """A step during which cuDNN chooses kernels by trying them."""

    def chosen() -> None:
        torch.backends.cudnn.benchmark = True
        try:
            step()
        finally:
            torch.backends.cudnn.benchmark = False

    return chosen


def loaded(build: Callable[[], Step], device: torch.device) -> tuple[Step, float]:
    """A step, and the most gigabytes that it and all that belongs to it held at a time."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    step = build()
    for _ in range(2):
        step()
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return step, round((torch.cuda.max_memory_allocated(device) - before) / 1e9, 2)


def measure(
    case: Case, precision: str, device: torch.device, folder: Path, repeats: int
) -> dict[str, Any]:
    """One precision's row."""
    case = dataclasses.replace(case, config=dataclasses.replace(case.config, precision=precision))
    flop = count(copy.deepcopy(case.peer.network).to("meta"), SHAPE[1]).step
    mine, our_memory = loaded(lambda: ours(case, device, folder), device)
    other, their_memory = loaded(lambda: theirs(case, device), device)
    allow_tf32(True)
    actions, work = peaks(device, DTYPES.get(precision, torch.float32))
    loops = {"ours": mine, "ours_searched": searched(mine), "peer": other}
    times = take_turns({**loops, **actions}, device, repeats, warmup=5)
    peak = max(work[name] / middle(times[name], 9)[0] for name in actions)
    ratio, ends = middle(
        [p / o for o, p in zip(times["ours"], times["peer"], strict=True)], digits=3
    )
    row: dict[str, Any] = {"precision": precision, "ratio": ratio, "ratio_quartiles": ends}
    row |= {"peak_tflops": round(peak / 1e12, 1), "ours_gb": our_memory, "peer_gb": their_memory}
    for name in loops:
        speed = case.config.optimizer.batch / middle(times[name], 9)[0]
        row[f"{name}_images_per_s"] = round(speed, 1)
        row[f"{name}_share_of_peak"] = round(speed * flop / peak, 3)
    return row


def contestant(peers: Path, channels: int, batch: int) -> Case:
    """ECT and the configuration that trains the same."""
    with contextlib.redirect_stdout(io.StringIO()):  # it says what it is
        return cases(peers, channels, batch)[0]


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, a line per precision and one JSON object; 1 without a GPU, or if the loops
    disagree."""
    parser = argparse.ArgumentParser(description="cost of a training step on a GPU, against ECT's")
    parser.add_argument("--peers", type=Path, required=True, help="folder of checkouts")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    device = default_device()
    where = conditions(device)  # before the benchmark is the load itself
    if device.type != "cuda":
        print("gpu_step: there is no CUDA device here; nothing was measured")
        return 1
    error = disagreement(contestant(options.peers, CHECKED_CHANNELS, 3))
    if not error <= TOLERANCE:
        print(f"gpu_step: ECT disagrees by {error:.1e} in float64; nothing was measured")
        return 1
    rows = []
    for precision in ("tf32", "fp16"):
        case = contestant(options.peers, options.channels, options.batch)
        with tempfile.TemporaryDirectory() as folder:
            row = measure(case, precision, device, Path(folder), options.repeats)
        print(
            f"gpu_step: {precision}: {row['ours_images_per_s']} images/s, {row['ratio']}x ECT, "
            f"{row['ours_share_of_peak']} of the measured peak, {row['ours_gb']} GB"
        )
        rows.append(row)
    result: dict[str, object] = {
        "benchmark": "gpu_step",
        "rows": rows,
        "disagreement": error,
        "channels": options.channels,
        "batch": options.batch,
        "repeats": options.repeats,
        **where,
    }
    publish(result, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
