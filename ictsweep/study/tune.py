"""Ray Tune's seats taken by the study: a searcher that hands out what the conductor launches, a
scheduler that passes on what arrives, a watch that looks around at every step.

Tune runs processes; it decides nothing. Its own stop is never used: a trial leaves by itself when
it reads its verdict, so no placement group is orphaned.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ray
import ray.tune
import yaml
from ray.exceptions import RayError
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from ictsweep.answers import Word
from ictsweep.disk import passing
from ictsweep.errors import PlaceError, StorageError
from ictsweep.interruption import Interruption
from ictsweep.launch.cluster import gone
from ictsweep.launch.driver import drive
from ictsweep.launch.groups import release, release_left
from ictsweep.launch.machines import Machines
from ictsweep.launch.room import seat
from ictsweep.launch.worker import Assignment
from ictsweep.patience import RUNNING
from ictsweep.records import Halt, TrialRecord
from ictsweep.study.conductor import Conductor
from ictsweep.study.store import StudyFolder

LOOK_S = 5.0  # how often the cluster is asked how much room there is


class StudySearcher(Searcher):
    """Gives Tune the trials that the conductor launches."""

    def __init__(self, conductor: Conductor, assign: Callable[[TrialRecord], Assignment]) -> None:
        super().__init__(metric="trial", mode="min")
        self._conductor = conductor
        self._assign = assign

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's assignment; None to be asked again; FINISHED at the session's end."""
        record = self._conductor.next_launch()
        if record is not None:
            try:
                return {"assignment": self._assign(record)}
            except StorageError as error:
                self._conductor.not_launched(record, error)
        return Searcher.FINISHED if self._conductor.finished else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler has recorded what there was."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the event log is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the event log is the state."""


class StudyScheduler(FIFOScheduler):
    """Passes on what trials report and how they end; never stops one."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass on a trial's letter."""
        ((kind, data),) = json.loads(result["letter"]).items()
        self._conductor.take(*_launch(trial), kind, data)
        return FIFOScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Tune lets a trial end only after its last report was taken; one that ended too early is
        lost.
        """
        self._conductor.gone(*_launch(trial), "ended without its measurement")

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """The trial's driver died."""
        self._conductor.gone(*_launch(trial), "the trial's driver process died")


class Watch(Callback):
    """Looks around at every step of Tune's loop: who interrupts or asks to stop, what is spent, how
    much room there is.
    """

    def __init__(
        self,
        conductor: Conductor,
        interruption: Interruption,
        room: Callable[[], int],
        asked: Callable[[], str],
        refused: Callable[[], str],
    ) -> None:
        self._conductor, self._interruption = conductor, interruption
        self._room, self._asked, self._refused = room, asked, refused
        self._looked = time.monotonic()
        self._listens = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Tune's loop takes a step."""
        if not self._listens:
            self._interruption.listen()  # Tune took SIGUSR1 for itself, to end without a word
            self._listens = True
        if self._interruption.asked:
            self._conductor.pause(Halt.INTERRUPTED, "by a signal (Ctrl-C, SIGTERM or SIGUSR1)")
        self._conductor.within_limits()
        if time.monotonic() - self._looked > LOOK_S and self._conductor.pausing is None:
            self._looked = time.monotonic()
            self._conductor.room(self._room(), self._refused())
            if reason := self._asked():
                self._conductor.pause(Halt.ASKED, reason)
        if self._conductor.overdue:
            raise _Overdue


class _Overdue(Exception):
    """Trials that were asked to leave did not."""


def _launch(trial: Any) -> tuple[int, int]:
    assignment = trial.config["assignment"]
    return assignment.trial, assignment.attempt


