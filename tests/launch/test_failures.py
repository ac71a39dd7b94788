"""What is made of an exception: in a worker, and of a whole run (Ray's exceptions, no Ray)."""

import errno
import io
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError
from ray.train import ControllerError, PreemptionError, PreemptionInfo, WorkerGroupError
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupFailedError,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
    WorkerHealthCheckTimeoutError,
)

from ictsweep.errors import Diverged, StorageError, StorageFull, UserError
from ictsweep.launch.failures import of_run, of_worker
from ictsweep.records import Failure

GLOO = (
    "[/builds/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer "
    "[10.0.0.2]:14011"
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Diverged("loss nan"), Failure.DIVERGED),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), Failure.OOM),
        (MemoryError(), Failure.OOM),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), Failure.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Failure.DISK_FULL),
        (StorageFull("studies/x: full"), Failure.DISK_FULL),
        (StorageError("s3://b/x: does not answer"), Failure.STORAGE),
        (OSError(errno.ESTALE, "Stale file handle"), Failure.STORAGE),
        (OSError(errno.EIO, "Input/output error"), Failure.STORAGE),
        (RuntimeError(GLOO), Failure.LOST),
        (dist.DistBackendError("NCCL communicator was aborted on rank 1"), Failure.LOST),
        (dist.DistStoreError("timed out after 1800 s"), Failure.LOST),
        (torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"), Failure.LOST),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), Failure.BUG),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied; see gloo/"), Failure.BUG),
        (UserError("data: other images"), Failure.BUG),
        (KeyError("x"), Failure.BUG),
    ],
)
def test_an_exception_in_a_worker(error: Exception, kind: Failure) -> None:
    assert of_worker(error)[0] is kind
    assert of_worker(error)[1]


def test_a_full_disk_is_seen_through_what_torch_makes_of_it(tmp_path: Path) -> None:
    """torch.save ends with an error of its own words; the system's is behind it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(RuntimeError) as failed, (tmp_path / "x.pt").open("wb") as file:
            torch.save(torch.zeros(100_000), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert of_worker(failed.value)[0] is Failure.DISK_FULL


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, Failure.DISK_FULL), (errno.ESTALE, Failure.STORAGE), (2, Failure.LOST)],
)
def test_a_disk_that_refuses_ray_train_itself(number: int, kind: Failure) -> None:
    """Before there is a worker that could say it."""
    error = ControllerError(OSError(number, os.strerror(number)))
    assert of_run(error, [], lambda: False)[0] is kind


def user_code(text: str) -> int:
    return int(text)


def test_a_bug_names_its_place_in_our_code_or_the_users() -> None:
    with pytest.raises(ValueError, match="invalid literal") as raised:
        user_code("seven")
    kind, gist = of_worker(raised.value)
    assert kind is Failure.BUG
    assert gist.startswith("ValueError: invalid literal for int() with base 10: 'seven' (test_")
    assert gist.endswith(" in user_code)")
    with pytest.raises(RuntimeError) as deep:  # raised inside a library that we called
        torch.zeros(2) @ torch.load(_saved(torch.zeros(3)))
    assert "test_failures.py:" in of_worker(deep.value)[1]


def _saved(value: torch.Tensor) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return file


def test_a_message_for_the_user_stands_alone() -> None:
    with pytest.raises(UserError) as raised:
        raise UserError("init.path: the start has channels 4; this network has 8")
    assert of_worker(raised.value)[1] == "init.path: the start has channels 4; this network has 8"


def died(*, preempted: bool = False) -> ActorDiedError:
    context = ActorDiedErrorContext(actor_id=b"\0" * 16, class_name="RayTrainWorker", pid=7)
    if preempted:
        context.node_death_info.reason = NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED
    return ActorDiedError(context)


def group(*failures: Exception) -> Exception:
    """What fit() raises when workers failed so."""
    return WorkerGroupError("", dict(enumerate(failures)))


def checked(error: Exception) -> Exception:
    return WorkerHealthCheckFailedError("A worker health check failed.", error)


PREEMPTED = PreemptionError(PreemptionInfo(deadline_ms=None, preempted_node_to_ranks={"a": [0]}))
SAID = {
    "bug": (Failure.BUG, "KeyError: 'x'"), "oom": (Failure.OOM, "CUDA out of memory"),
    "lost": (Failure.LOST, "Connection closed by peer"), "full": (Failure.DISK_FULL, "no room"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "said", "gone", "kind"),
    [
        # nobody could say anything
        (group(checked(died())), [], False, Failure.LOST),
        (group(checked(died())), [], True, Failure.PREEMPTED),
        (group(checked(died(preempted=True))), [], False, Failure.PREEMPTED),
        (group(checked(ActorUnavailableError("rpc", b"\0" * 16))), [], True, Failure.PREEMPTED),
        (group(checked(OutOfMemoryError("killed"))), [], False, Failure.OOM),
        (group(WorkerHealthCheckTimeoutError("hangs")), [], False, Failure.LOST),
        (PREEMPTED, [], False, Failure.PREEMPTED),
        (ControllerError(WorkerGroupStartupTimeoutError(2)), [], False, Failure.PREEMPTED),
        (ControllerError(WorkerGroupStartupFailedError("init")), [], False, Failure.LOST),
        (ControllerError(WorkerGroupStartupFailedError("init")), [], True, Failure.PREEMPTED),
        (died(), [], False, Failure.LOST),  # the controller's own death
        # a worker said why
        (group(RuntimeError("x")), ["bug"], False, Failure.BUG),
        (group(RuntimeError("x")), ["oom", "lost"], False, Failure.OOM),
        (group(RuntimeError("x")), ["lost"], False, Failure.LOST),
        (group(RuntimeError("x")), ["lost"], True, Failure.PREEMPTED),
        # and what the others say is a consequence
        (group(RuntimeError("x"), RuntimeError("y")), ["lost", "full"], False, Failure.DISK_FULL),
        (group(RuntimeError("x"), checked(died())), ["lost"], False, Failure.LOST),
        (group(RuntimeError("x"), checked(died())), ["bug"], False, Failure.LOST),
        (group(RuntimeError("x"), checked(died())), ["bug"], True, Failure.PREEMPTED),
        (group(checked(died()), RuntimeError("x")), ["oom"], False, Failure.OOM),
        (group(checked(died(preempted=True))), ["full"], False, Failure.PREEMPTED),
        # a bug stays one, even if a machine of the cluster vanished at the same time
        (group(RuntimeError("x")), ["bug"], True, Failure.BUG),
    ],
)
def test_how_a_run_ended(error: Exception, said: list[str], gone: bool, kind: Failure) -> None:
    found, message = of_run(error, [SAID[word] for word in said], lambda: gone)
    assert found is kind
    assert message
    if said and found is SAID[said[-1]][0]:
        assert message in (SAID[said[-1]][1], "a worker process died")
