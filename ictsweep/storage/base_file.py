"""What a folder and its place in a bucket last agreed on, kept in the folder (`.agreed.json`)."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ictsweep.storage.agreement import Base, Here, covered

_FILE, _LOCK = ".agreed.json", ".agreed.lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process of this machine at a time moves files of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def read_base(folder: Path) -> dict[str, Base]:
    """The base of a folder; empty where there is none, or somebody damaged it."""
    try:
        facts = json.loads((folder / _FILE).read_text())
        return {
            name: Base(Here(int(size), int(written)), str(etag))
            for name, (size, written, etag) in facts.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_base(folder: Path, base: Mapping[str, Base]) -> None:
    """Replace the base. Should a power cut lose it, files are only sent once more."""
    facts = {n: (b.here.size, b.here.written_ns, b.etag) for n, b in sorted(base.items())}
    beside = folder / f"{_FILE}.new"
    beside.write_text(json.dumps(facts))
    os.replace(beside, folder / _FILE)


def files(folder: Path, names: tuple[str, ...]) -> dict[str, Here]:
    """The files of a folder that `names` cover, by their names in it."""
    found: dict[str, Here] = {}
    for place, _, file_names in os.walk(folder):
        for file_name in file_names:
            path = Path(place) / file_name
            name = path.relative_to(folder).as_posix()
            if covered(name, names):
                with suppress(FileNotFoundError):  # removed meanwhile
                    found[name] = look(path)
    return found


def look(path: Path) -> Here:
    """A file as it is now."""
    facts = path.stat()
    return Here(facts.st_size, facts.st_mtime_ns)


def same_bytes(path: Path, etag: str) -> bool:
    """Whether a file is the object of that version, where the version tells: of an object that was
    written at once and lies there in clear it is the MD5.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == etag.strip('"')
