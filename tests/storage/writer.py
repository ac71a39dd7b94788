"""A driver of its own process, as tests kill them: opens a study, appends numbered events, and says
each number once its append has returned.

    python -m tests.storage.writer PLACE MIRRORS [hold]
"""

import os
import sys
from pathlib import Path

from ictsweep.records import Event
from ictsweep.study.store import Log, StudyFolder


def main(place: str, mirrors: str, *hold: str) -> None:
    folder = StudyFolder.open(place, Path(mirrors))
    with Log(folder) as log:
        number = len(folder.events())
        os.write(1, b"held\n")
        if hold:
            sys.stdin.read()
        while not hold:
            log.append([Event(kind="cluster", time=0.0, data={"slots": number})])
            os.write(1, b"%d\n" % number)
            number += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
