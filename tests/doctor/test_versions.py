"""Installed versions are held against the pins; what is not as asked for says how to mend it."""

import pytest

from ictsweep.doctor.findings import Finding, Level, fail, failed, ok, warn
from ictsweep.doctor.versions import judged, pinned, versions

REQUIRES = [
    "torch>=2.11", "ray[default,train,tune]<2.61,>=2.60", 'lpips>=0.1.4; extra == "perceptual"',
    "numpy>=1.26", "pillow",
]  # fmt: skip


def test_pins_are_read_without_extras() -> None:
    assert pinned(REQUIRES) == {
        "torch": [(">=", "2.11")], "ray": [("<", "2.61"), (">=", "2.60")],
        "numpy": [(">=", "1.26")], "pillow": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("here", "level"),
    [("2.60", Level.OK), ("2.60.0", Level.OK), ("2.60.9", Level.OK), ("2.61", Level.FAIL),
     ("2.61.0", Level.FAIL), ("2.59.9", Level.FAIL), ("3.0", Level.FAIL), ("2.9", Level.FAIL),
     ("2.60.1+cu128", Level.OK), ("2.61.0rc1", Level.FAIL)],
)  # fmt: skip
def test_a_version_is_held_against_its_pins(here: str, level: Level) -> None:
    (found,) = judged({"ray": [(">=", "2.60"), ("<", "2.61")]}, {"ray": here})
    assert found.level is level
    assert (found.advice == "pip install 'ray>=2.60,<2.61'") == (level is Level.FAIL)


def test_only_what_decides_or_is_wrong_has_a_line() -> None:
    found = judged(pinned(REQUIRES), {"torch": "2.14.1+cu128", "ray": "2.60.0", "numpy": "1.20"})
    assert [(f.level, f.what) for f in found] == [
        (Level.OK, "torch"), (Level.OK, "ray"), (Level.FAIL, "numpy"), (Level.FAIL, "pillow")
    ]  # fmt: skip
    assert found[3].found == "not installed"


def test_this_machine_is_as_asked_for() -> None:
    found = versions()
    assert not failed(found)
    assert {"python", "torch", "ray", "optuna"} <= {f.what for f in found}


def test_a_finding_is_one_line() -> None:
    assert str(ok("torch", "2.14")) == "ok    torch        2.14"
    assert str(warn("disk", "1 GiB free", "make room")) == (
        "warn  disk         1 GiB free: make room"
    )
    assert failed([ok("a", "b"), fail("c", "d", "e")])
    assert not failed([ok("a", "b"), warn("c", "d", "e")])
    assert isinstance(ok("a", "b"), Finding)
