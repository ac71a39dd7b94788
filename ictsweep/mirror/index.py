"""A growing event log, read as it grows: whose events are new, and any trial as it stands."""

import hashlib
import json
import os
from collections import defaultdict
from typing import IO

from ictsweep.errors import StudyError
from ictsweep.records import READ_VERSIONS, Event, TrialRecord, trials
from ictsweep.study.spec import StudySpec, spec_from_dict
from ictsweep.study.store import StudyFolder


class Index:
    """Where in the log each trial's events stand, so that one trial can be read without the others.

    Nothing of the log itself is kept in memory. StudyError when the file is no longer the one that
    was indexed (restored, or cut by hand): make a new index.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._path = folder.path / "events.jsonl"
        self._file: int | None = None  # the inode: a log is appended to, never replaced
        self._end = 0
        self._places: dict[int, list[int]] = defaultdict(list)
        self._specs: list[StudySpec] = []
        self._sessions: dict[int, int] = {}
        self.identity = ""

    def advance(self) -> list[int]:
        """Take in the whole lines written since the last call; the trials they are about, in
        order.
        """
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            self._same(file)
            file.seek(self._end)
            concerned: set[int] = set()
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written
                concerned |= self._take(self._event(line))
                self._end += len(line)
        return sorted(concerned)

    def __len__(self) -> int:
        """How many trials the log has."""
        return len(self._places)

    def record(self, number: int) -> TrialRecord:
        """A trial as the log has it."""
        with self._path.open("rb") as file:
            events = [self._at(file, place) for place in self._places[number]]
        (record,) = trials(events)
        return record

    def session(self, number: int) -> int:
        """In which session of the study, from 0, a trial was asked."""
        return self._sessions[number]

    def spec(self, number: int) -> StudySpec:
        """The spec of that session: the axes may have been changed since."""
        return self._specs[self._sessions[number]]

    def _take(self, event: Event) -> set[int]:
        if event.kind == "study":
            self._opened(event)
        if event.trial is None or event.kind == "prior":
            return set()
        if event.kind == "ask":
            self._sessions[event.trial] = len(self._specs) - 1
        self._places[event.trial].append(self._end)
        return {event.trial}

    def _opened(self, event: Event) -> None:
        if event.data.get("version") not in READ_VERSIONS:
            raise StudyError(f"{self._path}: a log of another version; use its own ictsweep")
        if not self.identity:
            first = [event.time, event.data.get("host"), event.data.get("process")]
            self.identity = hashlib.sha256(json.dumps(first).encode()).hexdigest()[:16]
        spec = event.data.get("spec")  # not in logs of version 1
        self._specs.append(spec_from_dict(spec) if spec else self._folder.spec())

    def _at(self, file: IO[bytes], place: int) -> Event:
        file.seek(place)
        return self._event(file.readline())

    def _event(self, line: bytes) -> Event:
        try:
            return Event.from_line(line.decode())
        except (ValueError, TypeError) as error:
            raise StudyError(f"{self._path}: not an event of this log ({error})") from None

    def _same(self, file: IO[bytes]) -> None:
        now = os.fstat(file.fileno())
        if self._file not in (None, now.st_ino) or now.st_size < self._end:
            raise StudyError(f"{self._path}: the log was replaced or cut while it was followed")
        self._file = now.st_ino
