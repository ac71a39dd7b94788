"""What coarse numbers leave of a consistency gradient, as the levels of the grid come closer.

A small network learns iCT on digits in float32, through its whole curriculum: one without training
says nothing about two outputs that should agree. Then, at N = 11 ... 1281 levels, its gradient on
fresh batches in each precision is compared with that in float32 by the cosine between them. First
float32 has to agree with itself to 1e-6, and with float64 to 1e-4 at N = 11: if not, there is no
number. "fp32" is float32's own rounding, its gradient against that in float64.

    python -m tests.benchmarks.precision [--kimg 24] [--batches 5] [--out FILE]

Rounding differs from image to image and averages out over a batch, so the cosine belongs to a
number of images: 16 and 125 are measured. On a CPU the 16-bit precisions are those of its autocast,
float16 (which it has no arithmetic for) on 16 images alone; TF32 needs a CUDA device.
"""

import argparse
import copy
import dataclasses
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.config import TrialConfig, trial_config
from ictsweep.consistency import Batch, Doubling, GridPairs
from ictsweep.data import load
from ictsweep.training import Trainer
from ictsweep.training.feed import Feed
from ictsweep.training.objective import Objective
from ictsweep.training.precision import FULL, Precision, tf32
from ictsweep.training.probe import gradient_cosine
from tests.benchmarks.measuring import conditions, default_device, middle, publish, trainer_on

LEVELS = (11, 41, 161, 641, 1281)
BATCH = 125
SIZES = (16, BATCH)
SELF_TOLERANCE = 1e-6
FP64_TOLERANCE = 1e-4

Cosine = Callable[[Objective, Batch], float]


def configuration(kimg: int) -> TrialConfig:
    """iCT with the published curriculum on 8x8 digits, 8 steps per kimg."""
    return trial_config(
        {
            "data": {"name": "digits"},
            "network": {"preset": "tiny", "blocks": 4, "attention": [4]},  # the depth of DDPM++
            "method": {"preset": "ict"},
            "optimizer": {"name": "radam", "lr": 1e-3, "batch": BATCH},
            "precision": "fp32",
            "budget_kimg": kimg,
            "evaluate": {"every_kimg": kimg, "images": 32},
        }
    )


def trained(config: TrialConfig, device: torch.device, folder: Path) -> Trainer:
    """A trainer at the end of its run."""
    trainer = trainer_on(config, load(config.data), device, folder)
    while trainer.seen < config.budget_kimg * 1000:
        trainer._step()
    return trainer


def at_levels(trainer: Trainer, levels: int) -> tuple[Objective, TrialConfig]:
    """The trainer's objective on a grid that stays at so many levels."""
    config = trainer.config
    assert isinstance(config.method.pairs, GridPairs)
    steps = Doubling(s0=levels - 1, s1=levels - 1)
    pairs = dataclasses.replace(config.method.pairs, steps=steps)
    method = dataclasses.replace(config.method, pairs=pairs)
    objective = dataclasses.replace(trainer.objective, method=method, precision=FULL)
    return objective, dataclasses.replace(config, method=method)


def batches(trainer: Trainer, config: TrialConfig, count: int, images: int) -> list[Batch]:
    """Batches of so many images that training has not seen, each with its own seed."""
    feed = trainer.feed
    fresh = [
        Feed(
            config=config, images=feed.images, seed=1000 + seed, mask_size=feed.mask_size,
            device=feed.device,
        ).batch(0, 0, BATCH)
        for seed in range(count)
    ]  # fmt: skip
    return [_start(batch, images) for batch in fresh]


def _start(batch: Batch, n: int) -> Batch:
    mask = None if batch.mask is None else batch.mask[:n]
    return Batch(batch.x0[:n], batch.noise[:n], batch.t[:n], batch.r[:n], mask)


