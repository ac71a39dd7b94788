"""What the benchmarks of speed and memory have in common: a clock, turns, conditions, records."""

import dataclasses
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

from ictsweep.config import TrialConfig
from ictsweep.data import Images
from ictsweep.training import Job, Trainer
from tests.training.small import Recorder


def default_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The device's model, as its maker writes it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def conditions(device: torch.device) -> dict[str, object]:
    """Where, when and with what a measurement was made, and how busy the machine was."""
    found = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": device_name(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
    }
    if device.type == "cuda":
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """What an action costs: the process's own CPU time, or the device's between two events."""
    if device.type != "cuda":
        start = time.process_time()
        action()
        return time.process_time() - start
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    action()
    end.record()
    torch.cuda.synchronize(device)
    return start.elapsed_time(end) / 1e3


def take_turns(
    actions: Mapping[str, Callable[[], object]], device: torch.device, repeats: int, warmup: int
) -> dict[str, list[float]]:
    """Seconds of each action, one after the other in every round; the first `warmup` rounds do not
    count."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(warmup + repeats):
        for name, action in actions.items():
            times[name].append(seconds(action, device))
    return {name: values[warmup:] for name, values in times.items()}


def middle(values: list[float], digits: int) -> tuple[float, list[float]]:
    """The median and the quartiles; of fewer than three values, the extremes."""
    ends = (min(values), max(values))
    if len(values) > 2:
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        ends = (low, high)
    return round(statistics.median(values), digits), [round(end, digits) for end in ends]


def noise_images(n: int, shape: tuple[int, int, int]) -> Images:
    """Random pixels: a step on them costs what any other does."""
    pixels = torch.randint(0, 256, (n, *shape), dtype=torch.uint8)
    return Images(pixels=pixels, labels=None, name="noise", digest="0")


def trainer_on(
    config: TrialConfig,
    images: Images,
    device: torch.device,
    folder: Path,
    progress: float = 0.0,
    **options: Any,
) -> Trainer:
    """A trainer that is never evaluated, that far into its run. `options` are those of the job:
    `micro_batch`, `recompute`."""
    runtime = Recorder()
    runtime.device = device
    job = Job(
        config=config, images=images, evaluator=cast(Any, None), seed=0, folder=folder, **options
    )
    trainer = Trainer(job, runtime)
    batch = config.optimizer.batch
    steps = int(progress * config.budget_kimg * 1000) // batch
    trainer.meta = dataclasses.replace(trainer.meta, images=steps * batch)
    return trainer


def publish(result: dict[str, object], out: Path | None) -> None:
    """Print the record as one JSON object; also write it where asked."""
    print(json.dumps(result))
    if out is not None:
        out.write_text(json.dumps(result, indent=2) + "\n")
