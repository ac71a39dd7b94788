"""Where pictures come from: data sets known by name, prepared folders, the user's own arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge, Le

from ictsweep.data.images import Images, digest_of
from ictsweep.data.manifest import MANIFEST, read_manifest
from ictsweep.data.prepared import open_prepared
from ictsweep.data.sources.array import read_arrays
from ictsweep.errors import UserError

__all__ = ["DataConfig", "load", "location"]

_DEFAULTS = {
    "cifar10": Path(".ictsweep/data/cifar10"),
    "imagenet64": Path(".ictsweep/data/imagenet64"),
}
_TITLES = {"cifar10": "CIFAR-10", "imagenet64": "ImageNet-64"}
_NEEDED = {
    "array": "the .npz or .npy file with the images",
    "prepared": "the folder that `ictsweep prepare` made",
}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which pictures to learn.

    `digits`: the 1,797 8x8 handwritten digits that come with scikit-learn. `cifar10` and
    `imagenet64`: what `ictsweep prepare` made of them, in `path` or in its default folder.
    `prepared`: any other prepared folder. `array`: the file at `path`, a `.npz` with `images` and
    optionally `labels`, or a `.npy`; the images are uint8 [n, h, w, c], [n, c, h, w] or [n, h, w],
    8x8 or more, with c 1 or 3. `flip` mirrors half of the pictures; leave it off for anything with
    a handedness, such as writing. `augment` is the probability of each of EDM's non-leaking
    augmentations (Karras et al. 2022, arXiv:2206.00364, Appendix F.2; 0.12 for CIFAR-10); it needs
    a network that is told of them.
    """

    name: Literal["digits", "cifar10", "imagenet64", "prepared", "array"]
    path: str | None = None
    flip: bool = False
    augment: Annotated[float, Ge(0), Le(1)] = 0.0

    def __post_init__(self) -> None:
        if self.name in _NEEDED and self.path is None:
            raise ValueError(f"data {self.name!r} needs a path: {_NEEDED[self.name]}")
        if self.name == "digits" and self.path is not None:
            raise ValueError(
                f"data 'digits' takes no path (got {self.path!r}); "
                "remove it, or use name: array to read your own file"
            )


def location(config: DataConfig) -> Path | None:
    """The file or folder that is read: `path`, or where `ictsweep prepare` puts the data set; None
    for pictures that come with a library.
    """
    return _DEFAULTS.get(config.name) if config.path is None else Path(config.path)


def load(config: DataConfig) -> Images:
    """The pictures, prepared ones as a map of their file; UserError when they are not what
    DataConfig describes, or not prepared.
    """
    place = location(config)
    if place is None:
        return _digits()
    if config.name == "array":
        return _images(*read_arrays(place), place.stem)
    _check_prepared(config, place)
    return open_prepared(place)


def _check_prepared(config: DataConfig, folder: Path) -> None:
    """UserError unless `folder` is prepared and, for a data set known by name, is that one."""
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder}: {_title(config)} not prepared here; {_remedy(config, folder)}")
    kind = read_manifest(folder).kind
    if config.name != "prepared" and kind != config.name:
        raise UserError(
            f"{folder}: holds prepared pictures of kind {kind!r}, not {config.name!r}; "
            "use name: prepared for them, or another path"
        )


def _title(config: DataConfig) -> str:
    return f"{_TITLES[config.name]} is" if config.name in _TITLES else "pictures are"


def _remedy(config: DataConfig, folder: Path) -> str:
    taken = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
    made = f"{folder}-prepared" if taken else str(folder)  # `prepare` leaves the user's files alone
    if config.name not in _TITLES:
        if taken:
            return f"run `ictsweep prepare folder {folder} --to {made}` and name {made} instead"
        return f"run `ictsweep prepare folder PICTURES --to {folder}`, or correct data.path"
    origin = " --from ARCHIVES" if config.name == "imagenet64" else ""
    target = "" if config.path is None else f" --to {made}"
    return (
        f"run `ictsweep prepare {config.name}{origin}{target}`, "
        "or set data.path to where it was prepared"
    )


def _digits() -> Images:
    # scikit-learn takes a second to import and no other data set needs it.
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    grey = np.rint(np.asarray(rows) * (255 / 16)).astype(np.uint8)  # 0 .. 16 in the source
    return _images(grey.reshape(-1, 1, 8, 8), np.asarray(labels, dtype=np.int64), "digits")


def _images(pixels: np.ndarray, labels: np.ndarray | None, name: str) -> Images:
    # A copy where the file is mapped read-only: a tensor must be writable.
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    classes = None if labels is None else torch.from_numpy(labels)
    return Images(pixels=tensor, labels=classes, name=name, digest=digest_of(tensor, classes))
