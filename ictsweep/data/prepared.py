"""A folder of prepared pictures: two standard .npy files and their manifest.

`images.npy` uint8 [n, c, h, w] and, for labelled pictures, `labels.npy` int64 [n]; each starts with
a header of 128 bytes.
"""

import hashlib
import math
import mmap
from collections.abc import Generator, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import torch

from ictsweep.data.images import Images
from ictsweep.data.manifest import Manifest, read_manifest
from ictsweep.errors import UserError
from ictsweep.progress import Progress

__all__ = ["HEADER", "IMAGES", "LABELS", "file_digest", "npy_header", "open_prepared", "verify"]

IMAGES, LABELS = "images.npy", "labels.npy"
HEADER = 128  # bytes before the first number
_BLOCK = 1 << 24  # bytes read at a time
# Python names this flag from 3.13 on; 0x4000 on Linux.
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)


def open_prepared(folder: Path) -> Images:
    """The pictures of a prepared folder, `pixels` mapped from the file and not read; UserError when
    files and manifest do not agree in size and shape.

    The digest is the manifest's; `verify` compares it with the pixels.
    """
    manifest = read_manifest(folder)
    _check(folder, manifest)
    labels = None
    if manifest.labelled:
        labels = torch.from_numpy(np.load(folder / LABELS, allow_pickle=False))
    return Images(
        pixels=_mapped(folder / IMAGES, (manifest.count, *manifest.shape)),
        labels=labels,
        name=manifest.name,
        digest=manifest.digest,
    )


def verify(folder: Path) -> Iterator[Progress]:
    """Read all pictures and labels of a prepared folder; UserError when they are not those of its
    manifest.
    """
    manifest = read_manifest(folder)
    _check(folder, manifest)
    digest = yield from file_digest(folder, manifest.count, manifest.shape, manifest.labelled)
    if digest != manifest.digest:
        raise _changed(folder, f"their digest is {digest}, the manifest's {manifest.digest}")


def file_digest(
    folder: Path, count: int, shape: tuple[int, int, int], labelled: bool
) -> Generator[Progress, None, str]:
    """`digest_of` the pictures and labels that lie in `folder`, a block at a time."""
    digest = hashlib.sha256(str((count, *shape)).encode())
    with (folder / IMAGES).open("rb") as file:
        read, picture = 0, math.prod(shape)
        for block in _blocks(file):
            digest.update(block)
            read += len(block)
            yield Progress(read // picture, count, "images checked")
    if labelled:
        with (folder / LABELS).open("rb") as file:
            for block in _blocks(file):
                digest.update(block)
    return digest.hexdigest()[:16]


def npy_header(dtype: type[np.generic], shape: tuple[int, ...]) -> bytes:
    """The 128 bytes with which a .npy file of little-endian numbers in this shape begins."""
    file = BytesIO()
    descr = np.dtype(dtype).newbyteorder("<").str
    values = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, values)
    header = file.getvalue()
    assert len(header) == HEADER
    return header


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(HEADER)
    while block := file.read(_BLOCK):
        yield block


def _check(folder: Path, manifest: Manifest) -> None:
    """UserError unless both files have the length and the header that the manifest implies."""
    shape = (manifest.count, *manifest.shape)
    _check_file(folder, IMAGES, np.uint8, shape)
    if manifest.labelled:
        _check_file(folder, LABELS, np.int64, shape[:1])


def _check_file(folder: Path, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    path = folder / name
    expected = HEADER + math.prod(shape) * np.dtype(dtype).itemsize
    try:
        with path.open("rb") as file:
            header, size = file.read(HEADER), path.stat().st_size
    except OSError as error:
        raise _changed(folder, f"{name} cannot be read: {error.strerror}") from None
    if size != expected:
        raise _changed(folder, f"{name} has {size:,} bytes instead of {expected:,}")
    if header != npy_header(dtype, shape):
        raise _changed(folder, f"{name} does not say that it holds {dtype.__name__} {shape}")


def _changed(folder: Path, what: str) -> UserError:
    return UserError(
        f"{folder}: the pictures are not those that were prepared: {what}; "
        "delete the folder and prepare them again, or prepare into another one (--to)"
    )


def _mapped(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    # Private, so that nothing can change the file, and without a reservation: by default the
    # system refuses a private map larger than its memory.
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | _NO_RESERVE, prot=protection)
    # Shuffled pictures lie far apart: reading ahead would fetch many times what a batch needs.
    data.madvise(mmap.MADV_RANDOM)
    pixels = np.frombuffer(data, np.uint8, offset=HEADER)
    return torch.from_numpy(pixels.reshape(shape))
