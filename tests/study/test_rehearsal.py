"""What is tried before a study starts: its data, its networks, the model it starts from."""

import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from ictsweep.consistency import Perceptual
from ictsweep.data import load
from ictsweep.evaluation.cifar_resnet import CifarResNet
from ictsweep.study.facts import facts, parameters
from ictsweep.study.rehearsal import placed, rehearse, rehearse_study
from ictsweep.study.space import resolve
from ictsweep.study.spec import StudySpec, spec_from_dict

BLOCK: dict[str, Any] = {
    "network": {"preset": "tiny"}, "method": {"preset": "ict"}, "optimizer": {"batch": 32},
    "budget_kimg": 4, "evaluate": {"every_kimg": 4},
}  # fmt: skip
DROPOUT = {"network.dropout": {"range": [0, 0.5]}}


def study(folder: Path, search: dict[str, Any] = DROPOUT, **changes: Any) -> StudySpec:
    """A study over images in `folder`."""
    data = {"data": {"name": "array", "path": str(folder / "pictures.npz")}}
    return spec_from_dict(
        {
            "study": "s", "trial": {**BLOCK, **data, **changes}, "search": search, "trials": 2,
            "stopping": {"first_rung_kimg": 4},
        }
    )  # fmt: skip


def pictures(folder: Path, side: int = 8, labels: Any = None, count: int = 40) -> None:
    """The file that the studies read."""
    arrays: dict[str, Any] = {"images": np.zeros((count, side, side), np.uint8)}
    if labels is not None:
        arrays["labels"] = np.resize(np.asarray(labels), count)
    np.savez(folder / "pictures.npz", **arrays)


def said(spec: StudySpec) -> list[str]:
    return [str(problem) for problem in rehearse_study(spec).problems]


def test_a_sound_study_says_what_trial_0_is_made_of(tmp_path: Path) -> None:
    pictures(tmp_path, labels=[0, 1, 2])
    problems, lines, _ = rehearse_study(study(tmp_path))
    assert problems == []
    assert lines[0] == "data: pictures, 40 images of 1x8x8, 3 classes"
    assert lines[1].startswith("network: tiny (song), 180,193 parameters, first weights random")
    assert lines[2] == (
        "method: ict: pairs grid, endpoint data, path one_sample, teacher student, "
        "distance pseudo_huber, weighting inverse_gap"
    )
    assert lines[3].startswith("optimizer: radam, batch 32, rate 0.0001; average: power; ")


def test_overridden_and_whole_blocks_are_told_apart(tmp_path: Path) -> None:
    pictures(tmp_path)
    spec = study(tmp_path, network={"preset": "tiny", "dropout": 0.1})
    config = resolve(spec, {})
    images = load(config.data)
    whole = config.to_dict()
    assert facts(spec.trial, config, images)[1].startswith("network: tiny with changes (song), ")
    assert facts(whole, config, images)[1].startswith("network: of its own (song), ")
    assert facts(whole, config, images)[2].startswith("method: of its own: pairs grid, ")
    assert parameters(config, images) == 180_193


def test_missing_data_is_said_at_its_path(tmp_path: Path) -> None:
    (line,) = said(study(tmp_path))
    assert line.startswith(f"trial.data.path: {tmp_path}/pictures.npz: no such file")
    (problem,) = rehearse(resolve(study(tmp_path), {}))
    assert problem.path == ("data", "path")


SPAN = "the labels of the data pictures go"


@pytest.mark.parametrize(
    ("labels", "classes", "line"),
    [
        (None, 3, "got 3; the data pictures has no labels (from an array"),
        ([0, 1, 3], 3, f"got 3; {SPAN} from 0 to 3, 3 classes in all; expected each of 0 to 2"),
        ([0, 2], 3, f"got 3; {SPAN} from 0 to 2, 2 classes in all; expected each of 0 to 2"),
        ([0, 1, 2], 3, ""),
        ([0, 1, 2], 4, f"got 4; {SPAN} from 0 to 2, 3 classes in all; expected each of 0 to 3"),
        ([0, 1, 2], 0, ""),
    ],
)
def test_a_network_with_classes_needs_labels(
    tmp_path: Path, labels: Any, classes: int, line: str
) -> None:
    pictures(tmp_path, labels=labels)
    found = said(study(tmp_path, network={"preset": "tiny", "classes": classes}))
    assert len(found) == bool(line)
    assert all(text.startswith(f"trial.network.classes: {line}") for text in found)


def test_labels_below_0_are_told_of_the_data(tmp_path: Path) -> None:
    pictures(tmp_path, labels=[-1, 1])
    (line,) = said(study(tmp_path, network={"preset": "tiny", "classes": 3}))
    assert line.startswith("trial.data.path: ")
    assert "-1" in line


