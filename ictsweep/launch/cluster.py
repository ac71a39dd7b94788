"""The Ray cluster a study runs on: connect, count, leave."""

import contextlib
import logging
import os
import signal
from collections.abc import Iterator

import ray
import ray.util
from ray._raylet import PlacementGroupID
from ray.util.placement_group import PlacementGroup

from ictsweep.errors import UserError
from ictsweep.launch.driver import Machines

_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # by default a searcher's trials are started one at a time
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the event log is the record
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a resumed trial may end without a report
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: leave at once, resume from the log
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",  # Tune's own snapshot is never read
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # how fast an ended run is noticed; else 2 s
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# A cluster of our own dies with its driver: nobody should wait a minute for its return, and
# nobody gives notice before taking its only node.
_OWN = {
    "RAY_gcs_server_request_timeout_seconds": "15",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A connection to the cluster at `address`, or to one of our own on this machine, which ends
    with it.
    """
    settings = _SETTINGS if address else _SETTINGS | _OWN
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    terminate = signal.getsignal(signal.SIGTERM)
    ray.init(
        address=address,
        include_dashboard=False if address is None else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {name: os.environ[name] for name in settings}},
    )
    signal.signal(signal.SIGTERM, terminate)  # Ray takes it; to end cleanly is our caller's
    try:
        yield
    finally:
        ray.shutdown()


def machines(workers: int, cpus_per_worker: float, gpus_per_worker: float | None) -> Machines:
    """What each trial gets: by default one GPU a worker where the cluster has GPUs, none
    elsewhere.
    """
    if gpus_per_worker is None:
        gpus_per_worker = 1.0 if ray.cluster_resources().get("GPU") else 0.0
    return Machines(
        workers=workers, cpus_per_worker=cpus_per_worker, gpus_per_worker=gpus_per_worker
    )


def slots(each: Machines) -> int:
    """How many trials fit on the cluster at once; UserError when not even one does."""
    need = each.per_worker()
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    places = sum(
        min(int(node.get(name, 0) // amount) for name, amount in need.items()) for node in nodes
    )
    if places < each.workers:
        wanted = " and ".join(f"{amount:g} {name}" for name, amount in need.items())
        raise UserError(
            f"a trial needs {each.workers} worker(s) with {wanted} each; the cluster has room for "
            f"{places}: lower `resources` or give the study a larger cluster"
        )
    return places // each.workers


def release(group: str) -> None:
    """Remove a placement group (hexadecimal id) whose owner died: Ray keeps its CPUs otherwise."""
    ray.util.remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(group))))


def hardware() -> dict[str, float]:
    """The cluster's resources by name, for the manifest."""
    return {k: v for k, v in ray.cluster_resources().items() if ":" not in k}
