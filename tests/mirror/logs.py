"""What tests of mirrors share: a scripted study's log, grown as a driver would; what Optuna reads
back.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import URL

from ictsweep.mirror.picture import STATES, content
from ictsweep.records import Event, trials
from ictsweep.study.store import StudyFolder
from tests.report.fixture import Script, write_study

NAME = "digits"


def study(
    path: Path, spec: dict[str, Any] | None = None, script: Script | None = None
) -> StudyFolder:
    """A finished study: 18 trials, of which 5 failed and 13 diverged."""
    return write_study(path, spec, script or Script(pictures=False))


def started(path: Path, like: StudyFolder) -> StudyFolder:
    """A folder with the spec of another and an empty log."""
    return StudyFolder.create(path, like.spec())


def grow(folder: StudyFolder, events: Sequence[Event]) -> None:
    """Append to a log."""
    with (folder.path / "events.jsonl").open("ab") as file:
        file.write(b"".join(event.to_line().encode() for event in events))


def opened(url: URL) -> RDBStorage:
    """The storage, as Optuna opens it (braces stand for its own in its URLs)."""
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    return RDBStorage(text)


def read(url: URL, name: str = NAME) -> list[FrozenTrial]:
    """A mirror's trials in Optuna's order."""
    storage = opened(url)
    try:
        return storage.get_all_trials(storage.get_study_id_from_name(name))
    finally:
        storage.engine.dispose()


def contents(url: URL, name: str = NAME) -> list[str]:
    """All that a mirror shows, a text for each trial."""
    return [content(trial) for trial in read(url, name)]


def states(events: Sequence[Event]) -> list[Any]:
    """The states of a log's trials in Optuna's words, by number."""
    return [STATES[record.state] for record in trials(events)]


def counts(events: Sequence[Event]) -> Counter[str]:
    """How many trials of a log are in which of Optuna's states."""
    return Counter(state.name for state in states(events))
