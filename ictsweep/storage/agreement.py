"""Which files of a folder and of its place in a bucket must move for the two to agree (pure).

Three things are compared: the files here, the objects there, and what both were when they last
agreed (the base). What differs from the base was changed on its side. So a folder of another
machine that has only half of the files deletes none of the others there; a file that was removed on
one side is removed on the other; and a file that was written here and not sent yet is never
overwritten or removed by what is there.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

WHOLE = "meta.json"  # of a checkpoint: it is whole where this is; so it comes last and goes first


@dataclass(frozen=True)
class Here:
    """A file: its size in bytes and when it was last written, in nanoseconds."""

    size: int
    written_ns: int


@dataclass(frozen=True)
class Base:
    """A file and the version of its object as they last agreed; `etag` is "" while the file is on
    its way there.
    """

    here: Here
    etag: str


@dataclass(frozen=True)
class Moves:
    """What to remove, and then what to bring to the other side, in this order."""

    remove: tuple[str, ...]
    bring: tuple[str, ...]


def to_push(base: Mapping[str, Base], here: Mapping[str, Here]) -> Moves:
    """What makes the bucket follow the folder."""
    changed = {n for n, file in here.items() if n not in base or not _agreed(base[n], file)}
    gone = base.keys() - here.keys()
    return _ordered(gone | {n for n in changed & base.keys() if is_mark(n)}, changed)


def to_pull(base: Mapping[str, Base], here: Mapping[str, Here], there: Mapping[str, str]) -> Moves:
    """What makes the folder follow the bucket, whose objects are at the versions `there`."""
    ours = {n for n, file in here.items() if n not in base or not _agreed(base[n], file)}
    newer = {n for n in there.keys() - ours if n not in here or base[n].etag != there[n]}
    gone = (here.keys() & base.keys()) - ours - there.keys()
    return _ordered(gone | {n for n in newer & here.keys() if is_mark(n)}, newer)


def covered(name: str, names: Collection[str]) -> bool:
    """Whether a file is one of `names` or in a folder that is; all are where no name is given.
    Hidden files, which are on their way to their names, never.
    """
    if any(part.startswith(".") for part in name.split("/")):
        return False
    return not names or any(name == n or name.startswith(f"{n}/") for n in names)


def is_mark(name: str) -> bool:
    """Whether a file says of its folder that it is whole."""
    return name.rpartition("/")[2] == WHOLE


def _agreed(base: Base, file: Here) -> bool:
    return base.etag != "" and base.here == file


def _ordered(remove: Iterable[str], bring: Iterable[str]) -> Moves:
    return Moves(
        tuple(sorted(remove, key=lambda n: (not is_mark(n), n))),
        tuple(sorted(bring, key=lambda n: (is_mark(n), n))),
    )
