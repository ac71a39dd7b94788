"""The digits study of tests/cluster in a bucket, as its log tells it from outside."""

from pathlib import Path

from ictsweep.errors import StudyError
from ictsweep.records import Event
from ictsweep.study.store import StudyFolder
from tests.cluster import studies
from tests.cluster.hosts import Network

BUCKET = "studies-of-a-test"
STORAGE = f"s3://{BUCKET}/studies"
URL = f"{STORAGE}/small"
# one trial at a time, for the few cores of the machine that plays all the others
SPACE = studies.SPACE.replace("launch_kimg: 8}", "launch_kimg: 8, max_trials: 1}")


class BucketStudy(studies.Told):
    """The study at URL; this process must have the account's credentials."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._copies = Path(network.folder) / "copies"
        self._folder: StudyFolder | None = None

    def events(self) -> list[Event]:
        """The log so far."""
        with self._network.inside():
            try:
                self._folder = self._folder or StudyFolder.open(URL, self._copies)
            except StudyError:
                return []  # it has not begun
            self._folder.refresh()
            return self._folder.events()
