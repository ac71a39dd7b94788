"""How many trials a cluster has room for: on the machines that live, and on those that its
autoscaler would start.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import yaml
from ray._private.state import state as cluster_state

from ictsweep.launch.machines import Machines, lack, places

# What `ray up` leaves on the head: the cluster file with all that it filled in, and the port at
# which it starts Ray. A cluster of our own has another.
BOOTSTRAP, PORT = "ray_bootstrap_config.yaml", ":6379"
_NODE_GROUP = "ray.io/node-group"  # the label of nodes that an autoscaler has started


def slots(each: Machines, most: int | None = None, home: Path | None = None) -> int:
    """How many trials may run at once, at most `most`: on the machines that live and stay, or,
    where more may be started, on those. Where nobody says how many may be started, `most` is what
    is asked for. `home` is where `ray up` left its file. Cheap: it may be asked every few seconds.
    """
    nodes, config = _staying(), _bootstrap(home or Path.home())
    now = places(each.needs(), [node["Resources"] for node in nodes])
    fit = max(now, promised(each.needs(), config)) // each.workers
    if most is None:
        return fit
    return most if not config and _on_demand(nodes) else min(fit, most)


def promised(need: Mapping[str, float], config: Mapping[str, Any]) -> int:
    """How many workers fit on the machines that a cluster file allows; 0 without one."""
    most = config.get("max_workers", 0)
    types = config.get("available_node_types", {}).items()
    workers = [node for name, node in types if name != config.get("head_node_type")]
    found: list[int] = []
    for node in workers:
        found += [places(need, [node.get("resources", {})])] * node.get("max_workers", most)
    return sum(sorted(found, reverse=True)[:most])


def awaited(home: Path | None = None) -> int:
    """How many machines that the cluster's file keeps (min_workers) have yet to join it: `ray up`
    is done before they are there.
    """
    config = _bootstrap(home or Path.home())
    kept = [node.get("min_workers", 0) for node in config.get("available_node_types", {}).values()]
    return max(0, 1 + sum(kept) - len(_staying())) if config else 0


def has_gpus(home: Path | None = None) -> bool:
    """Whether there are GPUs, on the machines that live or on those that would be started: a
    cluster of `ray up` begins without any.
    """
    promises = promised({"GPU": 1.0}, _bootstrap(home or Path.home()))
    return bool(ray.cluster_resources().get("GPU") or promises)


def seat() -> dict[str, float]:
    """What a trial's driver takes: a `driver` place, where a machine offers them (the head of
    clusters/, which nobody takes away), else next to nothing.

    It waits and forwards: it must not take a worker's CPU. Ray refuses {"CPU": 0}.
    """
    return {"driver": 1.0} if ray.cluster_resources().get("driver") else {"memory": 1_000_000.0}


def shortage(each: Machines) -> str:
    """What is said of a cluster on which not one trial fits."""
    missing = awaited()
    late = f"; {missing} machine(s) of its file have yet to join: see `ray status`"
    return lack(each, [node["Resources"] for node in _staying()]) + (late if missing else "")


def _staying() -> list[dict[str, Any]]:
    """The nodes that live and are not about to be taken."""
    leaving = cluster_state.get_draining_nodes()
    return [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving]


def _on_demand(nodes: list[dict[str, Any]]) -> bool:
    """Whether an autoscaler has started one of them."""
    return any(node.get("Labels", {}).get(_NODE_GROUP) for node in nodes)


def _bootstrap(home: Path) -> Mapping[str, Any]:
    path = home / BOOTSTRAP
    if not path.exists() or not ray.get_runtime_context().gcs_address.endswith(PORT):
        return {}
    return yaml.safe_load(path.read_text())
