"""Studies on the command line: found by name or path, whatever they are called."""

from dataclasses import replace
from pathlib import Path

import pytest

from ictsweep.errors import StudyError
from ictsweep.interruption import Interruption
from ictsweep.study.spec import StudySpec
from ictsweep.study.store import StudyFolder
from tests.study.worlds import spec
from tests.training.small import SPACE

STORAGE = Path(".ictsweep/studies")


def made(place: Path) -> Path:
    """A study that has not begun."""
    return StudyFolder.create(place, spec()).path


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("a b", "; such as a-b"), ("../up", "; such as up"), ("a/b", "; such as a-b"),
        ("größe", "; such as gr-e"), ("$(id)", "; such as id"), (".hidden", "; such as hidden"),
        ("-rf", "; such as rf"), ("..", "'-'\n"), ("", "'-'\n"), ("x" * 80, f"such as {'x' * 64}"),
        ("a\nb", "; such as a-b"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_a_folder_everywhere_is_refused_before_anything_is_made(
    call, tmp_path: Path, name: str, like: str
) -> None:
    (tmp_path / "my.yaml").write_text(SPACE)
    code, out, err = call("run", "my.yaml", f"--name={name}")
    assert (code, out) == (2, "")
    assert err.startswith("ictsweep: study name: got text ")
    assert like in err
    assert [p.name for p in tmp_path.iterdir()] == ["my.yaml"]


@pytest.mark.parametrize("storage", ["my studies", "größe", "$HOME", "a;b #1", "it's"])
def test_a_study_is_found_under_any_storage(call, tmp_path: Path, storage: str) -> None:
    made(tmp_path / storage / "s")
    assert call("status", "s", "--storage", storage)[0] == 0
    assert call("status", str(Path(storage) / "s"))[0] == 0


def test_a_folder_of_the_same_name_does_not_hide_a_study(call, tmp_path: Path) -> None:
    made(tmp_path / STORAGE / "digits")
    (tmp_path / "digits").mkdir()
    assert call("status", "digits")[0] == 0


def test_a_name_that_is_none_is_told_those_there_are(call, tmp_path: Path) -> None:
    for name in ("digits", "cifar"):
        made(tmp_path / STORAGE / name)
    (tmp_path / STORAGE / ".cache").mkdir()
    code, _, err = call("status", "digit")
    assert code == 2
    assert f"Under {STORAGE} there is cifar, digits; did you mean digits?" in err


def test_a_run_whose_study_was_begun_over_runs_nothing(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another `ictsweep run` of the same name comes between a study's making and its session."""
    (tmp_path / "my.yaml").write_text(SPACE)
    create = StudyFolder.create

    def overtaken(place: str, asked: StudySpec) -> StudyFolder:
        create(place, asked)
        return create(place, replace(asked, seed=asked.seed + 1))

    def goes_on(*_: object) -> None:
        raise StudyError("it would run now")

    monkeypatch.setattr(StudyFolder, "create", overtaken)
    monkeypatch.setattr("ictsweep.study.session._measured_with", goes_on)
    monkeypatch.setattr(Interruption, "listen", lambda _: None)
    code, _, err = call("run", "my.yaml", "--name=one")
    assert code == 2
    assert f"{STORAGE}/one: another study of this name was begun a moment ago" in err
    assert "ictsweep status" in err
    monkeypatch.setattr(StudyFolder, "create", create)
    assert "it would run now" in call("run", "my.yaml", "--name=one")[2]
