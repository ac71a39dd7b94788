"""How much of the machine a training step uses: its floating-point operations per second as a share
of the fastest convolution or matrix product measured on the same device in the same precision.

First the networks: the operations of ours and of the authors' own (EDM's, consistency_GC's) are
counted without computing anything, forward and backward, and must agree to 1 %; so must those of
the whole step that is timed, counted as it runs, and the sum of student forward and backward and
teacher forward of the authors' network. If not, there is no number. The share is that of the
authors' operations: what we save does not make us look better. What differs: NCSN++ shrinks its
image before it convolves it, and fused attention multiplies once more in the backward pass instead
of keeping its weights.

    python -m tests.benchmarks.mfu --peers FOLDER [--channels 128] [--batch 4] [--repeats 4]
        [--precision fp32] [--out FILE]

FOLDER holds the checkouts `ect` and `consistency_GC`. On a CPU, time is the process's own CPU time
on one thread, and the authors' steps take turns with ours; on a CUDA device (where there is one)
it is that of CUDA events, and `--precision` may be tf32, fp16 or bf16.
"""

import argparse
import contextlib
import copy
import dataclasses
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from ictsweep.networks import PRESETS, NetworkConfig, build
from ictsweep.training import Trainer
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
from tests.benchmarks.peer_loops import ECT, ConsistencyGC
from tests.benchmarks.step import PROGRESS, SHAPE, Case, cases

# PyTorch before 2.15 does not count the kernel that attends on a CPU.
ATTENTION: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: (
        sdpa_flop_count(q, k, v)
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}
TOLERANCE = 0.01
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "bf16_at_any_level": torch.bfloat16}

Actions = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Published:
    """A network as its authors write it, and our preset of it."""

    name: str
    theirs: nn.Module
    config: NetworkConfig
    side: int


def published(peers: Path) -> list[Published]:
    """DDPM++, NCSN++ and ADM of EDM (in ECT's copy) and consistency_GC's network, all without
    numbers in their weights."""
    with torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
        edm = ECT(peers, 128, dropout=0.3, stage=7).networks
        gc = ConsistencyGC(peers, 128, 0.0, PROGRESS)
        song: dict[str, Any] = {"model_channels": 128, "channel_mult": [2, 2, 2], "dropout": 0.3}
        ncsnpp: dict[str, Any] = {
            "embedding_type": "fourier", "channel_mult_noise": 2, "encoder_type": "residual",
            "resample_filter": [1, 3, 3, 1],
        }  # fmt: skip
        return [
            Published("ddpmpp", edm.SongUNet(32, 3, 3, **song), PRESETS["ddpmpp"], 32),
            Published("ncsnpp", edm.SongUNet(32, 3, 3, **song, **ncsnpp), PRESETS["ncsnpp"], 32),
            Published("gc_cifar", gc.network, PRESETS["gc_cifar"], 32),
            Published("adm", edm.DhariwalUNet(64, 3, 3, dropout=0.2), PRESETS["adm"], 64),
        ]


def table(peers: Path) -> list[dict[str, object]]:
    """Each published network: parameters, operations of ours and theirs, activations."""
    rows = []
    for entry in published(peers):
        with torch.device("meta"):
            ours = build(entry.config, (3, entry.side, entry.side))
        mine, other = count(ours, entry.side), count(entry.theirs, entry.side)
        rows.append(
            {
                "network": entry.name,
                "parameters_m": round(sum(p.numel() for p in ours.parameters()) / 1e6, 3),
                "forward_gflop": round(mine.forward / 1e9, 2),
                "peer_forward_gflop": round(other.forward / 1e9, 2),
                "step_over_forward": round(mine.step / mine.forward, 3),
                "apart": round(apart(mine.step, other.step), 5),
                "activations_mb": round(mine.saved / 1e6, 1),
                "peer_activations_mb": round(other.saved / 1e6, 1),
            }
        )
    return rows


def apart(ours: float, theirs: float) -> float:
    """The relative difference of two counts."""
    return abs(ours / theirs - 1)


def counted(trainer: Trainer) -> float:
    """Operations per image of a training step of ours, counted as it runs."""
    with FlopCounterMode(display=False, custom_mapping=ATTENTION) as counter:
        trainer._step()
    return counter.get_total_flops() / trainer.config.optimizer.batch


