"""A digits study of two-worker trials on a cluster of hosts, as its user and its log see it."""

import abc
import json
import subprocess
import sys
from pathlib import Path

from ictsweep.records import Event, trials
from ictsweep.study.store import StudyFolder
from tests.cluster.hosts import Host
from tests.cluster.rays import Rays

SPACE = """
study: small
minimize: fd
seed: 1
trial:
  data: {name: digits}
  network: {preset: tiny, channels: 4, dropout: 0.1}
  method: {preset: ict}
  optimizer: {lr: 1.0e-3, batch: 200}
  precision: fp32
  budget_kimg: 32
  evaluate: {every_kimg: 4, images: 128, steps: [1], grid: 16}
search:
  network.dropout: {range: [0.0, 0.2]}
trials: 2
replicates: 1
sampler: {name: tpe, startup_trials: 1}
stopping: {first_rung_kimg: 8, reduction: 2, fidelity: same_run}
resources: {workers: 2, launch_kimg: 8}
"""


class Told(abc.ABC):
    """A study as its log tells it."""

    @abc.abstractmethod
    def events(self) -> list[Event]:
        """The log so far."""

    def count(self, kind: str, trial: int | None = None) -> int:
        """How many events of a kind there are (of one trial)."""
        return sum(e.kind == kind and trial in (None, e.trial) for e in self.events())

    def decisions(self) -> str:
        """What was asked and judged, in the log's order, without times."""
        kinds = ("ask", "verdict")
        told = [(e.kind, e.trial, dict(e.data)) for e in self.events() if e.kind in kinds]
        return json.dumps(told, sort_keys=True, default=dict)

    def failures(self) -> list[str]:
        """The kinds of the failures on record."""
        return [e.data["kind"] for e in self.events() if e.kind == "fail"]

    def states(self) -> list[str]:
        """How the trials ended."""
        return [str(record.state) for record in trials(self.events())]

    def table(self) -> str:
        """The log for people: seconds since its first event, and what happened."""
        events = self.events()
        return "\n".join(f"{e.time - events[0].time:7.1f} {_line(e)}" for e in events)


class Study(Told):
    """The study of SPACE in a folder that all hosts see."""

    def __init__(self, rays: Rays) -> None:
        self.rays = rays
        self.home = rays.home
        self.folder = StudyFolder(self.home / "studies" / "small")
        self.screen = self.home / "screen.log"
        (self.home / "space.yaml").write_text(SPACE)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """`ictsweep COMMAND` on the head."""
        words = (
            sys.executable,
            "-m",
            "ictsweep",
            *command,
            "--storage",
            str(self.folder.path.parent),
        )
        return self.rays.run(self.rays.head, *words, cwd=self.home, log=self.screen)

    def submit(self, *command: str) -> subprocess.Popen[bytes]:
        """`ictsweep COMMAND` as a Ray job, from the head."""
        words = ("python", "-m", "ictsweep", *command, "--storage", str(self.folder.path.parent))
        submit = ("ray", "job", "submit", "--working-dir", str(self.home / "space"), "--", *words)
        (self.home / "space").mkdir()
        (self.home / "space" / "space.yaml").write_text(SPACE)
        return self.rays.run(self.rays.head, *submit, cwd=self.home, log=self.screen)

    def events(self) -> list[Event]:
        """The log so far."""
        return self.folder.events() if (self.folder.path / "study.yaml").exists() else []


def trainers(host: Host) -> set[int]:
    """The training processes on a host."""
    return {pid for pid in host.pids() if b"RayTrainWorker" in _title(pid)}


def drivers(host: Host) -> set[int]:
    """The trials' drivers on a host."""
    return {pid for pid in host.pids() if b"ImplicitFunc" in _title(pid)}


def _line(event: Event) -> str:
    data = event.data
    kept = ("kind", "message", "reason", "slots", "kimg", "action", "attempt", "host", "seconds")
    said = {name: data[name] for name in kept if name in data}
    trial = "" if event.trial is None else f" trial {event.trial}"
    return f"{event.kind}{trial} {said or ''}"


def _title(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
