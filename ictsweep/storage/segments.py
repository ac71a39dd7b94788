"""A log in a bucket, where nothing can be appended to an object: one small object per append.

log/00000000.jsonl              segment 0: the lines of one append (none: a driver's first word)
log/00000001.jsonl              ...
packs/00000000-00000255.jsonl   the lines of many segments, to read them at once

A segment is created under a condition (If-None-Match), so of two writers that believe that the next
number is theirs one is refused. Numbers are used once and segments are never changed or deleted: a
writer that slept for a week is refused as well. A pack adds nothing to the truth; without one its
segments are read.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ictsweep.errors import StudyError
from ictsweep.storage.bucket import Bucket

_AT_ONCE = 16  # requests under way
_SEGMENT = re.compile(r"log/(\d{8})\.jsonl")
_PACK = re.compile(r"packs/(\d{8})-(\d{8})\.jsonl")


@dataclass(frozen=True, kw_only=True)
class Part:
    """An object that holds the lines of the segments `first` to `last`; `etag` is the last
    segment's version where it is known.
    """

    name: str
    first: int
    last: int
    etag: str = ""

    @property
    def packed(self) -> bool:
        """Whether it is a pack."""
        return _PACK.fullmatch(self.name) is not None


class Segments:
    """The log of a study in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.place = bucket.place

    def claim(self, number: int, lines: bytes, token: str) -> Part | None:
        """Write a segment under a number that nobody used, None if somebody did. `token` is like no
        other writer's.
        """
        name = _name(number)
        etag = self._bucket.put_new(name, lines, {"writer": token})
        if etag is None:
            found = self._bucket.get(name)  # the answer to an earlier try may have been lost
            if found is None or (found.metadata.get("writer"), found.body) != (token, lines):
                return None
            etag = found.etag
        return Part(name=name, first=number, last=number, etag=etag)

    def writer(self, number: int) -> str | None:
        """The token of a segment's writer, None if there is no such segment."""
        found = self._bucket.get(_name(number))
        return None if found is None else found.metadata.get("writer")

    def pack(self, first: int, last: int, lines: bytes) -> None:
        """Write a pack. One that is there is the same."""
        self._bucket.put_new(f"packs/{first:08d}-{last:08d}.jsonl", lines)

    def version(self, number: int) -> str | None:
        """The version of a segment, None if there is none."""
        found = self._bucket.listed(_name(number))
        return found[0].etag if found else None

    def read(self, first: int) -> Iterator[tuple[Part, bytes]]:
        """The log from segment `first` on. StudyError, naming it, if a segment is missing."""
        parts = self._parts(first)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from zip(parts, pool.map(self._lines, parts), strict=True)

    def _parts(self, first: int) -> list[Part]:
        """Packs as far as there are any, segments between them and after them."""
        parts, packs = [], self._packs()
        while ahead := [begin for begin in packs if begin >= first]:
            parts += [_segment(number) for number in range(first, min(ahead))]
            parts.append(packs[min(ahead)])
            first = parts[-1].last + 1
        return parts + self._listed(first)

    def _packs(self) -> dict[int, Part]:
        """The longest pack of those that begin with the same segment."""
        found: dict[int, Part] = {}
        for stat in self._bucket.listed("packs/"):
            if matched := _PACK.fullmatch(stat.name):
                first, last = int(matched[1]), int(matched[2])
                found[first] = Part(name=stat.name, first=first, last=last)
        return found

    def _listed(self, first: int) -> list[Part]:
        """The segments from number `first` on. A listing that ran beside a writer may lack one that
        is there, so a gap is looked at twice.
        """
        found = self._list(first)
        if _gap(first, found) is not None:
            found = self._list(first)
        missing = _gap(first, found)
        if missing is not None:
            raise StudyError(
                f"{self.place / _name(missing)}: this part of the log is missing, though "
                "later ones are there. Restore it (a bucket with versions keeps what was deleted); "
                "without it the study cannot be continued."
            )
        return found

    def _list(self, first: int) -> list[Part]:
        found = self._bucket.listed("log/", _name(first - 1) if first else None)
        matched = ((_SEGMENT.fullmatch(stat.name), stat.etag) for stat in found)
        return [_segment(int(named[1]), etag) for named, etag in matched if named]

    def _lines(self, part: Part) -> bytes:
        found = self._bucket.get(part.name)
        if found is None or (found.body and not found.body.endswith(b"\n")):
            raise StudyError(
                f"{self.place / part.name}: this part of the log is "
                f"{'gone' if found is None else 'not whole'}. The log is written by ictsweep "
                "alone: restore it."
            )
        return found.body


def _name(number: int) -> str:
    return f"log/{number:08d}.jsonl"


def _segment(number: int, etag: str = "") -> Part:
    return Part(name=_name(number), first=number, last=number, etag=etag)


def _gap(first: int, found: list[Part]) -> int | None:
    """The first number that is missing below the last one found."""
    numbers = (part.first for part in found)
    return next((n for n, number in enumerate(numbers, first) if n != number), None)
