"""ImageNet-64 from its published downsampled archives (Chrabaszcz, Loshchilov & Hutter 2017,
arXiv:1707.08819).
"""

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ictsweep.data.sources import Chunk, Plan
from ictsweep.data.sources.batches import read_batch
from ictsweep.errors import UserError

__all__ = ["ImageNet64", "has_batches"]

_SHAPE = (3, 64, 64)
_CLASSES = 1000
_PARTS = 10  # training batches
_CHUNK = 2048  # pictures
_PIECE = 1 << 20  # bytes
_TRAIN, _VALIDATION = 1_281_167, 50_000
_RESIZE = (
    "as published: Pillow's box filter to 64x64 pixels, without cropping and without keeping the "
    "aspect ratio (arXiv:1707.08819)"
)
_NAME = re.compile(r"(?:.*/)?(train_data_batch_(\d+)|val_data)(\.npz)?")
# RuntimeError: a zip file that is encrypted, or compressed in a way that Python does not know.
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class _Member:
    """A batch: the file `path`, or the member `inside` of the zip file `path`."""

    path: Path
    inside: str | None
    size: int
    mark: str  # CRC-32 of a member, time of change of a file

    def __str__(self) -> str:
        return str(self.path) if self.inside is None else f"{self.path}: {self.inside}"

    @property
    def name(self) -> str:
        return self.inside or self.path.name


@dataclass(frozen=True)
class ImageNet64:
    """The 1,281,167 training pictures, or with `train` off the 50,000 validation pictures.

    `paths` are the archives (`Imagenet64_train_part1.zip` and `..._part2.zip`, or their `_npz.zip`
    forms), folders that have them, or folders of the batches in them. Labels 1 .. 1000 of the
    files become 0 .. 999; their order is the authors' own. `images` is how many pictures the
    batches must have together. One batch is in memory at a time (1.6 GB; twice that for a
    `.npz`).
    """

    paths: Sequence[Path]
    train: bool = True
    images: int | None = None

    def plan(self) -> Plan:
        """All batches are there; what they hold is seen when they are read."""
        members = self._members()
        listing = [(number, m.name, m.size, m.mark) for number, m in sorted(members.items())]
        name = "imagenet64" if self.train else "imagenet64-val"
        return Plan(
            name=name,
            kind=name,
            items=self._total,
            shape=_SHAPE,
            labelled=True,
            classes=None,
            source={
                "paper": "arXiv:1707.08819",
                "batches": [{"name": m[1], "bytes": m[2], "mark": m[3]} for m in listing],
            },
            resize=_RESIZE,
            fingerprint=hashlib.sha256(repr((self._total, listing)).encode()).hexdigest(),
        )

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        """The pictures from `start` on, batch by batch."""
        members, first = self._members(), 0
        for number in self._numbers:
            count = self._count(number)
            if start < first + count:
                yield from _chunks(members[number], count, max(0, start - first))
            first += count

    @property
    def _total(self) -> int:
        return self.images or (_TRAIN if self.train else _VALIDATION)

    @property
    def _numbers(self) -> range:
        return range(1, _PARTS + 1) if self.train else range(1)

    def _count(self, number: int) -> int:
        """How many pictures a batch has: as many in each, and the rest in the last."""
        if not self.train:
            return self._total
        each = self._total // _PARTS
        return each if number < _PARTS else self._total - each * (_PARTS - 1)

    def _members(self) -> dict[int, _Member]:
        """The batches by number, 0 for the validation set; UserError if one is missing."""
        found = _found(self.paths)
        missing = [number for number in self._numbers if number not in found]
        if missing:
            names = [f"train_data_batch_{n}" if n else "val_data" for n in missing]
            parts = "Imagenet64_train_part1 and part2" if self.train else "Imagenet64_val"
            raise UserError(
                f"{', '.join(map(str, self.paths))}: no {', '.join(names)}; ImageNet-64's archives "
                f"{parts} (.zip or _npz.zip, image-net.org/download-images) have them"
            )
        return {number: found[number] for number in self._numbers}


