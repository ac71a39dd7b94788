"""Which pictures a folder or an archive holds, in an order that stays."""

import hashlib
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ictsweep.errors import UserError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
LABEL_TABLE = "dataset.json"

# For each of some items, a function that reads its bytes.
Pieces = Generator[Callable[[], bytes], None, None]

_DROSS = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_DIGITS = re.compile(r"([0-9]+)")


class Item(NamedTuple):
    """A picture file: its path inside the folder or archive (parts joined by "/"), its bytes, a
    number that changes with its content (the CRC-32 in a .zip, the time of its last change
    elsewhere), and where its bytes start in an uncompressed archive.
    """

    name: str
    size: int
    mark: int
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Listing:
    """What lies in a folder or archive: the pictures in reading order, all folders, the contents
    of each label table (`dataset.json`) by its path, and how many other files there are.

    Hidden files and what operating systems leave behind (`__MACOSX`, `Thumbs.db`) are none of
    these.
    """

    items: tuple[Item, ...]
    folders: frozenset[str]
    tables: Mapping[str, bytes]
    others: int

    def digest(self) -> str:
        """The SHA-256 of the pictures' names, sizes and marks, in hexadecimal digits."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(f"{item.name}\0{item.size}\0{item.mark}\n".encode(errors="replace"))
        return digest.hexdigest()


@dataclass(eq=False)
class Found:
    """A listing in the making."""

    items: list[Item] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)
    tables: dict[str, bytes] = field(default_factory=dict)
    others: int = 0

    def listing(self, path: Path, *, ordered: bool) -> Listing:
        """What was found at `path`; `ordered` sorts the pictures naturally, otherwise they keep the
        order in which they were found. UserError for a name that occurs twice.
        """
        names: set[str] = set()
        for item in self.items:
            if item.name in names:
                raise UserError(
                    f"{path}: holds {shown(item.name)} twice; pack it again with one of them"
                )
            names.add(item.name)
        items = sorted(self.items, key=lambda item: natural(item.name)) if ordered else self.items
        return Listing(
            items=tuple(items),
            folders=frozenset(self.folders),
            tables=dict(self.tables),
            others=self.others,
        )


def natural(name: str) -> tuple[object, ...]:
    """The sort key of a path under which digits count as numbers: a2 comes before a10, and a
    folder's own pictures stay together. Names that differ in leading zeros alone keep plain order.
    """
    parts = tuple(_natural_part(part) for part in name.split("/"))
    return (parts, name)


def _natural_part(part: str) -> tuple[object, ...]:
    pieces = _DIGITS.split(part)  # text, digits, text, ...
    stripped = (piece.lstrip("0") for piece in pieces[1::2])
    numbers = [(len(digits), digits) for digits in stripped]  # no int(): it refuses long ones
    return tuple(
        pair for both in zip(pieces[::2], [*numbers, (0, "")], strict=True) for pair in both
    )


def is_picture(name: str) -> bool:
    """Whether a file's name ends as a picture's."""
    return name.lower().endswith(SUFFIXES)


def is_table(name: str) -> bool:
    """Whether a path is that of a label table."""
    return name.rpartition("/")[2] == LABEL_TABLE


def hidden(parts: Iterable[str]) -> bool:
    """Whether a path with these parts is hidden or an operating system's own."""
    return any(
        part in _DROSS or (part.startswith(".") and part not in (".", "..")) for part in parts
    )


def shown(name: str) -> str:
    """A name as it can be printed, whatever bytes the file system or archive gave it."""
    printable = name.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in printable)