class Halves(torch.nn.Module):
    """A feature network of a file: sums of rows of 8x8 pictures, eight features."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().sum(dim=(1, 3)) / 255


def network(folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(Halves()).save(str(folder / "features.pt"))
    return str(folder / "features.pt")


def judged(features: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An evaluation by a feature network."""
    return {"every_kimg": 4, "features": features, **changes}


@pytest.mark.parametrize(
    ("features", "place", "words"),
    [
        ({"name": "inception"}, "features.name", "`ictsweep prepare inception` fetches the"),
        (
            {"name": "inception", "path": "no.pt", "mode": "legacy_pytorch"}, "features.path",
            "no.pt",
        ),
        ({"name": "cifar_resnet", "path": "no.th"}, "features.path", "there is no file no.th"),
        ({"name": "torchscript", "path": "page.pt"}, "features.path", "page.pt is a page of words"),
    ],
)  # fmt: skip
def test_a_feature_network_must_be_there_before_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: Any, place: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("page.pt").write_text("<html>404</html>")
    pictures(tmp_path)
    spec = study(tmp_path, evaluate=judged(features, images=5000))
    (line,) = said(spec)
    assert line.startswith(f"trial.evaluate.{place}: ")
    assert words in line
    (problem,) = rehearse(resolve(spec, {}))
    assert problem.path == ("evaluate", *place.split("."))


def test_missing_data_and_features_are_told_together(tmp_path: Path) -> None:
    lines = said(study(tmp_path, evaluate=judged({"name": "torchscript", "path": "no.pt"})))
    assert [line.split(": ")[0] for line in lines] == [
        "trial.data.path", "trial.evaluate.features.path",
    ]  # fmt: skip


