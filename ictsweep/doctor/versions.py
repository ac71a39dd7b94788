"""Installed versions against those that this package asks for."""

import platform
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from ictsweep.doctor.findings import Finding, fail, ok, warn

NAMED = ("torch", "torchvision", "ray", "optuna")  # each has a line of its own
_PIN = re.compile(r"([<>=!~]=?)\s*([0-9][^,;\s]*)")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def versions() -> list[Finding]:
    """Python, the packages that decide on results, and whatever else is not as asked for."""
    try:
        pins = pinned(requires("ictsweep") or [])
    except PackageNotFoundError:
        advice = "install it (pip install -e .), or its pins are not known"
        return [warn("ictsweep", "not installed, only found on the path", advice)]
    return [ok("python", platform.python_version()), *judged(pins, installed(pins))]


def installed(names: Iterable[str]) -> dict[str, str]:
    """The versions of packages here; those that are missing have none."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def pinned(requirements: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """The pins of requirements such as "ray[tune]>=2.60,<2.61", those of extras left out:
    {"ray": [(">=", "2.60"), ("<", "2.61")]}.
    """
    pins = {}
    for text in requirements:
        if "extra ==" in text or not (name := _NAME.match(text)):
            continue
        pins[name[0]] = _PIN.findall(text.partition(";")[0])
    return pins


def judged(pins: Mapping[str, list[tuple[str, str]]], here: Mapping[str, str]) -> list[Finding]:
    """A line for each package in NAMED, and one for every other that is not as asked for."""
    found = []
    for name, pin in pins.items():
        asked = ",".join(sign + number for sign, number in pin)
        if name not in here:
            found.append(fail(name, "not installed", f"pip install '{name}{asked}'"))
        elif not all(_holds(here[name], sign, number) for sign, number in pin):
            text = f"{here[name]} (asked for: {asked})"
            found.append(fail(name, text, f"pip install '{name}{asked}'"))
        elif name in NAMED:
            found.append(ok(name, f"{here[name]} ({asked})"))
    return found


def _holds(here: str, sign: str, number: str) -> bool:
    mine, theirs = _parts(here), _parts(number)
    length = max(len(mine), len(theirs))
    mine, theirs = (part + (0,) * (length - len(part)) for part in (mine, theirs))
    return {
        ">=": mine >= theirs, "<=": mine <= theirs, ">": mine > theirs, "<": mine < theirs,
        "==": mine == theirs, "!=": mine != theirs, "~=": mine >= theirs,
    }[sign]  # fmt: skip


def _parts(text: str) -> tuple[int, ...]:
    """The numbers of a version: "2.14.1+cu128" as (2, 14, 1)."""
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[+a-z]", text)[0]))
