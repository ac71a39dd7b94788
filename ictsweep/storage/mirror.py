"""The copy of a bucket's log on this machine: `events.jsonl`, as a study on a disk has it.

Everything that reads a study reads this file. A note beside it says how far it goes and what its
bytes were, so only what is new is brought; a copy that was edited, torn, or made from another study
of the same name is made anew. The copy is never the truth: it may be deleted at any time.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ictsweep.disk import refused
from ictsweep.files import write_atomic
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.locks import LOCK, held
from ictsweep.storage.segments import Part, Segments
from ictsweep.storage.spec_file import SPEC, Begun, copy, read_spec

LOG = "events.jsonl"
_NOTE = ".mirror.json"


@dataclass(frozen=True, kw_only=True)
class Note:
    """The log of `study` from segment `first` up to, without, `next` lies in so many `bytes`;
    `etag` is the version of its last segment. The segments up to `packed_next` are in packs, and
    end at the byte `packed_bytes`.
    """

    study: str
    first: int
    next: int
    etag: str = ""
    bytes: int = 0
    packed_next: int
    packed_bytes: int = 0


def mirrored(folder: Path) -> str | None:
    """The place in a bucket that a folder is a copy of; None for a folder of its own."""
    try:
        return str(json.loads((folder / _NOTE).read_text())["of"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def refresh(bucket: Bucket, folder: Path, others: Iterable[str]) -> bool:
    """Bring a study's spec, log and other small files to its copy; False if there is no study.
    Where a driver of this machine holds the copy, it is as new as can be.
    """
    begun = read_spec(bucket)
    if begun is None:
        return False
    mirror = Mirror(folder, Segments(bucket))
    with mirror.alone():
        if not held(folder / LOCK):
            mirror.sync(begun)
            copy(folder / SPEC, begun.spec)
            for name in others:
                if found := bucket.get(name):
                    copy(folder / name, found.body)
    return True


class Mirror:
    """The copy of a log in `folder`."""

    def __init__(self, folder: Path, segments: Segments) -> None:
        self._path, self._note_path = folder / LOG, folder / _NOTE
        self._lock = folder / ".mirror.lock"
        self._segments = segments
        self._begun = Begun(spec=b"", first=0, study="")
        self._of_another = False
        self._forget()

    @property
    def next(self) -> int:
        """The number of the segment that the copy lacks next."""
        return self._at.next

    @property
    def unpacked(self) -> int:
        """How many segments of the copy are in no pack."""
        return self._at.next - self._at.packed_next

    def sync(self, begun: Begun) -> None:
        """Make the copy what the bucket has of the study that began so. StorageError if this disk
        cannot take it.
        """
        try:
            self._begun = begun
            self._sync()
        except OSError as error:
            raise refused(error, self._path) from error

    def take(self, part: Part, lines: bytes) -> None:
        """Add the segment that this machine's driver wrote. What a full disk kept out before is
        brought first; a copy that somebody deleted meanwhile is made anew.
        """
        try:
            if part.first == self.next and self._path.exists():
                self._add(part, lines)
            else:
                self._sync()
        except OSError as error:
            raise refused(error, self._path) from error

    def pack(self) -> None:
        """Put the segments that are in no pack into one."""
        at = self._at
        with self._path.open("rb") as file:
            file.seek(at.packed_bytes)
            lines = file.read(at.bytes - at.packed_bytes)
        self._segments.pack(at.packed_next, at.next - 1, lines)
        self._at = replace(at, packed_next=at.next, packed_bytes=at.bytes)
        self.note()

    def note(self) -> None:
        """Write down how far the copy goes."""
        of = {"of": str(self._segments.place), "sha256": self._digest.hexdigest()}
        facts = {**asdict(self._at), **of}
        try:
            write_atomic(self._note_path, json.dumps(facts).encode())
        except OSError as error:
            raise refused(error, self._note_path) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process of this machine changes the copy meanwhile."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            handle = self._lock.open("w")
        except OSError as error:
            raise refused(error, self._lock) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _sync(self) -> None:
        if not self._remember():
            self._forget()
            write_atomic(self._path, b"")
        for part, lines in self._segments.read(self.next):
            self._add(part, lines)
        if not self._at.etag and self.next > self._begun.first:
            self._at = replace(self._at, etag=self._segments.version(self.next - 1) or "")
        with self._path.open("r+b") as file:
            file.truncate(self._at.bytes)  # what a driver that was killed had added
        if (
            self._of_another
        ):  # a study of the same name: what its trials left here is not this one's
            shutil.rmtree(self._path.parent / "trials", ignore_errors=True)
            self._of_another = False
        self.note()

    def _remember(self) -> bool:
        """Whether the copy is a beginning of the bucket's log, by the note beside it."""
        try:
            facts = json.loads(self._note_path.read_text())
            of, written = facts.pop("of"), facts.pop("sha256")
            at = Note(**facts)
            with self._path.open("rb") as file:
                digest = hashlib.sha256(file.read(at.bytes))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return False
        if (of, written) != (str(self._segments.place), digest.hexdigest()):
            return False
        self._of_another = at.study != self._begun.study
        if self._of_another or at.first != self._begun.first:
            return False
        if at.next > at.first and self._segments.version(at.next - 1) != at.etag:
            return False
        self._at, self._digest = at, digest
        return True

    def _forget(self) -> None:
        first = self._begun.first
        self._at = Note(study=self._begun.study, first=first, next=first, packed_next=first)
        self._digest = hashlib.sha256()

    def _add(self, part: Part, lines: bytes) -> None:
        with self._path.open("r+b") as file:
            file.seek(self._at.bytes)
            file.write(lines)
        self._digest.update(lines)
        end, next_ = self._at.bytes + len(lines), part.last + 1
        self._at = replace(self._at, next=next_, bytes=end, etag=part.etag)
        if part.packed:
            self._at = replace(self._at, packed_next=next_, packed_bytes=end)
