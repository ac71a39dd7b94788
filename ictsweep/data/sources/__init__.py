"""Where pictures are prepared from: a source says what it holds, then reads it in a fixed order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

__all__ = ["Chunk", "Plan", "Skipped", "Source"]


@dataclass(frozen=True)
class Skipped:
    """A source item that was left out, by name, and why."""

    item: str
    reason: str


@dataclass(frozen=True, eq=False)
class Chunk:
    """The next pictures of a source.

    `pixels` uint8 [m, c, h, w], where m may be 0; `labels` int64 [m], None for a source without
    labels; `items` is how many source items were consumed, skipped ones included, so that the next
    chunk starts that many items later; `converted` counts the pictures that were not stored in the
    plan's mode, by the mode they had.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    items: int
    skipped: tuple[Skipped, ...] = ()
    converted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What a source will give, known before any of it is read.

    `name` is how people call the data set and `kind` the source it comes from; `items` counts all
    source items, those that will be skipped included; `shape` is (c, h, w); `labelled` says whether
    chunks carry labels; `classes` are the classes' names in label order, where known; `source`
    describes where the pictures come from (archives and checksums, the hash of a listing) in JSON
    types; `resize` is "none" or the exact words. `fingerprint` identifies the items and the options
    that decide the bytes: work begun under another one starts anew.
    """

    name: str
    kind: str
    items: int
    shape: tuple[int, int, int]
    labelled: bool
    classes: tuple[str, ...] | None
    source: dict[str, Any]
    resize: str
    fingerprint: str


class Source(Protocol):
    """Pictures to prepare.

    Both methods raise UserError for what is wrong with the source. `plan` finds all that can be
    found before the work; `read` names the item.
    """

    def plan(self) -> Plan:
        """What will be read."""
        ...

    def read(self, plan: Plan, start: int) -> Iterator[Chunk]:
        """The pictures from item `start` on, in a fixed order, in chunks of a bounded size.

        The pictures do not depend on `start` or on how they fall into chunks.
        """
        ...
