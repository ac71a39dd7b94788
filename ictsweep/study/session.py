"""One driver's session of a study: from a folder and a cluster to the study's end, or to where it
was interrupted.
"""

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from ictsweep.data import load
from ictsweep.errors import StudyError, UserError
from ictsweep.launch.cluster import cluster, hardware, machines, slots
from ictsweep.launch.mailbox import open_mailbox
from ictsweep.records import LOG_VERSION, Event
from ictsweep.study.engine import Engine
from ictsweep.study.memory import Memory
from ictsweep.study.space import distributions, resolve, starts
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import Log, StudyFolder
from ictsweep.study.tune import Conductor, assignments, conduct
from ictsweep.training import start_digest, yardstick

_PACKAGES = ("ictsweep", "torch", "ray", "optuna", "numpy", "scipy")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study runs: its folder, the cluster (None: this machine), at most so many trials at
    once.
    """

    folder: StudyFolder
    address: str | None = None
    max_trials: int | None = None
    micro_batch: int | None = None
    recompute: bool = False

    @property
    def cache(self) -> Path:
        """What studies of the same storage share: trained extractors."""
        return self.folder.path.parent / ".cache"


def run_session(place: Place) -> str:
    """Run or continue the study to its end. Returns why it halted early, or "" when it is
    complete.
    """
    folder, spec = place.folder, place.folder.spec()
    with Log(folder) as log:
        measure = warm_up(spec, place.cache)
        _same_measure(folder, measure)
        with cluster(place.address):
            resources = spec.resources
            each = machines(resources.workers, resources.cpus_per_worker, resources.gpus_per_worker)
            fitting = min(slots(each), place.max_trials or sys.maxsize)
            engine = Engine(spec, starts(spec), Memory(spec, distributions(spec)))
            engine.replay(folder.events())
            _enough(folder, engine, fitting)
            folder.write_manifest(manifest(hardware()))
            opened = _opened(fitting, measure)
            log.append([opened])
            engine.apply(opened)
            mailbox = open_mailbox()
            conductor = Conductor(folder, log, engine, mailbox)
            assign = assignments(
                folder, lambda params: resolve(spec, params).to_dict(),
                cache=place.cache, micro_batch=place.micro_batch, recompute=place.recompute,
                mailbox=mailbox,
            )  # fmt: skip
            conduct(conductor, assign, each)
            return engine.halted


def warm_up(spec: StudySpec, cache: Path) -> dict[str, str]:
    """Load the data and train (or find) the extractor once, before any worker needs it; the
    contents of what the study measures with, and of what its trials start from.
    """
    config = resolve(spec, {})
    evaluator = yardstick(config, load(config.data), spec.seed, cache)
    starts = {f"start {path}": start_digest(path) for path in start_paths(spec)}
    return {"data": evaluator.digest, "extractor": evaluator.extractor.weights, **starts}


def start_paths(spec: StudySpec) -> list[str]:
    """The files and checkpoints that the study's trials may start from."""
    own = spec.trial.get("init", {}).get("path")
    choices = [axis.choices or () for axis in spec.search if axis.path == "init.path"]
    return sorted({str(path) for path in [own, *chain(*choices)] if path})


def _enough(folder: StudyFolder, engine: Engine, fitting: int) -> None:
    """The study's clock counts on its slots: with fewer, a trial would wait for one that cannot
    start.
    """
    if fitting < engine.slots:
        raise UserError(
            f"{folder.path}: this study was begun with {engine.slots} trials at once; here is room "
            f"for {fitting}. Give it a cluster as large as the one it began on."
        )


def _same_measure(folder: StudyFolder, measure: dict[str, str]) -> None:
    """A study is measured by one yardstick, and its trials start from the same weights, from its
    first session to its last.
    """
    for event in folder.events()[:1]:
        changed = [name for name, value in measure.items() if event.data.get(name) != value]
        if changed:
            raise StudyError(
                f"{folder.path}: the {' and the '.join(changed)} changed since this study began: "
                "old and new values could not be compared. Restore it, or begin another study."
            )


def _opened(fitting: int, measure: dict[str, str]) -> Event:
    data = {
        "version": LOG_VERSION, "slots": fitting, "host": platform.node(), "process": os.getpid(),
        **measure,
    }  # fmt: skip
    return Event(kind="study", time=time.time(), data=data)


def manifest(resources: dict[str, float]) -> dict[str, Any]:
    """What someone would need to repeat the study: versions, commit, command, hardware."""
    return {
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "commit": _commit(),
        "command": " ".join(["ictsweep", *sys.argv[1:]]),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cluster": resources,
    }


def _commit() -> str:
    """The checkout's commit, marked when it had changes; empty outside a checkout."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        dirty = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("-changed" if dirty.stdout.strip() else "")
