"""One driver's session of a study: from a folder and a cluster to the study's end, or to where it
was interrupted.
"""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from ictsweep.data import load
from ictsweep.errors import StudyError, UserError
from ictsweep.evaluation import prepare_extractor
from ictsweep.interruption import Interruption
from ictsweep.launch.cluster import cluster, hardware, machines
from ictsweep.launch.machines import Machines
from ictsweep.launch.mailbox import open_mailbox
from ictsweep.launch.refusals import refused
from ictsweep.launch.room import awaited, shortage, slots
from ictsweep.mirror.following import Following, followed
from ictsweep.records import LOG_VERSION, Event, Halt, trials
from ictsweep.storage.shared import bring, share
from ictsweep.study.carrying import carry_origin
from ictsweep.study.changes import agreed, check_begun
from ictsweep.study.clock import Clock
from ictsweep.study.conductor import Conductor
from ictsweep.study.engine import Engine
from ictsweep.study.memory import Memory
from ictsweep.study.order import check_folder
from ictsweep.study.priors import prior, same_yardstick
from ictsweep.study.requests import asked_to_stop, forget_request, request
from ictsweep.study.retention import Retention
from ictsweep.study.space import distributions, resolve, starts
from ictsweep.study.spec import Resources, StudySpec, spec_to_dict
from ictsweep.study.store import Log, StudyFolder
from ictsweep.study.tune import MailPost, StudySearcher, Watch, assignments, conduct, trial_on
from ictsweep.training import start_digest

