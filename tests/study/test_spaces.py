"""The published search spaces: sound, documented at their top, and as their headers say."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from ictsweep.study.outlook import expected_kimg
from ictsweep.study.rehearsal import rehearse_study
from ictsweep.study.soundness import space_problems
from ictsweep.study.space import read_checked, resolve, starts
from ictsweep.study.spec import StudySpec, spec_from_dict, spec_to_dict

SPACES = sorted((Path(__file__).parents[2] / "search_spaces").glob("*.yaml"))
SHAPES = {"cifar10": ((4096, 32, 32, 3), 10), "imagenet64": ((1000, 64, 64, 3), 1000)}


class Features(torch.nn.Module):
    """A file that looks like the published network's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def scripted(file: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(Features()).save(str(file))
    return file


def located(path: Path, folder: Path) -> StudySpec:
    """The spec of a file, its data replaced by blank images of the right shape, its feature network
    by another.
    """
    text = path.read_text()
    for name, (shape, classes) in SHAPES.items():
        if f"data: {{name: {name}" in text:
            file = folder / f"{name}.npz"
            labels = np.arange(shape[0]) % classes
            np.savez_compressed(file, images=np.zeros(shape, np.uint8), labels=labels)
            text = text.replace(f"data: {{name: {name}", f"data: {{name: array, path: {file}")
    if "{name: inception}" in text:
        file = scripted(folder / "inception.pt")
        text = text.replace("{name: inception}", f"{{name: inception, path: {file}}}")
    copy = folder / path.name
    copy.write_text(text)
    return read_checked(copy)[0]


def header(path: Path) -> str:
    """The comment at the top, joined."""
    lines = re.split(r"\n(?!#)", path.read_text())[0].splitlines()
    return " ".join(line.lstrip("# ").rstrip() for line in lines)


def test_there_are_four() -> None:
    assert [path.stem for path in SPACES] == ["cifar", "cifar_methods", "digits", "imagenet64"]


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_published_space_is_sound_with_its_data(path: Path, tmp_path: Path) -> None:
    spec = located(path, tmp_path)
    assert spec.study == path.stem
    assert spec_from_dict(spec_to_dict(spec)) == spec
    problems, facts, _ = rehearse_study(spec)
    assert problems == []
    assert len(facts) == 4
    assert spec.short_run  # all of them search the curriculum
    assert space_problems(spec) == []
    for params in starts(spec):
        assert resolve(spec, params).budget_kimg == spec.rungs[-1]


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_what_is_not_prepared_is_told_with_the_command_that_prepares_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec, document = read_checked(path)
    problems = rehearse_study(spec).problems
    if path.stem == "digits":
        assert problems == []
        return
    data, features = str(document.errors(problems)).splitlines()
    text = path.read_text().splitlines()
    name = spec.trial["data"]["name"]
    assert f"`ictsweep prepare {name}" in data
    assert "`ictsweep prepare inception`" in features
    for line, there in ((data, f"data: {{name: {name}"), (features, "features: {name: inception}")):
        assert line.startswith(f"{path}:")
        row = int(line.removeprefix(f"{path}:").split(":")[0])
        assert there in text[row - 1]
    for command in ("prepare inception", f"prepare {name}"):
        assert f"ictsweep {command}" in header(path)


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_the_header_says_paper_budget_hardware_and_what_to_expect(path: Path) -> None:
    text = header(path)
    for word in (r"Papers?  ", "Data  ", "Metric  ", "Budget  ", "Hardware  ", "Expected  "):
        assert re.search(word, text), word
    assert re.search(r"arXiv:\d{4}\.\d{5}", text)
    assert f"ictsweep run search_spaces/{path.name}" in text


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_the_header_counts_as_the_plan_does(path: Path) -> None:
    spec, _ = read_checked(path)
    text = header(path)
    assert f"{spec.trials} configurations + {spec.replicates - 1} more seed" in text
    rungs = [f"{rung:,}" for rung in spec.rungs]
    assert f"rungs of {', '.join(rungs[:-1])} and {rungs[-1]} kimg" in text
    if found := re.search(r"about ([\d,]+) kimg in all", text):
        assert float(found[1].replace(",", "")) == pytest.approx(expected_kimg(spec), rel=0.02)


def test_every_method_of_the_comparison_has_parameters_of_its_own() -> None:
    spec, _ = read_checked(next(path for path in SPACES if path.stem == "cifar_methods"))
    method, *others = spec.search
    assert method.choices is not None
    assert len(method.choices) >= 6
    for choice in method.choices:
        having = {axis.path for axis in others if axis.when and axis.active({method.path: choice})}
        assert having, choice


def test_every_method_of_the_comparison_is_run_as_it_is_defined() -> None:
    """Which the sampler may not try by itself: GAF's methods are trained without dropout."""
    spec, _ = read_checked(next(path for path in SPACES if path.stem == "cifar_methods"))
    dropout = {
        params["method.preset"]: params["network.dropout"]
        for params in starts(spec)[: len(spec.warm_start)]
    }
    assert dropout == {
        "ict": 0.3, "sct_ict": 0.3, "gaf": 0.0, "ect": 0.2, "sct": 0.2, "gaf_ect": 0.0,
    }  # fmt: skip
