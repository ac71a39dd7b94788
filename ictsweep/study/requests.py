"""What people ask of a study's driver: a small file in its folder, at which the driver looks now
and then. So it works wherever the folder is seen, on another host too.

A request is for the driver that runs when it is made: the next one forgets it when it opens the
study. That takes minutes where much of a log is brought from a bucket, and a driver can be asked
from the moment it holds the study. So it looks at what lies there before, and forgets only that.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence

from ictsweep.disk import refused
from ictsweep.errors import StorageError
from ictsweep.patience import ASKING
from ictsweep.records import Event
from ictsweep.study.store import StudyFolder

_STOP = "stop.json"


def ask_to_stop(folder: StudyFolder) -> None:
    """Ask the study's driver to pause it: its trials keep checkpoints and leave."""
    who = {"host": os.uname().nodename, "process": os.getpid(), "time": time.time()}
    folder.write(_STOP, json.dumps(who).encode())


def asked_to_stop(folder: StudyFolder) -> str:
    """Who asked the driver to stop, in words; "" while nobody did. A look costs one system call, or
    one request to a bucket.
    """
    try:
        found = request(folder)
    except StorageError:  # if it stays away, the next append to the log says so
        return ""
    if found is None:
        return ""
    try:
        return f"asked to stop from {json.loads(found)['host']}"
    except (ValueError, KeyError, TypeError):  # made by hand: `touch` asks as well
        return "asked to stop"


def request(folder: StudyFolder) -> bytes | None:
    """What is asked, as it lies there: no two are the same unless made by hand."""
    if folder.remote is not None:
        found = folder.remote.bucket.with_patience(ASKING).get(_STOP)
        return None if found is None else found.body
    try:
        return (folder.path / _STOP).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused(error, folder.path / _STOP) from error


def forget_request(folder: StudyFolder, earlier: bytes | None) -> None:
    """Remove what was asked of an earlier driver, and nothing that was asked since."""
    if earlier is not None and request(folder) == earlier:
        folder.remove(_STOP)


def await_stop(folder: StudyFolder, every_s: float = 0.5) -> Iterator[Sequence[Event]]:
    """Ask the driver to stop and wait until it has left; the log's new events, again and again, the
    last time when it has. It is asked again should the request be gone while it runs. Whoever waits
    no longer leaves the request where it is.
    """
    known = len(folder.events())
    ask_to_stop(folder)
    while folder.driven():
        if request(folder) is None:
            ask_to_stop(folder)
        yield folder.events()[known:]
        time.sleep(every_s)
        folder.refresh()
    folder.remove(_STOP)
    yield folder.events()[known:]
