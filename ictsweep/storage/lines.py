"""A file that only grows, by whole lines, with one writer.

What was appended is on the disk before `append` returns; or `append` raises, and the file is as it
was. A kill may tear the last line: whoever opens the file to write cuts it.
"""

import os
from contextlib import suppress
from pathlib import Path

from ictsweep.disk import passing, refused
from ictsweep.errors import Ousted
from ictsweep.files import flush_folder, heal
from ictsweep.patience import RUNNING, Patience
from ictsweep.storage.locks import FileLock


class Lines:
    """The file, open for its writer, who holds `lock`."""

    def __init__(self, path: Path, lock: FileLock, patience: Patience = RUNNING) -> None:
        self._path, self._lock, self._patience = path, lock, patience
        self._handle: int | None = None
        self._torn = False
        try:
            heal(path)
            flush_folder(path.parent)
            self.size = path.stat().st_size
        except OSError as error:
            raise refused(error, path) from error

    def append(self, data: bytes) -> None:
        """Append whole lines. StorageError if the disk would not take them: nothing of them is in
        the file then. Ousted if somebody else wrote to it.
        """
        try:
            self._patience.through(lambda: self._attempt(data), passing)
        except OSError as error:
            raise refused(error, self._path) from error
        self.size += len(data)

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _attempt(self, data: bytes) -> None:
        self._lock.confirm()
        handle = self._opened()
        try:
            _write(handle, data)
            os.fsync(handle)
        except OSError:
            self._torn = True
            with suppress(OSError):
                self._cut()
            raise

    def _opened(self) -> int:
        """The file's handle, after a look whether it is still as this writer left it."""
        if self._handle is None:
            self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        if self._torn:
            self._cut()
        there, here = os.stat(self._path), os.fstat(self._handle)
        if not os.path.samestat(there, here):
            raise self._ousted("was replaced")
        if here.st_size != self.size:
            raise self._ousted(f"has {here.st_size:,} bytes instead of {self.size:,}")
        return self._handle

    def _cut(self) -> None:
        """Cut what a failed write left. A handle that cannot do even that is given up: the next
        attempt opens the file anew.
        """
        assert self._handle is not None
        try:
            os.ftruncate(self._handle, self.size)
            os.fsync(self._handle)
            self._torn = False
        except OSError:
            self.close()
            raise

    def _ousted(self, what: str) -> Ousted:
        return Ousted(
            f"{self._path}: this log {what} while its study ran: somebody else wrote it, or edited "
            "it by hand. Nothing more is written; when no other driver runs, `ictsweep resume` "
            "continues from what the log says then."
        )


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]
