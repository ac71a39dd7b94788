"""Do the axes of a search space matter, or only the seeds? A question to ask before any search.

Draws configurations at random from a space, trains each at full budget on several seeds (no Ray, no
stopping), and prints the share of the variance of the score that configurations explain.

    python -m tests.benchmarks.axes search_spaces/digits.yaml --out FILE
"""

import argparse
import json
import platform
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from optuna import create_study
from optuna.samplers import RandomSampler

from ictsweep.answers import Word
from ictsweep.config import TrialConfig
from ictsweep.data import load
from ictsweep.records import Measurement
from ictsweep.seeds import derive_seed
from ictsweep.study.noise import variance_share
from ictsweep.study.space import distributions, read_checked, resolve
from ictsweep.training import Job, Trainer, yardstick


class Last:
    """A runtime that keeps the last measurement."""

    rank = 0
    world_size = 1
    device = torch.device("cpu")
    leaving = False
    measurement: Measurement | None = None

    def report(self, measurement: Measurement) -> Word:
        self.measurement = measurement
        return Word.GO_ON

    def verdict(self, rung_kimg: int) -> Word:
        return Word.GO_ON

    def keep(self, folder: Path, *names: str) -> None: ...

    def fetch(self, folder: Path) -> bool:
        return False


def score(config: TrialConfig, seed: int, metric: str, cache: Path) -> float:
    """The final value of one full run on one thread."""
    torch.set_num_threads(1)
    images = load(config.data)
    runtime = Last()
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            config=config,
            images=images,
            evaluator=yardstick(config, images, 0, cache),
            seed=seed,
            folder=Path(folder),
        )
        Trainer(job, runtime).fit()
    assert runtime.measurement is not None
    return runtime.measurement.values[metric]


def drawn(space: Path, count: int) -> tuple[str, list[dict[str, Any]], list[TrialConfig]]:
    """The metric, and `count` random configurations of a space (parameters, configurations)."""
    spec, _ = read_checked(space)
    study = create_study(sampler=RandomSampler(seed=derive_seed(spec.seed, "axes") % 2**32))
    params = [study.ask(distributions(spec)).params for _ in range(count)]
    return spec.minimize, params, [resolve(spec, p) for p in params]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space", type=Path)
    parser.add_argument("--configurations", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    metric, params, configs = drawn(options.space, options.configurations)
    with tempfile.TemporaryDirectory() as cache, ProcessPoolExecutor(options.processes) as pool:
        yardstick(configs[0], load(configs[0].data), 0, Path(cache))
        seeds, folder = range(options.seeds), Path(cache)
        futures = [[pool.submit(score, c, s, metric, folder) for s in seeds] for c in configs]
        values = [[f.result() for f in row] for row in futures]
    share = variance_share(values)
    interval = f"[{share.low:.0%}, {share.high:.0%}]"
    runs = f"{len(values)} x {options.seeds} runs"
    print(f"{metric}: configurations explain {share.share:.0%} {interval} of the variance ({runs})")
    result = {
        "space": options.space.name, "metric": metric, "values": values, "params": params,
        "variance_share": asdict(share), "torch": torch.__version__, "machine": platform.machine(),
    }  # fmt: skip
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
