"""A report that follows its study: written again whenever the log has grown."""

import time
from collections.abc import Iterator
from pathlib import Path

from ictsweep.report.build import SHOWN, build
from ictsweep.report.collect import collect
from ictsweep.study.store import StudyFolder


def watch(
    folder: StudyFolder, reports: Path, *, every_s: float = 10.0, single_file: bool = False
) -> Iterator[Path]:
    """The page, each time it was written anew, until the study is finished. Open pages reload
    themselves and keep the reader's place.
    """
    seen: object = "nothing yet"
    while True:
        folder.refresh()
        now = _state(folder)
        if now != seen:
            seen = now
            folder.bring_trials(*SHOWN)
            finished = collect(folder).finished
            yield build(folder.path, reports, single_file=single_file, live=not finished)
            if finished:
                return
        time.sleep(every_s)


def _state(folder: StudyFolder) -> object:
    """Equal as long as the log is."""
    path = folder.path / "events.jsonl"
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None
