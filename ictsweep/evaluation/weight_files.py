"""Files of weights: what identifies them, and what a look at them tells."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from torch import Tensor


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of a file: the weights' identity in a passport."""
    return sha256(path)[:16]


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits of the SHA-256 of names, types, shapes and bytes, in order of names."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].contiguous()
        digest.update(f"{key}:{value.dtype}:{tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes() if value.dim() == 0 else value.numpy().data)
    return digest.hexdigest()[:16]


def file_problem(path: Path, scripted: bool) -> str | None:
    """What a look at a file of weights tells against it, None for nothing.

    `scripted`: whether it should be TorchScript, which is a ZIP archive: those are seen to be cut.
    """
    try:
        if not path.exists():
            return f"there is no file {path}"
        if not path.is_file():
            return f"{path} is not a file"
        with path.open("rb") as file:
            return _content_problem(path, file, scripted)
    except (OSError, zipfile.BadZipFile) as error:
        return f"{path} cannot be read ({error})"


def is_page(start: bytes) -> bool:
    """Whether a file that starts so holds words: HTML, JSON, the pointer of a large file."""
    return start.lstrip().startswith((b"<", b"{", b"version https://git-lfs"))


def _content_problem(path: Path, file: IO[bytes], scripted: bool) -> str | None:
    start = file.read(64)
    if not start:
        return f"{path} is empty"
    if is_page(start):
        return f"{path} is a page of words, not weights"
    archive = start.startswith(b"PK")
    if archive and not zipfile.is_zipfile(file):
        return f"{path} is cut off or damaged"
    has_code = archive and _has_code(file)
    if scripted and not has_code:
        return f"{path} is not a TorchScript file"
    if has_code and not scripted:
        return f"{path} is a TorchScript file (use features torchscript)"
    return None


def _has_code(file: IO[bytes]) -> bool:
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in name for name in archive.namelist())
