"""One run without a study: a process of its own, or the processes of torchrun."""

import json
from collections import deque
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ictsweep.answers import Outcome
from ictsweep.config import TrialConfig
from ictsweep.consistency import FixedEma, HalfLifeEma, PowerEma
from ictsweep.data import Images, load
from ictsweep.evaluation import Evaluator, open_evaluator
from ictsweep.files import whole_lines
from ictsweep.starts import RandomInit
from ictsweep.training.initial import start_path
from ictsweep.training.job import Job
from ictsweep.training.runtime import LocalRuntime, first_rank_s
from ictsweep.training.trainer import Trainer

_CPU = torch.device("cpu")


def train_once(
    config: TrialConfig,
    *,
    out: Path,
    cache: Path,
    seed: int,
    micro_batch: int | None,
    recompute: bool = False,
) -> Outcome:
    """Train `config` to its full budget in the folder `out`, continuing the newest checkpoint
    there, or to where a signal asks it to leave. A run that it starts from is read as it stands now
    (`start_path`).

    Writes out/measurements.jsonl, out/samples/, out/checkpoints/ and, where averages are kept for
    later, out/snapshots/; extractors are kept in `cache`. `micro_batch` and `recompute` as in Job.
    """
    runtime = LocalRuntime(out)
    try:
        config = _with_one_start(config)
        images = load(config.data)
        runtime.say(f"{out}: {len(images.pixels):,} images, {config.budget_kimg} kimg to train")
        job = Job(
            config=config,
            images=images,
            evaluator=yardstick(config, images, seed, cache, runtime.device),
            seed=seed,
            folder=out,
            recorded=_recorded(out, config.budget_kimg),
            micro_batch=micro_batch,
            recompute=recompute,
        )
        trainer = Trainer(job, runtime)
        outcome = trainer.fit()
        if outcome is Outcome.LEFT:
            runtime.say(
                f"left at {trainer.seen / 1000:g} of {config.budget_kimg} kimg, where a checkpoint "
                "is kept; the same command continues from there"
            )
        else:
            runtime.say(f"done: {out}/measurements.jsonl, samples/, checkpoints/")
        return outcome
    finally:
        runtime.close()


def _with_one_start(config: TrialConfig) -> TrialConfig:
    """The configuration with the start that rank 0 finds now: all ranks begin with the same one."""
    if isinstance(config.init, RandomInit):
        return config
    path = first_rank_s(start_path(config.init.path))
    return replace(config, init=replace(config.init, path=path))


def yardstick(
    config: TrialConfig, images: Images, seed: int, cache: Path, device: torch.device = _CPU
) -> Evaluator:
    """The evaluator of a configuration: every trial of a study, given the study's seed, is measured
    by the same one. What it needs of the data is computed now, on `device`, by one of the processes
    that ask at once; the others wait.
    """
    evaluator = open_yardstick(config, images, seed, cache, device)
    deque(evaluator.reference.build(), maxlen=0)
    return evaluator


def open_yardstick(
    config: TrialConfig, images: Images, seed: int, cache: Path, device: torch.device = _CPU
) -> Evaluator:
    """`yardstick` before its reference is built, which `reference.build()` does, step by step."""
    return open_evaluator(
        images.pixels, images.labels, images.name, images.digest, config.evaluate,
        seed=seed, cache=cache, ema=_words(config.ema), device=device,
    )  # fmt: skip


def _words(average: PowerEma | FixedEma | HalfLifeEma) -> str:
    """An average's name and numbers, such as "power 0.05"."""
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in asdict(average).values())


def _recorded(out: Path, run_kimg: int) -> frozenset[int]:
    """The kimg of this run that measurements.jsonl has; a torn last line does not count."""
    lines = map(json.loads, whole_lines(out / "measurements.jsonl"))
    return frozenset(line["kimg"] for line in lines if line["run_kimg"] == run_kimg)
