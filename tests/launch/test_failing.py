"""Real trials on a real Ray that come to a bad end, or are asked to leave: what the study is told,
and that nothing is left of them.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray._private.state import actors
from ray.util import placement_group_table

from ictsweep.answers import Word
from ictsweep.launch.machines import Machines
from ictsweep.records import Failure
from ictsweep.study.tune import MailPost
from ictsweep.training import Trainer
from ictsweep.training.checkpoints import checkpoints
from tests.launch.conftest import Find
from tests.launch.stage import FEW, ONE, Script, assignment, play, sabotaged, script
from tests.training.small import Recorder, config, job

pytestmark = pytest.mark.ray

TWO = Machines(workers=2, cpus_per_worker=1, gpus_per_worker=0.0, timeout_s=20)


def nothing_is_left(found: Find) -> None:
    """No worker, no controller, no placement group with a place: all of it gone within 10 s."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        groups = [g for g in placement_group_table().values() if g["state"] != "REMOVED"]
        left = [*found("RayTrainWorker"), *found("TrainController"), *found("SynchronizationActor")]
        if not left and not groups:
            return
        time.sleep(0.1)
    raise AssertionError((left, groups))


def values(played: Script) -> list[tuple[int, Any, float]]:
    return [(m["kimg"], m["values"], m["loss"]) for m in played.of("measure")]


def undisturbed(folder: Path, cache: Path) -> list[tuple[int, Any, float]]:
    """The same trial in this process, on as many threads as a worker has CPUs."""
    runtime, threads = Recorder(), torch.get_num_threads()
    torch.set_num_threads(1)
    Trainer(job(folder, cache, config=config(evaluate=FEW)), runtime).fit()
    torch.set_num_threads(threads)
    return [(m.kimg, m.values, m.loss) for m in runtime.measurements]


@pytest.mark.slow
def test_a_trial_that_leaves_comes_back_and_ends_bitwise_the_same(
    one_ray: Find, tmp_path: Path, cache: Path
) -> None:
    """Dismissed while it trains after its first measurement, then while it waits for its verdict,
    then not any more.
    """
    mailbox = script().mailbox
    what = assignment(tmp_path, cache, mailbox)

    def dismiss(kind: str, data: Mapping[str, Any]) -> None:
        if kind == "measure":
            mailbox.dismiss.remote(7)

    first = play(tmp_path, Script(mailbox, then=dismiss), what)
    assert [kind for kind, _ in first.letters] == ["measure", "leave"]
    (place,) = [p.name for p in checkpoints(tmp_path / "trial/checkpoints")][-1:]
    assert "000004-000001" <= place < "000004-000002"
    leave = first.of("leave")[0]
    assert leave["gpus"] == 0
    assert set(leave["phases"]) == {"startup_s", "train_s", "evaluate_s", "idle_s"}
    assert sum(leave["phases"].values()) == pytest.approx(leave["seconds"], abs=0.5)
    assert min(leave["phases"].values()) > 0
    nothing_is_left(one_ray)

    def dismiss_at_rung(kind: str, data: Mapping[str, Any]) -> None:
        if kind == "measure" and data["kimg"] == 2:
            mailbox.dismiss.remote(7)

    known = replace(what, recorded=((4, 1),))
    second = play(tmp_path, Script(mailbox, words={}, then=dismiss_at_rung), known)
    assert [kind for kind, _ in second.letters] == ["measure", "leave"]

    known = replace(what, recorded=((4, 1), (4, 2)))
    mailbox.deliver.remote(7, 2, str(Word.GO_ON))
    third = play(tmp_path, Script(mailbox), known)
    assert [kind for kind, _ in third.letters] == ["measure", "measure", "leave"]
    together = values(first) + values(second) + values(third)
    assert together == undisturbed(tmp_path / "alone", cache)
    nothing_is_left(one_ray)


def test_a_killed_worker_is_lost(one_ray: Find, tmp_path: Path, cache: Path) -> None:
    def kill(kind: str, data: Mapping[str, Any]) -> None:
        if kind == "measure":
            (worker,) = one_ray("RayTrainWorker")
            os.kill(worker, signal.SIGKILL)

    played = script(then=kill)
    play(tmp_path, played, assignment(tmp_path, cache, played.mailbox))
    assert played.failure == (Failure.LOST, "a worker process died")
    assert played.letters[-1][0] == "leave"
    assert played.letters[-1][1]["phases"] == {}
    nothing_is_left(one_ray)