def has_batches(paths: Sequence[Path]) -> bool:
    """Whether there is any batch of the downsampled ImageNet; UserError for a damaged archive."""
    return bool(_found(paths))


def _found(paths: Sequence[Path]) -> dict[int, _Member]:
    """All batches by number; of two forms of one batch, the one that is no pickle."""
    found: dict[int, _Member] = {}
    for path in paths:
        for member in _listed(path):
            match = _NAME.fullmatch(member.name)
            if match:
                number = int(match[2] or 0)
                if number not in found or match[3]:
                    found[number] = member
    return found


def _listed(path: Path) -> Iterator[_Member]:
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            if inner.is_dir():
                for innermost in sorted(inner.iterdir()):
                    yield from _file(innermost)
            elif inner.name.lower().startswith("imagenet64") and inner.suffix == ".zip":
                yield from _archived(inner)
            else:
                yield from _file(inner)
    elif path.suffix == ".zip":
        yield from _archived(path)
    elif path.is_file():
        yield from _file(path)
    else:
        raise UserError(f"{path}: no such file or folder")


def _file(path: Path) -> Iterator[_Member]:
    if _NAME.fullmatch(path.name):  # before asking the disk: it may be one of a million pictures
        status = path.stat()
        yield _Member(path, None, status.st_size, str(status.st_mtime_ns))


def _archived(path: Path) -> Iterator[_Member]:
    with _reading(str(path)), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield _Member(path, info.filename, info.file_size, f"{info.CRC:08x}")


def _chunks(member: _Member, count: int, start: int) -> Iterator[Chunk]:
    """The pictures of a batch from `start` on."""
    pixels, labels = _arrays(member)
    if pixels.dtype != np.uint8 or pixels.shape != (count, np.prod(_SHAPE)):
        raise UserError(
            f"{member}: pictures are {pixels.dtype} {pixels.shape}; expected uint8 "
            f"({count}, {np.prod(_SHAPE)}): not ImageNet-64's, or not all of it"
        )
    if labels.shape != (count,) or labels.min() < 1 or labels.max() > _CLASSES:
        raise UserError(
            f"{member}: labels of shape {labels.shape}; expected {count}, from 1 to {_CLASSES}"
        )
    for first in range(start, count, _CHUNK):
        part = slice(first, first + _CHUNK)
        chosen = pixels[part].reshape(-1, *_SHAPE)
        yield Chunk(chosen, labels[part] - 1, len(chosen))


def _arrays(member: _Member) -> tuple[np.ndarray, np.ndarray]:
    """The pictures [n, c * h * w] and labels [n] of a batch, CRC-32 verified in an archive."""
    with _reading(str(member)), _opened(member) as file:
        batch = _numpy(file) if member.name.endswith(".npz") else read_batch(file)
        file.read()  # to its end, where the checksum is compared
        if not {"data", "labels"} <= set(batch):
            raise ValueError(f"no data and labels in it (found: {', '.join(sorted(batch))})")
        labels = np.asarray(batch["labels"])
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels are {labels.dtype}")
        return np.asarray(batch["data"]), labels.astype(np.int64)


def _numpy(file: IO[bytes]) -> dict[str, Any]:
    # Arrays within an archive within an archive: read whole, as a compressed one cannot be sought.
    with np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("data", "labels") if name in arrays}


@contextmanager
def _opened(member: _Member) -> Iterator[IO[bytes]]:
    if member.inside is None:
        with member.path.open("rb") as file:
            yield file
    else:
        with zipfile.ZipFile(member.path) as archive, archive.open(member.inside) as file:
            yield io.BufferedReader(_Pieces(file), _PIECE)


class _Pieces(io.RawIOBase):
    """A member of a zip file read a piece at a time: zipfile collects what is asked of it twice."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(min(len(buffer), _PIECE))
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise UserError(f"{what}: does not fit into memory (2 to 4 GB are needed)") from None
    except _UNREADABLE as error:
        raise UserError(
            f"{what}: cannot be read: {error}; the file is damaged or cut off: fetch it again"
        ) from error
