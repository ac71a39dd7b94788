"""The front door: exit codes, one message, nothing started."""

import re
from pathlib import Path

import pytest

from ictsweep import __version__
from tests.training.small import SPACE

DIGITS = Path(__file__).parents[1] / "search_spaces" / "digits.yaml"


def test_version_and_help(call) -> None:
    assert call("--version")[:2] == (0, f"{__version__}\n")
    code, out, _ = call("--help")
    assert code == 0
    commands = {"check", "run", "resume", "train", "status", "report", "level", "ema", "export"}
    commands |= {"prepare", "evaluate", "sample", "rescore"}
    assert commands <= set(re.findall(r"\w+", out))
    assert {"cifar10", "imagenet64", "folder", "array", "inception"} <= set(
        re.findall(r"\w+", call("prepare", "--help")[1])
    )


def test_check_says_what_will_run(call) -> None:
    code, out, _ = call("check", str(DIGITS))
    assert code == 0
    assert "rungs: 4, 12, 36 kimg (each rung a complete run of its own)" in out
    assert "data: digits, 1,797 images of 1x8x8, 10 classes" in out
    assert "network: tiny with changes (song), 180,193 parameters, first weights random" in out
    assert "method: ict: pairs grid, endpoint data, path one_sample, teacher student, " in out
    assert "method.pairs.steps.period" in out


def test_check_says_what_a_study_takes(call, tmp_path: Path) -> None:
    limits = "limits: {max_gpu_hours: 1.0e-3, gpu_hour_price: 2.0}\n"
    (tmp_path / "my.yaml").write_text(DIGITS.read_text() + limits)
    code, out, _ = call("check", "my.yaml", "--gpu", "a100", "--max-trials", "4")
    assert code == 0
    for row in (
        r"images of a trial up to each rung: 4,000, 16,000, 52,000",
        r"training, kimg +\d+ +\d+ +\d+",
        r"GPU-hours +[\d.]+ +[\d.]+ +[\d.]+",
        r"hours, 4 trial\(s\) at once +[\d.]+ ",
        r"cost, at 2 a GPU-hour +[\d.]+ ",
        r"  checkpoints +[\d.]+ MB",
        r"speed: assumed: a100 at 65% \(50% to 80%\) of its peak of 19.5 TFLOP/s in fp32",
        r"limits.max_gpu_hours 0.001: the study will end early: it needs",
        r"trial 6: method.distance.c_scale 0.00054 -> ",
    ):
        assert re.search(row, out), row
    code, out, _ = call("check", "my.yaml")
    assert code == 0
    assert "no speed is known; give --like STUDY" in out
    assert "GPU-hours " not in out


def test_check_takes_one_source_of_speed(call) -> None:
    code, out, err = call("check", str(DIGITS), "--gpu", "a100", "--images-per-s", "9")
    assert (code, out) == (2, "")
    assert "--gpu and --images-per-s say the same in different ways: give one" in err
    code, _, err = call("check", str(DIGITS), "--gpu", "a10")
    assert code == 2
    assert "--gpu a10: expected one of t4, v100, a10g" in err
    code, _, err = call("check", str(DIGITS), "--like", "nothing")
    assert code == 2
    assert "nothing: not a study folder" in err


def test_check_plans_a_known_data_set_that_is_not_here_and_says_so(call) -> None:
    """The plan of what its shape tells; and what is missing, as an error."""
    code, out, err = call("check", str(DIGITS.parent / "cifar.yaml"), "--gpu", "h100")
    assert code == 2
    assert "data: cifar10 as published (not here), 50,000 images of 3x32x32, 10 classes" in out
    assert re.search(r"GPU-hours +[\d,]+ ", out)
    assert "CIFAR-10 is not prepared here; run `ictsweep prepare cifar10`" in err
    assert "`ictsweep prepare inception` fetches the weights" in err


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
