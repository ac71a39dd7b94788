"""Commands in messages can be copied into a shell whatever a folder is called."""

import shlex
import subprocess
from pathlib import Path

import pytest

from ictsweep.shell import command

HOSTILE = ["my studies", "it's", 'a"b', "$HOME", "a;b", "é", "*", "#1", "a\nb", "`id`", "-x", "a&b"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_shell_reads_back_what_was_meant(name: str) -> None:
    line = command("resume", Path("studies") / name)
    assert shlex.split(line) == ["ictsweep", "resume", f"studies/{name}"]
    said = subprocess.run(
        ["sh", "-c", line.replace("ictsweep", "printf %s. ", 1)], capture_output=True, text=True
    )
    assert said.stdout == f"resume.studies/{name}."


def test_plain_names_stay_as_they_are() -> None:
    assert command("resume", Path(".ictsweep/studies/digits")) == (
        "ictsweep resume .ictsweep/studies/digits"
    )
