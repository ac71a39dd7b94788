"""The terminal is for people; what libraries say goes to the log."""

import os
from pathlib import Path

import pytest

from ictsweep.live import quiet


def test_quiet_sends_the_rest_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with quiet(tmp_path / "log") as console:
        os.write(1, b"chatter\n")  # as a library or a child process does
        console.print("for people")
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "for people\nafter\n"
    assert (tmp_path / "log").read_text() == "chatter\n"