def peaks(device: torch.device, dtype: torch.dtype) -> tuple[Actions, dict[str, float]]:
    """Big convolutions and matrix products, and the operations of each call."""
    n, width, rounds = (256, 8192, 10) if device.type == "cuda" else (4, 2048, 2)
    actions: Actions = {}
    work: dict[str, float] = {}
    for c in (128, 256):
        x = torch.randn(n, c, 32, 32, device=device, dtype=dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        w = torch.randn(c, c, 3, 3, device=device, dtype=dtype)
        w = w.contiguous(memory_format=torch.channels_last)
        actions[f"conv{c}"] = lambda x=x, w=w: [F.conv2d(x, w, padding=1) for _ in range(rounds)]
        work[f"conv{c}"] = 2.0 * rounds * n * 32 * 32 * c * c * 9
    a, b = (torch.randn(width, width, device=device, dtype=dtype) for _ in range(2))
    actions["matmul"] = lambda: [a @ b for _ in range(rounds)]
    work["matmul"] = 2.0 * rounds * width**3
    return actions, work


def measure(
    case: Case, trainer: Trainer, flop: float, device: torch.device, repeats: int
) -> dict[str, object]:
    """Images per second and the share of the measured peak; `flop` is that of a step, per image."""
    batch, precision = trainer.config.optimizer.batch, trainer.config.precision
    actions, work = peaks(device, DTYPES.get(precision, torch.float32))
    loops: Actions = {"ours": trainer._step}
    if device.type == "cpu" and precision == "fp32":
        x0 = torch.rand(batch, *SHAPE) * 2 - 1
        loops["peer"] = lambda: case.peer.step(x0)
    times = take_turns({**loops, **actions}, device, repeats, warmup=2)
    rates = {name: work[name] / middle(times[name], 9)[0] / 1e9 for name in actions}
    row: dict[str, object] = {f"{name}_gflops": round(rate, 1) for name, rate in rates.items()}
    for name in loops:
        speeds = [batch / value for value in times[name]]
        speed, ends = middle(speeds, 3)
        row |= {
            f"{name}_images_per_s": speed,
            f"{name}_images_per_s_quartiles": ends,
            f"{name}_share_of_peak": round(speed * flop / 1e9 / max(rates.values()), 3),
        }
    return row


def step_row(
    case: Case, precision: str, device: torch.device, repeats: int
) -> tuple[float, dict[str, object]]:
    """How far the counts of the step are apart, and its measurement; none where they are too
    far."""
    precision = {"bf16": "bf16_at_any_level"}.get(precision, precision)
    config = dataclasses.replace(case.config, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_on(config, noise_images(64, SHAPE), device, Path(folder), PROGRESS)
        trainer._step()  # the first one of a stage may look at the precision as well
        theirs = count(copy.deepcopy(case.peer.network).to("meta"), SHAPE[1]).step
        difference = apart(counted(trainer), theirs)
        row: dict[str, object] = {"peer": case.name, "step_gflop_per_image": round(theirs / 1e9, 2)}
        if difference <= TOLERANCE:
            row |= measure(case, trainer, theirs, device, repeats)
    return difference, {**row, "apart": round(difference, 5)}


def main(arguments: list[str] | None = None) -> int:
    """Count, check, measure; one line per network and step and one JSON object; 1 if the counts
    are apart."""
    parser = argparse.ArgumentParser(description="share of the machine's peak that a step uses")
    parser.add_argument("--peers", type=Path, required=True, help="folder of checkouts")
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--precision", choices=("fp32", "tf32", "fp16", "bf16"), default="fp32")
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = default_device()
    where = conditions(device)  # before the benchmark is the load itself
    networks = table(options.peers)
    for row in networks:
        if not float(str(row["apart"])) <= TOLERANCE:
            print(f"mfu: operations of {row['network']} are {row['apart']} apart; nothing measured")
            return 1
        print("mfu: {network}, {parameters_m} M parameters, {forward_gflop} GFLOP and "
              "{activations_mb} MB of activations per image".format(**row))  # fmt: skip
    rows = []
    with contextlib.redirect_stdout(io.StringIO()):  # the peers say what they are
        contestants = cases(options.peers, options.channels, options.batch)
    for case in contestants:
        difference, row = step_row(case, options.precision, device, options.repeats)
        if not difference <= TOLERANCE:
            print(f"mfu: a step's operations are {difference:.3f} from {case.name}'s; not measured")
            return 1
        print("mfu: {ours_images_per_s} images/s, {ours_share_of_peak} of the measured peak, on "
              "{peer}'s network".format(**row))  # fmt: skip
        rows.append(row)
    result = {"benchmark": "mfu", "networks": networks, "rows": rows, "channels": options.channels,
              "batch": options.batch, "repeats": options.repeats, "precision": options.precision,
              **where}  # fmt: skip
    publish(result, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
