"""Every node gets one pinned environment, and it is one that the project allows."""

import re
from collections.abc import Mapping
from importlib.metadata import requires, version
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ictsweep.clusters.nodes import block, commands
from ictsweep.problems import KeyPath, Problem

_LISTS = ("setup_commands", "head_setup_commands", "worker_setup_commands")
_INSTALL = re.compile(r"pip install\s+([^&|;]*)")
NEEDED_THERE = ("boto3",)  # of nodes on AWS, beyond what the project always needs


def pinned(data: Mapping[str, Any], folder: Path) -> list[Problem]:
    """Nodes install from a file of exact pins; `folder` is what the file's relative paths are
    relative to.
    """
    found, files = [], []
    for path, text in commands(data, *_LISTS):
        for match in _INSTALL.finditer(text):
            loose, given = _arguments(match.group(1))
            files += [(path, name) for name in given]
            found += [
                Problem(path, f"installs {name} beside the pinned file: nodes would drift apart")
                for name in loose
            ]
    if not files:
        message = "installs no file of pins (pip install -r FILE): nodes would drift apart"
        return [*found, Problem(("setup_commands",), message, at_key=True)]
    for path, name in files:
        found += _of_file(path, name, here(data, name), folder)
    return found


def here(data: Mapping[str, Any], there: str) -> str | None:
    """The file on this machine that `file_mounts` puts at `there`; None when none does."""
    for remote, local in block(data, "file_mounts").items():
        if there.startswith(f"{remote}/"):
            return str(PurePosixPath(str(local)) / PurePosixPath(there).relative_to(remote))
    return None


def mistakes(lines: list[str]) -> list[str]:
    """What is wrong with a file of pins, as messages."""
    pins, found = {}, []
    for line in lines:
        text = line.split("#")[0].strip()
        if not text:
            continue
        try:
            pin = Requirement(text)
        except InvalidRequirement:
            found.append(f"{text!r} is no requirement")
            continue
        exact = [spec for spec in pin.specifier if spec.operator == "==" and "*" not in str(spec)]
        if len(exact) != 1 or len(pin.specifier) != 1:
            found.append(f"{text} is no exact pin (NAME==VERSION)")
        else:
            pins[canonicalize_name(pin.name)] = exact[0].version
    return found + _against_project(pins)


def _against_project(pins: Mapping[str, str]) -> list[str]:
    found = []
    for need in _needs():
        pin = pins.get(canonicalize_name(need.name))
        if pin is None:
            found.append(f"{need.name} is not pinned")
        elif not need.specifier.contains(pin, prereleases=True):
            found.append(f"{need.name}=={pin} is not {need.specifier}, which the project asks for")
    if "ray" in pins and pins["ray"] != version("ray"):
        here = version("ray")
        found.append(f"ray=={pins['ray']}, but {here} here: `ray up` needs the same on both ends")
    return found


def _needs() -> list[Requirement]:
    own = [Requirement(text) for text in requires("ictsweep") or ()]
    return [need for need in own if need.marker is None] + [*map(Requirement, NEEDED_THERE)]


def _of_file(path: KeyPath, name: str, local: str | None, folder: Path) -> list[Problem]:
    if local is None:
        return [Problem(path, f"{name} is in no file mount: it will not be on the node")]
    try:
        lines = (folder / local).read_text().splitlines()
    except OSError as error:
        return [Problem(path, f"{folder / local}: {error.strerror}")]
    return [Problem(path, f"{local}: {message}") for message in mistakes(lines)]


def _arguments(text: str) -> tuple[list[str], list[str]]:
    """The requirements named in a pip command, and the files of requirements."""
    words = text.split()
    files = [b for a, b in pairwise(words) if a in ("-r", "--requirement")]
    paths = [b for a, b in pairwise(words) if a in ("-e", "--editable")]
    named = [w for w in words if not w.startswith(("-", "~", "/", ".")) and w not in files + paths]
    return named, files
