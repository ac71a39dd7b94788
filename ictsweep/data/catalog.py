"""Where pictures come from: data sets known by name, and the user's own arrays."""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ictsweep.data.images import Images, digest_of
from ictsweep.errors import UserError

_MIN_SIDE = 8


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which pictures to learn.

    `digits`: the 1,797 8x8 handwritten digits that come with scikit-learn. `array`: the file at
    `path`, a `.npz` with `images` and optionally `labels`, or a `.npy`; the images are uint8
    [n, h, w, c], [n, c, h, w] or [n, h, w], 8x8 or more, with c 1 or 3. `flip` mirrors half of the
    pictures; leave it off for anything with a handedness, such as writing.
    """

    name: Literal["digits", "array"]
    path: str | None = None
    flip: bool = False

    def __post_init__(self) -> None:
        if self.name == "array" and self.path is None:
            raise ValueError("data 'array' needs a path: the .npz or .npy file with the images")
        if self.name != "array" and self.path is not None:
            raise ValueError(
                f"data {self.name!r} takes no path (got {self.path!r}); "
                "remove it, or use name: array to read your own file"
            )


def load(config: DataConfig) -> Images:
    """The pictures, in memory; UserError when the file is not what DataConfig describes."""
    if config.name == "digits":
        return _digits()
    assert config.path is not None
    return _array(Path(config.path))


def _digits() -> Images:
    # scikit-learn takes a second to import and no other data set needs it.
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    grey = np.rint(np.asarray(rows) * (255 / 16)).astype(np.uint8)  # 0 .. 16 in the source
    return _images(grey.reshape(-1, 1, 8, 8), np.asarray(labels, dtype=np.int64), "digits")


def _array(path: Path) -> Images:
    arrays = _read(path)
    pixels = _channels_first(path, arrays["images"])
    labels = arrays.get("labels")
    if labels is not None:
        labels = _labels(path, labels, len(pixels))
    return _images(pixels, labels, path.stem)


def _images(pixels: np.ndarray, labels: np.ndarray | None, name: str) -> Images:
    tensor = torch.from_numpy(np.ascontiguousarray(pixels))
    classes = None if labels is None else torch.from_numpy(labels)
    return Images(pixels=tensor, labels=classes, name=name, digest=digest_of(tensor, classes))


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of a file, by name: `images` and perhaps `labels`."""
    if path.suffix not in (".npy", ".npz"):
        raise UserError(f"{path}: not a .npz or .npy file; save the pictures with numpy.savez")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"images": loaded}
        with loaded:
            if "images" not in loaded.files:
                found = ", ".join(sorted(loaded.files)) or "nothing"
                raise UserError(f"{path}: needs an array called 'images' (found: {found})")
            return {key: loaded[key] for key in ("images", "labels") if key in loaded.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file (looked in {path.absolute().parent})") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be read as numpy arrays: {error}") from error


def _channels_first(path: Path, images: np.ndarray) -> np.ndarray:
    """[n, h, w], [n, h, w, c] or [n, c, h, w] -> [n, c, h, w]; UserError for anything else."""
    if images.dtype != np.uint8:
        raise UserError(f"{path}: images are {images.dtype}; they must be uint8, 0 to 255")
    if images.ndim not in (3, 4):
        raise UserError(
            f"{path}: images have shape {images.shape}; "
            "they must be [n, h, w], [n, h, w, c] or [n, c, h, w]"
        )
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    n, c, h, w = images.shape
    if n == 0:
        raise UserError(f"{path}: no images (shape {images.shape})")
    if c not in (1, 3):
        raise UserError(f"{path}: images have shape {images.shape}; 1 or 3 channels are needed")
    if min(h, w) < _MIN_SIDE:
        raise UserError(f"{path}: images are {h}x{w}; at least {_MIN_SIDE}x{_MIN_SIDE} is needed")
    return images


def _labels(path: Path, labels: np.ndarray, n: int) -> np.ndarray:
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{path}: labels are {labels.dtype}; they must be whole numbers, one per image"
        )
    if labels.shape != (n,):
        raise UserError(f"{path}: labels have shape {labels.shape} for {n} images; expected ({n},)")
    return labels.astype(np.int64)