def against_float64(objective: Objective, batch: Batch) -> float:
    """The cosine between the gradient in float32 and in float64, of student and batch in
    float64."""
    student = copy.deepcopy(objective.student).double()
    exact = dataclasses.replace(objective, student=student, teacher=student)
    wide = {name: getattr(batch, name).double() for name in ("x0", "noise", "t", "r")}
    with tf32(False):
        a = _gradient(objective, batch)
    b = _gradient(exact, dataclasses.replace(batch, **wide))
    return float(torch.dot(a, b) / (a.norm() * b.norm()))


def _gradient(objective: Objective, batch: Batch) -> Tensor:
    weights = list(objective.student.parameters())
    parts = torch.autograd.grad(objective.losses(batch).mean(), weights)
    return torch.cat([part.double().flatten() for part in parts])


def in_precision(name: str) -> Cosine:
    """The cosine of a precision's gradient with float32's; NaN where it overflows at any scale."""

    def cosine(objective: Objective, batch: Batch) -> float:
        coarse = dataclasses.replace(objective, precision=Precision.of(name))
        with tf32(coarse.precision.tf32):
            found = gradient_cosine(coarse, batch)
        return math.nan if found is None else found

    return cosine


def disagreement(trainer: Trainer) -> dict[str, float]:
    """1 - cosine of float32 with itself, at the worst N, and with float64 at N = 11."""
    itself = []
    for levels in LEVELS:
        objective, config = at_levels(trainer, levels)
        batch = batches(trainer, config, 1, SIZES[0])[0]
        itself.append(abs(1 - in_precision("fp32")(objective, batch)))
    objective, config = at_levels(trainer, LEVELS[0])
    fresh = batches(trainer, config, 3, SIZES[0])
    return {
        "self": max(itself),
        "float64": max(1 - against_float64(objective, batch) for batch in fresh),
    }


def measure(trainer: Trainer, images: int, names: list[str], count: int) -> list[dict[str, Any]]:
    """Per number of levels, the cosine of each precision: median and quartiles over batches."""
    ways: dict[str, Cosine] = {"fp32": against_float64}
    ways |= {name: in_precision(name) for name in names}
    rows = []
    for levels in LEVELS:
        objective, config = at_levels(trainer, levels)
        fresh = batches(trainer, config, count, images)
        row: dict[str, Any] = {"levels": levels, "images": images}
        for name, way in ways.items():
            median, ends = middle([way(objective, batch) for batch in fresh], 5)
            row |= {name: median, f"{name}_quartiles": ends}
        rows.append(row)
    return rows


def precisions(device: torch.device, images: int) -> list[str]:
    """Those that a device has, and computes in a reasonable time."""
    if device.type == "cuda":
        return ["tf32", "fp16", "bf16"]
    return ["fp16", "bf16"] if images == SIZES[0] else ["bf16"]


def main(arguments: list[str] | None = None) -> int:
    """Train, check, measure; a line per number of levels and one JSON object; 1 if float32 is not
    good enough to compare with."""
    parser = argparse.ArgumentParser(description="gradient cosine of coarse precisions")
    parser.add_argument("--kimg", type=int, default=24, help="thousands of images trained on")
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the JSON there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = default_device()
    where = conditions(device)  # before the benchmark is the load itself
    with tempfile.TemporaryDirectory() as folder:
        trainer = trained(configuration(options.kimg), device, Path(folder))
    errors = disagreement(trainer)
    if not (errors["self"] <= SELF_TOLERANCE and errors["float64"] <= FP64_TOLERANCE):
        print(f"precision: float32 is no reference: {errors}; nothing was measured")
        return 1
    rows = []
    for images in SIZES:
        names = precisions(device, images)
        rows += measure(trainer, images, names, options.batches)
        for row in rows[-len(LEVELS) :]:
            cosines = ", ".join(f"{name} {row[name]}" for name in names)
            print(f"precision: cosine at N = {row['levels']}, {images} images: {cosines}")
    result: dict[str, object] = {
        "benchmark": "precision",
        "disagreement": errors,
        "rows": rows,
        "kimg": options.kimg,
        "batches": options.batches,
        "network": dataclasses.asdict(trainer.config.network),
        "last_loss": trainer.meta.loss,
        **where,
    }
    publish(result, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
