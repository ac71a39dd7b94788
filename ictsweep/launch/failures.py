"""What a failure inside a trial is: the class that decides what follows it, and its gist.

A worker judges its own exception (`of_worker`) and says so before it ends. What no worker could say
(it was killed, its machine vanished) the trial's driver judges by what `fit()` raised (`of_run`):
by the exceptions' types, never by their words.
"""

import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError
from ray.train import ControllerError, PreemptionError, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
    WorkerHealthCheckTimeoutError,
)

from ictsweep.disk import FULL, passing
from ictsweep.errors import Diverged, IctsweepError, StorageError, StorageFull
from ictsweep.records import Failure
from ictsweep.training import is_disconnection

Said = tuple[Failure, str]

_LIBRARIES = [Path(sysconfig.get_paths()[name]) for name in ("purelib", "platlib", "stdlib")]
_OURS = Path(__file__).parents[1]


def of_worker(error: BaseException) -> Said:
    """The class of an exception that ended a worker's training function, and its gist."""
    for cause in _chain(error):
        if (kind := _known(cause)) is not None:
            return kind, str(cause) or type(cause).__name__
    return Failure.BUG, _gist(error)


def of_run(error: BaseException, said: list[Said], nodes_gone: Callable[[], bool]) -> Said:
    """What ended a run whose `fit()` raised `error`, of whose workers some have `said` why (in that
    order). `nodes_gone()` looks whether machines of the trial have vanished.

    Where a process died, what the others say is a consequence: that they lost contact, or an error
    that they met while the run came down.
    """
    causes = list(_chain(error))
    died = next((kind for cause in causes if (kind := _death(cause)) is not None), None)
    own = next((s for s in said if s[0] not in (Failure.LOST, Failure.BUG)), None)
    if own is not None and died is not Failure.PREEMPTED:
        return own
    if died is None and said and said[0][0] is Failure.BUG:
        return said[0]
    if died in (None, Failure.LOST) and nodes_gone():
        return Failure.PREEMPTED, "a machine of the trial vanished"
    if died is not None:
        return died, _DEATHS[died]
    return said[0] if said else _of_disk(causes) or (Failure.LOST, _gist(error))


def _of_disk(causes: list[BaseException]) -> Said | None:
    """What a disk refused to Ray Train itself, where no worker said anything."""
    for cause in causes:
        kind = _known(cause)
        if kind is Failure.DISK_FULL or kind is Failure.STORAGE:
            return kind, str(cause)
    return None


_DEATHS = {
    Failure.PREEMPTED: "a machine of the trial was taken, or none came for it in time",
    Failure.OOM: "a machine ran out of memory and Ray ended a worker",
    Failure.LOST: "a worker process died",
}


def _known(error: BaseException) -> Failure | None:
    """The class of an exception whose type says it; None of one that may mean anything."""
    if isinstance(error, Diverged):
        return Failure.DIVERGED
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return Failure.OOM
    if isinstance(error, StorageFull) or (isinstance(error, OSError) and error.errno in FULL):
        return Failure.DISK_FULL
    if isinstance(error, StorageError) or passing(error):
        return Failure.STORAGE
    if isinstance(error, torch.AcceleratorError | RayActorError) or is_disconnection(error):
        return Failure.LOST  # the device, the study's mailbox, another worker
    return None


def _death(error: BaseException) -> Failure | None:
    """What an exception says of a process's death; None where none died."""
    if isinstance(error, PreemptionError | NodeDiedError | WorkerGroupStartupTimeoutError):
        return Failure.PREEMPTED
    if isinstance(error, OutOfMemoryError):
        return Failure.OOM
    if isinstance(error, RayActorError):
        return Failure.PREEMPTED if error.preempted else Failure.LOST
    if isinstance(error, WorkerGroupStartupFailedError | WorkerHealthCheckTimeoutError):
        return Failure.LOST
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those it came from, through Ray Train's wrappers too."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        if (one := waiting.pop(0)) is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, WorkerGroupError):
            waiting += one.worker_failures.values()
        elif isinstance(one, ControllerError):
            waiting.append(one.controller_failure)
        elif isinstance(one, WorkerHealthCheckFailedError):
            waiting.append(one.health_check_failure)
        waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]


def _gist(error: BaseException) -> str:
    """ "ValueError: the message (file.py:12 in name)": the place is the last one in our code or the
    user's. A message meant for the user stands alone.
    """
    if isinstance(error, IctsweepError):
        return str(error)
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    known = [frame for frame in frames if not _of_a_library(Path(frame.filename))]
    if not (known or frames):
        return said
    last = (known or frames)[-1]
    return f"{said} ({Path(last.filename).name}:{last.lineno} in {last.name})"


def _of_a_library(path: Path) -> bool:
    if path.is_relative_to(_OURS):
        return False
    return any(path.is_relative_to(library) for library in _LIBRARIES)
