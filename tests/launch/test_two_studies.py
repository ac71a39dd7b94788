"""Two studies on one real cluster: they share its machines, and neither decides otherwise."""

from pathlib import Path

import pytest

from ictsweep.records import State
from tests.launch.conftest import Start
from tests.launch.test_ray import Study, without_times

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_two_studies_at_once_decide_as_each_alone(tmp_path: Path, start: Start) -> None:
    """Each counts on both CPUs of the cluster, and waits for the other's trials to leave."""
    address = start(cpus=2)
    alone = Study(tmp_path / "alone")
    alone.finish("run", "space.yaml", "--address", address)
    pair = [Study(tmp_path / name) for name in ("one", "other")]
    drivers = [study.start("run", "space.yaml", "--address", address) for study in pair]
    for study, driver in zip(pair, drivers, strict=True):
        assert driver.wait(timeout=900) == 0, (study.home / "screen.log").read_text()
    for study in pair:
        assert without_times(study) == without_times(alone)
        assert study.scores() == alone.scores()
        states = [r.state for r in study.folder.trials()]
        assert all(state in (State.COMPLETE, State.PRUNED) for state in states)
        assert not [e for e in study.events() if e.kind == "fail"]
