"""A growing log, read as it grows: every event once, only the new ones each time.

What it costs to look again depends on what is new, not on how long the log is; and no more than one
line is held in memory.
"""

from collections.abc import Iterator
from pathlib import Path

from ictsweep.errors import StudyError
from ictsweep.records import READ_VERSIONS, Event
from ictsweep.study.forms import malformed


class Tail:
    """The events of the log at `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first = b""
        self._offset = self._line = 0

    @property
    def read(self) -> int:
        """How many events were read so far."""
        return self._line

    def written(self) -> float:
        """When the log was last written to, on the clock of the disk that it lies on."""
        return self._path.stat().st_mtime

    def begun_anew(self) -> bool:
        """Whether the log is no longer the one that was read so far, because its study was begun
        again. If so, `news` starts from its first event: what was made of the old ones is void.
        """
        if not self._offset:
            return False
        try:
            with self._path.open("rb") as file:
                same = file.readline() == self._first and file.seek(0, 2) >= self._offset
        except FileNotFoundError:
            same = False
        if not same:
            self._first, self._offset, self._line = b"", 0, 0
        return not same

    def news(self) -> Iterator[Event]:
        """The events that were appended since. A line that is still being written is not among
        them. StudyError at a line that is none of this log's, or for a log of another version.
        """
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                event = event_at(self._path, self._line + 1, raw)
                self._first = self._first or raw
                self._offset += len(raw)
                self._line += 1
                yield event


def event_at(path: Path, number: int, raw: bytes) -> Event:
    """The event on line `number` (from 1) of the log at `path`; StudyError if there is none."""
    try:
        event = Event.from_line(raw.decode())
    except UnicodeDecodeError:
        raise _foreign(path, number, "bytes that are no text") from None
    except (ValueError, TypeError) as error:
        raise _foreign(path, number, str(error)) from None
    if number == 1:
        _check_version(path, number, event)
    if why := malformed(event):
        raise _foreign(path, number, why)
    if event.kind == "study":  # a later ictsweep may have gone on with the study
        _check_version(path, number, event)
    return event


def _foreign(path: Path, number: int, why: str) -> StudyError:
    return StudyError(
        f"{path}:{number}: not an event of this log ({why}). "
        "The log is written by ictsweep alone; restore the file, or cut it before this line "
        "to continue from there."
    )


def _check_version(path: Path, number: int, event: Event) -> None:
    data = event.data if isinstance(event.data, dict) else {}
    version = data.get("version") if event.kind == "study" else None
    if version not in READ_VERSIONS:
        raise StudyError(
            f"{path}:{number}: log version {version!r}; this ictsweep reads versions "
            f"{', '.join(map(str, READ_VERSIONS))}. Use the ictsweep that wrote it."
        )
