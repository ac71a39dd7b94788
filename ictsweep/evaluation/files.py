"""A cache of tensors that checks what it reads."""

import fcntl
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.files import write_atomic

Tensors = Mapping[str, Tensor]
Facts = Mapping[str, Any]


def cached(
    folder: Path, name: str, build: Callable[[], tuple[Tensors, Facts]]
) -> tuple[Tensors, Facts]:
    """Tensors and JSON facts from `folder`/`name`.pt and .json; built if absent or damaged.

    `name` must hold everything the content depends on. The JSON carries the SHA-256 of the tensor
    file: a damaged pair is built anew. Processes that ask at once build once.
    """
    found = stored(folder, name)
    if found is None:
        with alone(folder / f"{name}.lock"):
            found = stored(folder, name)  # another process may have built it meanwhile
            if found is None:
                found = build()
                store(folder, name, *found)
    return found


def store(folder: Path, name: str, tensors: Tensors, facts: Facts) -> None:
    """Write `folder`/`name`.pt and .json, each atomically; UserError where there is no room."""
    buffer = io.BytesIO()
    torch.save(dict(tensors), buffer)
    content = buffer.getvalue()
    sidecar = {"sha256": hashlib.sha256(content).hexdigest(), "facts": dict(facts)}
    try:
        write_atomic(folder / f"{name}.pt", content)
        write_atomic(folder / f"{name}.json", json.dumps(sidecar, indent=2).encode())
    except OSError as error:
        raise UserError(
            f"{folder / name}.pt: {len(content):,} bytes cannot be written ({error.strerror}); "
            "make room there and start again: what was written before is kept"
        ) from error


def stored(folder: Path, name: str) -> tuple[Tensors, Facts] | None:
    """What `store` wrote there, on the CPU; None if that is absent or damaged."""
    try:
        content = (folder / f"{name}.pt").read_bytes()
        sidecar = json.loads((folder / f"{name}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(sidecar, dict) and isinstance(sidecar.get("facts"), dict)
    if not whole or sidecar.get("sha256") != hashlib.sha256(content).hexdigest():
        return None
    tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors, sidecar["facts"]


def forget(folder: Path, name: str) -> None:
    """Remove what `store` wrote there, if anything."""
    for suffix in (".json", ".pt"):
        (folder / f"{name}{suffix}").unlink(missing_ok=True)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process at a time, to save work only: without it (a file system that has no locks)
    processes would build the same content and rename it over one another. The system drops the lock
    of a killed process.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
