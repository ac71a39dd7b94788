"""A trial's checkpoint comes to the study that it is promoted to, whatever is killed meanwhile."""

import shutil
from pathlib import Path

import pytest
import torch

from ictsweep.errors import StudyError
from ictsweep.interruption import Interruption
from ictsweep.records import LOG_VERSION, Event
from ictsweep.storage.place import within
from ictsweep.study import carrying
from ictsweep.study.spec import StudySpec, spec_from_dict
from ictsweep.study.store import StudyFolder
from ictsweep.training.checkpoints import Meta, checkpoints, read_meta, read_state, write_checkpoint
from tests.storage.server import Server
from tests.storage.test_contract import append
from tests.training.small import fields

PARAMS = {"network.dropout": 0.25}


def study() -> StudySpec:
    return spec_from_dict({
        "study": "old", "minimize": "fd_ode", "seed": 3, "trial": fields(method={"preset": "edm"}),
        "search": {"network.dropout": {"range": [0.0, 0.5]}}, "trials": 9,
        "stopping": {"first_rung_kimg": 2, "reduction": 2, "fidelity": "same_run"},
    })  # fmt: skip


def checkpoint(old: StudyFolder, number: int, images: int) -> None:
    """One of a trial, whose weights say whose it is."""
    meta = Meta(
        config={}, data="d", init="", image_shape=(1, 8, 8), seed=number, run_kimg=4,
        images=images, train_s=1.0, loss=1.0, grad_norm=1.0,
    )  # fmt: skip
    place = old.trial_dir(number) / "checkpoints" / meta.name
    place.parent.mkdir(parents=True)
    write_checkpoint(place, {"weights": torch.tensor([number, images])}, meta)


@pytest.fixture(params=["disk", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A storage with a study of three trials; sessions end before they load data or start Ray."""

    def opened(*_: object) -> None:
        raise StudyError("it would run now")

    monkeypatch.setattr("ictsweep.study.session._measured_with", opened)
    monkeypatch.setattr(Interruption, "listen", lambda _: None)
    bucket = request.param == "bucket"
    where = str(request.getfixturevalue("place").parent if bucket else tmp_path / "studies")
    old = StudyFolder.create(within(where, "old"), study())
    opening = Event(kind="study", time=0.0, data={"version": LOG_VERSION, "slots": 2})
    ask = {"params": PARAMS, "seed": 1, "replicate_of": None}
    append(old, opening, *(Event(kind="ask", time=0.0, trial=n, data=ask) for n in range(3)))
    for number, images in enumerate((4000, 3250, 2000)):
        checkpoint(old, number, images)
        old.keep(f"trials/{number:04d}/checkpoints")
    if bucket:
        elsewhere(old)
    return where


def elsewhere(folder: StudyFolder) -> None:
    """Go on at a machine that has no copy of a study in a bucket; on a disk all see one folder."""
    if folder.remote is not None:
        shutil.rmtree(folder.path)


def promoting(storage: str, trial: int) -> tuple[str, ...]:
    words = ("--storage", storage, f"--trial={trial}", "--budget-kimg=8", "--name=new")
    return ("promote", within(storage, "old"), *words)


def begins_with(storage: str) -> list[list[int]]:
    """The weights of the checkpoints that trial 0 of the promoted study finds, on any machine."""
    new = StudyFolder.open(within(storage, "new"))
    elsewhere(new)
    new.refresh()
    new.bring_trials("checkpoints")
    found = checkpoints(new.trial_dir(0) / "checkpoints", 8)
    assert {read_meta(place).run_kimg for place in found} <= {8}
    return [read_state(place)["weights"].tolist() for place in found]


def test_a_promoted_trial_begins_with_its_checkpoint(call, storage: str) -> None:
    code, out, err = call(*promoting(storage, 1))
    assert (code, "it would run now" in err) == (2, True)
    assert "continues at 3 kimg" in out  # it left its study at 3.25
    assert begins_with(storage) == [[1, 3250]]


def test_a_promotion_that_is_killed_before_it_carried_is_finished_by_the_next_session(
    call, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(carrying, "carry", killed)
        assert call(*promoting(storage, 1))[0] == 130
    assert begins_with(storage) == []
    assert "it would run now" in call("resume", within(storage, "new"))[2]
    assert begins_with(storage) == [[1, 3250]]


def test_without_the_checkpoint_that_it_continues_a_study_does_not_begin_at_nothing(
    call, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("ictsweep.cli.studies._session", lambda *_: None)  # killed there
        call(*promoting(storage, 1))
    StudyFolder.open(within(storage, "old")).remove("trials/0001")
    code, _, err = call("resume", within(storage, "new"))
    assert code == 2
    assert "it continues trial 1 of " in err
    assert "--trial 1 --budget-kimg 8 --name new`" in err


def test_a_checkpoint_that_was_carried_is_no_longer_needed_where_it_was(call, storage: str) -> None:
    call(*promoting(storage, 1))
    StudyFolder.open(within(storage, "old")).remove("trials/0001")
    assert "it would run now" in call("resume", within(storage, "new"))[2]
    assert begins_with(storage) == [[1, 3250]]


def test_what_an_earlier_promotion_left_is_not_begun_with(call, storage: str) -> None:
    call(*promoting(storage, 0))
    assert begins_with(storage) == [[0, 4000]]
    call(*promoting(storage, 2))
    assert begins_with(storage) == [[2, 2000]]


@pytest.mark.parametrize("storage", ["bucket"], indirect=True)
def test_of_a_study_in_a_bucket_one_trials_checkpoints_are_fetched(
    call, s3: Server, storage: str
) -> None:
    s3.seen.clear()
    call(*promoting(storage, 1))
    got = {path for method, path in s3.seen if method == "GET" and "state.pt" in path}
    assert len(got) == 1
    assert "/old/trials/0001/checkpoints/" in got.pop()
