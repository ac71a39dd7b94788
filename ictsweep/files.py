"""Files are replaced whole or not at all, logs grow by whole lines (standard library only)."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_BLOCK = 1 << 16


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError inside names `path`: of a full disk, the system does not say which file it was."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it, then rename: a reader, a kill or a power cut sees
    the old file or the new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Put a folder's names on the disk: a rename is not safe from a power cut before."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def append_line(path: Path, line: str) -> None:
    """Append a line (without its end) to a log; it is on the disk when this returns. A torn line
    that a kill left at the end is cut first.
    """
    heal(path)
    with path.open("ab") as file:
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def heal(path: Path) -> None:
    """Make sure that a log exists and ends with a whole line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        whole = _whole(file, size)
        if whole < size:
            file.truncate(whole)


def _whole(file: IO[bytes], size: int) -> int:
    """How many of a file's bytes are whole lines; a long log is read from its end."""
    end = size
    while end > 0:
        begin = max(0, end - _BLOCK)
        file.seek(begin)
        at = file.read(end - begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def whole_lines(path: Path) -> list[str]:
    """The lines of a log without a torn last one; none if there is no file."""
    if not path.exists():
        return []
    text = path.read_text()
    return text[: text.rfind("\n") + 1].split("\n")[:-1]
