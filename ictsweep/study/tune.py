"""Ray Tune's two seats taken by the study: a searcher that hands out what the engine decided, a
scheduler that records what arrives.

Tune runs processes; it decides nothing. Every result goes to the log first, then to the engine; its
decisions go to the log before anyone acts on them. Tune's own stop is never used: a trial leaves by
itself when it reads its verdict, so no placement group is orphaned.
"""

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.tune
import yaml
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from ictsweep.files import write_atomic
from ictsweep.launch.cluster import release
from ictsweep.launch.driver import Machines, drive
from ictsweep.launch.worker import Assignment
from ictsweep.records import Action, Event, trials
from ictsweep.study.engine import Engine
from ictsweep.study.store import Log, StudyFolder

# A trial's driver waits and forwards: it must not take a worker's CPU. Ray refuses {"CPU": 0}.
_DRIVER: dict[str, float] = {"memory": 1_000_000}


class Conductor:
    """Keeps log, engine and mailbox in step: record, apply, decide, record, tell."""

    def __init__(self, folder: StudyFolder, log: Log, engine: Engine, mailbox: Any) -> None:
        self.folder = folder
        self.engine = engine
        self._log = log
        self._mailbox = mailbox
        self._launched: set[int] = set()
        self.error: OSError | None = None
        for event in folder.events():
            self._tell(event)
        self._decide()

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher now and then; the truth is in the log, so there is nothing to
        keep.
        """
        return {}

    def take(self, event: Event) -> None:
        """A fact: record it, then take every decision that it makes due."""
        self._record(event)
        self._decide()

    def release(self, number: int) -> None:
        """Free what the trial's workers held, should their own driver not have done it."""
        group: Any = ray.get(self._mailbox.group_of.remote(number))
        if group is not None:
            release(group)

    def next_launch(self) -> int | None:
        """A trial that should run and has no processes yet in this session."""
        waiting = [n for n in self.engine.outstanding() if n not in self._launched]
        if not waiting:
            return None
        self._launched.add(waiting[0])
        self._record(Event(kind="launch", time=time.time(), trial=waiting[0]))
        return waiting[0]

    def _decide(self) -> None:
        while self.error is None and (event := self.engine.due(time.time())) is not None:
            self._record(event)

    def _record(self, event: Event) -> None:
        if self.error is not None:
            return  # the log could not be written: nothing more may be decided
        try:
            self._log.append([event])
        except OSError as error:
            self.error = error
            raise
        self.engine.apply(event)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        if event.kind == "measure":
            self._mailbox.acknowledge.remote(
                event.trial, event.data["run_kimg"], event.data["kimg"]
            )
        elif event.kind == "verdict":
            go_on = Action(event.data["action"]) == Action.CONTINUE
            self._mailbox.deliver.remote(event.trial, event.data["card"]["rung_kimg"], go_on)


class StudySearcher(Searcher):
    """Gives Tune the trials that the engine wants running."""

    def __init__(self, conductor: Conductor, assign: Callable[[int], Assignment]) -> None:
        super().__init__(metric="trial", mode="min")
        self._conductor = conductor
        self._assign = assign

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's assignment; None to be asked again; FINISHED at the study's end."""
        number = self._conductor.next_launch()
        if number is not None:
            return {"assignment": self._assign(number)}
        return Searcher.FINISHED if self._conductor.engine.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler has recorded what there was."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the event log is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the event log is the state."""


class StudyScheduler(FIFOScheduler):
    """Records what trials report and how they end; never stops one."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record a trial's letter."""
        ((kind, data),) = json.loads(result["letter"]).items()
        self._conductor.take(Event(kind=kind, time=time.time(), trial=result["trial"], data=data))
        return FIFOScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Tune lets a trial end only after its last report was taken; one that ended too early has
        failed.
        """
        self._lost(trial, "ended without its measurement")

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """The trial's driver died."""
        self._lost(trial, "the trial's driver process died")

    def _lost(self, trial: Any, message: str) -> None:
        number = trial.config["assignment"].trial
        self._conductor.release(number)
        if number in self._conductor.engine.outstanding():
            data = {"kind": "lost", "message": message}
            self._conductor.take(Event(kind="fail", time=time.time(), trial=number, data=data))


def assignments(
    folder: StudyFolder,
    configs: Callable[[Mapping[str, Any]], dict[str, Any]],
    *,
    cache: Path,
    micro_batch: int | None,
    recompute: bool,
    mailbox: Any,
) -> Callable[[int], Assignment]:
    """What trial n's workers are told, from the log as it stands when they start; also written to
    the trial's config.yaml for people.
    """
    spec = folder.spec()

    def assign(number: int) -> Assignment:
        record = trials(folder.events())[number]
        config = configs(record.params)
        place = folder.trial_dir(number)
        text = yaml.safe_dump({"seed": record.seed, "trial": config}, sort_keys=False)
        write_atomic(place / "config.yaml", text.encode())
        return Assignment(
            trial=number,
            config=config,
            seed=record.seed,
            study_seed=spec.seed,
            folder=str(place.absolute()),
            cache=str(cache.absolute()),
            rungs=spec.rungs,
            short_run=spec.short_run,
            recorded=tuple((m.run_kimg, m.kimg) for m in record.measurements),
            micro_batch=micro_batch,
            recompute=recompute,
            mailbox=mailbox,
        )

    return assign


def conduct(conductor: Conductor, assign: Callable[[int], Assignment], machines: Machines) -> None:
    """Run the study to its end on the Ray cluster this process is connected to.

    OSError when the log could not be written: the study is as its log says.
    """
    try:
        _run_tune(conductor, assign, machines)
    except ray.tune.TuneError:
        if conductor.error is not None:
            raise conductor.error from None
        raise


def _run_tune(
    conductor: Conductor, assign: Callable[[int], Assignment], machines: Machines
) -> None:
    ray_folder = conductor.folder.path.absolute() / "ray"
    ray.tune.run(
        ray.tune.with_resources(
            partial(_trial, machines=machines, ray_folder=str(ray_folder / "train")), _DRIVER
        ),
        name=f"session-{int(time.time())}",
        storage_path=str(ray_folder),
        search_alg=StudySearcher(conductor, assign),
        scheduler=StudyScheduler(conductor),
        num_samples=-1,
        verbose=0,
        raise_on_failed_trial=False,
        reuse_actors=True,  # a driver process per slot, not per trial: seconds of start-up each
    )


def _trial(config: dict[str, Any], *, machines: Machines, ray_folder: str) -> None:
    drive(config["assignment"], machines, ray_folder)
