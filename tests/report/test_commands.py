"""`ictsweep report` and `ictsweep serve` as a user calls them."""

import json
from pathlib import Path

import pytest

from tests.report.fixture import Script, space, write_study


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two finished studies."""
    home = tmp_path_factory.mktemp("two")
    script = Script(pictures=False)
    made = [write_study(home / n, space(study=n), script) for n in ("one", "two")]
    return [str(folder.path) for folder in made]


def test_one_study(call, two: list[str], tmp_path: Path) -> None:
    code, out, _ = call("report", two[0], "--reports", str(tmp_path))
    assert (code, out) == (0, f"{tmp_path / 'one' / 'index.html'}\n")
    assert json.loads((tmp_path / "one" / "summary.json").read_text())["study"] == "one"
    code, out, _ = call("report", two[0], "--reports", str(tmp_path / "alone"), "--single-file")
    assert code == 0
    assert not list((tmp_path / "alone").glob("plotly*"))


def test_several_are_compared(call, two: list[str], tmp_path: Path) -> None:
    code, out, _ = call("report", *two, "--reports", str(tmp_path))
    assert (code, out) == (0, f"{tmp_path / 'compare-one-two' / 'index.html'}\n")


def test_what_does_not_go_together(call, two: list[str], tmp_path: Path) -> None:
    code, _, said = call("report", *two, "--watch", "--reports", str(tmp_path))
    assert code == 2
    assert "--watch: follows one study" in said
    code, _, said = call("report", *two, "--figures", "svg", "--reports", str(tmp_path))
    assert code == 2
    code, _, said = call("report", two[0], "--figures", "gif", "--reports", str(tmp_path))
    assert code == 2
    assert "--figures: got gif; expected svg, png, pdf" in said
    code, _, said = call("report", two[0], two[0], "--reports", str(tmp_path))
    assert code == 2
    assert "one is named twice" in said
    assert not list(tmp_path.iterdir())  # nothing was written for any of them


def test_watching_a_finished_study_writes_once(call, two: list[str], tmp_path: Path) -> None:
    code, out, _ = call("report", two[0], "--watch", "--reports", str(tmp_path))
    assert (code, len(out.splitlines())) == (0, 1)


def test_other_yardsticks_are_refused(call, two: list[str], tmp_path: Path) -> None:
    script = Script(pictures=False, passports={n: {"images": 100} for n in range(30)})
    odd = write_study(tmp_path / "odd", space(study="odd"), script)
    code, _, said = call("report", two[0], str(odd.path), "--reports", str(tmp_path / "r"))
    assert code == 2
    assert "images 100 where the study has 1000" in said
    assert not (tmp_path / "r" / "compare-one-odd").exists()


def test_nothing_to_serve(call, tmp_path: Path) -> None:
    code, _, said = call("serve", "--reports", str(tmp_path / "none"))
    assert code == 2
    assert "no such folder" in said
