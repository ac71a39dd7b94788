"""Pins: exact, complete, and allowed by the project."""

from pathlib import Path

from ictsweep.clusters.pins import here, mistakes

PINS = (Path(__file__).parents[2] / "clusters" / "requirements.txt").read_text().splitlines()


def test_the_shipped_pins_are_the_projects() -> None:
    assert mistakes(PINS) == []


def without(name: str, *instead: str) -> list[str]:
    return mistakes([line for line in PINS if not line.startswith(name)] + list(instead))


def test_what_is_wrong_with_pins_is_told() -> None:
    assert without("torch==") == ["torch is not pinned"]
    assert without("torch==", "torch>=2.11") == [
        "torch>=2.11 is no exact pin (NAME==VERSION)", "torch is not pinned",
    ]  # fmt: skip
    assert without("optuna", "optuna==4.0.0") == [
        "optuna==4.0.0 is not <6,>=5.0, which the project asks for"
    ]
    assert "`ray up` needs the same on both ends" in without("ray", "ray[default]==2.60.1")[-1]
    assert without("boto3") == ["boto3 is not pinned"]
    assert without("x", "a b c") == ["'a b c' is no requirement"]


def test_files_are_found_through_their_mounts() -> None:
    data = {"file_mounts": {"~/app": ".", "~/data": "/data"}}
    assert here(data, "~/app/clusters/requirements.txt") == "clusters/requirements.txt"
    assert here(data, "~/data/pins") == "/data/pins"
    assert here(data, "/tmp/pins") is None
