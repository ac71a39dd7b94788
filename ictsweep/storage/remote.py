"""A folder whose truth is in a bucket: what is written here is made durable there, and brought back
on another machine.

It may be pickled, and used in any process of any machine: by the worker that writes a trial's
checkpoints, and by whoever looks at the study. Files arrive whole. A checkpoint's meta.json comes
last and goes first, so a checkpoint that can be seen is whole. Removals are carried over as well.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ictsweep.disk import refused
from ictsweep.errors import StorageError
from ictsweep.storage.agreement import Base, Moves, covered, is_mark, to_pull, to_push
from ictsweep.storage.base_file import alone, files, look, read_base, same_bytes, write_base
from ictsweep.storage.bucket import Bucket, Stat

_AT_ONCE = 8  # files on their way
_ROUNDS = 5  # of bringing files that change while they are brought


class Remote:
    """A place in a bucket, with how long its server is waited for."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket, self.place = bucket, bucket.place

    def __repr__(self) -> str:
        return f"Remote({str(self.place)!r})"

    def at(self, name: str) -> "Remote":
        """The remote of a folder in it, such as trials/0017."""
        return Remote(self.bucket.at(name))

    def push(self, folder: Path, *names: str) -> None:
        """Make durable what was written or removed under `names` (files or folders; everything
        where none is given) of `folder`; it is when this returns. StorageError otherwise.
        """
        with _naming(folder), alone(folder):
            base, here = read_base(folder), files(folder, names)
            moves = to_push({n: b for n, b in base.items() if covered(n, names)}, here)
            if not (moves.remove or moves.bring):
                return
            base |= {name: Base(here[name], "") for name in moves.bring}
            write_base(folder, base)  # what a kill leaves half sent is known to be
            self.bucket.delete([n for n in moves.remove if is_mark(n)])
            self.bucket.delete([n for n in moves.remove if not is_mark(n)])
            base = {name: b for name, b in base.items() if name in here or name not in moves.remove}
            for name, etag in _each(moves.bring, lambda name: self._send(folder, name)):
                base[name] = Base(here[name], etag or "")
            write_base(folder, base)

    def pull(self, folder: Path, *names: str) -> None:
        """Bring what is durable under `names` to `folder`, and remove what was removed there. What
        was written here and not pushed stays as it is. StorageError if that cannot be done.
        """
        for _ in range(_ROUNDS):
            found = [stat for under in names or ("",) for stat in self.bucket.listed(under)]
            if self._bring(folder, names, found):
                return
        raise StorageError(f"{self.place}: the files change faster than they can be brought here")

    def pull_each(self, folder: Path, *names: str) -> None:
        """`pull` for each folder in this place, as for all trials of a study: in few requests."""
        for _ in range(_ROUNDS):
            each: dict[str, list[Stat]] = defaultdict(list)
            for stat in self.bucket.listed(""):
                inside, _, name = stat.name.partition("/")
                if covered(name, names):
                    each[inside].append(Stat(name=name, etag=stat.etag, size=stat.size))
            known = {path.name for path in folder.glob("[!.]*/") if read_base(path)}
            if all([self.at(n)._bring(folder / n, names, each[n]) for n in known | each.keys()]):
                return
        raise StorageError(f"{self.place}: the files change faster than they can be brought here")

    def remove(self, *names: str) -> None:
        """Remove files, or folders with all that is in them."""
        found = {stat.name for name in names for stat in self.bucket.listed(name)}
        gone = [n for n in found if any(n == name or n.startswith(f"{name}/") for name in names)]
        self.bucket.delete([n for n in gone if is_mark(n)])
        self.bucket.delete([n for n in gone if not is_mark(n)])

    def _bring(self, folder: Path, names: tuple[str, ...], found: Iterable[Stat]) -> bool:
        """Make the folder follow what was found there; False if that changed meanwhile."""
        stats = {stat.name: stat for stat in found if covered(stat.name, names)}
        if not stats and not folder.is_dir():
            return True
        with _naming(folder), alone(folder):
            base = _adopted(folder, names, read_base(folder), stats)
            here = files(folder, names)
            within = {name: b for name, b in base.items() if covered(name, names)}
            moves = to_pull(within, here, {name: stat.etag for name, stat in stats.items()})
            _remove(folder, moves, base)
            took = dict(_each(moves.bring, lambda name: self._take(folder, stats[name])))
            came = [name for name, arrived in took.items() if arrived]
            base |= {name: Base(look(folder / name), stats[name].etag) for name in came}
            write_base(folder, base)
            return all(took.values())

    def _send(self, folder: Path, name: str) -> str:
        """Upload a file; its version, "" if it was removed meanwhile."""
        with suppress(FileNotFoundError):
            return self.bucket.upload(name, folder / name)
        return ""

    def _take(self, folder: Path, stat: Stat) -> bool:
        return self.bucket.download(stat.name, stat.etag, folder / stat.name)


def _adopted(
    folder: Path, names: tuple[str, ...], base: dict[str, Base], stats: Mapping[str, Stat]
) -> dict[str, Base]:
    """The base with the files that are the same on both sides, as a kill before it was written
    leaves them.
    """
    unknown = {n: file for n, file in files(folder, names).items() if n in stats and n not in base}
    same = {
        name: Base(file, stats[name].etag)
        for name, file in unknown.items()
        if file.size == stats[name].size and same_bytes(folder / name, stats[name].etag)
    }
    return base | same


def _remove(folder: Path, moves: Moves, base: dict[str, Base]) -> None:
    for name in moves.remove:
        (folder / name).unlink(missing_ok=True)
        base.pop(name, None)
        for empty in (folder / name).parents:
            if empty == folder:
                break
            with suppress(OSError):  # something else is in it
                empty.rmdir()


def _each(names: Iterable[str], move: Callable[[str], Any]) -> Iterable[tuple[str, Any]]:
    """(name, what `move` returns) of every name. Marks are moved when everything else was: not if
    something did not move.
    """
    ordinary = [name for name in names if not is_mark(name)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        moved = dict(zip(ordinary, pool.map(move, ordinary), strict=True))
    marks = [name for name in names if is_mark(name)]
    return [*moved.items(), *((name, all(moved.values()) and move(name)) for name in marks)]


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """What the disk refuses inside is a StorageError."""
    try:
        yield
    except OSError as error:
        raise refused(error, error.filename or folder) from error
