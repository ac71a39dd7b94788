"""The study folder: where the truth is kept (neither torch, ray nor optuna).

study.yaml      the spec as run                 manifest.json   versions, commit, hardware
events.jsonl    the only truth, append-only     lock            held by the one writer
trials/0017/    config.yaml, samples/, checkpoints/
ray/            Ray's own files and its log

The log is one JSON object per line (`ictsweep.records`), whose first is a `study` event with the
format's version. A last line without its end is what a kill left: no event yet, and cut by the next
writer.

A study may also lie in a bucket that speaks S3 (`s3://bucket/prefix/NAME`). There the log is a row
of numbered segments and the lock a lease (`ictsweep.storage`); the folder is then a copy on this
machine, made when the study is opened, so everything that reads goes on reading a folder.
"""

import gc
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from ictsweep.disk import refused
from ictsweep.errors import StudyError
from ictsweep.files import write_atomic
from ictsweep.patience import ASKING
from ictsweep.records import Event, TrialRecord, trials
from ictsweep.shell import command
from ictsweep.storage.agreement import WHOLE
from ictsweep.storage.bucket import Bucket
from ictsweep.storage.lease import leased
from ictsweep.storage.locks import LOCK, held
from ictsweep.storage.mirror import LOG, refresh
from ictsweep.storage.place import bucket_place
from ictsweep.storage.remote import Remote
from ictsweep.storage.spec_file import SPEC
from ictsweep.storage.truth import BucketTruth, DiskTruth, Truth
from ictsweep.study.spec import StudySpec, spec_from_dict, spec_to_dict
from ictsweep.study.tail import Tail

