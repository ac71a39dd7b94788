"""The terminal is for people; what libraries say goes to the log."""

import os
import subprocess
import sys
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


UNREAD = """
import sys
from pathlib import Path
from ictsweep.live import quiet
with quiet(Path(sys.argv[1])) as console:
    console.print("first")
    sys.stdin.readline()
    for _ in range(3):
        console.print("nobody reads this")
    Path(sys.argv[1]).with_name("done").touch()
"""


def test_a_reader_who_goes_first_ends_nothing(tmp_path: Path) -> None:
    """As tee does, which gets the same Ctrl-C."""
    program = [sys.executable, "-c", UNREAD, str(tmp_path / "log")]
    work = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert work.stdout is not None
    assert work.stdout.readline() == "first\n"
    work.stdout.close()
    work.communicate("go on\n", timeout=60)
    assert work.returncode == 0
    assert (tmp_path / "done").exists()
