"""Where picture files lie: a folder, a .zip, a .tar or a .tar.gz. Nothing is ever unpacked."""

import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import Protocol

from ictsweep.data.sources.listing import (
    SUFFIXES,
    Found,
    Item,
    Listing,
    Pieces,
    hidden,
    is_picture,
    is_table,
    shown,
)
from ictsweep.data.sources.tars import PlainTar, ZippedTar
from ictsweep.errors import UserError

# What reading a file's bytes raises when the disk or the archive gives them wrongly.
UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class Container(Protocol):
    """Something that holds picture files."""

    @property
    def form(self) -> str:
        """What such a container is called."""
        ...

    def listing(self) -> Listing:
        """What it holds; UserError where it cannot be listed whole."""
        ...

    def pieces(self, items: Sequence[Item]) -> Pieces:
        """For each of these items of the listing, in that order, a function that reads its bytes.

        The functions may be called in any thread while the iterator lives; they raise one of
        UNREADABLE for a file that cannot be read.
        """
        ...


def container(path: Path) -> Container:
    """The container at `path`, by its name; UserError if it is none."""
    if path.is_dir():
        return Directory(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder (looked in {path.absolute().parent})")
    name = path.name.lower()
    if name.endswith(".zip"):
        return ZipArchive(path)
    if name.endswith(".tar"):
        return PlainTar(path)
    if name.endswith((".tar.gz", ".tgz")):
        return ZippedTar(path)
    raise UserError(
        f"{path}: not a folder, .zip, .tar or .tar.gz; pictures "
        f"({', '.join(suffix[1:] for suffix in SUFFIXES)}) are read from one of these"
    )


@dataclass(frozen=True)
class Directory:
    """A folder and all folders below it. Links are followed, but never round in a circle."""

    path: Path
    form: str = "folder"

    def listing(self) -> Listing:
        """What the folder holds, in natural order."""
        found = Found()
        try:
            self._walk("", found, frozenset())
        except OSError as error:
            raise UserError(f"{self.path}: cannot be listed: {error}") from error
        return found.listing(self.path, ordered=True)

    def _walk(self, folder: str, found: Found, above: frozenset[tuple[int, int]]) -> None:
        here = os.stat(self.path / folder)
        if (here.st_dev, here.st_ino) in above:
            return
        above |= {(here.st_dev, here.st_ino)}
        with os.scandir(self.path / folder) as entries:
            for entry in entries:
                if hidden([entry.name]):
                    continue
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    found.folders.add(name)
                    self._walk(name, found, above)
                else:
                    self._file(name, entry, found)

    def _file(self, name: str, entry: os.DirEntry[str], found: Found) -> None:
        if is_picture(name):
            # A link to nowhere stays an item: it is reported when it is read.
            stat = entry.stat(follow_symlinks=os.path.exists(entry.path))
            found.items.append(Item(name, stat.st_size, stat.st_mtime_ns))
        elif is_table(name):
            found.tables[name] = Path(entry.path).read_bytes()
        else:
            found.others += 1

    def pieces(self, items: Sequence[Item]) -> Pieces:
        """A function for each item that reads its file."""
        for item in items:
            yield partial(self._read, item)

    def _read(self, item: Item) -> bytes:
        path = self.path / item.name
        if not S_ISREG(path.stat().st_mode):
            raise OSError("not a regular file")  # reading a pipe would wait for ever
        return path.read_bytes()


@dataclass(frozen=True)
class ZipArchive:
    """A .zip. Names that point outside, and links, are not pictures of it."""

    path: Path
    form: str = "zip"

    def listing(self) -> Listing:
        """What the archive holds, in natural order."""
        found = Found()
        with self._open() as archive:
            for member in archive.infolist():
                self._member(archive, member, found)
        return found.listing(self.path, ordered=True)

    def _member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, found: Found) -> None:
        parts = member.filename.rstrip("/").split("/")
        if hidden(parts):
            return
        inside = not {"", ".", ".."} & set(parts) and not S_ISLNK(member.external_attr >> 16)
        found.folders |= {"/".join(parts[:n]) for n in range(1, len(parts))} if inside else set()
        if member.is_dir():
            found.folders |= {"/".join(parts)} if inside else set()
        elif not inside:
            found.others += 1
        elif is_picture(member.filename):
            if member.flag_bits & 1:
                raise UserError(
                    f"{self.path}: {shown(member.filename)} is encrypted; "
                    "unpack the archive with its password and prepare the folder"
                )
            found.items.append(Item(member.filename, member.file_size, member.CRC))
        elif is_table(member.filename):
            found.tables[member.filename] = self._table(archive, member)
        else:
            found.others += 1

    def _table(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
        try:
            return archive.read(member)
        except UNREADABLE as error:
            raise UserError(f"{self.path}: {member.filename} cannot be read: {error}") from error

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except UNREADABLE as error:
            raise UserError(
                f"{self.path}: cannot be read as a .zip ({error}); it may be truncated: "
                "fetch or pack it again"
            ) from error

    def pieces(self, items: Sequence[Item]) -> Pieces:
        """A function for each item that reads it and compares its CRC-32."""
        with self._open() as archive:
            for item in items:
                yield partial(archive.read, item.name)