@contextlib.contextmanager
def controller_dies(found: Find, when: Callable[[Mapping[str, Any]], bool]) -> Iterator[None]:
    """Beside the block: the run's controller is killed as soon as one of Ray's placement groups is
    so.
    """

    def look() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any(map(when, placement_group_table().values())):
                (controller,) = found("TrainController")
                os.kill(controller, signal.SIGKILL)
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=look)
    watcher.start()
    yield
    watcher.join()


@pytest.mark.slow
def test_a_run_killed_as_it_starts_gives_its_places_back(
    one_ray: Find, tmp_path: Path, cache: Path
) -> None:
    """Its controller has a placement group for workers that do not live yet, and dies."""
    played = script()

    places = {0: {"CPU": 1.0}}
    with controller_dies(one_ray, lambda g: (g["state"], g["bundles"]) == ("CREATED", places)):
        play(tmp_path, played, assignment(tmp_path, cache, played.mailbox))
    assert played.failure is not None
    assert played.failure[0] == Failure.LOST
    assert ray.get(played.mailbox.group_of.remote(7)) is None
    MailPost(played.mailbox).release(7)
    nothing_is_left(one_ray)
    deadline = time.monotonic() + 20  # the raylet tells it a little later
    while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
        assert time.monotonic() < deadline, ray.available_resources()
        time.sleep(0.5)


@pytest.mark.slow
def test_a_launch_that_got_no_machine_cost_none(one_ray: Find, tmp_path: Path, cache: Path) -> None:
    """It waits for a GPU that is not there, and its controller dies."""
    played = script()

    wanted = Machines(workers=1, cpus_per_worker=1, gpus_per_worker=1.0)
    waits = lambda g: g["state"] == "PENDING" and any("GPU" in b for b in g["bundles"].values())  # noqa: E731
    with controller_dies(one_ray, waits):
        play(tmp_path, played, assignment(tmp_path, cache, played.mailbox), wanted)
    (leave,) = played.of("leave")
    assert leave["gpus"] == 0.0
    assert leave["seconds"] > 0
    MailPost(played.mailbox).release(7)
    nothing_is_left(one_ray)


@pytest.mark.parametrize(
    ("deed", "kind", "message"),
    [
        ("no memory", Failure.OOM, "CUDA out of memory. Tried to allocate 2.00 GiB"),
        pytest.param(
            "no room", Failure.DISK_FULL, "No space left on device", marks=pytest.mark.slow
        ),
    ],
)
def test_a_worker_says_what_it_lacks(
    deed: str, kind: Failure, message: str, one_ray: Find, tmp_path: Path, cache: Path
) -> None:
    played = script()
    whole = Trainer._step
    play(tmp_path, played, sabotaged(assignment(tmp_path, cache, played.mailbox), deed))
    assert Trainer._step is whole  # what spoils the worker stays out of this process
    assert played.failure is not None
    assert played.failure[0] == kind
    assert message in played.failure[1]
    assert played.of("leave")[0]["phases"]["train_s"] > 0
    nothing_is_left(one_ray)


@pytest.mark.slow
def test_a_bug_in_the_users_data_is_told_with_its_gist(
    one_ray: Find, tmp_path: Path, cache: Path
) -> None:
    played = script()
    what = assignment(tmp_path, cache, played.mailbox)
    data = {"name": "prepared", "path": str(tmp_path / "gone")}
    play(tmp_path, played, replace(what, config={**what.config, "data": data}))
    assert played.failure is not None
    assert played.failure[0] == Failure.BUG
    assert str(tmp_path / "gone") in played.failure[1]
    nothing_is_left(one_ray)


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two workers at once")
@pytest.mark.parametrize("deed", ["killed", "hang"])
def test_workers_that_lose_each_other_are_lost(
    deed: str, one_ray: Find, tmp_path: Path, cache: Path
) -> None:
    """One is killed in a step; one hangs there, and the other gives up after 20 s."""
    played = script()
    what = sabotaged(assignment(tmp_path, cache, played.mailbox), deed)
    play(tmp_path, played, what, TWO)
    assert played.failure is not None
    assert played.failure[0] == Failure.LOST
    nothing_is_left(one_ray)


def test_the_same_mailbox_serves_all_of_them(one_ray: Find) -> None:
    """Tests leave no actor but mailboxes and Tune's own."""
    alive = [a for a in actors().values() if a["State"] == "ALIVE"]
    names = {a["ActorClassName"] for a in alive}
    assert not any("Train" in name or "Placement" in name for name in names), names
    assert ray.is_initialized()
    assert ONE.gpus == 0
