"""One run without a study: a process of its own, or the processes of torchrun."""

import json
from pathlib import Path

from ictsweep.config import TrialConfig
from ictsweep.data import Images, load
from ictsweep.evaluation import Evaluator, prepare
from ictsweep.files import whole_lines
from ictsweep.training.runtime import LocalRuntime, barrier
from ictsweep.training.trainer import Job, Trainer


def train_once(
    config: TrialConfig, *, out: Path, cache: Path, seed: int, micro_batch: int | None
) -> None:
    """Train `config` to its full budget in the folder `out`, continuing the newest checkpoint
    there.

    Writes out/measurements.jsonl, out/samples/ and out/checkpoints/; extractors are kept in
    `cache`.
    """
    runtime = LocalRuntime(out)
    try:
        images = load(config.data)
        runtime.say(f"{out}: {len(images.pixels):,} images, {config.budget_kimg} kimg to train")
        if runtime.rank == 0:
            yardstick(config, images, seed, cache)
        barrier()
        job = Job(
            config=config,
            images=images,
            evaluator=yardstick(config, images, seed, cache),
            seed=seed,
            folder=out,
            recorded=_recorded(out, config.budget_kimg),
            micro_batch=micro_batch,
        )
        trainer = Trainer(job, runtime)
        trainer.fit()
        runtime.say(f"done: {out}/measurements.jsonl, samples/, checkpoints/")
    finally:
        runtime.close()


def yardstick(config: TrialConfig, images: Images, seed: int, cache: Path) -> Evaluator:
    """The evaluator of a configuration: every trial of a study, given the study's seed, is measured
    by the same one.
    """
    return prepare(
        images.pixels, images.labels, images.name, images.digest, config.evaluate,
        seed=seed, cache=cache, ema=f"power {config.ema.sigma_rel:g}",
    )  # fmt: skip


def _recorded(out: Path, run_kimg: int) -> frozenset[int]:
    """The kimg of this run that measurements.jsonl has; a torn last line does not count."""
    lines = map(json.loads, whole_lines(out / "measurements.jsonl"))
    return frozenset(line["kimg"] for line in lines if line["run_kimg"] == run_kimg)
