"""A machine that powers itself off when it has had nothing to do for a while (standard library
only: it runs beside Ray on every node of an AWS cluster).

`head`    while a Ray job or driver lives there is something to do; Ray's autoscaler ends idle
          workers, but never the head.
`worker`  while its raylet lives there is; when the head dies, nobody else would end its workers.

Instances that power themselves off are terminated (InstanceInitiatedShutdownBehavior).
"""

import argparse
import fcntl
import json
import logging
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)

POLL_S = 15.0
_JOBS = "http://127.0.0.1:8265/api/jobs/"
_ALIVE = ("PENDING", "RUNNING")


class Patience:
    """Counts how long nothing has been to do, on a clock that never jumps."""

    def __init__(self, limit_s: float, now: float) -> None:
        self._limit_s = limit_s
        self._busy_at = now

    def is_over(self, busy: bool, now: float) -> bool:
        """Whether the machine has been idle for its whole limit."""
        if busy:
            self._busy_at = now
        return now - self._busy_at >= self._limit_s


def head_is_busy(url: str = _JOBS, token: str = "") -> bool:
    """Whether Ray knows a living job or driver; not when Ray itself is gone. A dashboard that
    answers nothing useful (too slow, another token) proves nothing: a machine at work must stay.
    """
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            jobs = json.load(answer)
    except (OSError, ValueError) as error:
        gone = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
        if not gone:
            _log.warning("Ray's jobs could not be asked for: %s", error)
        return not gone
    return any(job.get("status") in _ALIVE for job in jobs)


def worker_is_busy(processes: Path = Path("/proc")) -> bool:
    """Whether a raylet lives on this machine: it ends when its head is gone."""
    for name in processes.glob("[0-9]*/comm"):
        try:
            if name.read_text() == "raylet\n":
                return True
        except OSError:  # it ended while we looked
            continue
    return False


def token_of(home: Path) -> str:
    """Ray's token on this machine, empty where there is none."""
    path = home / ".ray" / "auth_token"
    return path.read_text().strip() if path.exists() else ""


def watch(busy: Callable[[], bool], idle_minutes: float, off: Callable[[], object]) -> None:
    """Look now and then; power off when patience is over."""
    patience = Patience(idle_minutes * 60, time.monotonic())
    while not patience.is_over(busy(), time.monotonic()):
        time.sleep(min(POLL_S, idle_minutes * 60 / 4))
    _log.info("idle for %g minutes: powering off", idle_minutes)
    off()


def main() -> None:
    """`python -m ictsweep.clusters.autostop head|worker --idle-minutes N`"""
    parser = argparse.ArgumentParser(description="Power this machine off when it is idle.")
    parser.add_argument("kind", choices=("head", "worker"))
    parser.add_argument("--idle-minutes", type=float, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    lock = (Path.home() / ".ictsweep-autostop").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("already watching this machine")  # `ray up` starts it again on a running head
    kinds = {
        "head": lambda: head_is_busy(token=token_of(Path.home())), "worker": worker_is_busy,
    }  # fmt: skip
    off = ["sudo", "shutdown", "-h", "now"]
    watch(kinds[given.kind], given.idle_minutes, lambda: subprocess.run(off, check=True))


if __name__ == "__main__":
    main()
