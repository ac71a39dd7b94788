"""Machines that vanish, and machines that are taken with notice: fake nodes of a real Ray on this
one. The driver is on the head, which trains nothing.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from ictsweep.launch.cluster import cluster, gone
from ictsweep.launch.machines import Machines
from ictsweep.launch.room import shortage, slots
from ictsweep.records import Failure
from ictsweep.training.checkpoints import checkpoints
from tests.launch.conftest import Find
from tests.launch.stage import ONE, Script, assignment, play, script
from tests.launch.test_failing import nothing_is_left, undisturbed, values

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def nodes(processes: Find) -> Iterator[Cluster]:
    """A head that drives and does not train; tests add their nodes, with GPUs that are made up."""
    head = {"num_cpus": 0, "num_gpus": 0, "resources": {"driver": 4}}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        with cluster(made.address):
            yield made
    finally:
        made.shutdown()


def test_what_can_never_fit_is_told_with_made_up_gpus(nodes: Cluster, tmp_path: Path) -> None:
    """Room grows and shrinks with the nodes; a part of a GPU is a part of the room."""
    half = Machines(workers=1, cpus_per_worker=1, gpus_per_worker=0.5)
    assert slots(half, None, tmp_path) == 0
    assert "Ray sees none on this cluster" in shortage(half)
    node = nodes.add_node(num_cpus=8, num_gpus=2, resources={"accelerator_type:L4": 1})
    assert slots(half, None, tmp_path) == 4
    assert slots(half, 3, tmp_path) == 3
    assert slots(replace(half, accelerator_type="L4"), None, tmp_path) == 4
    other = replace(half, accelerator_type="H100")
    assert slots(other, None, tmp_path) == 0
    assert "no node has H100; the cluster has L4" in shortage(other)
    nodes.remove_node(node)
    deadline = time.monotonic() + 60
    while slots(half, None, tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert slots(half, None, tmp_path) == 0


@pytest.mark.slow
def test_a_trial_whose_machine_vanished_was_preempted(
    nodes: Cluster, processes: Find, tmp_path: Path, cache: Path
) -> None:
    """Without notice: at most the work since the last checkpoint is lost. On another machine it
    goes on to the same end.
    """
    node = nodes.add_node(num_cpus=1)
    played = script()  # on the head: it would be gone with the machine elsewhere

    def vanish(kind: str, data: Mapping[str, Any]) -> None:
        if kind == "measure" and data["kimg"] == 1:
            (name,) = [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
            nodes.remove_node(node, allow_graceful=False)
            assert gone([name]) == {name}

    played.then = vanish
    what = assignment(tmp_path, cache, played.mailbox)
    play(tmp_path, played, what)
    assert played.failure is not None
    assert played.failure[0] == Failure.PREEMPTED
    other = nodes.add_node(num_cpus=1)
    known = tuple((m["run_kimg"], m["kimg"]) for m in played.of("measure"))  # one, or two by then
    again = play(tmp_path, Script(played.mailbox), replace(what, recorded=known))
    assert again.failure is None
    assert values(played) + values(again) == undisturbed(tmp_path / "alone", cache)
    nodes.remove_node(other)
    nothing_is_left(processes)


@pytest.mark.slow
def test_notice_triggers_a_checkpoint_just_in_time(
    nodes: Cluster, processes: Find, tmp_path: Path, cache: Path
) -> None:
    """The node is drained as a cloud does before it takes a spot machine; evaluations are far
    apart, so that nothing else would have written a checkpoint.
    """
    node = nodes.add_node(num_cpus=1)
    played = script()
    slow = assignment(tmp_path, cache, played.mailbox)
    slow = replace(slow, config={**slow.config, "budget_kimg": 4000}, rungs=(2000, 4000))
    slow.config["evaluate"] = {**slow.config["evaluate"], "every_kimg": 2000}
    drained = []

    def look() -> None:
        deadline = time.monotonic() + 120
        while not processes("RayTrainWorker") and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(8)  # it trains
        client = GcsClient(address=nodes.address)
        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        until = int((time.time() + 60) * 1000)
        drained.append(client.drain_node(node.node_id, reason, "spot", until))

    watcher = threading.Thread(target=look)
    watcher.start()
    play(tmp_path, played, slow, ONE)
    watcher.join()
    assert drained[0][0], drained
    assert played.failure is not None
    assert played.failure[0] == Failure.PREEMPTED
    assert "notice" in played.failure[1]
    assert len(checkpoints(tmp_path / "trial/checkpoints")) == 1
    assert played.of("leave")[0]["phases"]["train_s"] > 0
    nodes.remove_node(node)
    nothing_is_left(processes)
    assert os.environ.get("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S") == "2"
