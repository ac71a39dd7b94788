"""`evaluate`, `sample` and `prepare` from the command line, on one small trained run."""

import json
import re
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ictsweep.cli import main
from ictsweep.evaluation import classifier as recipe
from ictsweep.scoring.formats import Drawn, Npz, Png
from tests.training.small import SPACE


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 2 kimg made by the command itself, its feature network trained briefly."""
    place = tmp_path_factory.mktemp("trained")
    (place / "small.yaml").write_text(SPACE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(recipe, "_MAX_STEPS", 60)
        sets = ("--set", "budget_kimg=2", "--set", "network.classes=10")
        call = ["ictsweep", "train", "small.yaml", "--out", "run", *sets]
        patch.setattr("sys.argv", call)
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
    return place / "run"


@pytest.fixture(autouse=True)
def run_folder(call, monkeypatch: pytest.MonkeyPatch, trained: Path) -> None:
    """The run lies in the folder where commands are called."""
    monkeypatch.setattr(recipe, "_MAX_STEPS", 60)
    shutil.copytree(trained, "run")


def test_evaluate_says_mean_spread_each_draw_and_keeps_them(call) -> None:
    code, out, err = call("evaluate", "run", "--images", "300", "--metrics", "fd,kd")
    assert code == 0
    assert "300 samples per draw, 3 draws" in out
    for key in ("fd", "kd", "fd_2step", "kd_2step"):
        assert re.search(rf"^{key} +[\d.e-]+   spread [\d.e-]+, mean's 95 % interval", out, re.M)
    place = Path(out.splitlines()[-1].removeprefix("kept in "))
    facts = json.loads(place.read_text())
    assert len(facts["draws"]) == 3
    assert f"{facts['summary']['fd']['mean']:.4g}" in out
    assert "evaluate: 1,800 of 1,800 images (100 %)" in err
    again = call("evaluate", "run", "--images", "300", "--metrics", "fd,kd")
    assert again == (0, out, "evaluate: all draws are on the disk; nothing is sampled\n")


def test_evaluate_against_another_checkpoint(call) -> None:
    older = "run/checkpoints/000002-000001"
    words = ("--images", "300", "--draws", "2", "--against", older)
    code, out, _ = call("evaluate", "run", *words)
    assert code == 0
    assert older in out
    found = re.search(
        r"fd +[+-]\S+   same latents (\S+) to (\S+)   other latents (\S+) to (\S+)", out
    )
    assert found is not None
    paired, apart = (float(found[i + 1]) - float(found[i]) for i in (1, 3))
    assert paired < apart
    shutil.copytree("run", "other")
    meta = Path("other/checkpoints/000002-000002/meta.json")
    facts = json.loads(meta.read_text())
    facts["config"]["ema"]["sigma_rel"] = 0.1
    meta.write_text(json.dumps(facts))
    code, _, err = call("evaluate", "run", "--images", "300", "--against", "other")
    assert code == 2
    assert re.search(r"ema: power 0\.05 and power 0\.1", err)


def test_evaluate_against_below_dimension_compares_the_rest(call) -> None:
    words = ("--images", "64", "--draws", "1", "--metrics", "fd,kd")
    code, out, _ = call("evaluate", "run", *words, "--against", "run/checkpoints/000002-000001")
    assert code == 0
    difference = out.partition("difference (")[2]
    assert re.search(r"^  kd +[+-]", difference, re.M)
    assert not re.search(r"^  fd +[+-]", difference, re.M)
    assert "64 samples with 64 features is below its dimension and cannot be compared" in out
    assert "True and True" not in out


@pytest.mark.parametrize("format_", ["npz", "png", "grid"])
def test_a_full_disk_is_named_with_the_file_and_the_way_on(call, format_: str) -> None:
    words = ("sample", "run", "--to", "s", "--format", format_, "--images", "300")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, hard))  # no file may grow beyond 400 bytes
    try:
        code, _, err = call(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    assert re.search(
        r"ictsweep: \S*\.s\.partial/\S+: File too large; .*same command continues", err
    )
    assert call(*words)[0] == 0


@pytest.mark.parametrize(("form", "name"), [(Npz(), "samples.npz"), (Png(), "000000.png")])
def test_a_form_that_the_disk_does_not_take_names_its_file(
    tmp_path: Path, form: Npz | Png, name: str
) -> None:
    (tmp_path / ".samples.npz").symlink_to("/dev/full")
    (tmp_path / "000000.png").symlink_to("/dev/full")
    drawn = Drawn(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), None)
    with pytest.raises(OSError, match="No space left") as caught:
        form.write(tmp_path, iter([drawn]))
    assert caught.value.filename == str(tmp_path / name)


@pytest.mark.parametrize("place", ["/proc/samples", "/dev/null/samples"])
def test_a_place_that_takes_nothing_is_wrong_input(call, place: str) -> None:
    for words in (("sample", "run", "--images", "8"), ("prepare", "array", "x.npy")):
        np.save("x.npy", np.zeros((9, 8, 8), np.uint8))
        code, _, err = call(*words, "--to", place)
        assert code == 2
        assert str(Path(place).parent) in err
        assert err.count("\n") == 1


def test_samples_with_labels_can_be_prepared_as_data(call) -> None:
    assert call("sample", "run", "--to", "s", "--format", "png", "--images", "300")[0] == 0
    code, out, _ = call("prepare", "folder", "s")
    assert code == 0
    assert "300 images of 1x8x8" in out
    labels = json.loads(Path("s/dataset.json").read_text())["labels"]
    assert np.load(".ictsweep/data/s/labels.npy").tolist() == [label for _, label in labels]


def test_classes_in_turn(call) -> None:
    words = ("sample", "run", "--format", "npz", "--images", "7", "--labels", "3,1")
    assert call(*words, "--to", "s")[0] == 0
    arrays = np.load("s/samples.npz")
    assert arrays["arr_1"].tolist() == [3, 1, 3, 1, 3, 1, 3]
    code, _, err = call(*words[:-1], "3,10", "--to", "t")
    assert (code, err) == (2, "ictsweep: --labels: got 10; expected 0 to 9\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("evaluate", "nothing"), "nothing: no such folder"),
        (("evaluate", "run", "--weights", "x.pt"), "say which with --features"),
        (("evaluate", "run", "--metrics", "fid"), "FID is the name for Inception features"),
        (("evaluate", "run", "--features", "inception"), "ictsweep prepare inception"),
        (("evaluate", "run", "--features", "vgg"), "vgg"),
        (("evaluate", "run", "--features", "torchscript"), "weights by --weights FILE"),
        (("evaluate", "run", "--features", "cifar_resnet"), "weights by --weights FILE"),
        (("evaluate", "run", "--features", "cifar_resnet", "--weights", "x"), "--weights of comm"),
        (("evaluate", "run", "--images", "64", "--against", "run"), "below its dimension"),
        (("sample", "run", "--to", "s", "--format", "gif"), "--format: got gif; expected grid, "),
        (("sample", "run", "--to", "s", "--steps", "5"), "--steps 5: "),
        (("sample", "run", "--to", "s", "--labels", "cat"), "--labels: got cat; expected numbers"),
        (("sample", "run", "--to", "run"), "holds other files"),
        (("rescore", "nothing"), "nothing: not a study folder"),
    ],
)
def test_wrong_input_is_one_message_and_nothing_is_written(
    call, words: tuple[str, ...], says: str
) -> None:
    before = sorted(Path().rglob("*"))
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("ictsweep: ")
    assert "Traceback" not in err
    assert sorted(Path().rglob("*")) == before
