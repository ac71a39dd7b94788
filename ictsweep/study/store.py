"""The study folder: where the truth is kept (neither torch, ray nor optuna).

study.yaml      the spec as run                 manifest.json   versions, commit, hardware
events.jsonl    the only truth, append-only     lock            held by the one writer
trials/0017/    config.yaml, samples/, checkpoints/
ray/            Ray's own files and its log
"""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import yaml

from ictsweep.errors import StudyError
from ictsweep.files import heal, whole_lines, write_atomic
from ictsweep.records import LOG_VERSION, Event, TrialRecord, trials
from ictsweep.study.spec import StudySpec, spec_from_dict, spec_to_dict


@dataclass(frozen=True)
class StudyFolder:
    """A study on disk. Reading never changes it."""

    path: Path

    @classmethod
    def create(cls, path: Path, spec: StudySpec) -> "StudyFolder":
        """A new study folder holding its spec; StudyError if there is one already."""
        folder = cls(path)
        (path / "trials").mkdir(parents=True, exist_ok=True)
        with Log(folder):  # nobody else is starting it
            if any(event.kind == "ask" for event in folder.events()):
                raise StudyError(
                    f"{path}: this study exists already. Continue it with `ictsweep resume "
                    f"{path}`, give the new one another name with `--name NAME`, or move the "
                    "folder away."
                )
            write_atomic(
                path / "events.jsonl", b""
            )  # it stopped before its first trial: begin anew
        text = yaml.safe_dump(spec_to_dict(spec), sort_keys=False, allow_unicode=True)
        write_atomic(path / "study.yaml", text.encode())
        return folder

    @classmethod
    def open(cls, path: Path) -> "StudyFolder":
        """An existing study folder; StudyError, naming what is missing, if it is not one."""
        if not (path / "study.yaml").is_file():
            raise StudyError(
                f"{path}: not a study folder (no study.yaml in it). "
                "`ictsweep run SPACE` makes one; its path is printed when the study starts."
            )
        return cls(path)

    def spec(self) -> StudySpec:
        """The spec as run."""
        return spec_from_dict(yaml.safe_load((self.path / "study.yaml").read_text()))

    def manifest(self) -> dict[str, Any]:
        """Versions, commit and hardware of the last driver; empty before the first."""
        path = self.path / "manifest.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        text = json.dumps(manifest, indent=2)
        write_atomic(self.path / "manifest.json", text.encode())

    def events(self) -> list[Event]:
        """The log so far. A torn last line (a kill in mid-write) is not yet an event and is left
        out.
        """
        path = self.path / "events.jsonl"
        events = [_event(path, n, line) for n, line in enumerate(whole_lines(path), 1)]
        for event in events[:1]:
            _check_version(path, event)
        return events

    def driven(self) -> bool:
        """Whether a driver holds the study now (as far as this machine can tell)."""
        path = self.path / "lock"
        if not path.exists():
            return False
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def trials(self) -> list[TrialRecord]:
        """The trials of the log, by number."""
        return trials(self.events())

    def trial_dir(self, number: int) -> Path:
        """Where a trial's files are."""
        return self.path / "trials" / f"{number:04d}"


class Log:
    """The one writer of a study's event log: appends are on the disk before `append` returns.

    The lock is the operating system's (flock): it ends with the process, so a killed driver never
    leaves it behind.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self._lock = _lock(folder)
        path = folder.path / "events.jsonl"
        heal(path)
        self._file: IO[bytes] = path.open("ab")

    def append(self, events: Iterable[Event]) -> None:
        """Append events, flushed to the disk."""
        self._file.write(b"".join(event.to_line().encode() for event in events))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Release the log and its lock."""
        self._file.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _event(path: Path, number: int, line: str) -> Event:
    try:
        return Event.from_line(line)
    except (ValueError, TypeError) as error:
        raise StudyError(
            f"{path}:{number}: not an event of this log ({error}). "
            "The log is written by ictsweep alone; restore the file, or cut it before this line "
            "to continue from there."
        ) from None


def _check_version(path: Path, event: Event) -> None:
    version = event.data.get("version") if event.kind == "study" else None
    if version != LOG_VERSION:
        raise StudyError(
            f"{path}:1: log version {version!r}; this ictsweep reads version {LOG_VERSION}. "
            "Use the ictsweep that wrote it."
        )


def _lock(folder: StudyFolder) -> IO[str]:
    file = (folder.path / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise StudyError(
            f"{folder.path}: a driver is running this study ({holder}). Watch it with "
            f"`ictsweep status {folder.path}`, or stop that process first."
        ) from None
    file.truncate(0)
    file.write(f"{os.uname().nodename}, process {os.getpid()}")
    file.flush()
    return file
