"""Samples in folders: the evaluation's own, in forms that others read, complete or not there."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ictsweep.data import prepare
from ictsweep.data.sources.folder import Folder
from ictsweep.errors import Diverged, UserError
from ictsweep.evaluation import grid
from ictsweep.scoring import samples as module
from ictsweep.scoring.formats import Grid, Npz, Png
from ictsweep.scoring.judge import Judge, Wanted
from ictsweep.scoring.samples import Wish, write_samples
from ictsweep.scoring.subject import Subject
from tests.scoring.conftest import at_work, done


@pytest.fixture(scope="module")
def subject(trained: Path) -> Subject:
    return Subject.of(trained)


def pngs(folder: Path) -> torch.Tensor:
    """The pictures of a folder [n, 1, h, w], in the order of their names."""
    found = [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]
    return torch.from_numpy(np.stack(found))[:, None]


def everything(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize("steps", [1, 2])
def test_they_are_the_samples_that_are_evaluated(
    subject: Subject, cache: Path, tmp_path: Path, steps: int
) -> None:
    """More than one batch of them, drawn there by the evaluator and here without one."""
    done(write_samples(subject, Wish(images=300, steps=steps, seed=7), Png(), tmp_path / "s"))
    judge = Judge.of(subject, Wanted(images=300), 7, cache)
    drawn = judge.evaluator.drawn(subject.samplers()[steps], subject.routes()[steps], range(300))
    expected = torch.cat([batch.pixels for batch in drawn])
    assert torch.equal(pngs(tmp_path / "s"), expected)


def test_the_three_forms_hold_the_same_pictures(subject: Subject, tmp_path: Path) -> None:
    wish = Wish(images=20)
    for form in (Png(), Npz(), Grid()):
        done(write_samples(subject, wish, form, tmp_path / form.name))
    pixels = pngs(tmp_path / "png")
    arrays = np.load(tmp_path / "npz" / "samples.npz")
    assert list(arrays) == ["arr_0"]
    assert (arrays["arr_0"].dtype, arrays["arr_0"].shape) == (np.uint8, (20, 8, 8, 3))
    assert np.array_equal(arrays["arr_0"], np.repeat(pixels.numpy().transpose(0, 2, 3, 1), 3, 3))
    sheet = np.asarray(Image.open(tmp_path / "grid" / "grid.png"))
    assert np.array_equal(sheet, grid(pixels, columns=8)[..., 0])
    facts = json.loads((tmp_path / "png" / "samples.json").read_text())
    assert facts["images"] == 20
    assert facts["weights"] == subject.digest
    assert {p.suffix for p in (tmp_path / "png").iterdir()} == {".png", ".json"}


def test_the_pictures_are_at_distance_zero_from_the_samples_that_are_evaluated(
    subject: Subject, tmp_path: Path
) -> None:
    """Written as PNGs, prepared as data, compared with: nothing was lost or moved on the way."""
    done(write_samples(subject, Wish(images=300), Png(), tmp_path / "s"))
    done(prepare(Folder(path=tmp_path / "s"), tmp_path / "data"))
    wanted = Wanted(images=300, data=tmp_path / "data")
    judge = Judge.of(subject, wanted, 0, tmp_path / "cache")
    done(judge.ready())
    scores = judge.evaluator(subject.samplers(), subject.routes())
    assert abs(scores.values["fd"]) < 1e-9
    assert scores.values["fd_2step"] > 1


def test_other_latents_are_other_samples_and_fewer_are_the_first(
    subject: Subject, tmp_path: Path
) -> None:
    wishes = {"a": Wish(images=40), "b": Wish(images=40, seed=1), "c": Wish(images=9)}
    for name, wish in wishes.items():
        done(write_samples(subject, wish, Png(), tmp_path / name))
    a, b, c = (pngs(tmp_path / name) for name in "abc")
    assert not torch.equal(a, b)
    assert (a[:9].int() - c.int()).abs().max() <= 1  # another batch size: float32 rounding


def test_a_kill_anywhere_then_the_same_call_gives_the_same_bytes(
    subject: Subject, tmp_path: Path
) -> None:
    wish = Wish(images=600)
    done(write_samples(subject, wish, Npz(), tmp_path / "whole"))
    at_work(write_samples(subject, wish, Npz(), tmp_path / "torn"), 2)
    assert not (tmp_path / "torn").exists()
    (part,) = tmp_path.glob(".torn.partial/parts/00000256.pt")
    part.write_bytes(part.read_bytes()[:-1])  # what a power cut may leave
    done(write_samples(subject, wish, Npz(), tmp_path / "torn"))
    assert everything(tmp_path / "torn") == everything(tmp_path / "whole")
    assert not (tmp_path / ".torn.partial").exists()


def test_what_was_safe_is_not_drawn_again(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work(write_samples(subject, Wish(images=600), Png(), tmp_path / "s"), 2)
    drawn: list[int] = []
    draw = module._Source.draw

    def counted(self, first: int, count: int):
        drawn.append(first)
        return draw(self, first, count)

    monkeypatch.setattr(module._Source, "draw", counted)
    done(write_samples(subject, Wish(images=600), Png(), tmp_path / "s"))
    assert drawn == [512]
    done(write_samples(subject, Wish(images=600), Png(), tmp_path / "s"))  # ready: nothing to do
    assert drawn == [512]


def test_parts_of_another_wish_are_not_mixed_in(subject: Subject, tmp_path: Path) -> None:
    at_work(write_samples(subject, Wish(images=600, seed=1), Png(), tmp_path / "s"), 2)
    done(write_samples(subject, Wish(images=300), Png(), tmp_path / "s"))
    done(write_samples(subject, Wish(images=300), Png(), tmp_path / "t"))
    assert everything(tmp_path / "s") == everything(tmp_path / "t")


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Wish(steps=3), r"--steps 3: .* is sampled in 1, 2 steps"),
        (Wish(labels=(1,)), "a model without classes"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    subject: Subject, tmp_path: Path, wish: Wish, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        done(write_samples(subject, wish, Png(), tmp_path / "s"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        done(write_samples(subject, Wish(), Png(), tmp_path))
    done(write_samples(subject, Wish(images=8), Png(), tmp_path / "s"))
    with pytest.raises(UserError, match="holds other files"):
        done(write_samples(subject, Wish(images=9), Png(), tmp_path / "s"))
    assert len(pngs(tmp_path / "s")) == 8


def test_two_at_once_are_refused(subject: Subject, tmp_path: Path) -> None:
    first = write_samples(subject, Wish(images=600), Png(), tmp_path / "s")
    next(first)
    with pytest.raises(UserError, match="another process works on the same thing"):
        done(write_samples(subject, Wish(images=600), Png(), tmp_path / "s"))
    done(first)


def test_samples_that_are_not_finite_are_no_pictures(trained: Path, tmp_path: Path) -> None:
    broken = Subject.of(trained)
    with torch.no_grad():
        next(broken.denoiser.parameters()).fill_(torch.nan)
    with pytest.raises(Diverged, match="64 of 64 samples are not finite"):
        done(write_samples(broken, Wish(), Png(), tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_a_real_kill_of_the_command(trained: Path, tmp_path: Path) -> None:
    """Killed with parts on the disk, then run again: the bytes of a run that nobody killed."""
    call = [sys.executable, "-m", "ictsweep", "sample", str(trained), "--format", "png"]
    call += ["--images", "4000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*call, "--to", "killed"], cwd=tmp_path, env=environment)
    parts = tmp_path / ".killed.partial" / "parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("*.pt"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 3 <= len(list(parts.glob("*.pt"))) < 16
    assert not (tmp_path / "killed").exists()
    done(write_samples(Subject.of(trained), Wish(images=4000), Npz(), tmp_path / "other"))
    again = subprocess.run([*call, "--to", "killed"], cwd=tmp_path, env=environment, check=True,
                           capture_output=True, text=True)  # fmt: skip
    assert "killed: 4,000 samples" in again.stdout
    pixels = np.load(tmp_path / "other" / "samples.npz")["arr_0"][..., :1].transpose(0, 3, 1, 2)
    assert np.array_equal(pngs(tmp_path / "killed").numpy(), pixels)
