"""Stopped trials leave nothing: placement groups, actors, processes and file handles are counted
before and after many of them, on a real Ray.

`pytest -s -m slow tests/launch/test_leaks.py` stops 4, then 200, and prints the counts.
"""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
import ray
import ray.tune
from ray._private.state import actors
from ray.util import placement_group_table

from ictsweep.answers import Word
from tests.launch.conftest import Find
from tests.launch.stage import FEW, Script, assignment, perform, script
from tests.training.small import fields

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def counts(found: Find) -> dict[str, int]:
    """What a trial might leave behind, by kind."""
    groups = [g for g in placement_group_table().values() if g["state"] != "REMOVED"]
    alive = Counter(a["ActorClassName"] for a in actors().values() if a["State"] == "ALIVE")
    return {
        "placement groups": len(groups),
        "actors": sum(alive.values()),
        "trainers": len(found("RayTrainWorker")) + len(found("TrainController")),
        "processes": len(found("")),
        "file handles of the driver": len(os.listdir("/proc/self/fd")),
        "free CPUs": int(ray.available_resources().get("CPU", 0)),
    }


def settled(found: Find) -> dict[str, int]:
    """The counts once nothing changes any more for 3 s (Ray ends its processes a little later)."""
    before, since = counts(found), time.monotonic()
    until = since + 60
    while time.monotonic() < min(since + 3, until):
        time.sleep(0.3)
        if (now := counts(found)) != before:
            before, since = now, time.monotonic()
    return before


@pytest.mark.parametrize("stops", [4, 200])
def test_stopped_trials_leave_nothing(
    stops: int, one_ray: Find, tmp_path: Path, cache: Path
) -> None:
    """Each trains to its first rung, 5 steps in, and is stopped there; two at a time."""
    config = fields(evaluate=FEW, budget_kimg=2)
    played = script(words={1: Word.STOP})

    def stop(numbers: range) -> Script:
        whats = [
            assignment(
                tmp_path / str(n), cache, played.mailbox, trial=n, config=config, rungs=(1, 2)
            )
            for n in numbers
        ]
        return perform(tmp_path, played, ray.tune.grid_search(whats))

    stop(range(2))  # Ray's own pools are filled
    before = settled(one_ray)
    began = time.monotonic()
    stop(range(2, 2 + stops))
    seconds = time.monotonic() - began
    after = settled(one_ray)
    print(f"\n{stops} stops in {seconds:.0f} s ({seconds / stops:.1f} s each)")
    print(before, after, sep="\n")
    assert len(played.of("leave")) == 2 + stops
    assert played.failure is None
    assert after["file handles of the driver"] <= before["file handles of the driver"] + 4
    assert after["processes"] <= before["processes"] + 1  # Ray keeps idle ones ready, no more
    for kind in ("placement groups", "actors", "trainers", "free CPUs"):
        assert after[kind] == before[kind], kind
