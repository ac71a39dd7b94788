"""The user's own array of pictures, a .npz or .npy file."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ictsweep.data.images import MIN_SIDE
from ictsweep.data.sources import Chunk, Plan
from ictsweep.errors import UserError

__all__ = ["ArrayFile", "read_arrays"]

_CHUNK = 1 << 24  # bytes of pictures
_MAX_LABEL = (1 << 31) - 1


@dataclass(frozen=True)
class ArrayFile:
    """The file at `path`, as `read_arrays` reads it."""

    path: Path

    def plan(self) -> Plan:
        """What the file holds; it is identified by the hash of its bytes."""
        pixels, labels = read_arrays(self.path)
        with self.path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        n, c, h, w = pixels.shape
        return Plan(
            name=self.path.stem,
            kind="array",
            items=n,
            shape=(c, h, w),
            labelled=labels is not None,
            classes=None,
            source={"file": self.path.name, "sha256": content},
            resize="none",
            fingerprint=content,
        )

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        """The pictures from `start` on, in their order."""
        pixels, labels = read_arrays(self.path)
        step = max(1, _CHUNK // pixels[0].nbytes)
        for first in range(start, len(pixels), step):
            part = slice(first, first + step)
            chosen = pixels[part]
            yield Chunk(chosen, None if labels is None else labels[part], len(chosen))


def read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The pictures, uint8 [n, c, h, w], and the labels, int64 [n] or None, of an array file.

    A `.npz` has `images` and perhaps `labels`; a `.npy` is the images alone, which stay on the disk
    (a private map) until they are used. The images are uint8 [n, h, w, c], [n, c, h, w] or
    [n, h, w], 8x8 or more, with c 1 or 3; labels are whole numbers from 0. UserError for anything
    else.
    """
    arrays = _read(path)
    pixels = _channels_first(path, arrays["images"])
    labels = arrays.get("labels")
    return pixels, None if labels is None else _labels(path, labels, len(pixels))


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of a file, by name: `images` and perhaps `labels`."""
    if path.suffix not in (".npy", ".npz"):
        raise UserError(f"{path}: not a .npz or .npy file; save the pictures with numpy.savez")
    try:
        # Only a .npy file is mapped; and it is not written to, whatever is done with the array.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"images": loaded}
        with loaded:
            if "images" not in loaded.files:
                found = ", ".join(sorted(loaded.files)) or "nothing"
                raise UserError(f"{path}: needs an array called 'images' (found: {found})")
            return {key: loaded[key] for key in ("images", "labels") if key in loaded.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file (looked in {path.absolute().parent})") from None
    except MemoryError:
        raise UserError(
            f"{path}: its arrays do not fit into memory; save the pictures as a .npy file"
        ) from None
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
    if min(h, w) < MIN_SIDE:
        raise UserError(f"{path}: images are {h}x{w}; at least {MIN_SIDE}x{MIN_SIDE} is needed")
    return images


def _labels(path: Path, labels: np.ndarray, n: int) -> np.ndarray:
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{path}: labels are {labels.dtype}; they must be whole numbers, one per image"
        )
    if labels.shape != (n,):
        raise UserError(f"{path}: labels have shape {labels.shape} for {n} images; expected ({n},)")
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest > _MAX_LABEL:
        wrong = int(labels.argmin() if lowest < 0 else labels.argmax())
        raise UserError(
            f"{path}: the label of image {wrong} is {labels[wrong]}; labels are counted from 0, "
            f"up to {_MAX_LABEL:,}"
        )
    return labels.astype(np.int64)
