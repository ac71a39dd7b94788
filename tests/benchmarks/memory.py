"""How much memory training takes, and how large a micro-batch fits a GPU.

First the gradients with and without recomputed activations have to be equal in float64, to 1e-12:
if not, there is no number. Then a training step runs on tensors without numbers (the device
"meta"), with the trainer's own objective, optimiser and average, while every byte that is alive is
counted: all r are above the boundary, so that the teacher sees the whole batch. Two sizes of the
micro-batch give the line through all sizes, and the answer for each GPU is run once more to check
it.

    python -m tests.benchmarks.memory [--batch 1024] [--out FILE]

Float32, with attention by the kernel that a GPU uses. Not counted: the CUDA context, the work space
of kernels and fragmentation; hence a GPU of "80 GB" is taken as 80e9 bytes, though it has 85e9.
With a CUDA device what it really allocated stands next to the prediction, in TF32 and fp16.
"""

import argparse
import dataclasses
import functools
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ictsweep.config import TrialConfig
from ictsweep.consistency import Batch
from ictsweep.networks import ADMConfig, NetworkConfig, UNetConfig, build, draw_mask, recompute
from ictsweep.training import Job
from ictsweep.training.build import build_state
from ictsweep.training.objective import Objective
from ictsweep.training.precision import FULL
from ictsweep.training.state import TrainState
from ictsweep.training.step import Share, accumulate
from tests.benchmarks.accounting import Live, fused_attention
from tests.benchmarks.measuring import conditions, default_device, noise_images, publish, trainer_on
from tests.benchmarks.step import trial

TOLERANCE = 1e-12
META = torch.device("meta")
GPUS = {"80 GB": 80e9, "24 GB": 24e9}
SIDES = {"ddpmpp": 32, "adm": 64}
SMALL: tuple[NetworkConfig, ...] = (
    UNetConfig(channels=8, channel_mult=(1, 2), blocks=1, attention=(4,), dropout=0.3),
    ADMConfig(channels=64, channel_mult=(1, 2), blocks=1, attention=(4,), dropout_below=None),
)


def disagreement(config: NetworkConfig) -> float:
    """The largest relative difference that recomputing makes to the gradient of any weight, in
    float64."""
    plain, again = (_gradients(config, choose) for choose in (False, True))
    return max(float((a - b).norm() / b.norm()) for a, b in zip(again, plain, strict=True))


def _gradients(config: NetworkConfig, chosen: bool) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    network = build(config, (3, 8, 8), generator).double().train()
    with torch.no_grad():  # the last layers of a new network hide the others
        for weight in network.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    if chosen:
        recompute(network)
    x = torch.randn(3, 3, 8, 8, generator=generator, dtype=torch.float64)
    mask = draw_mask(3, network.mask_size, generator)
    output = network(x, torch.linspace(-1.5, 1.0, 3).double(), mask)
    return list(torch.autograd.grad(output.square().sum(), list(network.parameters())))


@dataclass(frozen=True)
class Memory:
    """Bytes of a run: `resident` is there between steps (weights, optimiser, average), `gradient`
    comes with every step, `kept` is what a forward pass leaves for the backward pass of one image,
    `most` is the peak of a step."""

    resident: int
    gradient: int
    kept: float
    most: int


def configuration(name: str, micro: int) -> TrialConfig:
    """iCT on a network preset, two micro-batches to a step: in a second one the gradient of the
    first is there too."""
    average = {"name": "fixed", "beta": 0.9999}
    return trial(2 * micro, {"preset": name}, "ict", ema=average)


@functools.cache
def predict(name: str, micro: int, again: bool) -> Memory:
    """The memory of a network preset's second step: two micro-batches, all states in being."""
    config = configuration(name, micro)
    shape = (3, SIDES[name], SIDES[name])
    with tempfile.TemporaryDirectory() as folder, Live() as live, fused_attention():
        state = _state(config, shape, again, Path(folder))
        objective = Objective(
            method=config.method, student=state.model, teacher=state.model, generator=None,
            precision=FULL,
        )  # fmt: skip
        _step(state, objective, micro, shape)
        resident = live.bytes
        losses = objective.losses(_inputs(micro, state, shape))
        kept = (live.bytes - resident) / micro
        del losses
        live.most = live.bytes
        gradient = _step(state, objective, micro, shape)
        return Memory(resident, gradient, kept, live.most)


def _state(
    config: TrialConfig, shape: tuple[int, int, int], again: bool, folder: Path
) -> TrainState:
    nobody = cast(Any, None)
    job = Job(
        config=config, images=noise_images(1, shape), evaluator=nobody, seed=0, folder=folder,
        recompute=again,
    )  # fmt: skip
    return build_state(job, META)


