"""Pictures on their way to the disk: whole chunks, each with a line in a journal.

A kill between two lines loses the chunk that was being written and nothing else.
"""

import fcntl
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from ictsweep.data.manifest import MANIFEST
from ictsweep.data.prepared import HEADER, IMAGES, LABELS, npy_header
from ictsweep.data.sources import Chunk, Plan, Skipped
from ictsweep.errors import UserError
from ictsweep.files import append_line, flush_folder, whole_lines, write_atomic

__all__ = ["Partial", "alone", "discard"]

_JOURNAL, _LOCK = "journal.jsonl", "lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the work folder and hold it; UserError when another process does."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{folder}: another process is preparing these pictures; wait for it to end, "
                    "or stop it and run the same command again"
                ) from None
            # The one that held it may have finished and taken the folder away in between.
            if _is_at(lock.fileno(), folder / _LOCK):
                yield
                return


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


class Partial:
    """The work folder of a plan. What is safe: `items` of the source, `images`, `skipped` and
    `converted`.

    Work that another fingerprint began is thrown away.
    """

    def __init__(self, folder: Path, plan: Plan, fingerprint: str) -> None:
        self.folder = folder
        self.items, self.images = 0, 0
        self.skipped: list[Skipped] = []
        self.converted: Counter[str] = Counter()
        self._shape = plan.shape
        self._sizes = {IMAGES: math.prod(plan.shape)} | ({LABELS: 8} if plan.labelled else {})
        _sweep(folder)
        if not self._continues(fingerprint):
            self._begin(fingerprint)
        self._files = {name: _opened(folder / name) for name in self._sizes}
        for name, size in self._sizes.items():
            self._files[name].truncate(HEADER + self.images * size)
            self._files[name].seek(0, os.SEEK_END)

    def missing_bytes(self, items: int) -> int:
        """How much `items` source items will take beyond what is there."""
        return (items - self.items) * sum(self._sizes.values())

    def append(self, chunk: Chunk) -> None:
        """Add a chunk; it is on the disk when this returns."""
        arrays = {IMAGES: (chunk.pixels, np.uint8), LABELS: (chunk.labels, "<i8")}
        for name, file in self._files.items():
            numbers, dtype = arrays[name]
            assert numbers is not None
            assert len(numbers) == len(chunk.pixels)
            _write(file, np.ascontiguousarray(numbers, dtype=dtype))
            os.fsync(file.fileno())
        self._count(chunk.items, len(chunk.pixels), chunk.skipped, chunk.converted)
        line = {
            "items": chunk.items,
            "images": len(chunk.pixels),
            "skipped": [[item.item, item.reason] for item in chunk.skipped],
            "converted": dict(chunk.converted),
        }
        append_line(self.folder / _JOURNAL, json.dumps(line))

    def write_headers(self) -> None:
        """Say in the files how much they hold, which makes them .npy files."""
        self._head(IMAGES, np.uint8, (self.images, *self._shape))
        if LABELS in self._files:
            self._head(LABELS, np.int64, (self.images,))

    def close(self) -> None:
        """Close the files; safe to call again."""
        for file in self._files.values():
            file.close()

    def move(self, target: Path) -> None:
        """Let the finished folder be `target`."""
        self.folder.rename(target)
        flush_folder(target.parent)
        # Not before: without its journal the work would begin anew.
        for name in (_JOURNAL, _LOCK):
            (target / name).unlink(missing_ok=True)

    def _head(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
        file = self._files[name]
        file.seek(0)
        _write(file, np.frombuffer(npy_header(dtype, shape), np.uint8))
        os.fsync(file.fileno())

    def _count(self, items: int, images: int, skipped: Any, converted: Any) -> None:
        self.items += items
        self.images += images
        self.skipped += skipped
        self.converted.update(converted)

    def _continues(self, fingerprint: str) -> bool:
        """Take over what the journal says is safe; False if it is not this plan's."""
        try:
            first, *lines = map(json.loads, whole_lines(self.folder / _JOURNAL))
            if first != {"fingerprint": fingerprint}:
                return False
            for line in lines:
                skipped = [Skipped(*pair) for pair in line["skipped"]]
                self._count(line["items"], line["images"], skipped, line["converted"])
            return all(
                (self.folder / name).stat().st_size >= HEADER + self.images * size
                for name, size in self._sizes.items()
            )
        except (ValueError, TypeError, KeyError, OSError):
            return False

    def _begin(self, fingerprint: str) -> None:
        """An empty journal; it goes first, so that it never speaks of files that are gone."""
        for name in (_JOURNAL, MANIFEST, IMAGES, LABELS):
            (self.folder / name).unlink(missing_ok=True)
        self.items, self.images = 0, 0
        self.skipped.clear()
        self.converted.clear()
        for name in self._sizes:
            (self.folder / name).write_bytes(bytes(HEADER))
        line = json.dumps({"fingerprint": fingerprint}) + "\n"
        write_atomic(self.folder / _JOURNAL, line.encode())


def discard(folder: Path) -> None:
    """Remove a work folder that is not needed."""
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what a kill in the middle of an atomic write left beside its file: whatever is in the
    folder when it becomes the prepared one is published with it.
    """
    for path in folder.iterdir():
        if path.name not in (_JOURNAL, _LOCK, MANIFEST, IMAGES, LABELS):
            path.unlink()


def _opened(path: Path) -> FileIO:
    # Without a buffer: what cannot be written is not tried again when the file is closed.
    return FileIO(path, "r+")


def _write(file: FileIO, numbers: np.ndarray) -> None:
    if numbers.size == 0:
        return
    left = numbers.data.cast("B")
    while left:
        left = left[file.write(left) :]
