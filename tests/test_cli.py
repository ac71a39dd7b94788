"""The front door: exit codes, one message, nothing started."""

import re
from pathlib import Path

import pytest

from ictsweep import __version__
from ictsweep.cli import main
from tests.training.small import SPACE

DIGITS = Path(__file__).parents[1] / "search_spaces" / "digits.yaml"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Run a command line in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ictsweep", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_version_and_help(call) -> None:
    assert call("--version")[:2] == (0, f"{__version__}\n")
    code, out, _ = call("--help")
    assert code == 0
    assert {"check", "run", "resume", "train", "status", "report"} <= set(re.findall(r"\w+", out))


def test_check_says_what_will_run(call) -> None:
    code, out, _ = call("check", str(DIGITS))
    assert code == 0
    assert "rungs: 4, 12, 36 kimg (each rung a complete run of its own)" in out
    assert "data: digits, 1,797 images of 1x8x8, 10 classes" in out
    assert "network: tiny with changes (song), 180,193 parameters, first weights random" in out
    assert "method: ict: pairs grid, endpoint data, path one_sample, teacher student, " in out
    assert "method.pairs.steps.period" in out


METHODS = """\
search:
  method.preset: {choices: [ict, gaf]}
  method.endpoint.share: {range: [0.2, 0.8], when: {method.preset: gaf}}
"""


def test_check_says_which_trials_have_a_parameter(call, tmp_path: Path) -> None:
    head, tail = DIGITS.read_text().split("search:\n")
    (tmp_path / "my.yaml").write_text(head + METHODS + "\n" + tail[tail.index("trials:") :])
    code, out, _ = call("check", "my.yaml")
    assert code == 0
    assert re.search(
        r"method\.endpoint\.share +the range \[0\.2, 0\.8\], when method\.preset is", out
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "{preset: ict}", "{preset: ect, pairs: {steps: {name: doubling}}}",
            "got text 'doubling'; doubling belongs to pairs grid; pairs continuous takes staged_",
        ),
        ("{preset: ict}", "{preset: ect, teacher: {name: ema}}", "trial.method.teacher: got ema; "),
        ("dropout: 0.3}", "dropout: 0.3, classes: 5}", "the labels of the data digits go from 0 "),
        ("precision: fp32", "init: {name: checkpoint, path: nowhere}", "trial.init.path: nowhere"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_refused(
    call, tmp_path: Path, old: str, new: str, says: str
) -> None:
    (tmp_path / "my.yaml").write_text(DIGITS.read_text().replace(old, new))
    code, out, err = call("check", "my.yaml")
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.parametrize("command", ["check", "run", "train"])
def test_wrong_input_is_one_message_and_nothing_is_started(
    call, command: str, tmp_path: Path
) -> None:
    (tmp_path / "my.yaml").write_text(SPACE.replace("dropout: 0.2", "dropuot: 0.2"))
    code, out, err = call(command, "my.yaml")
    assert code == 2
    assert out == ""
    assert err.startswith("ictsweep: my.yaml:5:40: trial.network.dropuot: unknown key; allowed: ")
    assert err.endswith("did you mean dropout?\n")
    assert [p.name for p in tmp_path.iterdir()] == ["my.yaml"]


def test_data_and_network_are_tried_before_anything_starts(call, tmp_path: Path) -> None:
    missing = SPACE.replace("{name: digits}", "{name: array, path: nowhere.npz}")
    (tmp_path / "my.yaml").write_text(missing)
    code, _, err = call("run", "my.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert "my.yaml:4:29: trial.data.path: nowhere.npz: no such file" in err
    (tmp_path / "my.yaml").write_text(SPACE)
    code, _, err = call("train", "my.yaml", "--set", "network.channel_mult=[1, 1, 1, 1, 1]")
    assert code == 2
    assert err.startswith("ictsweep: --set: network: images of 8x8 do not fit")
    assert [p.name for p in tmp_path.iterdir()] == ["my.yaml"]


@pytest.mark.parametrize("command", ["resume", "status", "report"])
def test_no_such_study(call, command: str) -> None:
    code, _, err = call(command, "nothing")
    assert code == 2
    assert err.startswith("ictsweep: nothing: not a study folder")
