"""The smallest honest trial: real digits, the real U-Net at 4 channels, a few hundred images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ictsweep.answers import Word
from ictsweep.config import TrialConfig, trial_config
from ictsweep.data import load
from ictsweep.records import Measurement
from ictsweep.training import Job, Trainer, yardstick

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

METHODS = ("ict", "edm", "ct", "ect", "sct", "gaf", "gaf_ect", "sct_ict")


def fields(**changes: Any) -> dict[str, Any]:
    """20 steps of 200 images, as plain values."""
    return {
        "data": {"name": "digits"},
        "network": {"preset": "tiny", "channels": 4, "dropout": 0.2},
        "method": {"preset": "ict"},
        "optimizer": {"lr": 1e-3, "batch": 200},
        "precision": "fp32",
        "budget_kimg": 4,
        "evaluate": {"every_kimg": 1, "images": 128, "grid": 16},
        **changes,
    }


def config(**changes: Any) -> TrialConfig:
    """20 steps of 200 images."""
    return trial_config(fields(**changes))


def method(name: str, **changes: Any) -> TrialConfig:
    """`config` for a method, with few references where it wants any."""
    path = {"path": {"references": 64}} if name.startswith("sct") else {}
    return config(**{"method": {"preset": name, **path}, **changes})


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
    leaving = False

    def __init__(self, stop_at: tuple[int, ...] = ()) -> None:
        self.measurements: list[Measurement] = []
        self.asked: list[int] = []
        self.kept: list[str] = []
        self._stop_at = stop_at

    def report(self, measurement: Measurement) -> Word:
        self.measurements.append(measurement)
        return Word.GO_ON

    def verdict(self, rung_kimg: int) -> Word:
        self.asked.append(rung_kimg)
        return Word.STOP if rung_kimg in self._stop_at else Word.GO_ON

    def keep(self, folder: Path, *names: str) -> None:
        self.kept.extend(names)

    def fetch(self, folder: Path) -> bool:
        self.kept.append("fetched")
        return False


def trainer(folder: Path, cache: Path, **changes: Any) -> Trainer:
    """A trainer that is not evaluated: of `job`, on a runtime of its own."""
    return Trainer(job(folder, cache, **changes), Recorder())


def losses(trainer: Trainer, steps: int) -> list[float]:
    """The loss of each of the next steps."""
    return [step(trainer).meta.loss for _ in range(steps)]


def step(trainer: Trainer) -> Trainer:
    """The trainer, one step further."""
    trainer._step()
    return trainer


def tensors(trainer: Trainer, *parts: str) -> list[torch.Tensor]:
    """All tensors of its state, or of some parts of it."""
    state = trainer.state.state_dict()
    return _tensors([state[part] for part in parts or state])


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return [t for v in inner if isinstance(v, dict | list | torch.Tensor) for t in _tensors(v)]


def same(a: Trainer, b: Trainer, *parts: str) -> bool:
    """Whether two states are equal bit by bit."""
    pairs = zip(tensors(a, *parts), tensors(b, *parts), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def poison(trainer: Trainer, at: Callable[[torch.Tensor], torch.Tensor], value: float) -> None:
    """Make the network's output `value` where `at(c_noise)` says so."""
    network = trainer.state.model.network
    forward = network.forward

    def poisoned(x: torch.Tensor, c_noise: torch.Tensor, *rest: Any) -> torch.Tensor:
        out = forward(x, c_noise, *rest)
        return torch.where(at(c_noise.view(-1, 1, 1, 1)), out * value, out)

    network.forward = poisoned
