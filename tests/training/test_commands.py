"""The command line over trained models: a diffusion model, a consistency model that starts from it,
an average of another width, the best level."""

import re
import shutil
from pathlib import Path

import pytest

from ictsweep.training import load_model
from tests.training.small import SPACE

FEW = ("--set", "evaluate.images=32", "--set", "budget_kimg=2")


@pytest.fixture(autouse=True)
def space(call) -> None:
    """The small space lies in the folder where commands are called."""
    Path("small.yaml").write_text(SPACE)


def started(cache: Path, out: str) -> tuple[str, ...]:
    """The words that train in a folder where the feature network is already."""
    shutil.copytree(cache, Path(out) / ".cache")
    return ("train", "small.yaml", *FEW, "--out", out)


def test_a_consistency_model_starts_from_a_diffusion_model(call, cache: Path) -> None:
    """EDM to ECT, then an average made afterwards, then the best level of two-step sampling."""
    edm = ("--set", "method.preset=edm")
    assert call(*started(cache, "runs/edm"), *edm)[0] == 0
    assert load_model(Path("runs/edm")).config.method.pairs.name == "clean"

    start = ("--set", "method.preset=ect", "--set", "init.name=checkpoint")
    path = ("--set", "init.path=runs/edm", "--set", "post_hoc.snapshots=4", "--recompute")
    assert call(*started(cache, "runs/ect"), *start, *path)[0] == 0
    begun = load_model(Path("runs/ect"))
    assert begun.meta.init != ""
    newest = Path("runs/edm/checkpoints/000002-000002")
    assert begun.config.init.path == str(newest.absolute())  # one, should the run go on

    code, out, _ = call("ema", "runs/ect", "--sigma-rel", "0.08", "--out", "runs/wide")
    assert code == 0
    assert re.search(r"width 0\.08 at 2 kimg, from 8 snapshots; .*\d\.\d\d% off", out)
    assert load_model(Path("runs/wide")).config.ema.sigma_rel == 0.08
    code, _, errors = call("ema", "runs/ect", "--sigma-rel", "0.001", "--out", "runs/narrow")
    assert code == 2
    assert re.search(r"sigma_rel 0\.001: .*widths \[0\.05, 0\.1\].*\d\d% off", errors)
    assert not Path("runs/narrow").exists()
    again = ("runs/ect/checkpoints/000002-000002", "--sigma-rel", "0.08", "--out", "runs/again")
    assert call("ema", *again)[0] == 0

    shutil.copytree(cache, "runs/wide/.cache")
    code, out, _ = call("level", "runs/wide", "--tries", "2", "--low", "0.5", "--high", "2")
    assert code == 0
    assert "best of 2 tries" in out


def test_what_does_not_fit_is_one_message(call, cache: Path) -> None:
    assert call(*started(cache, "runs/edm"), "--set", "method.preset=edm")[0] == 0
    start = ("--set", "method.preset=ect", "--set", "init.name=checkpoint")
    other = (*start, "--set", "init.path=runs/edm", "--set", "network.channels=8")
    code, out, err = call("train", "small.yaml", *other, "--out", "runs/ect")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "init.path" in err
    assert "channels 4; this trial's network has channels 8" in err
    assert not Path("runs/ect").exists()

    code, _, err = call("ema", "runs/edm", "--sigma-rel", "0.1", "--out", "runs/wide")
    assert code == 2
    assert "post_hoc.snapshots above 0" in err
    code, _, err = call("level", "runs/edm")
    assert code == 2
    assert "diffusion model" in err
    code, _, err = call("level", "runs/nowhere")
    assert (code, "no such folder" in err) == (2, True)
