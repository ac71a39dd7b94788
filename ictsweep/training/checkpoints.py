"""Checkpoints: tensors and JSON in one folder that appears whole or not at all.

checkpoints/000032-000016/      run length and images seen, in kimg (000016.250 between two of them)
    state.pt                    tensors and plain numbers; loads with weights_only=True
    meta.json                   what it belongs to: the configuration, data, seed, images seen
"""

import hashlib
import json
import math
import os
import pickle
import re
import shutil
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from ictsweep.errors import UserError
from ictsweep.files import flush_folder
from ictsweep.training.state import TrainState

KEPT = 2  # of each run: the newest, and the one before it should the newest be unreadable
_NAME = re.compile(r"(\d+)-(\d+)(?:\.(\d{3}))?")
_SAID = 5  # differences that are named; another method has dozens


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What a checkpoint belongs to, and where in the run it was taken.

    `config` is the whole configuration in JSON types; `data` and `init` identify the contents of
    the images and of the file that the first weights came from ("" for random ones). `images`
    counts those seen in this run. `stage` is the curriculum's at the last step, `grad_cosine` the
    last one measured, `by_level` what `spectrum.by_level` found since the last evaluation.
    """

    config: dict[str, Any]
    data: str
    init: str
    image_shape: tuple[int, int, int]
    seed: int
    run_kimg: int
    images: int
    train_s: float
    loss: float
    grad_norm: float
    stage: int | None = None
    grad_cosine: float | None = None
    by_level: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The checkpoint's folder name; sorts by run, then by progress. Three digits of images
        follow where a run was left between two kimg.
        """
        kimg, images = divmod(self.images, 1000)
        return f"{self.run_kimg:06d}-{kimg:06d}" + (f".{images:03d}" if images else "")

    def differences(self, other: "Meta") -> list[str]:
        """Why one is no continuation of the other: "optimizer.lr: 0.001 there, 0.002 here"."""
        mine, theirs = self._identity(), other._identity()
        keys = [key for key in {**theirs, **mine} if mine.get(key) != theirs.get(key)]
        said = [f"{key}: {theirs.get(key)} there, {mine.get(key)} here" for key in keys[:_SAID]]
        return [*said, f"and {len(keys) - _SAID} more"] if len(keys) > _SAID else said

    def _identity(self) -> dict[str, Any]:
        contents = {"contents of the data": self.data, "contents of init.path": self.init}
        return {**_leaves(self.config), "seed": self.seed, **contents}


def _leaves(block: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def save_checkpoint(folder: Path, state: TrainState, meta: Meta) -> Path:
    """Write a checkpoint under `folder`. Older ones of the run go."""
    place = folder / meta.name
    if place.exists() and is_whole(place) and read_meta(place) == meta:
        return place  # a resumed run is where its checkpoint was taken
    for torn in folder.glob(f".{meta.run_kimg:06d}-*"):  # left by a kill in mid-write
        shutil.rmtree(torn, ignore_errors=True)
    write_checkpoint(place, state.state_dict(), meta)
    for old in checkpoints(folder, meta.run_kimg)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place


def write_checkpoint(place: Path, state: dict[str, Any], meta: Meta) -> None:
    """Write the folder `place`: beside it first, flushed, then renamed. What a kill in mid-write
    left there goes.
    """
    beside, before = (place.parent / f".{place.name}.{word}" for word in ("new", "old"))
    for torn in (beside, before):
        shutil.rmtree(torn, ignore_errors=True)
    beside.mkdir(parents=True)
    with (beside / "state.pt").open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    with (beside / "meta.json").open("w") as file:
        json.dump({**asdict(meta), "sha256": sha256(beside / "state.pt")}, file)
        file.flush()
        os.fsync(file.fileno())
    if place.exists():
        os.replace(place, before)
    os.replace(beside, place)
    flush_folder(place.parent)


def checkpoints(folder: Path, run_kimg: int | None = None) -> list[Path]:
    """The complete checkpoints of a run (of all runs, the longest last), oldest first."""
    run = "*" if run_kimg is None else f"{run_kimg:06d}"
    places = {
        path: tuple(int(digits or 0) for digits in named.groups())
        for path in folder.glob(f"{run}-*")
        if (named := _NAME.fullmatch(path.name)) and (path / "meta.json").exists()
    }
    return sorted(places, key=places.__getitem__)


def read_meta(path: Path) -> Meta:
    """What a checkpoint belongs to; UserError if its meta.json is damaged, or another version of
    the program wrote it.
    """
    if not (facts := _facts(path)):
        raise UserError(f"{path / 'meta.json'}: not what was written; the checkpoint is damaged")
    facts.pop("sha256", None)
    known = {each.name for each in fields(Meta)}
    needed = {each.name for each in fields(Meta) if each.default is each.default_factory is MISSING}
    if strange := (needed - facts.keys()) | (facts.keys() - known):
        names = ", ".join(sorted(strange))
        raise UserError(f"{path}: not a checkpoint of this version ({names} in meta.json)")
    return Meta(**{**facts, "image_shape": tuple(facts["image_shape"])})


def _facts(path: Path) -> dict[str, Any]:
    """A checkpoint's meta.json; empty if it is not what was written."""
    try:
        facts = json.loads((path / "meta.json").read_text())
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def read_state(path: Path) -> dict[str, Any]:
    """The tensors of a checkpoint, on the CPU. `load_state_dict` copies those that belong on a
    device; an optimiser's step counts stay, or every step would wait for the device to read them.

    UserError if the file holds anything but tensors and plain numbers: nothing in it is run.
    """
    try:
        return torch.load(path / "state.pt", map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        reason = "it names objects that are no tensors, or is damaged"
        raise UserError(f"{path / 'state.pt'}: not a checkpoint of ours: {reason}") from error


def is_whole(path: Path) -> bool:
    """Whether a checkpoint's meta.json can be read and its tensors are those that were written."""
    written = digest_of(path)
    return written != "" and (path / "state.pt").exists() and sha256(path / "state.pt") == written


def digest_of(path: Path) -> str:
    """The SHA-256 that a checkpoint's tensors had when they were written; "" if meta.json is
    damaged.
    """
    return str(_facts(path).get("sha256", ""))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def newest(
    folder: Path, expected: Meta, most: float = math.inf
) -> tuple[Path, Meta] | tuple[None, None]:
    """The newest whole checkpoint of the run `expected` describes, after at most `most` images;
    None where there is none yet.

    UserError if the folder holds a checkpoint of another configuration, seed, data or start:
    continuing it would be a lie.
    """
    for path in reversed(checkpoints(folder, expected.run_kimg)):
        if not is_whole(path):
            continue  # damaged after it was written: the one before it serves
        meta = read_meta(path)
        if meta.images > most:
            continue
        if differences := expected.differences(meta):
            raise UserError(
                f"{path}: a checkpoint of another configuration or seed ({'; '.join(differences)})."
                " Choose another folder with --out, or delete this one to start anew."
            )
        return path, meta
    return None, None
