"""The smallest honest trial: real digits, the real U-Net at 4 channels, a few hundred images."""

from pathlib import Path
from typing import Any

import torch

from ictsweep.config import TrialConfig, trial_config
from ictsweep.data import load
from ictsweep.records import Measurement
from ictsweep.training import Job, yardstick

SPACE = """
study: small
trial:
  data: {name: digits}
  network: {preset: tiny, channels: 4, dropout: 0.2}
  method: {preset: ict}
  optimizer: {lr: 1.0e-3, batch: 200}
  precision: fp32
  budget_kimg: 4
  evaluate: {every_kimg: 1, images: 128, steps: [1, 2], grid: 16}
search:
  network.dropout: {range: [0.0, 0.5]}
trials: 2
replicates: 1
stopping: {first_rung_kimg: 2, reduction: 2}
"""


def config(**changes: Any) -> TrialConfig:
    """20 steps of 200 images."""
    fields: dict[str, Any] = {
        "data": {"name": "digits"},
        "network": {"preset": "tiny", "channels": 4, "dropout": 0.2},
        "method": {"preset": "ict"},
        "optimizer": {"lr": 1e-3, "batch": 200},
        "precision": "fp32",
        "budget_kimg": 4,
        "evaluate": {"every_kimg": 1, "images": 128, "grid": 16},
    }
    return trial_config({**fields, **changes})


def job(folder: Path, cache: Path, **changes: Any) -> Job:
    """A job of `config()` in a folder."""
    what = changes.pop("config", config())
    images = load(what.data)
    evaluator = yardstick(what, images, 0, cache)
    fields: dict[str, Any] = {"images": images, "evaluator": evaluator, "seed": 5, "folder": folder}
    return Job(config=what, **{**fields, **changes})


class Recorder:
    """A runtime that remembers what it was told; stops at the rungs in `stop_at`."""

    rank = 0
    world_size = 1
    device = torch.device("cpu")

    def __init__(self, stop_at: tuple[int, ...] = ()) -> None:
        self.measurements: list[Measurement] = []
        self.asked: list[int] = []
        self._stop_at = stop_at

    def report(self, measurement: Measurement) -> None:
        self.measurements.append(measurement)

    def verdict(self, rung_kimg: int) -> bool:
        self.asked.append(rung_kimg)
        return rung_kimg not in self._stop_at
