"""Pictures in a .tar, plain or compressed with gzip, read in place."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ictsweep.data.sources.listing import (
    Found,
    Item,
    Listing,
    Pieces,
    hidden,
    is_picture,
    is_table,
    shown,
)
from ictsweep.errors import UserError

_BLOCK = 512


@dataclass(frozen=True)
class PlainTar:
    """An uncompressed .tar: any of its pictures can be read at once."""

    path: Path
    form: str = "tar"

    def listing(self) -> Listing:
        """What the archive holds, in natural order; UserError for a truncated one."""
        found = Found()
        with _failures(self.path), tarfile.open(self.path, "r:") as archive:
            for member in _members(archive):
                _sort(self.path, archive, member, found)
            _require_end(self.path, archive.offset)
        return found.listing(self.path, ordered=True)

    def pieces(self, items: Sequence[Item]) -> Pieces:
        """A function for each item that reads its bytes where they lie."""
        with self.path.open("rb") as file:
            for item in items:
                yield partial(_part, file.fileno(), item)


@dataclass(frozen=True)
class ZippedTar:
    """A .tar.gz, which can be read from its start only: its pictures keep the archive's order."""

    path: Path
    form: str = "tar.gz"

    def listing(self) -> Listing:
        """What the archive holds, in its own order; UserError for a damaged one: the whole stream
        is read and its CRC-32 compared.
        """
        found = Found()
        with _failures(self.path), gzip.open(self.path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in _members(archive):
                    _sort(self.path, archive, member, found)
                end = archive.offset
            while stream.read(1 << 20):
                pass
            if stream.tell() < end + _BLOCK:
                raise tarfile.ReadError("it stops without its end mark")
        return found.listing(self.path, ordered=False)

    def pieces(self, items: Sequence[Item]) -> Pieces:
        """The bytes of each item, read one after the other."""
        wanted = iter(items)
        item = next(wanted, None)
        with (
            _failures(self.path),
            gzip.open(self.path) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            for member in _members(archive):
                if item is None:
                    return
                if member.isreg() and _inside(member.name) == item.name:
                    yield partial(bytes, _contents(archive, member))
                    item = next(wanted, None)


def _part(file: int, item: Item) -> bytes:
    data = os.pread(file, item.size, item.offset)
    if len(data) < item.size:
        raise EOFError(f"the archive ends {item.size - len(data)} bytes too early")
    return data


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    while (member := archive.next()) is not None:
        # A TarFile remembers every member: a gigabyte for a million of them.
        archive.members = []  # pyright: ignore[reportAttributeAccessIssue]
        yield member


def _sort(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, found: Found) -> None:
    """Put a member where it belongs in the listing."""
    name = _inside(member.name)
    if hidden(member.name.split("/")):
        return
    if name is None or not (member.isreg() or member.isdir()):
        found.others += 1  # outside, a link or a device
        return
    parts = name.split("/")
    found.folders |= {"/".join(parts[:n]) for n in range(1, len(parts) + member.isdir())}
    if member.isdir():
        return
    if is_table(name):
        found.tables[name] = _contents(archive, member)
    elif not is_picture(name):
        found.others += 1
    elif member.issparse():
        raise UserError(f"{path}: {shown(name)} is stored sparse; pack again without --sparse")
    else:
        found.items.append(Item(name, member.size, int(member.mtime), member.offset_data))


def _inside(name: str) -> str | None:
    """A member's name without a leading "./"; None for one that points outside the archive."""
    parts = [part for part in name.split("/") if part != "."]
    return None if not parts or {"", ".."} & set(parts) else "/".join(parts)


def _contents(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # a regular member
    return file.read()


def _require_end(path: Path, offset: int) -> None:
    """tarfile takes a file that stops between two members, or goes on with something else, for a
    whole archive; the block of zeros that ends one tells.
    """
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError("it stops without its end mark")


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    """One UserError for whatever a damaged archive raises."""
    try:
        yield
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: cannot be read to its end as a {''.join(path.suffixes[-2:])} ({error}); "
            "it may be truncated or damaged: fetch or pack it again"
        ) from error