@pytest.mark.parametrize(("images", "few"), [(40, True), (41, False)])
def test_a_file_tells_how_many_samples_its_features_need(
    tmp_path: Path, images: int, few: bool
) -> None:
    varied = np.random.default_rng(0).integers(256, size=(40, 40, 8), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", images=varied)
    features = {"name": "torchscript", "path": network(tmp_path)}  # 40 rows, 40 features
    evaluate = judged(features, images=images)
    lines = said(study(tmp_path, evaluate=evaluate))
    assert len(lines) == few
    assert all("fd of no more samples than 40 features" in line for line in lines)
    assert all(line.startswith("trial.evaluate.images: got 40; ") for line in lines)


def test_a_file_that_is_no_feature_network_is_told(tmp_path: Path) -> None:
    pictures(tmp_path, side=16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(torch.nn.Identity()).save(str(tmp_path / "same.pt"))
    features = {"name": "torchscript", "path": str(tmp_path / "same.pt")}
    (line,) = said(study(tmp_path, evaluate=judged(features)))
    assert line.startswith("trial.evaluate.features: ")
    assert "same.pt" in line


def resnet(folder: Path) -> dict[str, Any]:
    """Features of a ResNet-8 with random weights."""
    torch.save(CifarResNet(1, 10).state_dict(), folder / "resnet.th")
    return {"name": "cifar_resnet", "path": str(folder / "resnet.th")}


def test_features_of_other_images_are_told(tmp_path: Path) -> None:
    """Also where the number of features is known without opening the file."""
    pictures(tmp_path)
    spec = study(tmp_path, evaluate=judged(resnet(tmp_path), images=100))
    text = "cifar_resnet features are for pictures of 3 x 32 x 32; these are 1 x 8 x 8"
    assert said(spec) == [f"trial.evaluate.features: {text}"]
    assert [str(p) for p in rehearse(resolve(spec, {}))] == [f"evaluate.features: {text}"]
    torch.save({"a": torch.zeros(2)}, tmp_path / "resnet.th")
    colour = np.random.default_rng(0).integers(256, size=(4, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", images=colour)
    (line,) = said(spec)
    assert line.startswith(f"trial.evaluate.features: {tmp_path}/resnet.th holds no ResNet")
    resnet(tmp_path)
    assert said(spec) == []


def test_features_and_other_problems_are_told_together(tmp_path: Path) -> None:
    pictures(tmp_path)
    spec = study(
        tmp_path, evaluate=judged(resnet(tmp_path), images=100),
        network={"preset": "tiny", "classes": 3},
    )  # fmt: skip
    assert [line.split(": ")[0] for line in said(spec)] == [
        "trial.network.classes", "trial.evaluate.features",
    ]  # fmt: skip


def test_the_default_features_are_not_trained_to_be_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ictsweep.study.rehearsal.prepare_extractor", None)  # would raise
    pictures(tmp_path, labels=[0, 1])
    assert said(study(tmp_path)) == []


def test_references_are_images_of_the_data(tmp_path: Path) -> None:
    pictures(tmp_path, count=40)
    few = {"preset": "sct_ict", "path": {"references": 40}}
    many = {"preset": "sct_ict", "path": {"references": 41}}
    assert said(study(tmp_path, method=few)) == []
    assert said(study(tmp_path, method=many)) == [
        "trial.method.path.references: got 41; the data pictures has 40 images; "
        "expected at most as many"
    ]


def test_the_default_level_follows_the_size_of_the_images(tmp_path: Path) -> None:
    low = {"preset": "ict", "pairs": {"grid": {"sigma_max": 1.0}}}
    pictures(tmp_path, side=8)
    assert said(study(tmp_path, method=low)) == []
    pictures(tmp_path, side=64)
    (line,) = said(study(tmp_path, method=low))
    assert line.startswith("trial.evaluate.mid_sigma: not given, which means 1.526; expected a noi")


def test_a_perceptual_distance_is_built_before_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its weights every process would fail, or download, at the first step."""

    def unreachable(net: str, verbose: bool) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(Perceptual, "available", staticmethod(lambda: True))
    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=unreachable))
    pictures(tmp_path)
    perceptual = {"preset": "ict", "distance": {"name": "perceptual"}}
    (line,) = said(study(tmp_path, method=perceptual))
    assert line.startswith("trial.method.distance: got perceptual; LPIPS cannot be built: URLError")
    assert "weights of VGG-16" in line
    choices = {"method.distance.name": {"choices": ["pseudo_huber", "perceptual"]}}
    (line,) = said(study(tmp_path, choices))
    assert line.startswith("search.method.distance.name.choices[1]: ")


def test_every_choice_of_a_network_is_built(tmp_path: Path) -> None:
    pictures(tmp_path, side=10)
    choices = {"network.preset": {"choices": ["tiny", "ddpmpp"]}}  # 10 = 2 * 5 halves only once
    (line,) = said(study(tmp_path, choices))
    assert line.startswith(
        "search.network.preset.choices[1]: with text 'ddpmpp', network: images of 10x10 do not fit"
    )


def test_every_choice_of_a_method_is_tried_where_its_condition_holds(tmp_path: Path) -> None:
    pictures(tmp_path, count=40)
    search = {
        "method.preset": {"choices": ["ict", "sct_ict"]},
        "method.path.references": {"choices": [16, 64], "when": {"method.preset": "sct_ict"}},
    }
    lines = said(study(tmp_path, search))
    assert [line.split(": ")[0] for line in lines] == ["search.method.path.references.choices[1]"]
    assert "with method.preset sct_ict and 64, method.path.references: got 64" in lines[0]
    (line,) = said(study(tmp_path, {"method.preset": search["method.preset"]}))  # its own is 1,024
    assert line.startswith("search.method.preset.choices[1]: with text 'sct_ict', method.path.ref")


@pytest.mark.parametrize("name", ["checkpoint", "edm"])
def test_a_model_to_start_from_must_be_there(tmp_path: Path, name: str) -> None:
    pictures(tmp_path)
    nowhere = str(tmp_path / "nowhere")
    lines = said(study(tmp_path, init={"name": name, "path": nowhere}))
    assert lines
    assert all(line.startswith("trial.init.path: ") for line in lines)
    assert nowhere in lines[0]


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers start in folders of their own."""
    monkeypatch.chdir(tmp_path)
    search = {"init.path": {"choices": ["a", "b"]}}
    spec = placed(study(Path("here"), search, init={"name": "checkpoint", "path": "a"}))
    assert spec.trial["data"]["path"] == str(tmp_path / "here" / "pictures.npz")
    assert spec.trial["init"] == {"name": "checkpoint", "path": str(tmp_path / "a")}
    assert spec.search[0].choices == (str(tmp_path / "a"), str(tmp_path / "b"))
    digits = study(tmp_path, data={"name": "digits"})
    assert placed(digits) == digits


def test_places_that_are_not_written_are_made_absolute_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `ictsweep prepare` puts data and weights is below the folder that it ran in."""
    monkeypatch.chdir(tmp_path)
    spec = study(tmp_path, data={"name": "cifar10"}, evaluate=judged({"name": "inception"}))
    trial = placed(spec).trial
    assert trial["data"] == {"name": "cifar10", "path": f"{tmp_path}/.ictsweep/data/cifar10"}
    assert trial["evaluate"]["features"] == {
        "name": "inception", "path": f"{tmp_path}/.ictsweep/weights/inception-2015-12-05.pt",
    }  # fmt: skip
    named = judged({"name": "torchscript", "path": "f.pt"})
    trial = placed(study(tmp_path, evaluate=named)).trial
    assert trial["evaluate"]["features"]["path"] == f"{tmp_path}/f.pt"
    resolve(placed(spec), {})
