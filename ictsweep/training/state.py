"""Checkpoints: tensors and JSON in one folder that appears whole or not at all.

checkpoints/000032-000016/      run length and images seen, in kimg
    state.pt                    tensors and plain numbers; loads with weights_only=True
    meta.json                   what it belongs to: config digest, seed, images, seconds trained
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ictsweep.errors import UserError
from ictsweep.files import flush_folder

KEPT = 2  # of each run: the newest, and the one before it should the newest be unreadable


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What a checkpoint belongs to. `images` counts those seen in this run."""

    config_digest: str
    seed: int
    run_kimg: int
    images: int
    train_s: float
    loss: float
    grad_norm: float

    @property
    def name(self) -> str:
        """The checkpoint's folder name; sorts by run, then by progress."""
        return f"{self.run_kimg:06d}-{self.images // 1000:06d}"


@dataclass(frozen=True)
class TrainState:
    """The live objects whose state is a run's state."""

    model: nn.Module
    ema: AveragedModel
    optimizer: torch.optim.Optimizer

    def state_dict(self) -> dict[str, Any]:
        """Their states, by name."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore all of them."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "ema": self.ema, "optimizer": self.optimizer}


def save_checkpoint(folder: Path, state: TrainState, meta: Meta) -> Path:
    """Write a checkpoint under `folder`: beside its place first, flushed, then renamed. Older ones
    of the run go.
    """
    place = folder / meta.name
    if place.exists() and is_whole(place) and read_meta(place) == meta:
        return place  # a resumed run is where its checkpoint was taken
    for torn in folder.glob(f".{meta.run_kimg:06d}-*"):  # left by a kill in mid-write
        shutil.rmtree(torn, ignore_errors=True)
    beside = folder / f".{meta.name}.new"
    beside.mkdir(parents=True)
    with (beside / "state.pt").open("wb") as file:
        torch.save(state.state_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    with (beside / "meta.json").open("w") as file:
        json.dump({**asdict(meta), "sha256": _sha256(beside / "state.pt")}, file)
        file.flush()
        os.fsync(file.fileno())
    if place.exists():
        os.replace(place, folder / f".{meta.name}.old")
    os.replace(beside, place)
    flush_folder(folder)
    for old in checkpoints(folder, meta.run_kimg)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def checkpoints(folder: Path, run_kimg: int) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(p for p in folder.glob(f"{run_kimg:06d}-*") if (p / "meta.json").exists())


def load_checkpoint(path: Path, state: TrainState, device: torch.device) -> Meta:
    """Restore `state` from a checkpoint and return what it belongs to."""
    meta = read_meta(path)
    state.load_state_dict(torch.load(path / "state.pt", map_location=device, weights_only=True))
    return meta


def read_meta(path: Path) -> Meta:
    """What a checkpoint belongs to."""
    facts = json.loads((path / "meta.json").read_text())
    return Meta(**{name: value for name, value in facts.items() if name != "sha256"})


def is_whole(path: Path) -> bool:
    """Whether a checkpoint's tensors are those that were written."""
    expected = json.loads((path / "meta.json").read_text())["sha256"]
    return (path / "state.pt").exists() and _sha256(path / "state.pt") == expected


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def restore_newest(
    folder: Path, state: TrainState, device: torch.device, expected: Meta
) -> Meta | None:
    """Restore the newest whole checkpoint of the run `expected` describes; None where there is none
    yet.

    UserError if the folder holds a checkpoint of another configuration or seed: continuing it
    would be a lie.
    """
    for path in reversed(checkpoints(folder, expected.run_kimg)):
        if not is_whole(path):
            continue  # damaged after it was written: the one before it serves
        meta = read_meta(path)
        if (meta.config_digest, meta.seed) != (expected.config_digest, expected.seed):
            raise UserError(
                f"{path}: a checkpoint of another configuration or seed. "
                "Choose another folder with --out, or delete this one to start anew."
            )
        return load_checkpoint(path, state, device)
    return None
