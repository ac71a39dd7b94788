"""Where a study's log is written: a file on a disk, or segments in a bucket. One writer each.

`append` returns when the lines are safe. When it raises StorageError they are not (or it is not
known, as when a server falls silent): nothing may be decided on them before the study was opened
again. A disk or server that is away for a moment is waited for.
"""

import logging
import secrets
from pathlib import Path
from typing import Protocol

from ictsweep.disk import refused
from ictsweep.errors import StorageError, StudyError
from ictsweep.files import write_atomic
from ictsweep.patience import RUNNING, Patience
from ictsweep.shell import command
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.lease import Lease, ousted
from ictsweep.storage.lines import Lines
from ictsweep.storage.locks import LOCK, FileLock
from ictsweep.storage.mirror import LOG, Mirror, mirrored
from ictsweep.storage.segments import Part, Segments
from ictsweep.storage.spec_file import SPEC, Begun, amend_spec, copy, read_spec, write_spec

PACKED = 256  # segments per pack

_log = logging.getLogger(__name__)


class Truth(Protocol):
    """A study's log, held by its one writer until `close`."""

    def append(self, lines: bytes) -> None:
        """Append whole lines; they are safe when this returns."""
        ...

    def begin(self, spec: bytes) -> None:
        """Begin a new study: its spec, and no events."""
        ...

    def amend(self, spec: bytes) -> None:
        """Give the study another spec; its log goes on."""
        ...

    def close(self) -> None:
        """Release the log: the next driver may have it."""
        ...


class DiskTruth:
    """The log of a study folder: `events.jsonl`, under the system's lock on `lock`."""

    def __init__(self, folder: Path, patience: Patience = RUNNING) -> None:
        if (url := mirrored(folder)) is not None:
            raise StudyError(
                f"{folder}: this is a copy of {url}, where the study is. Name that instead: "
                f"`{command('resume', url)}`."
            )
        self._folder, self._patience = folder, patience
        self._lock = FileLock(folder / LOCK, str(folder))
        try:
            self._lines = Lines(folder / LOG, self._lock, patience)
        except BaseException:
            self._lock.close()
            raise

    def append(self, lines: bytes) -> None:
        """Append whole lines; they are on the disk when this returns."""
        self._lines.append(lines)

    def begin(self, spec: bytes) -> None:
        """Begin a new study: its spec, and no events."""
        self._lines.close()
        try:
            write_atomic(self._folder / LOG, b"")
            write_atomic(self._folder / SPEC, spec)
        except OSError as error:
            raise refused(error, self._folder) from error
        self._lines = Lines(self._folder / LOG, self._lock, self._patience)

    def amend(self, spec: bytes) -> None:
        """Give the study another spec; its log goes on."""
        try:
            write_atomic(self._folder / SPEC, spec)
        except OSError as error:
            raise refused(error, self._folder) from error

    def close(self) -> None:
        """Release the log and its lock."""
        self._lines.close()
        self._lock.close()


class BucketTruth:
    """The log of a study in a bucket, and its copy in `folder`: under a lease in the bucket, and
    the system's lock on the copy.

    Whoever takes the lease writes an empty segment first: from then on a driver that had it before
    finds its next number used, whatever it believes.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self._bucket, self._folder = bucket, folder
        self._segments = Segments(bucket)
        self._mirror = Mirror(folder, self._segments)
        self._lock = FileLock(folder / LOCK, str(bucket.place))
        try:
            self._lease = Lease(bucket)
        except BaseException:
            self._lock.close()
            raise
        try:
            self._take_over()
        except BaseException:
            self.close()
            raise

    def append(self, lines: bytes) -> None:
        """Append whole lines; the bucket has them when this returns."""
        self._lease.confirm()
        part = self._claim(lines)
        if part is None and self._in_doubt and self._wrote(self._next):
            self._next += 1  # an append that failed for want of an answer had arrived after all
            part = self._claim(lines)
        if part is None:
            raise self._lost()
        self._next, self._in_doubt = part.last + 1, False
        self._mirror.take(part, lines)
        if self._mirror.unpacked >= PACKED:
            self._pack()

    def begin(self, spec: bytes) -> None:
        """Begin a new study: its spec, and no events."""
        begun = Begun(spec=spec, first=self._next, study=secrets.token_hex(8))
        self._begun = write_spec(self._bucket, self._folder, begun)
        with self._mirror.alone():
            self._mirror.sync(self._begun)

    def amend(self, spec: bytes) -> None:
        """Give the study another spec; its log goes on. What says that it is a study in a bucket,
        and where its log begins, stays.
        """
        self._lease.confirm()
        begun = amend_spec(self._bucket, self._folder, self._begun, spec)
        if begun is None:
            raise self._lost()
        self._begun = begun

    def close(self) -> None:
        """Release the lease and the copy."""
        self._lease.close()
        self._lock.close()

    def _lost(self) -> Exception:
        """Why another driver's words are where this one's were to be."""
        self._lease.renew()  # learns who has it
        self._lease.confirm()
        return ousted(self._bucket.place, None)

    def _claim(self, lines: bytes) -> Part | None:
        try:
            return self._segments.claim(self._next, lines, self._lease.holder.token)
        except StorageError:
            self._in_doubt = True
            raise

    def _wrote(self, number: int) -> bool:
        return self._segments.writer(number) == self._lease.holder.token

    def _take_over(self) -> None:
        begun = read_spec(self._bucket) or Begun(spec=b"", first=0, study="")
        if begun.etag:  # another machine may have begun it anew since it was brought here
            copy(self._folder / SPEC, begun.spec)
        part = None
        with self._mirror.alone():
            while part is None:  # else a driver that is being ousted wrote once more: it is read
                self._mirror.sync(begun)
                part = self._segments.claim(self._mirror.next, b"", self._lease.holder.token)
            self._mirror.take(part, b"")
            self._mirror.note()
        self._begun, self._next, self._in_doubt = begun, part.last + 1, False

    def _pack(self) -> None:
        """Without the pack its segments are read one by one: slower, and no reason to stop."""
        try:
            self._mirror.pack()
        except StorageError as error:
            _log.warning("%s", error)
