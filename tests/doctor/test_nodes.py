"""What nodes say of themselves, judged; collectives tried for real."""

from dataclasses import replace
from typing import Any

import pytest

from ictsweep.doctor.collectives import _tried, collectives
from ictsweep.doctor.findings import Level
from ictsweep.doctor.nodes import Node, Orphan, judged_nodes, judged_orphans

HERE = {"torch": "2.14.1", "ray": "2.60.0"}
SOUND = Node(
    name="node-1", versions=HERE, ray_gpus=2.0, torch_gpus=2, skew_s=0.3, within_s=0.1,
    free_bytes=2**40, storage=True, data="abc",
)  # fmt: skip


def test_a_sound_node_is_one_line() -> None:
    (found,) = judged_nodes([SOUND], HERE, "abc")
    assert str(found) == (
        "ok    node-1       2 GPUs, same versions, clock +0.3 s, sees storage, data"
    )


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        ({"silent": "no answer (timed out)"}, Level.FAIL, "no answer (timed out)"),
        ({"versions": {**HERE, "ray": "2.59.0"}}, Level.FAIL, "ray 2.59.0 (here 2.60.0)"),
        ({"versions": {"ray": "2.60.0"}}, Level.FAIL, "torch none (here 2.14.1)"),
        ({"torch_gpus": 1}, Level.FAIL, "Ray counts 2 GPUs, PyTorch sees 1"),
        ({"torch_gpus": 4}, Level.WARN, "Ray counts 2 GPUs, PyTorch sees 4"),
        ({"skew_s": -60.0}, Level.WARN, "its clock is -60.0 s off"),
        ({"storage": False}, Level.FAIL, "does not see the storage"),
        ({"free_bytes": 2**20}, Level.WARN, "0.0 GiB free"),
        ({"data": "xyz"}, Level.FAIL, "its data are others than here"),
        ({"data": "", "data_error": "node-1: x.npz: no such file"}, Level.FAIL, "x.npz: no such"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], level: Level, says: str) -> None:
    (found,) = judged_nodes([replace(SOUND, **change)], HERE, "abc")
    assert found.level is level
    assert says in str(found)
    assert found.advice


def test_a_slow_answer_is_no_skew_and_what_was_not_looked_for_is_not_judged() -> None:
    slow = replace(SOUND, skew_s=20.0, within_s=18.0, storage=None, data=None)
    (found,) = judged_nodes([slow], HERE)
    assert found.level is Level.OK


def test_what_dead_drivers_hold_is_named() -> None:
    assert judged_orphans([])[0].level is Level.OK
    (found,) = judged_orphans([Orphan(kind="placement group", name="0a", resources={"CPU": 2.0})])
    assert found.level is Level.WARN
    assert "placement group 0a of a dead driver holds 2 CPU" in found.found


def test_two_processes_add_up() -> None:
    gloo, nccl = collectives()
    assert (gloo.level, gloo.found) == (Level.OK, "an all-reduce in 2 processes")
    assert nccl.what == "nccl"


def test_a_backend_that_does_not_work_fails_with_its_last_word() -> None:
    found = _tried("nonsense", 2)
    assert found.level is Level.FAIL
    assert "nonsense" in found.advice.lower()
