"""CIFAR-10 as torchvision reads it (Krizhevsky 2009)."""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ictsweep.data.sources import Chunk, Plan
from ictsweep.errors import UserError

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

__all__ = ["Cifar10"]

_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_EACH = 10_000  # pictures of a file
_CHUNK = 5_000  # pictures
_DOWNLOADS = Path(".ictsweep/data/downloads")


@dataclass(frozen=True)
class Cifar10:
    """The 50,000 training pictures, or with `train` off the 10,000 test pictures.

    They come from the local copy at `path`: `cifar-10-python.tar.gz`, the folder
    `cifar-10-batches-py`, or a folder that has one of them. Without a path they are downloaded into
    the folder `downloads`, where an archive is also unpacked. MD5 sums are verified.
    """

    path: Path | None = None
    train: bool = True
    downloads: Path = _DOWNLOADS

    def plan(self) -> Plan:
        """The same whatever copy is read; a local one is verified, a download waits for `read`."""
        if self.path is not None:
            _local(self.path)
        files = dict(self._files())
        content = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        return Plan(
            name="cifar10" if self.train else "cifar10-test",
            kind="cifar10" if self.train else "cifar10-test",
            items=len(files) * _EACH,
            shape=(3, 32, 32),
            labelled=True,
            classes=_CLASSES,
            source={"through": "torchvision.datasets.CIFAR10", "md5": files},
            resize="none",
            fingerprint=content,
        )

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        """The pictures from `start` on, in the order of the files."""
        root = self._root()
        try:
            dataset = _torchvision()(root, train=self.train)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{root}: CIFAR-10 cannot be read: {error}") from error
        pixels = np.asarray(dataset.data).transpose(0, 3, 1, 2)
        labels = np.asarray(dataset.targets, dtype=np.int64)
        if len(pixels) != plan.items or len(labels) != plan.items:
            raise UserError(f"{root}: {len(pixels)} pictures and {len(labels)} labels")
        for first in range(start, plan.items, _CHUNK):
            part = slice(first, first + _CHUNK)
            yield Chunk(pixels[part], labels[part], len(pixels[part]))

    def _files(self) -> list[list[str]]:
        dataset = _torchvision()
        return dataset.train_list if self.train else dataset.test_list

    def _root(self) -> Path:
        """The folder that has `cifar-10-batches-py`, whole."""
        if self.path is None:
            return _downloaded(self.downloads)
        found = _local(self.path)
        return _unpacked(found, self.downloads) if found.is_file() else found.parent


def _local(path: Path) -> Path:
    """The archive or the folder of batches at `path`, verified."""
    dataset = _torchvision()
    batches, archive = path / dataset.base_folder, path / dataset.filename
    if path.is_file():
        archive = path
    elif path.name == dataset.base_folder and not batches.exists():
        batches = path
    if batches.is_dir():
        for name, md5 in (*dataset.train_list, *dataset.test_list, _meta()):
            _check_md5(batches / name, md5)
        return batches
    if not archive.is_file():
        raise UserError(
            f"{path}: no copy of CIFAR-10; expected {dataset.filename} or the folder "
            f"{dataset.base_folder} there"
        )
    _check_md5(archive, dataset.tgz_md5)
    return archive


def _check_md5(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if found.hexdigest() != expected:
        raise UserError(
            f"{path}: its MD5 sum is {found.hexdigest()}, CIFAR-10's is {expected}: the file is "
            "damaged, cut off or another version; fetch it again"
        )


def _downloaded(folder: Path) -> Path:
    """`folder`, after torchvision has put CIFAR-10 there."""
    dataset = _torchvision()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        dataset(folder, download=True)
    except (OSError, HTTPException, RuntimeError, EOFError, tarfile.TarError) as error:
        raise UserError(
            f"{dataset.url}: cannot be downloaded: {error}; without a network, put "
            f"{dataset.filename} into a folder and name it (--from FOLDER)"
        ) from error
    return folder


def _unpacked(archive: Path, folder: Path) -> Path:
    """`folder`, with a verified archive unpacked in it; a user's own folder is left as it is."""
    from torchvision.datasets.utils import extract_archive

    batches = folder / _torchvision().base_folder
    try:
        _local(batches)
    except UserError:
        folder.mkdir(parents=True, exist_ok=True)
        extract_archive(archive, folder)
        _local(batches)
    return folder


def _meta() -> tuple[str, str]:
    meta = _torchvision().meta
    return meta["filename"], meta["md5"]


def _torchvision() -> "type[CIFAR10]":
    # torchvision takes a second to import, and only this data set needs it.
    from torchvision.datasets import CIFAR10

    return CIFAR10
