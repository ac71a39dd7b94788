"""One real study, twenty real kills (SIGKILL) of random processes at random moments: nothing that
was acknowledged is lost, every decision is the undisturbed study's, nothing is left.

`pytest -s -m slow tests/launch/test_kills.py` prints the table of kills.
"""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ictsweep.records import Event
from tests.launch.test_ray import Study, named, wait_for, without_times

pytestmark = [pytest.mark.ray, pytest.mark.slow]

KILLS = 20
ROLES = {  # whom, by what its command line or title says
    "worker": b"RayTrainWorker",
    "trial driver": b"ImplicitFunc",
    "train controller": b"TrainController",
    "raylet": b"/raylet/raylet",
}


@dataclass
class Hunt:
    """The kills so far, and the driver that lives now."""

    study: Study
    driver: subprocess.Popen[bytes]
    dice: random.Random
    rows: list[str] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)

    def kill(self) -> None:
        """Kill one process at a random moment; open the study again if its driver went down."""
        self._wait(self.dice.uniform(0.5, 12.0))
        victims = {role: sorted(named(self.study, mark)) for role, mark in ROLES.items()}
        victims["driver"] = [self.driver.pid] if self.driver.poll() is None else []
        roles = [role for role, pids in victims.items() if pids]
        if not roles:
            return
        least = min(self.hits[role] for role in roles)
        role = self.dice.choice([r for r in roles if self.hits[r] == least])
        before = self.study.events()
        os.kill(self.dice.choice(victims[role]), signal.SIGKILL)
        self.hits[role] += 1
        began = time.monotonic()
        fell = role in ("driver", "raylet")
        if fell:
            self.driver.wait(timeout=90)
            self.driver = self.study.start("resume", "small")
        wait_for(lambda: len(self.study.events()) > len(before), 200, f"no word after {role}")
        after = self.study.events()
        assert after[: len(before)] == before, f"the log lost events when the {role} was killed"
        self.rows.append(
            f"{len(self.rows) + 1:2}  {role:16}  {len(before):4} events  "
            f"{'resumed' if fell else 'went on':8}  next event after "
            f"{time.monotonic() - began:5.1f} s: {_said(after[len(before)])}"
        )

    def _wait(self, seconds: float) -> None:
        """Until the study trains again, then so long."""
        seen = len(self.study.events())
        wait_for(
            lambda: len(self.study.events()) > seen or self.driver.poll() is not None, 200, "stuck"
        )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.driver.poll() is None:
            time.sleep(0.05)


def _said(event: Event) -> str:
    return f"{event.kind} {event.trial if event.trial is not None else ''}".strip()


def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    whole = Study(tmp_path / "whole", trials=24, replicates=2)
    whole.finish("run", "space.yaml", seconds=900)
    study = Study(tmp_path / "hunted", trials=24, replicates=2)
    hunt = Hunt(study, study.start("run", "space.yaml"), random.Random(20))
    while len(hunt.rows) < KILLS and hunt.driver.poll() is None:
        hunt.kill()
    assert hunt.driver.wait(timeout=900) == 0, (study.home / "screen.log").read_text()[-2000:]
    print("", *hunt.rows, dict(hunt.hits), sep="\n")
    assert len(hunt.rows) == KILLS
    assert without_times(study) == without_times(whole)
    assert study.scores() == whole.scores()
    wait_for(lambda: not study.processes(), 30, f"processes left: {study.processes()}")
