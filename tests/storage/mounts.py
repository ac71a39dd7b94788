"""File systems of a test's own: small ones, read-only ones (Linux, root)."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mount {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A file system of `size` ("64k") in memory, mounted on the folder `at`."""
    if os.geteuid():
        pytest.skip("only root mounts file systems")
    at.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at))
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextmanager
def read_only(at: Path) -> Iterator[Path]:
    """The folder `at`, read-only while the block runs."""
    if os.geteuid():
        pytest.skip("only root mounts file systems")
    _mount("--bind", str(at), str(at))
    try:
        _mount("-o", "remount,ro,bind", str(at))
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
