"""The Ray cluster a study runs on: connect, count, leave."""

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import ray

from ictsweep.errors import UserError
from ictsweep.launch.address import locate
from ictsweep.launch.machines import Machines
from ictsweep.launch.room import has_gpus
from ictsweep.launch.token import admitted

_SETTINGS = {
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",  # machines may have to start, or be busy
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
# A cluster of others gives notice of machines that it takes as little as 30 s before.
_OTHERS = {"RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "2"}
_ANSWERS_S = 3.0  # how long a node that lives may take to accept a connection


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A connection to the cluster at `address` (see `locate`), or to one of our own on this
    machine, which ends with it. UserError from a cluster that does not let us in.
    """
    found = locate(address)
    terminate = signal.getsignal(signal.SIGTERM)
    with _settings(_SETTINGS | (_OWN if found is None else _OTHERS)) as values, admitted(found):
        options = {"runtime_env": {"env_vars": values}}
        if found is None:
            _init("local", include_dashboard=False, **options)
        else:
            _join(found, address or "auto", **options)
        signal.signal(signal.SIGTERM, terminate)  # Ray takes it; to end cleanly is our caller's
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _settings(wanted: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Environment variables for Ray: those that are set already stay, the others go again."""
    new = [name for name in wanted if name not in os.environ]
    os.environ.update({name: wanted[name] for name in new})
    try:
        yield {name: os.environ[name] for name in wanted}
    finally:
        for name in new:
            os.environ.pop(name, None)


def _join(found: str, address: str, **options: Any) -> None:
    """Connect to the cluster of others at `found`."""
    try:
        _init(address, **options)
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise
        raise UserError(f"the cluster at {found}: {' '.join(str(error).split())}") from None


def _init(address: str, **options: Any) -> None:
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)


def machines(
    workers: int,
    cpus_per_worker: float,
    gpus_per_worker: float | None,
    accelerator_type: str | None = None,
) -> Machines:
    """What each trial gets: by default one GPU a worker where the cluster has GPUs, or would start
    machines with them, or a kind of them is asked for; none elsewhere.
    """
    if gpus_per_worker is None:
        wanted = accelerator_type is not None or has_gpus()
        gpus_per_worker = 1.0 if wanted else 0.0
    return Machines(
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        accelerator_type=accelerator_type,
    )


def gone(nodes: Collection[str]) -> set[str]:
    """Which of these nodes (hexadecimal ids) are dead, or no longer answer. Ray itself takes up to
    a minute to notice a machine that vanished.
    """
    known = {node["NodeID"]: node for node in ray.nodes()}
    return {name for name in nodes if name not in known or not _lives(known[name])}


def hardware() -> dict[str, float]:
    """The cluster's resources by name, for the manifest."""
    total = ray.cluster_resources().items()
    return {k: v for k, v in total if ":" not in k and "_group_" not in k}  # those of reservations


def _lives(node: dict[str, Any]) -> bool:
    if not node["Alive"]:
        return False
    try:
        at = (node["NodeManagerAddress"], node["NodeManagerPort"])
        socket.create_connection(at, timeout=_ANSWERS_S).close()
    except OSError:
        return False
    return True
