"""A cluster looked at from inside: a task on every node, and what dead drivers left."""

import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ictsweep.data import DataConfig, load
from ictsweep.doctor.findings import Finding, ok
from ictsweep.doctor.nodes import Node, Orphan
from ictsweep.doctor.versions import installed
from ictsweep.errors import UserError
from ictsweep.launch.groups import gcs_pb2, left, state

COMPARED = ("ictsweep", "torch", "ray", "optuna", "numpy")
_WAIT_S = 120.0
_ALIVE = gcs_pb2.ActorTableData.ALIVE


def summary() -> Finding:
    """The cluster in a line."""
    alive = sum(node["Alive"] for node in ray.nodes())
    total = ray.cluster_resources()
    text = f"{alive} node{'' if alive == 1 else 's'}, {total.get('CPU', 0):g} CPUs, "
    return ok("cluster", f"{text}{total.get('GPU', 0):g} GPUs (Ray {ray.__version__})")


def nodes(storage: Path | None, data: DataConfig | None) -> list[Node]:
    """What each living node says of itself; `storage` is where a file is written here and looked
    for there (None: not looked for).
    """
    mark = None if storage is None else storage / f".doctor-{os.getpid()}-{time.monotonic_ns()}"
    if mark is not None:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    try:
        alive = [node for node in ray.nodes() if node["Alive"]]
        where = None if mark is None else str(mark.absolute())
        return [_seen(node, where, data) for node in alive]
    finally:
        if mark is not None:
            mark.unlink(missing_ok=True)


def _seen(node: Mapping[str, Any], mark: str | None, data: DataConfig | None) -> Node:
    name = f"{node['NodeManagerHostname']}"
    gpus = float(node["Resources"].get("GPU", 0))
    there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
    task: Any = ray.remote(num_cpus=0, max_retries=0)(look).options(scheduling_strategy=there)
    try:
        ray.get(task.remote(None, None), timeout=_WAIT_S)  # a worker process is started
        began = time.time()
        now, _ = ray.get(task.remote(None, None), timeout=_WAIT_S)
        ended = time.time()
        _, facts = ray.get(task.remote(mark, data), timeout=_WAIT_S)
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Node(name=name, silent=f"no answer ({lines[-1]})")
    skew = now - (began + ended) / 2
    return Node(name=name, ray_gpus=gpus, skew_s=skew, within_s=(ended - began) / 2, **facts)


def look(mark: str | None, data: DataConfig | None) -> tuple[float, dict[str, Any]]:
    """On a node: the time there, and what is seen there (fields of `Node`)."""
    import torch

    now = time.time()
    facts: dict[str, Any] = {
        "versions": installed(COMPARED),
        "torch_gpus": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "free_bytes": shutil.disk_usage("/tmp").free,
        "storage": None if mark is None else Path(mark).exists(),
    }
    if data is not None:
        try:
            facts["data"] = load(data).digest
        except UserError as error:
            facts |= {"data": "", "data_error": f"{socket.gethostname()}: {error}"}
    return now, facts


def orphans() -> list[Orphan]:
    """What belongs to drivers that are dead and was not made to outlive them."""
    accessor = state._connect_and_get_accessor()
    jobs = accessor.get_job_table(
        skip_submission_job_info_field=True, skip_is_running_tasks_field=True
    )
    read = gcs_pb2.JobTableData.FromString
    dead = {job.job_id for job in map(read, jobs) if job.is_dead}
    actors = map(gcs_pb2.ActorTableData.FromString, accessor.get_actor_table(None, None))
    return [
        *map(_of_group, left()),
        *(
            Orphan(
                kind="actor", name=actor.class_name or actor.actor_id.hex(),
                resources=dict(actor.required_resources),
            )
            for actor in actors
            if actor.state == _ALIVE and not actor.is_detached and actor.job_id in dead
        ),
    ]  # fmt: skip


def _of_group(group: Any) -> Orphan:
    total: dict[str, float] = {}
    for bundle in group.bundles:
        for name, amount in bundle.unit_resources.items():
            total[name] = total.get(name, 0.0) + amount
    return Orphan(kind="placement group", name=group.placement_group_id.hex(), resources=total)