_JOINING_S = 120.0  # how long machines of a cluster's file are waited for before the study begins
_PACKAGES = ("ictsweep", "torch", "ray", "optuna", "numpy", "scipy")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study runs: its folder, the cluster (None: this machine), at most so many trials at
    once. `begun` is the spec that the study was begun with just now (None: it goes on). `space` is
    what it should be from now on (None: what its study.yaml says), and `accept` whether it may then
    be another one than it was.
    """

    folder: StudyFolder
    address: str | None = None
    max_trials: int | None = None
    micro_batch: int | None = None
    recompute: bool = False
    begun: StudySpec | None = None
    space: StudySpec | None = None
    accept: bool = False

    @property
    def cache(self) -> Path:
        """What studies of the same storage share: trained extractors."""
        return self.folder.path.parent / ".cache"


def as_before(place: Place, events: Sequence[Event]) -> Place:
    """`place` with what the session before was given on its command line and this one is not."""
    given = [event.data["given"] for event in events if "given" in event.data]
    if not given:
        return place
    again = {name: value for name, value in given[-1].items() if not getattr(place, name)}
    return replace(place, **again)


def _given_to(place: Place) -> dict[str, Any]:
    return {name: getattr(place, name) for name in ("max_trials", "micro_batch", "recompute")}


def run_session(
    place: Place, interruption: Interruption, beside: Sequence[Following] = ()
) -> tuple[Halt, str] | None:
    """Run or continue the study to its end, its log followed by what works `beside` it. Returns why
    it stopped before, or None when it is complete.
    """
    folder = place.folder
    earlier = request(folder)
    with Log(folder) as log:
        forget_request(folder, earlier)
        if place.begun is not None:
            check_begun(folder, place.begun)
        events = check_folder(folder)
        place = as_before(place, events)
        spec = agreed(folder, events, place.space, accept=place.accept)
        if spec != folder.spec():
            log.amend(spec)
        if spec.origin is not None and spec.origin.kimg and not _asked(events):
            carry_origin(folder, spec.origin)
        measure = _measured_with(place, spec)
        _same_measure(folder, measure)
        with cluster(place.address), followed(*beside):
            most = place.max_trials or spec.resources.max_trials
            each, room = _given(spec.resources, most)
            engine = Engine(spec, starts(spec), Memory(spec, distributions(spec)))
            conductor, mailbox = _opened(place, log, engine, events, measure, each, room)
            assign = assignments(
                folder, lambda params: resolve(spec, params).to_dict(),
                cache=place.cache, micro_batch=place.micro_batch, recompute=place.recompute,
                mailbox=mailbox,
            )  # fmt: skip
            watch = Watch(
                conductor, interruption, lambda: slots(each, most),
                lambda: asked_to_stop(folder), refused,
            )  # fmt: skip
            searcher = StudySearcher(conductor, assign)
            with interruption.patient():
                ray_folder = folder.path.absolute() / "ray"
                conduct(conductor, searcher, watch, trial_on(each, ray_folder), ray_folder)
            return conductor.pausing


def _given(resources: Resources, most: int | None) -> tuple[Machines, int]:
    """What each trial gets, and room for how many there is, at most `most`. Machines that are about
    to join are waited for: they may bring the room, or the GPUs.
    """
    until = time.monotonic() + _JOINING_S
    while True:
        per_worker = resources.cpus_per_worker, resources.gpus_per_worker
        each = machines(resources.workers, *per_worker, resources.accelerator_type)
        room = slots(each, most)
        settled = room and (each.gpus or resources.gpus_per_worker == 0)
        if settled or not awaited() or time.monotonic() > until:
            return each, room
        time.sleep(2.0)


def _opened(
    place: Place,
    log: Log,
    engine: Engine,
    events: list[Event],
    measure: dict[str, str],
    each: Machines,
    room: int,
) -> tuple[Conductor, Any]:
    """The session's conductor and mailbox, the session's opening recorded after the log's
    `events`.
    """
    clock = Clock()
    if not room:
        raise UserError(shortage(each))
    opening = {
        "version": LOG_VERSION, "slots": room, "host": platform.node(),
        "process": os.getpid(), "spec": spec_to_dict(engine.spec), "given": _given_to(place),
        **measure,
    }  # fmt: skip
    opened = Event(kind="study", time=clock(), data=opening)
    place.folder.write_manifest(manifest(hardware()))
    opening_events = [opened, *_priors(engine.spec, measure, events, opened.time)]
    log.append(opening_events)
    events = [*events, *opening_events]
    engine.replay(events)
    mailbox = open_mailbox()
    shelf = Retention(place.folder, trials(events))
    return Conductor(
        log, engine, MailPost(mailbox), events, gpus=each.gpus, shelf=shelf, clock=clock
    ), mailbox


def _priors(
    spec: StudySpec, measure: dict[str, str], events: list[Event], time: float
) -> list[Event]:
    """What older studies give, as facts, before the first trial is asked; what a driver that was
    killed meanwhile has recorded is not recorded again.
    """
    if _asked(events):
        return []
    known = {(e.data["study"], e.data["trial"]) for e in events if e.kind == "prior"}
    facts = []
    for place in spec.priors:
        same_yardstick(place, measure)
        facts += [f for f in prior(spec, place).facts if (f["study"], f["trial"]) not in known]
    return [Event(kind="prior", time=time, data=fact) for fact in facts]


def _asked(events: list[Event]) -> bool:
    return any(event.kind == "ask" for event in events)


def _measured_with(place: Place, spec: StudySpec) -> dict[str, str]:
    """`warm_up` with the feature network that the studies of this storage share."""
    shared = place.folder.shared()
    if shared is not None:
        bring(shared, place.cache)
    measure = warm_up(spec, place.cache)
    if shared is not None and share(shared, place.cache):
        measure = warm_up(spec, place.cache)  # another machine was faster: its network is the one
    return measure


def warm_up(spec: StudySpec, cache: Path) -> dict[str, str]:
    """Load the data and open (or train, or find) the feature network once, before any worker needs
    it; the contents of what the study measures with, and of what its trials start from.

    The data's own features are left to the first worker: this machine may have no GPU.
    """
    config = resolve(spec, {})
    images = load(config.data)
    extractor = prepare_extractor(
        config.evaluate.features, images.pixels, images.labels, images.name, cache,
        digest=images.digest,
    )  # fmt: skip
    starts = {f"start {path}": start_digest(path) for path in start_paths(spec)}
    return {"data": images.digest, "extractor": extractor.weights, **starts}


def start_paths(spec: StudySpec) -> list[str]:
    """The files and checkpoints that the study's trials may start from."""
    own = spec.trial.get("init", {}).get("path")
    choices = [axis.choices or () for axis in spec.search if axis.path == "init.path"]
    return sorted({str(path) for path in [own, *chain(*choices)] if path})


def _same_measure(folder: StudyFolder, measure: dict[str, str]) -> None:
    """A study is measured by one yardstick, and its trials start from the same weights, from its
    first session to its last.
    """
    if (event := folder.opening()) is None:
        return
    changed = [name for name, value in measure.items() if event.data.get(name) != value]
    if changed:
        raise StudyError(
            f"{folder.place}: the {' and the '.join(changed)} changed since this study began: "
            "old and new values could not be compared. Restore it, or begin another study."
        )


def manifest(resources: dict[str, float]) -> dict[str, Any]:
    """What someone would need to repeat the study: versions, commit, command, hardware."""
    return {
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "commit": _commit(),
        "command": " ".join(["ictsweep", *map(_public, sys.argv[1:])]),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cluster": resources,
    }


def _public(word: str) -> str:
    """A word of the command line without the password that a database's URL may hold."""
    hidden = re.sub(r"(://[^/:@]*):.*@", r"\1:***@", word)
    return re.sub(r"(password=)[^&]*", r"\1***", hidden)


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
