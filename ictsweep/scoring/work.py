"""Work that survives a kill: parts of a result are kept as files until the whole is written."""

import contextlib
import fcntl
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.files import write_atomic


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The only process that works in `folder` (made if need be) while the block runs; UserError
    if another does. The lock is the system's: it ends with the process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"{folder}: another process works on the same thing; wait until it ends, or stop it"
            ) from None
        yield


def identity(facts: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that tell JSON facts apart."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, whole or not at all, with a checksum in front."""
    buffer = io.BytesIO()
    torch.save(dict(tensors), buffer)
    content = buffer.getvalue()
    write_atomic(path, hashlib.sha256(content).digest() + content)


def load_tensors(path: Path) -> dict[str, Tensor] | None:
    """What `save_tensors` wrote; None if there is none, or if it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    return torch.load(io.BytesIO(content[32:]), map_location="cpu", weights_only=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object at `path`; None if there is none, or if it is damaged."""
    try:
        facts = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all."""
    write_atomic(path, (json.dumps(facts, indent=2) + "\n").encode())