def _step(state: TrainState, objective: Objective, micro: int, shape: tuple[int, int, int]) -> int:
    """Gradient, optimiser and average, as the trainer does them; the gradient's bytes."""
    accumulate(
        objective, Share(0, 2 * micro, micro), 2 * micro, 1,
        lambda _, count: _inputs(count, state, shape), nn.Identity(),
    )  # fmt: skip
    found = [weight.grad for weight in state.model.parameters() if weight.grad is not None]
    size = sum(gradient.nbytes for gradient in found)
    state.optimizer.step()
    state.update_averages()
    state.optimizer.zero_grad(set_to_none=True)
    return size


def _inputs(n: int, state: TrainState, shape: tuple[int, int, int]) -> Batch:
    size = cast(Any, state.model.network).mask_size
    x0, noise = (torch.empty(n, *shape, device=META) for _ in range(2))
    return Batch(
        x0=x0.contiguous(memory_format=torch.channels_last),
        noise=noise.contiguous(memory_format=torch.channels_last),
        t=torch.empty(n, device=META),
        r=torch.empty(n, device=META),
        mask=torch.empty(n, size, dtype=torch.int16, device=META),
    )


def largest(name: str, again: bool, limit: float, batch: int) -> tuple[int, int]:
    """The largest micro-batch, at most `batch`, whose step fits in `limit` bytes, and its peak;
    (0, 0) if one image does not."""
    few, more = (predict(name, size, again).most for size in (32, 64))
    slope = (more - few) / 32
    micro = min(batch, math.floor((limit - few) / slope) + 32)
    while micro > 0:
        most = predict(name, micro, again).most
        if most <= limit:
            return micro, most
        micro -= 1
    return 0, 0


def row_of(name: str, again: bool, batch: int) -> dict[str, Any]:
    """A network preset's memory, in MB and GB of 10^6 and 10^9 bytes."""
    found = predict(name, 32, again)
    row: dict[str, Any] = {
        "network": name,
        "recompute": again,
        "resident_gb": round(found.resident / 1e9, 3),
        "gradient_gb": round(found.gradient / 1e9, 3),
        "kept_mb_per_image": round(found.kept / 1e6, 1),
    }
    for gpu, limit in GPUS.items():
        micro, most = largest(name, again, limit, batch)
        row[gpu] = {"micro_batch": micro, "peak_gb": round(most / 1e9, 2)}
    return row


def measured(name: str, again: bool, device: torch.device) -> dict[str, Any]:
    """What a CUDA device really allocated at its peak, and the prediction for it."""
    micro = 64 if name == "ddpmpp" else 16
    row: dict[str, Any] = {"network": name, "recompute": again, "micro_batch": micro}
    row["predicted_gb"] = round(predict(name, micro, again).most / 1e9, 2)
    config = configuration(name, micro)
    for precision in ("tf32", "fp16"):
        torch.cuda.empty_cache()
        with tempfile.TemporaryDirectory() as folder:
            trainer = trainer_on(
                dataclasses.replace(config, precision=precision),
                noise_images(micro, (3, SIDES[name], SIDES[name])), device, Path(folder),
                micro_batch=micro, recompute=again,
            )  # fmt: skip
            trainer._step()
            torch.cuda.reset_peak_memory_stats(device)
            trainer._step()
        row[f"{precision}_gb"] = round(torch.cuda.max_memory_allocated(device) / 1e9, 2)
        del trainer
    return row


def lines(rows: list[dict[str, Any]], batch: int) -> Iterator[str]:
    """What the rows say."""
    for row in rows:
        kind = "recomputed" if row["recompute"] else "kept"
        fits = ", ".join(f"{row[gpu]['micro_batch']} images in {gpu}" for gpu in GPUS)
        yield (
            f"memory: {row['network']}, activations {kind}: {row['kept_mb_per_image']} MB per "
            f"image and {row['resident_gb']} GB besides; at batch {batch} a micro-batch of {fits}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Check, count, print a line per network and one JSON object; 1 if recomputing changes
    gradients."""
    parser = argparse.ArgumentParser(description="memory of a training step")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = default_device()
    where = conditions(device)  # before the benchmark is the load itself
    error = max(disagreement(config) for config in SMALL)
    if not error <= TOLERANCE:
        print(f"memory: recomputing changes gradients by {error:.1e}; nothing was counted")
        return 1
    pairs = [(name, again) for name in SIDES for again in (False, True)]
    rows = [row_of(name, again, options.batch) for name, again in pairs]
    for line in lines(rows, options.batch):
        print(line)
    result: dict[str, object] = {
        "benchmark": "memory",
        "disagreement": error,
        "batch": options.batch,
        "rows": rows,
        "measured": [measured(*pair, device) for pair in pairs] if device.type == "cuda" else [],
        **where,
    }
    publish(result, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