class MailPost:
    """The conductor's words, through the mailbox actor."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def acknowledge(self, trial: int, run_kimg: int, kimg: int) -> None:
        """A measurement is recorded."""
        self._mailbox.acknowledge.remote(trial, run_kimg, kimg)

    def deliver(self, trial: int, rung_kimg: int, word: Word) -> None:
        """A verdict is recorded."""
        self._mailbox.deliver.remote(trial, rung_kimg, str(word))

    def dismiss(self, trial: int) -> None:
        """Ask the trial to leave."""
        self._mailbox.dismiss.remote(trial)

    def welcome(self, trial: int) -> None:
        """The trial is about to be launched."""
        self._mailbox.welcome.remote(trial)

    def settled(self, trial: int) -> bool:
        """Whether the trial's workers have told in which placement group they are."""
        return ray.get(self._mailbox.group_of.remote(trial)) is not None

    def release(self, trial: int) -> None:
        """Remove the placement group of the trial's workers, should its own driver not have. What
        never got so far as to name its group may have left one all the same.
        """
        group: Any = ray.get(self._mailbox.group_of.remote(trial))
        if group is not None:
            release(group)
        else:
            release_left()

    def vanished(self, trial: int) -> bool:
        """Whether a machine on which the trial's processes ran is gone."""
        nodes: Any = ray.get(self._mailbox.nodes_of.remote(trial))
        return bool(gone(nodes))


def assignments(
    folder: StudyFolder,
    configs: Callable[[Mapping[str, Any]], dict[str, Any]],
    *,
    cache: Path,
    micro_batch: int | None,
    recompute: bool,
    mailbox: Any,
) -> Callable[[TrialRecord], Assignment]:
    """What a trial's workers are told, from its record as it stands when they start; also written
    to the trial's config.yaml for people.
    """
    spec = folder.spec()

    def assign(record: TrialRecord) -> Assignment:
        config = configs(record.params)
        place = folder.trial_dir(record.number)
        text = yaml.safe_dump({"seed": record.seed, "trial": config}, sort_keys=False)
        name = f"{place.relative_to(folder.path)}/config.yaml"
        RUNNING.through(
            lambda: folder.write(name, text.encode()),
            lambda error: passing(error.__cause__ or error),
        )
        return Assignment(
            trial=record.number,
            attempt=record.attempts,
            config=config,
            seed=record.seed,
            study_seed=spec.seed,
            folder=str(place.absolute()),
            cache=str(cache.absolute()),
            rungs=spec.rungs,
            short_run=spec.short_run,
            recorded=tuple((m.run_kimg, m.kimg) for m in record.measurements),
            micro_batch=micro_batch,
            halvings=record.halvings,
            recompute=recompute,
            mailbox=mailbox,
            remote=folder.trial_remote(record.number),
            shared=folder.shared(),
        )

    return assign


def conduct(
    conductor: Conductor,
    searcher: StudySearcher,
    watch: Watch,
    trial: Callable[[dict[str, Any]], None],
    ray_folder: Path,
) -> None:
    """Run the session to its end on the Ray cluster this process is connected to, and record how it
    ended. `trial` is what Tune calls, in a process per place, for each launch (`trial_on`).

    StorageError when the log could not be written: the study is as its log says.
    """
    with _ending_in_order(conductor):
        ray.tune.run(
            ray.tune.with_resources(trial, seat()),
            name=f"session-{int(time.time())}",
            storage_path=str(ray_folder),
            search_alg=searcher,
            scheduler=StudyScheduler(conductor),
            callbacks=[watch],
            num_samples=-1,
            verbose=0,
            raise_on_failed_trial=False,
            reuse_actors=True,  # a driver process per place, not per trial: seconds of start-up
        )
    conductor.close()
    if isinstance(conductor.error, PlaceError):
        raise StorageError(str(conductor.error)) from conductor.error  # no input was wrong
    if conductor.error is not None:
        raise conductor.error


@contextlib.contextmanager
def _ending_in_order(conductor: Conductor) -> Iterator[None]:
    """Whatever ends Tune's loop, the study says why it stopped before its end."""
    try:
        yield
    except _Overdue:
        return
    except RayError as error:
        said = str(error).strip().partition("\n")[0]
        conductor.pause(Halt.CLUSTER, f"Ray failed: {type(error).__name__}: {said}")
    if not conductor.finished:
        conductor.pause(Halt.CLUSTER, "Ray Tune's loop ended by itself")


def trial_on(machines: Machines, ray_folder: Path) -> Callable[[dict[str, Any]], None]:
    """A trial that trains on those machines."""
    return partial(_trial, machines=machines, ray_folder=str(ray_folder / "train"))


def _trial(config: dict[str, Any], *, machines: Machines, ray_folder: str) -> None:
    drive(config["assignment"], machines, ray_folder)
