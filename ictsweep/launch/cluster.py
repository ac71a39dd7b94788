"""The Ray cluster a study runs on: connect, count, leave."""

import contextlib
import logging
import os
from collections.abc import Iterator

import ray

from ictsweep.errors import UserError
from ictsweep.launch.driver import Machines

_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # by default a searcher's trials are started one at a time
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the event log is the record
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
    ray.init(
        address=address,
        include_dashboard=False if address is None else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {name: os.environ[name] for name in settings}},
    )
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
    total = ray.cluster_resources()
    fits = [
        int(total.get(name, 0) / (amount * each.workers))
        for name, amount in each.per_worker().items()
    ]
    if not min(fits):
        wanted = ", ".join(f"{a * each.workers:g} {n}" for n, a in each.per_worker().items())
        has = ", ".join(f"{total.get(n, 0):g} {n}" for n in each.per_worker())
        raise UserError(
            f"a trial needs {wanted} ({each.workers} workers), the cluster has {has}: "
            "lower `resources` or give the study a larger cluster"
        )
    return min(fits)


def hardware() -> dict[str, float]:
    """The cluster's resources by name, for the manifest."""
    return {k: v for k, v in ray.cluster_resources().items() if ":" not in k}