MIRRORS = Path("~/.cache/ictsweep/mirrors")  # copies of studies in buckets
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class StudyFolder:
    """A study on a disk; or the copy of one in a bucket (`remote`). Reading never changes it."""

    path: Path
    remote: Remote | None = None

    @classmethod
    def create(cls, place: str | Path, spec: StudySpec, mirrors: Path = MIRRORS) -> "StudyFolder":
        """A new study at a path or URL, holding its spec; StudyError if there is one already."""
        folder = cls._at(place, mirrors)
        try:
            (folder.path / "trials").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused(error, folder.path) from error
        with Log(folder) as log:  # nobody else is starting it
            if any(event.kind == "ask" for event in folder.events()):
                again = command("resume", folder.place)
                raise StudyError(
                    f"{folder.place}: this study exists already. Continue it with `{again}`, give "
                    "the new one another name with `--name NAME`, or move the folder away."
                )
            log.begin(spec)  # or it stopped before its first trial: anew
        return folder

    @classmethod
    def open(cls, place: str | Path, mirrors: Path = MIRRORS) -> "StudyFolder":
        """The study at a path or URL; StudyError, naming what is missing, if there is none. Of one
        in a bucket the log, spec and manifest are brought here: trials' files by `bring_trials`.
        """
        folder = cls._at(place, mirrors)
        if not folder.refresh() or not (folder.path / SPEC).is_file():
            raise StudyError(
                f"{folder.place}: not a study folder (no {SPEC} in it). "
                "`ictsweep run SPACE` makes one; its path is printed when the study starts."
            )
        return folder

    @classmethod
    def _at(cls, place: str | Path, mirrors: Path) -> "StudyFolder":
        bucket = bucket_place(place)
        if bucket is None:
            return cls(Path(place))
        if not bucket.name:
            raise StudyError(f"{place}: names no study; write s3://BUCKET/PREFIX/NAME")
        return cls(bucket.mirror(mirrors.expanduser()), Remote(Bucket(bucket)))

    @property
    def place(self) -> str:
        """The study's name for people and commands: its path, or its URL."""
        return str(self.path if self.remote is None else self.remote.place)

    def refresh(self) -> bool:
        """Bring what is new in the log, spec and manifest of a study in a bucket; False if there is
        no study there. Nothing is to be done on a disk, nor where this machine's driver keeps the
        copy.
        """
        if self.remote is None or held(self.path / LOCK):
            return True
        return refresh(self.remote.bucket.with_patience(ASKING), self.path, (_MANIFEST,))

    def bring_trials(self, *names: str) -> None:
        """Bring what lies in a bucket under these names ("samples", "checkpoints") of each trial;
        all there is where none is given.
        """
        if self.remote is not None:
            self.remote.at("trials").pull_each(self.path / "trials", *names)

    def bring(self, *names: str) -> None:
        """Bring what lies in a bucket under these names of the study ("rescored")."""
        if self.remote is not None:
            self.remote.pull(self.path, *names)

    def keep(self, *names: str) -> None:
        """Make durable what was written on this machine under these names of the study."""
        if self.remote is not None:
            self.remote.push(self.path, *names)

    def remove(self, *names: str) -> None:
        """Remove files or folders of the study: of a checkpoint first what says that it is whole,
        so a kill leaves none that is half there.
        """
        if self.remote is not None:
            self.remote.remove(*names)
        for name in names:
            _remove(self.path / name)

    def write(self, name: str, data: bytes) -> None:
        """Write a small file of the study, whole or not at all; it is durable when this returns."""
        if self.remote is not None:
            self.remote.bucket.put(name, data)
        try:
            write_atomic(self.path / name, data)
        except OSError as error:
            raise refused(error, self.path / name) from error

    def shared(self) -> Remote | None:
        """Where the studies of this one's storage share feature networks; None where the disk is.
        May be pickled.
        """
        if self.remote is None:
            return None
        place = self.remote.place.parent / ".cache"
        return Remote(Bucket(place, self.remote.bucket.patience))

    def trial_remote(self, number: int) -> Remote | None:
        """Where a trial's folder is made durable; None where the disk is. May be pickled."""
        return None if self.remote is None else self.remote.at(f"trials/{number:04d}")

    def spec(self) -> StudySpec:
        """The spec as run."""
        try:
            values = yaml.safe_load((self.path / SPEC).read_text())
            return spec_from_dict(values)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            said = " ".join(str(error).split())
            raise StudyError(f"{self.path / SPEC}: not YAML any more: {said}") from None

    def manifest(self) -> dict[str, Any]:
        """Versions, commit and hardware of the last driver; empty before the first."""
        path = self.path / _MANIFEST
        try:
            return json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise StudyError(
                f"{path}: not JSON any more ({error}). It only says what the study ran on: remove "
                "it, and the next session writes it anew."
            ) from None

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        self.write(_MANIFEST, json.dumps(manifest, indent=2).encode())

    def events(self) -> list[Event]:
        """The log so far. A torn last line (a kill in mid-write) is not yet an event and is left
        out.
        """
        with _without_collector():
            return list(self.tail().news())

    def opening(self) -> Event | None:
        """The log's first event, without reading the others; None before it."""
        return next(self.tail().news(), None)

    def tail(self) -> Tail:
        """The log for who reads it as it grows."""
        return Tail(self.path / LOG)

    def driven(self) -> bool:
        """Whether a driver holds the study now (as far as this machine can tell)."""
        if held(self.path / LOCK):
            return True
        return self.remote is not None and leased(self.remote.bucket.with_patience(ASKING))

    def trials(self) -> list[TrialRecord]:
        """The trials of the log, by number."""
        return trials(self.events())

    def trial_dir(self, number: int) -> Path:
        """Where a trial's files are."""
        return self.path / "trials" / f"{number:04d}"


@contextmanager
def _without_collector() -> Iterator[None]:
    """Reading a large log makes a million objects and drops none: Python's collector would look
    through all of them time and again, for more than half of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Log:
    """The one writer of a study's event log, wherever that is.

    `append` returns when the events are safe. When it raises StorageError nothing may be decided on
    them: whether they are in the log is known when the study is opened again. One more append (a
    last word) may be tried; the log stays whole.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self._truth: Truth = (
            DiskTruth(folder.path)
            if folder.remote is None
            else BucketTruth(folder.remote.bucket, folder.path)
        )

    def append(self, events: Iterable[Event]) -> None:
        """Append events; they are safe when this returns."""
        self._truth.append(b"".join(event.to_line().encode() for event in events))

    def begin(self, spec: StudySpec) -> None:
        """Begin the study: its spec, and no events."""
        self._truth.begin(spec_text(spec))

    def amend(self, spec: StudySpec) -> None:
        """Give the study another spec; its events stay."""
        self._truth.amend(spec_text(spec))

    def close(self) -> None:
        """Release the log and its lock."""
        self._truth.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def spec_text(spec: StudySpec) -> bytes:
    """A spec as study.yaml says it."""
    text = yaml.safe_dump(spec_to_dict(spec), sort_keys=False, allow_unicode=True)
    return text.encode()


def _remove(path: Path) -> None:
    try:
        for mark in path.rglob(WHOLE):
            mark.unlink()
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return  # somebody else was faster
    except OSError as error:
        raise refused(error, path) from error
