"""What is tried before a study starts: its data, its networks, the model it starts from."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from ictsweep.consistency import Perceptual
from ictsweep.data import load
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
    arrays = {"images": np.zeros((count, side, side), np.uint8)}
    if labels is not None:
        arrays["labels"] = np.resize(np.asarray(labels), count)
    np.savez(folder / "pictures.npz", **arrays)


def said(spec: StudySpec) -> list[str]:
    return [str(problem) for problem in rehearse_study(spec).problems]


def test_a_sound_study_says_what_trial_0_is_made_of(tmp_path: Path) -> None:
    pictures(tmp_path, labels=[0, 1, 2])
    problems, lines = rehearse_study(study(tmp_path))
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
        (None, 3, "got 3; the data pictures has no labels; add an array `labels` to its file, or "),
        ([0, 1, 3], 3, f"got 3; {SPAN} from 0 to 3, 3 classes in all; expected each of 0 to 2"),
        ([-1, 1], 3, f"got 3; {SPAN} from -1 to 1, 2 classes in all; expected each of 0 to 2"),
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
